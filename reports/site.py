"""Published results as a static site: what was found, a leaderboard, and what is behind both."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import ConfigError, printable
from bench.files import write_output, write_text
from bench.hashing import content_hash
from bench.plan.variants import MARK
from bench.reports.comparison import EVERYTHING, comparison_keys
from bench.reports.figures.canvas import panels_of
from bench.reports.figures.draw import all_figures, drawing
from bench.reports.names import TableName
from bench.reports.page.page import SitePage, write_page
from bench.reports.page.provenance import Provenance, provenance
from bench.reports.report import read_report
from bench.reports.request import Request
from bench.reports.tables.build import ReportData, build_grids
from bench.reports.tables.claims import claims_grid, claims_sentence, read_claims
from bench.reports.tables.grid import Grid, to_markdown
from bench.reports.tables.methods import conditions_grid, verdict_grid
from bench.reports.tables.overall import board_grid
from bench.reports.tables.rows import DatasetBlock
from bench.reports.tables.summary import findings, headline
from bench.reports.titles import Titles
from bench.runs.store import Store
from bench.settings import Settings

TITLE = "Does denoising help sequential recommendation?"
_PAPER = "IADSR paper"
_LINKS = {"index.html": "Leaderboard", "paper.html": "What the IADSR paper printed"}
_COMMAND = "bench report --against reference"
_PLAIN: tuple[TableName, ...] = ("denoising", "ablation", "cost")
_NOISY: tuple[TableName, ...] = ("robustness", "noise-detection", "over-denoising")
BEGIN, END = "<!-- results: written by 'bench site --into' -->", "<!-- end of results -->"


class Site:
    """What is published, read once for the pages and the excerpt.

    Noisy variants of a data set are in the tables and figures of noise alone. Of experiments that
    differ only in code, the last is shown.

    Parameters
    ----------
    settings
        Name a store of the published results, and the folders of data and cache.
    checksums
        Of every result, by key of its experiment.
    titles
        Printed names.

    Raises
    ------
    StoreError
        There is no result, or one is damaged.
    """

    def __init__(self, settings: Settings, checksums: Mapping[str, str], titles: Titles) -> None:
        keys = tuple(comparison_keys(Store(settings.store), run=EVERYTHING, latest=True) or ())
        request = Request(format="html", keys=keys)
        self._checksums = checksums
        self._all = _named(read_report(settings, request, titles))
        names = dict.fromkeys(block.dataset for block in self._all.blocks)
        plain = request.replace(datasets=tuple(name for name in names if MARK not in name))
        if len(plain.datasets) < len(names):
            self._plain = _named(read_report(settings, plain, titles))
        else:
            self._plain = self._all
        unseen = plain.replace(candidates="unseen")
        self._unseen = _named(read_report(settings, unseen, titles))

    def excerpt(self) -> str:
        """Return the finding and the table of verdicts in Markdown."""
        table = to_markdown(verdict_grid(self._plain.tables)).partition("\n\n")[2]
        return f"{headline(self._plain.tables)}\n\n{table}"

    def version(self) -> dict[str, Any]:
        """Return what defines the board: a specification, and the checksum of every result.

        Returns
        -------
        dict
            ``specification``: protocols with their data sets and budgets of training, metrics and
            tie rule; ``results``: checksums by key; ``sha256`` of both.
        """
        specification = [
            {
                "protocol": table.protocol.model_dump(mode="json"),
                "blocks": [
                    {"dataset": b.dataset, "fingerprint": b.fingerprint, "budget": dict(b.budget)}
                    for b in table.blocks
                ],
                "metrics": table.metric_names,
            }
            for table in self._plain.tables
        ]
        results = {key: self._checksums[key] for key in sorted(self._plain.keys)}
        about = {"specification": specification, "results": results}
        return {**about, "sha256": content_hash(about)}

    def page(self) -> str:
        """Return the page with the leaderboard."""
        plain = self._plain
        grids = [verdict_grid(plain.tables), *_grids(plain, _PLAIN)]
        drawn = list(all_figures(plain, "svg"))
        if self._all is not plain:
            grids += _grids(self._all, _NOISY)
            drawn += drawing("robustness", self._all, "svg")
        found = [headline(plain.tables)]
        if len(plain.blocks) > 1:
            found += findings(plain.tables)
        board = [board_grid(table) for table in (*plain.tables, *self._unseen.tables)]
        problems = [*plain.problems, *plain.available.problems]
        site = SitePage(_LINKS, _COMMAND, board, self.version()["sha256"])
        return write_page(TITLE, found, grids, drawn, self._sources(), problems, site)

    def paper(self) -> str:
        """Return the page on what the IADSR paper printed."""
        claims = read_claims(self._plain.tables, _PAPER)
        printed = claims_grid(claims, self._plain.titles)
        switched = conditions_grid([*self._plain.tables, *self._unseen.tables], "iadsr")
        grids = [grid for grid in (printed, switched) if grid is not None]
        named = {key for block in printed.sources for keys in block for key in keys}
        sources = [source for source in self._sources() if source.key in named]
        title = "What the IADSR paper printed, and what becomes of it here"
        site = SitePage(_LINKS, _COMMAND)
        return write_page(title, [claims_sentence(claims)], grids, [], sources, [], site)

    def _sources(self) -> list[Provenance]:
        results = {one.key: one for table in self._all.tables for one in table.results}
        return [provenance(one) for one in results.values()]

    def write(self, folder: Path) -> list[Path]:
        """Write the pages and the version of the board; raise a StoreError if that is refused."""
        version = json.dumps(self.version(), indent=1)
        pages = {"index.html": self.page(), "paper.html": self.paper()}
        files = {**pages, "board.json": f"{version}\n"}
        for name, content in files.items():
            write_text(folder / name, content)
        return [folder / name for name in files]

    def write_into(self, path: Path) -> None:
        """Replace what is between the marks of a Markdown file by the excerpt, and nothing else.

        Raises
        ------
        ConfigError
            The file is not UTF-8 text, or does not have both marks, once each and in order.
        StoreError
            The file system refuses.
        """
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end or BEGIN in after or END in after:
            raise ConfigError(f"{path} needs the lines '{BEGIN}' and '{END}', once each")
        shown = printable(f"\n\n{self.excerpt()}\n")
        if "\r\n" in text:
            shown = shown.replace("\n", "\r\n")
        write_output(path, f"{before}{begin}{shown}{end}{after}".encode())


def _named(data: ReportData) -> ReportData:
    """Name the protocol in the titles of data sets that have several; leave out what is missing."""
    blocks: dict[str, list[DatasetBlock]] = defaultdict(list)
    for panel in panels_of(data.tables):
        named = replace(panel.block, title=panel.heading, rows=panel.block.finished)
        blocks[panel.table.anchor].append(named)
    tables = [replace(table, blocks=blocks[table.anchor]) for table in data.tables]
    return replace(data, tables=tables)


def _grids(data: ReportData, names: tuple[TableName, ...]) -> list[Grid]:
    """Lay out tables; none where they have nothing to show."""
    try:
        return build_grids(data, names)
    except ConfigError:
        return []
