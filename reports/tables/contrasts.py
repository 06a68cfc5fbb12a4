"""What a table compares: each row with its matched base, and the best row with the second best.

A table declares its comparisons before anything is computed. In each block and column they are
the best row against the second best, and every method against the bare backbone that
:func:`matched_bases` names; a pair of rows that is both counts once. They form one family;
``docs/statistics.md`` explains what a sign means and what it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.components import BASELINE
from bench.evaluate.metrics import Metric
from bench.reports.differences import differing_keys
from bench.reports.results import nested_values
from bench.reports.tables.grid import TableCell, format_difference
from bench.reports.tables.rows import DatasetBlock, Row
from bench.statistics.family import ALPHA, CorrectedTest, assess_family
from bench.statistics.nested import Contrast, Nested, seed_spread

STAR, ABOVE, BELOW = "*", "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"


@dataclass(frozen=True)
class Base:
    """The bare backbone that a row is compared with.

    Attributes
    ----------
    kind
        ``matched``: the bare backbone of a method, trained on the same kind of samples with the
        same settings. ``best``: the best bare backbone of the block, for a method that has a
        recommender of its own. ``self``: the row is a bare backbone. ``missing``: there is none.
    place
        Index of its row in the block; None unless the kind is ``matched`` or ``best``.
    absence
        What is missing, in words; empty unless the kind is ``missing``.
    """

    kind: Literal["matched", "best", "self", "missing"]
    place: int | None = None
    absence: str = ""

    def label(self, block: DatasetBlock) -> str:
        """Name the base in a table; empty for a bare backbone."""
        if self.place is None:
            return self.absence
        row = block.rows[self.place]
        return row.method_label if self.kind == "matched" else f"best: {row.label()}"


def matched_bases(rows: Sequence[Row], metric: str) -> list[Base]:
    """Name the bare backbone that each row of a block is compared with.

    A method is compared with the row of the method ``none``, or of one of its variants, that has
    the same backbone, draws the same kind of samples (with the same K where K is read) and has the
    same training and backbone settings. Settings that tuning has found need not be equal. A
    standalone method is compared with the bare backbone of the highest mean. A missing match is
    named and never replaced.

    Parameters
    ----------
    rows
        Of one block, which therefore share data, protocol and budget.
    metric
        Name of the metric that decides which bare backbone is best.
    """
    bare = [n for n, row in enumerate(rows) if row.family == BASELINE and row.results]
    return [_base(rows, row, bare, metric) for row in rows]


def _base(rows: Sequence[Row], row: Row, bare: Sequence[int], metric: str) -> Base:
    backbone = row.identity[0]
    if row.family == BASELINE:
        return Base("self")
    if not row.results:
        return Base("missing")
    if backbone is None:
        means = {place: rows[place].mean(metric) or 0.0 for place in bare}
        return Base("best", max(means, key=means.__getitem__)) if means else _missing("no base")
    found = [place for place in bare if rows[place].identity[0] == backbone]
    if not found:
        return _missing("no base")
    found = [place for place in found if rows[place].samples == row.samples]
    if not found:
        kind, count = row.samples
        return _missing(f"no base on {count or ''} {kind or 'such samples'}".replace("  ", " "))
    differing = {place: _differing(rows[place], row) for place in found}
    found = [place for place in found if not differing[place]]
    if not found:
        nearest = min(differing.values(), key=len)
        return _missing(f"no base with the same {', '.join(nearest)}")
    return Base("matched", found[0]) if len(found) == 1 else _missing(f"{len(found)} bases fit")


def _missing(absence: str) -> Base:
    return Base("missing", absence=absence)


def _differing(base: Row, row: Row) -> list[str]:
    """Name the shared settings that two rows on equal samples differ in; tuned rows may."""
    if base.tuned and row.tuned:
        return []
    keys = differing_keys([base.all_settings, row.all_settings])
    shared = [key for key in keys if key.startswith(("training.", "backbone."))]
    return [key.partition(".")[2] for key in shared if key != "training.samples"]


@dataclass(frozen=True)
class RowPair:
    """One comparison of two rows of a block, the smaller index first."""

    block: int
    metric: str
    first: int
    second: int

    @classmethod
    def of(cls, block: int, metric: str, one: int, other: int) -> RowPair:
        """Name a comparison; the order of the two rows does not matter."""
        return cls(block, metric, min(one, other), max(one, other))


@dataclass(frozen=True, eq=False)
class BlockValues:
    """Values of a block's rows by metric, None without a result, and what each is compared with."""

    rows: Sequence[Mapping[str, Nested] | None]
    bases: Sequence[Base]

    def leaders(self, metric: str) -> tuple[int, int] | None:
        """Return the indices of the best and the second best row; None below two rows."""
        means = {n: row[metric].mean for n, row in enumerate(self.rows) if row}
        order = sorted(means, key=lambda place: means[place], reverse=True)
        return (order[0], order[1]) if len(order) > 1 else None

    def contrast(self, pair: RowPair) -> Contrast:
        """Return the difference of two rows that have results."""
        first, second = self.rows[pair.first], self.rows[pair.second]
        if first is None or second is None:
            raise ValueError(f"{pair} has no result")
        spread = seed_spread(row[pair.metric] for row in self.rows if row)
        return Contrast.of(first[pair.metric], second[pair.metric], spread)


@dataclass(frozen=True)
class Contrasts:
    """The tested family of one table.

    ``bases[b][r]`` says what row ``r`` of block ``b`` is compared with, and
    ``against_base(b, metric, r)`` returns the difference, its 95 % interval and the corrected
    p-value.

    Attributes
    ----------
    tested
        By comparison; the difference is the first row minus the second.
    leaders
        Best and second best row by block and metric.
    bases
        What each row of each block is compared with.
    """

    tested: Mapping[RowPair, CorrectedTest]
    leaders: Mapping[tuple[int, str], tuple[int, int]]
    bases: Sequence[Sequence[Base]]

    @classmethod
    def of(cls, blocks: Iterable[BlockValues], metrics: Sequence[str]) -> Contrasts:
        """Declare the comparisons of a table and test them as one family.

        Blocks are read one after another, so that the users of only one are in memory at a time.
        """
        leaders: dict[tuple[int, str], tuple[int, int]] = {}
        bases: list[Sequence[Base]] = []

        def declared() -> Iterator[tuple[RowPair, Contrast]]:
            for number, block in enumerate(blocks):
                bases.append(block.bases)
                found = {metric: block.leaders(metric) for metric in metrics}
                leaders.update({(number, metric): two for metric, two in found.items() if two})
                pairs = [RowPair.of(number, metric, *two) for metric, two in found.items() if two]
                pairs += [
                    RowPair.of(number, metric, row, base.place)
                    for row, base in enumerate(block.bases)
                    if base.place is not None
                    for metric in metrics
                ]
                yield from ((pair, block.contrast(pair)) for pair in dict.fromkeys(pairs))

        return cls(assess_family(declared()), leaders, bases)

    def against(self, block: int, metric: str, first: int, second: int) -> CorrectedTest | None:
        """Return a comparison in either direction; None if it was not declared."""
        found = self.tested.get(RowPair.of(block, metric, first, second))
        return found.swapped() if found and first > second else found

    def against_base(self, block: int, metric: str, row: int) -> CorrectedTest | None:
        """Return the difference of a row to its base with interval and test; None without one."""
        base = self.bases[block][row].place
        return None if base is None else self.against(block, metric, row, base)

    def lead(self, block: int, metric: str, row: int) -> CorrectedTest | None:
        """Return the comparison of the best row with the second best; None for other rows."""
        leaders = self.leaders.get((block, metric))
        return self.against(block, metric, *leaders) if leaders and leaders[0] == row else None

    def signs(self, block: int, metric: str, row: int) -> str:
        """Return the signs after a figure: a star, an arrow, both or neither."""
        lead, base = self.lead(block, metric, row), self.against_base(block, metric, row)
        star = STAR if lead and lead.significant else ""
        return star + (arrow(base) if base else "")

    def caption(self) -> str:
        """Describe the signs and the family; empty if nothing was compared."""
        if not self.tested:
            return ""
        return (
            f"{STAR}: best above second; {ABOVE}{BELOW}: above/below base (p<{ALPHA}, Holm, "
            f"{len(self.tested)} tests)."
        )

    def notes(self) -> list[str]:
        """Count the comparisons that are not tested."""
        few = sum(not found.tested for found in self.tested.values())
        if not few:
            return []
        return [f"{few} of {len(self.tested)} comparisons have no test: too few users differ."]


def arrow(test: CorrectedTest) -> str:
    """Return the direction of a significant difference as an arrow; empty if it is none."""
    if not test.significant:
        return ""
    return ABOVE if test.difference > 0 else BELOW


def difference_cell(test: CorrectedTest | None) -> TableCell:
    """Print a difference with its interval and arrow; nothing without a test."""
    return TableCell(format_difference(test), signs=arrow(test)) if test else TableCell("")


def block_values(block: DatasetBlock, metrics: Sequence[Metric], main: str) -> BlockValues:
    """Read the users of one block's experiments; the main metric tells which base is best."""
    rows = [nested_values(row.results, metrics) if row.results else None for row in block.rows]
    return BlockValues(rows, matched_bases(block.rows, main))
