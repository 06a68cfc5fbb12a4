"""What one paper prints, row by row, next to the same comparison here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import get_args

from bench.components import BASELINE
from bench.plan.method_card import Published
from bench.plan.protocol import LEAVE_ONE_OUT
from bench.reports.tables.contrasts import difference_cell
from bench.reports.tables.grid import MISSING, Grid, TableCell, block_of, format_number
from bench.reports.tables.markup import one_line
from bench.reports.tables.published import method_cards
from bench.reports.tables.rows import DECIMALS, Row, Table
from bench.reports.titles import Titles
from bench.statistics.family import CorrectedTest
from bench.statistics.table_arithmetic import Figures, Kind, PrintedNumber, violations

METRIC = "NDCG@10"
NOT_TRAINED = "not trained yet"
_CUTOFFS = (5, 10, 20)
IMPOSSIBLE = "\N{DAGGER}"
_REGIME = ("training.loss", "in_batch_tanh")
"""The setting by which experiments in the regime of IADSR's script are known."""


@dataclass(frozen=True)
class Claim:
    """One printed row and what there is of it here.

    Attributes
    ----------
    entry
        The row, with the registered name of its method.
    base
        The printed figure of the bare backbone; None if none is printed.
    impossible
        Whether no evaluation of one model gives the row's figures.
    regime, ours
        Rows here in the paper's regime and in this package's; None if nothing is trained.
    test
        Our row minus its matched base; None without one.
    """

    entry: Published
    base: float | None
    impossible: bool
    regime: Row | None
    ours: Row | None
    test: CorrectedTest | None

    @property
    def improves(self) -> bool:
        """Whether the paper prints a higher figure than the bare backbone's."""
        printed = self.entry.metrics.get(METRIC)
        return printed is not None and self.base is not None and printed > self.base

    @property
    def verdict(self) -> str:
        """What becomes of the claim that the method improves on the backbone."""
        if self.entry.method == BASELINE or self.base is None:
            return ""
        if self.ours is None:
            return NOT_TRAINED
        if self.test is None:
            return "no matched base"
        if not self.test.significant:
            return "not confirmed"
        return "improves" if self.test.difference > 0 else "worse than the backbone"


def read_claims(tables: Sequence[Table], source: str) -> list[Claim]:
    """Collect the rows that a source prints, in the order of the methods' cards.

    Of several rows here, one without changed settings is taken before others, then the one with
    the most seeds.

    Parameters
    ----------
    tables
        With every block that is published; only those over all items under leave-one-out are
        compared.
    source
        Start of the rows' ``source`` in the cards of the methods.
    """
    entries: dict[tuple[object, ...], Published] = {}
    for name, card in method_cards().items():
        for entry in card.published:
            if entry.source.startswith(source):
                named = entry.model_copy(update={"method": entry.method or name})
                place = (named.source, named.dataset, named.backbone, named.method)
                entries.setdefault(place, named)
    bases = {
        (one.dataset, one.backbone): one.metrics.get(METRIC)
        for one in entries.values()
        if one.method == BASELINE
    }
    found = []
    for entry in entries.values():
        regime, _ = _row(tables, entry, in_regime=True)
        ours, test = _row(tables, entry, in_regime=False)
        base = bases.get((entry.dataset, entry.backbone))
        found.append(Claim(entry, base, _is_impossible(entry), regime, ours, test))
    return found


def _row(
    tables: Sequence[Table], entry: Published, *, in_regime: bool
) -> tuple[Row | None, CorrectedTest | None]:
    key, value = _REGIME
    fitting = [
        (bool(row.variant), -len(row.results), row, table.contrasts.against_base(n, METRIC, place))
        for table in tables
        if METRIC in table.metric_names
        and table.request.candidates_for(table.protocol) == "all"
        and table.protocol.split == LEAVE_ONE_OUT
        for n, block in enumerate(table.blocks)
        if block.dataset == entry.dataset
        for place, row in enumerate(block.rows)
        if row.results
        and row.identity[:2] == (entry.backbone, entry.method)
        and (row.all_settings.get(key) == value) == in_regime
    ]
    *_, row, test = min(fitting, key=lambda one: one[:2], default=(None, None))
    return row, test


def _is_impossible(entry: Published) -> bool:
    figures: Figures = {
        (kind, cutoff): PrintedNumber(f"{value:.{DECIMALS}f}")
        for kind in get_args(Kind)
        for cutoff in _CUTOFFS
        if (value := entry.metrics.get(f"{kind}@{cutoff}")) is not None
    }
    return bool(violations(figures))


def claims_sentence(claims: Sequence[Claim]) -> str:
    """Count what becomes of the claims that methods improve on their backbones."""
    claimed = [claim for claim in claims if claim.improves]
    verdicts = [claim.verdict for claim in claimed]
    trained = [text for text in verdicts if text != NOT_TRAINED]
    impossible = sum(claim.impossible for claim in claims)
    return (
        f"In {len(claimed)} rows the paper prints a higher {METRIC} than the bare backbone's. "
        f"{len(trained)} of them are trained here: {trained.count('improves')} significantly "
        f"improve on the backbone, {trained.count('worse than the backbone')} are significantly "
        f"worse. {impossible} of all {len(claims)} rows cannot come from one evaluation of one "
        "model."
    )


def claims_grid(claims: Sequence[Claim], titles: Titles) -> Grid:
    """Lay out every printed row next to ours, one block for each data set."""

    def place(claim: Claim) -> tuple[str, str, bool]:
        entry = claim.entry
        return entry.dataset, entry.backbone or "~", entry.method != BASELINE

    ordered = sorted(claims, key=place)
    blocks = [list(group) for _, group in groupby(ordered, key=lambda claim: claim.entry.dataset)]
    notes = dict.fromkeys(
        f"{', '.join(_names(claim, titles))}: {one_line(claim.entry.note)}"
        for claim in ordered
        if claim.entry.note
    )
    return Grid(
        title=f"Printed rows, {METRIC}",
        caption=(
            f"{IMPOSSIBLE}: no evaluation of one model gives the row's figures. Regime: ours with "
            f"the loss of the paper's script ({MISSING}: not trained). Difference: ours minus the "
            "bare backbone it is compared with, 95 % interval; verdicts after Holm's correction."
        ),
        labels=["Data set", "Backbone", "Method", "Table"],
        figures=["Printed", "vs. base", "Regime", "Ours", "Base", "Difference", "Verdict"],
        blocks=[block_of(_line(claim, titles) for claim in block) for block in blocks],
        notes=list(notes),
        anchor="claims",
        sources=[
            [[key for row in (one.regime, one.ours) if row for key in row.keys] for one in block]
            for block in blocks
        ],
    )


def _names(claim: Claim, titles: Titles) -> list[str]:
    entry = claim.entry
    names = (entry.dataset, entry.backbone or MISSING, entry.method or "")
    return [titles.get(name, name) for name in names]


def _line(claim: Claim, titles: Titles) -> Iterator[str | TableCell]:
    entry, ours, test = claim.entry, claim.ours, claim.test
    printed = entry.metrics.get(METRIC)
    yield from _names(claim, titles)
    yield entry.source.rpartition("Table")[2].removeprefix("s").strip()
    yield TableCell(
        MISSING if printed is None else f"{printed:.{DECIMALS}f}",
        signs=IMPOSSIBLE if claim.impossible else "",
    )
    if printed is None or not claim.base or entry.method == BASELINE:
        yield ""
    else:
        yield f"{100 * (printed / claim.base - 1):+.1f} %"
    regime, own = (None if row is None else row.mean(METRIC) for row in (claim.regime, ours))
    yield format_number(regime, f".{DECIMALS}f")
    yield NOT_TRAINED if own is None else f"{own:.{DECIMALS}f}"
    yield f"{own - test.difference:.{DECIMALS}f}" if own is not None and test else ""
    yield difference_cell(test)
    yield claim.verdict
