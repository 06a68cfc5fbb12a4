"""A folder for a paper: tables, figures, references and a statement on reproducibility."""

from __future__ import annotations

import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.errors import ConfigError
from bench.files import atomic_path, read_json, write_json
from bench.hashing import file_hash
from bench.plan.progress import counted
from bench.reports.bibliography import references
from bench.reports.differences import settings_read
from bench.reports.figures.draw import all_figures
from bench.reports.names import TABLES, TableName
from bench.reports.page.provenance import command_of, origin_of
from bench.reports.report import read_report, warn
from bench.reports.request import Request
from bench.reports.results import source_of
from bench.reports.tables.build import ReportData, build_grids
from bench.reports.tables.frame import frame
from bench.reports.tables.grid import to_latex
from bench.reports.tables.ledger import ended_trials
from bench.reports.tables.markup import LATEX
from bench.reports.tables.rows import describe
from bench.reports.titles import Titles
from bench.runs.record import read_records
from bench.settings import Settings
from bench.version import __version__, checkout

MANIFEST = "bench-paper.json"
"""Lists the files of the folder with their SHA-256, so that nothing else is ever replaced."""
_DOCUMENT = r"""% Compiles with: pdflatex main && bibtex main && pdflatex main && pdflatex main
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage{array,booktabs,graphicx}
\begin{document}
CONTENT
\nocite{*}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""
_FIGURE = r"""\begin{figure*}[tbp]
\centering
\includegraphics[width=\linewidth,height=0.8\textheight,keepaspectratio]{figures/%s}
\caption[{%s}]{%s. %s}
\label{fig:%s}
\end{figure*}"""


def write_paper(
    where: Settings | Path,
    target: Path,
    request: Request | None = None,
    titles: Titles | None = None,
) -> list[str]:
    r"""Write the folder, whole or not at all.

    It holds ``tables/*.tex``, each of which ``bench verify`` reads; ``figures/*.pdf``;
    ``references.bib``; ``reproducibility.tex``; ``commands.sh``, which runs every row again;
    ``results.csv``, unrounded; and ``main.tex``, which shows everything.

    Parameters
    ----------
    where, titles
        See :func:`bench.reports.report.read_report`.
    target
        A new or empty folder, or one that this function wrote and nobody changed.
    request
        By default all tables that have something to show.

    Returns
    -------
    list of str
        The files, relative to ``target``.

    Raises
    ------
    ConfigError
        The folder holds something else, or there is nothing to show.
    StoreError
        No selected experiment has finished, one is damaged, or a file cannot be written.
    """
    target = target.resolve()
    _check_own(target)
    trials = ended_trials(Settings.of(where).store)
    request = (request or Request()).replace(format="latex", trials=trials)
    data = read_report(where, request, titles)
    content = dict(_content(data))
    warn([*data.problems, *data.available.problems])
    with atomic_path(target) as folder:
        for name, written in content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written)
        sums = {name: file_hash(folder / name) for name in sorted(content)}
        write_json(folder / MANIFEST, sums)
    return [*sums, MANIFEST]


def _check_own(target: Path) -> None:
    """Refuse a path that holds anything but an unchanged earlier state of the folder."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"{target} is a file; name a new folder")
    found = read_json(target / MANIFEST) if (target / MANIFEST).is_file() else {}
    sums = found if isinstance(found, dict) else {}
    for path in sorted(path for path in target.rglob("*") if not path.is_dir()):
        name = path.relative_to(target).as_posix()
        if name != MANIFEST and sums.get(name) != file_hash(path):
            what = "was changed since" if name in sums else "was not written by"
            raise ConfigError(
                f"{path} {what} 'bench report --paper'; move it away or name a new folder"
            )


def _content(data: ReportData) -> Iterator[tuple[str, bytes]]:
    parts = []
    for name, text in _tables(data).items():
        parts.append(rf"\input{{tables/{name}}}")
        yield f"tables/{name}.tex", text.encode()
    for drawing in all_figures(data, "pdf"):
        title, caption = map(LATEX.escape, (drawing.title, drawing.caption))
        parts.append(_FIGURE % (drawing.name, title, title, caption, drawing.name))
        yield f"figures/{drawing.name}.pdf", drawing.content
    yield "references.bib", "\n".join(entry.bibtex() for entry in references(data)).encode()
    yield "reproducibility.tex", _statement(data).encode()
    yield "commands.sh", _commands(data).encode()
    yield "results.csv", frame(data.tables).to_csv(index=False).encode()
    parts.append(r"\input{reproducibility}")
    yield "main.tex", _DOCUMENT.replace("CONTENT", "\n".join(parts)).encode()


def _tables(data: ReportData) -> Mapping[TableName, str]:
    found: dict[TableName, str] = {}
    names = data.request.tables or TABLES
    for name in names:
        try:
            grids = build_grids(data, (name,))
        except ConfigError:  # it has nothing to show
            continue
        comment = data.request.replace(tables=(name,)).comment(data.keys)
        found[name] = "\n".join([*map(to_latex, grids), comment])
    if not found:
        raise ConfigError(f"no table of {', '.join(names)} has anything to show")
    return found


def _statement(data: ReportData) -> str:
    """Describe software, machine, data, protocol, seeds and settings in LaTeX."""
    results = [result for table in data.tables for result in table.results]
    metadata = [result.metadata for result in results]
    training: dict[str, set[str]] = defaultdict(set)
    for result in results:
        for key, value in settings_read(result.experiment, result.metadata).items():
            if key.startswith("training."):
                training[key.removeprefix("training.")].add(value)
    versions = {f"{name} {v}" for one in metadata for name, v in one.versions.items()}
    commit = f"commit {found}" if (found := checkout()) else "not from a Git checkout"
    machines = {  # nothing is known of imported results
        ", ".join(filter(None, (one.machine, one.device, threads)))
        for one in metadata
        for threads in [counted(one.threads, "thread") if one.threads else None]
    } - {""}
    entries = {
        "Software": f"seqrec-denoise-bench {__version__}, {commit}",
        "Code of the experiments": _listed(result.experiment.code[:12] for result in results),
        "Versions": _listed(versions),
        "Machine": _listed(machines),
        "Data": _listed(
            f"{block.name} (SHA-256 {block.fingerprint[:12]})" for block in data.blocks
        ),
        "Protocol": " ".join(describe(table.protocol, data.request) for table in data.tables),
        "Seeds": ", ".join(map(str, sorted({result.experiment.seed for result in results}))),
        "Settings of training": _listed(
            f"{key} = {' or '.join(sorted(values))}" for key, values in training.items()
        ),
        "Commands": "commands.sh runs every row again, with all of its settings; results.csv "
        "holds every figure unrounded and the keys of its experiments.",
    }
    escape = LATEX.escape
    lines = [rf"\item[{escape(name)}] {escape(text)}" for name, text in entries.items()]
    cited = ", ".join(rf"\cite{{{entry.key}}}" for entry in references(data))
    head = [r"\paragraph{Reproducibility.}", f"Methods and data: {cited}." if cited else ""]
    form = [r"\begin{description}\raggedright", *lines, r"\end{description}", ""]
    return "\n".join([*head, *form])


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted(set(texts)))


def _commands(data: ReportData) -> str:
    """Write the commands that run every row again, and those that were given."""
    keys = set(data.keys)
    given = [run.command for run in read_records(data.store.root) if keys & set(run.experiments)]
    lines = ["#!/bin/sh", "# Runs every row of the report again.", "set -e"]
    lines += ["# Given at first:"] if given else []
    lines += [textwrap.indent(shlex.join(words), "#   ") for words in given]
    for row in (row for block in data.blocks for row in block.finished):
        experiment = row.results[0].experiment
        if experiment.imported:
            lines += map(origin_of, row.results)
        else:
            seeds = [result.experiment.seed for result in row.results]
            lines.append(command_of(experiment, source_of(row.results), seeds))
    return "\n".join([*lines, ""])
