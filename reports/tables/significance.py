"""Which differences of a table are significant over users, and how that is shown.

A table declares its comparisons before anything is computed: in each block and column the best row
against the second best, and every method against its own bare backbone. They form one family;
``docs/statistics.md`` explains what a star means and what it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.components import BASELINE
from bench.reports.results import Reading, nested_values
from bench.reports.tables.rows import DatasetBlock, Row, Table
from bench.reports.titles import Titles
from bench.statistics.family import ALPHA, CorrectedTest, assess_family
from bench.statistics.nested import Contrast, Nested

STAR, ABOVE, BELOW = "*", "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"
TEST = "two-sided paired t-test over users, each user's value averaged over seeds"
UNCONFIRMED = (
    "in brackets if other seeds might not agree: Welch's test over seeds, corrected over the same "
    f"comparisons, gives p >= {ALPHA}, or a row has one seed"
)

Values = Mapping[str, Nested]
"""Values of one row's users and seeds by metric."""


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
    """Values that the tests of one block need.

    Attributes
    ----------
    rows
        None for a row without a finished experiment.
    bases
        Index of each row's bare backbone; None if it has none.
    """

    rows: Sequence[Values | None]
    bases: Sequence[int | None]

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
        return Contrast.of(first[pair.metric], second[pair.metric])


@dataclass(frozen=True)
class Significance:
    """The tested family of one table.

    Attributes
    ----------
    tested
        By comparison; the difference is the first row minus the second.
    leaders
        Best and second best row by block and metric.
    bases
        :attr:`BlockValues.bases` of each block.
    """

    tested: Mapping[RowPair, CorrectedTest]
    leaders: Mapping[tuple[int, str], tuple[int, int]]
    bases: Sequence[Sequence[int | None]]

    @classmethod
    def of(cls, blocks: Iterable[BlockValues], metrics: Sequence[str]) -> Significance:
        """Declare the comparisons of a table and test them as one family.

        Parameters
        ----------
        blocks
            Read one after another, so that the users of only one block are in memory at a time.
        metrics
            Columns of the table.
        """
        leaders: dict[tuple[int, str], tuple[int, int]] = {}
        every_base: list[Sequence[int | None]] = []

        def declared() -> Iterator[tuple[RowPair, Contrast]]:
            for number, block in enumerate(blocks):
                every_base.append(block.bases)
                found = {metric: block.leaders(metric) for metric in metrics}
                leaders.update({(number, metric): two for metric, two in found.items() if two})
                pairs = [RowPair.of(number, metric, *two) for metric, two in found.items() if two]
                pairs += [
                    RowPair.of(number, metric, row, base)
                    for row, base in enumerate(block.bases)
                    if base is not None
                    for metric in metrics
                ]
                yield from ((pair, block.contrast(pair)) for pair in dict.fromkeys(pairs))

        return cls(assess_family(declared()), leaders, every_base)

    def against(self, block: int, metric: str, first: int, second: int) -> CorrectedTest | None:
        """Return a comparison in either direction; None if it was not declared."""
        found = self.tested.get(RowPair.of(block, metric, first, second))
        return found.swapped() if found and first > second else found

    def against_base(self, block: int, metric: str, row: int) -> CorrectedTest | None:
        """Return the comparison of a row with its bare backbone; None if it has none."""
        base = self.bases[block][row]
        return None if base is None else self.against(block, metric, row, base)

    def over_second(self, block: int, metric: str) -> CorrectedTest | None:
        """Return the comparison of the best row with the second best; None below two rows."""
        rows = self.leaders.get((block, metric))
        return None if rows is None else self.against(block, metric, *rows)

    def signs(self, block: int, metric: str, row: int) -> str:
        """Return the signs after a figure: a star, an arrow, both or neither.

        Signs that the test over seeds does not confirm are in brackets.
        """
        found: list[tuple[str, CorrectedTest]] = []
        over = self.over_second(block, metric)
        if over and self.leaders[block, metric][0] == row:
            found.append((STAR, over))
        base = self.against_base(block, metric, row)
        if base:
            found.append((arrow(base), base))
        return bracketed([(sign, test) for sign, test in found if test.significant])

    def caption(self, titles: Titles) -> str:
        """Describe the test, the family and the signs; empty if nothing was compared."""
        if not self.tested:
            return ""
        arrows = (
            f" {ABOVE} or {BELOW}: the method is above or below "
            f"{titles.get(BASELINE, BASELINE)}, its bare backbone."
            if any(base is not None for bases in self.bases for base in bases)
            else ""
        )
        return (
            f"{STAR}: the best differs from the second best.{arrows} A sign means that the "
            f"{TEST}, gives p < {ALPHA} after Holm's correction over the {len(self.tested)} "
            f"comparisons of this table, {UNCONFIRMED}."
        )

    def notes(self) -> list[str]:
        """Count the comparisons that the t-test is not fit for."""
        few = sum(not found.tested for found in self.tested.values())
        if not few:
            return []
        return [f"{few} of {len(self.tested)} comparisons have no test: too few users differ."]


def arrow(test: CorrectedTest) -> str:
    """Return the direction of a difference as an arrow."""
    return ABOVE if test.difference > 0 else BELOW


def bracketed(signs: Sequence[tuple[str, CorrectedTest]]) -> str:
    """Join signs, those that the test over seeds does not confirm in one pair of brackets.

    Parameters
    ----------
    signs
        Each with its significant test.
    """
    confirmed = "".join(sign for sign, test in signs if test.confirmed)
    unconfirmed = "".join(sign for sign, test in signs if not test.confirmed)
    return confirmed + (f"({unconfirmed})" if unconfirmed else "")


def assess(table: Table, reading: Reading) -> Significance:
    """Test the comparisons that a table declares, reading the users block by block.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    blocks = (block_values(table, block, reading) for block in table.blocks)
    return Significance.of(blocks, metrics)


def block_values(table: Table, block: DatasetBlock, reading: Reading) -> BlockValues:
    """Read the users of one block's experiments.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    metrics = reading.metrics_for(table.protocol)
    rows = [
        nested_values([result.stored for result in row.results], reading, metrics)
        if row.results
        else None
        for row in block.rows
    ]
    return BlockValues(rows, bases(block.rows))


def bases(rows: Sequence[Row]) -> list[int | None]:
    """Find the bare backbone that each method of a block is attached to.

    If a backbone has several rows, because it ran with several settings, the base of a method is
    the one of equal training and backbone settings; unless there is exactly one, there is none.
    """
    return [_base(rows, row) for row in rows]


def _base(rows: Sequence[Row], row: Row) -> int | None:
    backbone, method, _ = row.identity
    if backbone is None or method == BASELINE or not row.results:
        return None
    bare = [n for n, other in enumerate(rows) if other.identity[:2] == (backbone, BASELINE)]
    finished = [n for n in bare if rows[n].results]
    if len(finished) > 1:
        finished = [n for n in finished if _shared(rows[n]) == _shared(row)]
    return finished[0] if len(finished) == 1 else None


def _shared(row: Row) -> Mapping[str, str]:
    parts = ("training.", "backbone.")
    return {key: value for key, value in row.all_settings().items() if key.startswith(parts)}
