"""Selection of one configuration of a store, by its label in a report, by keys or by a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from bench.errors import ConfigError, suggestion
from bench.reports.comparison import KEY, comparison_keys
from bench.reports.differences import content_read, differing_keys, settings_read
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment
from bench.reports.tables.rows import Row, Table, build_tables
from bench.reports.titles import Titles
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable


def find_configuration(store: Store, patterns: str, titles: Titles) -> list[StoredExperiment]:
    """Find the seeds of one configuration.

    Parameters
    ----------
    store
        Where to look.
    patterns
        What names a row of the report that ``bench report`` prints by default: its backbone,
        method, encoder and settings, with or without its data set, in any order, separated by
        commas or slashes, such as ``SASRec, HSD`` or ``ml-100k/sasrec/hsd/theta=0.5``. Or one or
        several, separated by commas, of: the first six or more digits of an experiment's key; a
        pattern of its label with ``*`` and ``?``, with or without the seed, such as
        ``ml-100k/sas*/none/seed 1``.
    titles
        Printed names.

    Returns
    -------
    list of StoredExperiment
        In the order of seeds.

    Raises
    ------
    ConfigError
        A pattern matches no experiment or several keys, or the experiments differ in settings.
    """
    experiments = list(readable(store.experiments()))
    rows = _rows_named(store, experiments, patterns, titles)
    # A whole label means its experiments, although other rows may have all of its words.
    label = patterns.strip()
    if named := {one.key for one in experiments if one.experiment.configuration == label}:
        rows = {name: row for name, row in rows.items() if named & {*row.keys}}
    if len({tuple(row.keys) for row in rows.values()}) > 1:
        raise ConfigError(
            f"'{patterns}' names several rows: {'; '.join(rows)}; name one of them, or give keys"
        )
    if rows:  # the same row, in each block that it stands in
        row = next(iter(rows.values()))
        return [result.stored for result in row.results]
    found: dict[str, StoredExperiment] = {}
    # A label may hold commas of its own.
    whole = [label] if _labelled(experiments, label) else patterns.split(",")
    for pattern in filter(None, (word.strip() for word in whole)):
        for stored in _matching(experiments, pattern):
            found[content_read(stored.experiment, stored.metadata)] = stored
    if not found:
        raise ConfigError("a comparison needs two names of experiments; 'bench ls runs' lists them")
    chosen = sorted(found.values(), key=lambda stored: stored.experiment.seed)
    _check_one_configuration(chosen, patterns)
    return chosen


def _rows_named(
    store: Store, experiments: Sequence[StoredExperiment], text: str, titles: Titles
) -> dict[str, Row]:
    """Return the rows of the default report that have every word of a label, by their label."""
    keys, request = comparison_keys(store), Request()
    shown = [ScoredExperiment(s, request) for s in experiments if keys is None or s.key in keys]
    tables = build_tables(shown, request, titles)
    return {
        f"{block.title}, {row.label()}"
        + (f", {table.protocol.split}, {table.anchor}" if len(tables) > 1 else ""): row
        for table in tables
        for block in table.blocks
        for row in block.finished
        if _is_named(row, table, text.lower(), {block.title.lower(), block.dataset})
    }


def _is_named(row: Row, table: Table, text: str, datasets: Iterable[str]) -> bool:
    """Return whether every word of a label names data, a component, a setting or the protocol."""
    for name in datasets:
        if re.match(rf"{re.escape(name)}\s*(,|/|$)", text):
            text = text[len(name) :]
    wanted = {word for word in map(str.strip, re.split("[,/]", text)) if word}
    settings = [setting.lower() for setting in row.variant.split(", ")]
    names = [name.lower() for name in row.names if name]
    known = {*map(str.lower, filter(None, row.identity)), *names, *settings}
    known |= {setting.partition(".")[2] for setting in settings}
    known |= {str(table.protocol.split), table.anchor}
    return bool(wanted) and wanted <= known


def _matching(experiments: Sequence[StoredExperiment], pattern: str) -> list[StoredExperiment]:
    if KEY.fullmatch(pattern):
        found = [stored for stored in experiments if stored.key.startswith(pattern)]
        if len(found) > 1:
            raise ConfigError(
                f"'{pattern}' begins the keys of {len(found)} experiments; give more digits"
            )
        if found:
            return found
    if not (matching := _labelled(experiments, pattern)):
        known = {stored.experiment.configuration for stored in experiments}
        raise ConfigError(f"the store has no experiment '{pattern}'{suggestion(pattern, known)}")
    return matching


def _labelled(experiments: Sequence[StoredExperiment], pattern: str) -> list[StoredExperiment]:
    return [
        stored
        for stored in experiments
        if fnmatchcase(stored.experiment.label, pattern)
        or fnmatchcase(stored.experiment.configuration, pattern)
    ]


def _check_one_configuration(chosen: Sequence[StoredExperiment], patterns: str) -> None:
    names = sorted({stored.experiment.configuration for stored in chosen})
    if len(names) > 1:
        raise ConfigError(
            f"'{patterns}' matches several configurations: {', '.join(names)}; narrow it"
        )
    described = [
        {
            **settings_read(one.experiment, one.metadata),
            "data": one.experiment.fingerprint[:8],
            **{f"protocol.{k}": str(v) for k, v in one.experiment.protocol.training_part().items()},
        }
        for one in chosen
    ]
    if differing := differing_keys(described):
        shown = "; ".join(
            f"{one.key[:12]}: " + ", ".join(f"{key}={entry.get(key, '-')}" for key in differing)
            for one, entry in zip(chosen, described, strict=True)
        )
        raise ConfigError(
            f"'{patterns}' matches experiments of different settings ({shown}); give the keys of "
            "one, separated by commas"
        )
