"""Which differences of a table are more than chance over users, and how that is shown.

A table declares its comparisons before anything is looked at: in each block and column the best
row against the second best, and every method against its own bare backbone. They are one family;
``docs/statistics.md`` says what a star means and what it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.reports.differences import settings_of
from bench.reports.results import Reading, values_of_seeds
from bench.reports.tables.rows import Block, Row, Table, Titles
from bench.statistics.family import ALPHA, Finding, judge
from bench.statistics.nested import Contrast, Nested

if TYPE_CHECKING:
    from bench.runs.store import Store

BARE = "none"
"""The method of a row that is a bare backbone."""
STAR, ABOVE, BELOW = "*", "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"
TEST = "two-sided paired t-test over users, each user's figure averaged over seeds"
UNCONFIRMED = (
    "in brackets where other seeds might not agree: Welch's test over seeds, corrected over the "
    f"same comparisons, gives p >= {ALPHA}, or a row has one seed"
)

Values = Mapping[str, Nested]
"""One row: figures of its users and seeds by metric."""


@dataclass(frozen=True)
class Pair:
    """One comparison: rows by their places in a block, the smaller first."""

    block: int
    metric: str
    first: int
    second: int

    @classmethod
    def of(cls, block: int, metric: str, one: int, other: int) -> Pair:
        """Name a comparison; both orders give the same."""
        return cls(block, metric, min(one, other), max(one, other))


@dataclass(frozen=True, eq=False)
class BlockValues:
    """What the tests of one block read.

    Attributes
    ----------
    rows
        None where no experiment finished.
    bases
        The place of each row's bare backbone; None where it has none.
    """

    rows: Sequence[Values | None]
    bases: Sequence[int | None]

    def leaders(self, metric: str) -> tuple[int, int] | None:
        """Places of the best and the second best row; None where there are not two."""
        means = {n: row[metric].mean for n, row in enumerate(self.rows) if row}
        order = sorted(means, key=lambda place: means[place], reverse=True)
        return (order[0], order[1]) if len(order) > 1 else None


@dataclass(frozen=True)
class Significance:
    """The tested family of one table.

    Attributes
    ----------
    tested
        By comparison; the difference is that of the first row minus the second.
    leaders
        Best and second best row by block and metric.
    bases
        As :attr:`BlockValues.bases`, for each block.
    """

    tested: Mapping[Pair, Finding]
    leaders: Mapping[tuple[int, str], tuple[int, int]]
    bases: Sequence[Sequence[int | None]]

    @classmethod
    def of(cls, blocks: Iterable[BlockValues], metrics: Sequence[str]) -> Significance:
        """Declare the comparisons of a table and test them as one family.

        Parameters
        ----------
        blocks
            Read one after another, so that the users of one block are in memory at a time.
        metrics
            The table's columns.
        """
        leaders: dict[tuple[int, str], tuple[int, int]] = {}
        every_base: list[Sequence[int | None]] = []

        def declared() -> Iterator[tuple[Pair, Contrast]]:
            for number, block in enumerate(blocks):
                every_base.append(block.bases)
                found = {metric: block.leaders(metric) for metric in metrics}
                leaders.update({(number, metric): two for metric, two in found.items() if two})
                pairs = [Pair.of(number, metric, *two) for metric, two in found.items() if two]
                pairs += _against_bare(number, block, metrics)
                yield from ((pair, _contrast(block, pair)) for pair in dict.fromkeys(pairs))

        return cls(judge(declared()), leaders, every_base)

    def against(self, block: int, metric: str, first: int, second: int) -> Finding | None:
        """Look a comparison up, in either direction; None where it was not declared."""
        found = self.tested.get(Pair.of(block, metric, first, second))
        return found.turned() if found and first > second else found

    def against_base(self, block: int, metric: str, row: int) -> Finding | None:
        """Compare a row with its bare backbone; None where it has none."""
        base = self.bases[block][row]
        return None if base is None else self.against(block, metric, row, base)

    def over_second(self, block: int, metric: str) -> Finding | None:
        """Compare a column's best row with its second best; None where there are not two."""
        rows = self.leaders.get((block, metric))
        return None if rows is None else self.against(block, metric, *rows)

    def signs(self, block: int, metric: str, row: int) -> str:
        """Give what stands behind a figure: a star, an arrow, both or nothing.

        Signs that the seeds do not confirm stand in brackets.
        """
        found: list[tuple[str, Finding]] = []
        over = self.over_second(block, metric)
        if over and self.leaders[block, metric][0] == row:
            found.append((STAR, over))
        base = self.against_base(block, metric, row)
        if base:
            found.append((arrow(base), base))
        return bracketed([(sign, test) for sign, test in found if test.significant])

    def caption(self, titles: Titles) -> str:
        """Name the test, the family and the signs; empty where nothing was compared."""
        if not self.tested:
            return ""
        arrows = (
            f" {ABOVE} or {BELOW}: the method lies above or below {titles.get(BARE, BARE)}, its "
            "bare backbone."
            if any(base is not None for bases in self.bases for base in bases)
            else ""
        )
        return (
            f"{STAR}: the best differs from the second best.{arrows} Signs stand where the "
            f"{TEST}, gives p < {ALPHA} after Holm's correction over the {len(self.tested)} "
            f"comparisons of this table, {UNCONFIRMED}."
        )

    def notes(self) -> list[str]:
        """Say which comparisons the t-test is not fit for."""
        few = sum(not found.tested for found in self.tested.values())
        if not few:
            return []
        return [f"{few} of {len(self.tested)} comparisons have no test: too few users differ."]


def arrow(test: Finding) -> str:
    """Say which way a difference points."""
    return ABOVE if test.difference > 0 else BELOW


def bracketed(signs: Sequence[tuple[str, Finding]]) -> str:
    """Join signs, those that the seeds do not confirm in one pair of brackets.

    Parameters
    ----------
    signs
        Each with the test behind it, which is significant.
    """
    sure = "".join(sign for sign, test in signs if test.confirmed)
    unsure = "".join(sign for sign, test in signs if not test.confirmed)
    return sure + (f"({unsure})" if unsure else "")


def assess(store: Store, table: Table, reading: Reading) -> Significance:
    """Read the users of a table's experiments, block by block, and test what the table declares.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    return Significance.of((read_block(store, table, b, reading) for b in table.blocks), metrics)


def read_block(store: Store, table: Table, block: Block, reading: Reading) -> BlockValues:
    """Read the users of one block's experiments.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    metrics = reading.metrics_for(table.protocol)
    rows = [
        values_of_seeds(store, [result.experiment.key for result in row.results], reading, metrics)
        if row.results
        else None
        for row in block.rows
    ]
    return BlockValues(rows, bases(block.rows))


def bases(rows: Sequence[Row]) -> list[int | None]:
    """Find the bare backbone that each method of a block is attached to.

    Where one backbone stands in several rows, for it ran with several settings, a method's is the
    one of the same training and backbone settings; where that leaves not exactly one, there is
    none.
    """
    return [_base(rows, row) for row in rows]


def _base(rows: Sequence[Row], row: Row) -> int | None:
    backbone, method, _ = row.identity
    if backbone is None or method == BARE or not row.results:
        return None
    bare = [n for n, other in enumerate(rows) if other.identity[:2] == (backbone, BARE)]
    finished = [n for n in bare if rows[n].results]
    if len(finished) > 1:
        finished = [n for n in finished if _shared(rows[n]) == _shared(row)]
    return finished[0] if len(finished) == 1 else None


def _shared(row: Row) -> Mapping[str, str]:
    settings = settings_of(row.results[0].experiment)
    return {key: v for key, v in settings.items() if key.startswith(("training.", "backbone."))}


def _against_bare(number: int, block: BlockValues, metrics: Sequence[str]) -> list[Pair]:
    return [
        Pair.of(number, metric, row, base)
        for row, base in enumerate(block.bases)
        if base is not None
        for metric in metrics
    ]


def _contrast(block: BlockValues, pair: Pair) -> Contrast:
    first, second = block.rows[pair.first], block.rows[pair.second]
    if first is None or second is None:  # pairs are declared of finished rows only
        raise ValueError(f"{pair} has no result")
    return Contrast.of(first[pair.metric], second[pair.metric])
