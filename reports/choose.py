"""Name one configuration of the store: by keys, or by a pattern of its label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from bench.errors import ConfigError, suggestion
from bench.reports.variants import differences, settings_of
from bench.runs.store import Store
from bench.runs.stored import StoredCell, readable

_KEY = re.compile(r"[0-9a-f]{6,64}")
_SEED = re.compile(r"/seed \d+$")


def choose(store: Store, words: str) -> list[StoredCell]:
    """Find the seeds of one configuration.

    Parameters
    ----------
    store
        Where to look.
    words
        One or several, parted by commas: the first six or more digits of a cell's key, or a
        pattern of its label with ``*`` and ``?``, with or without the seed, such as
        ``ml-100k/sasrec/hsd`` or ``ml-100k/sas*/none/seed 1``.

    Returns
    -------
    list of StoredCell
        In the order of seeds.

    Raises
    ------
    ConfigError
        A word fits no cell or, as a key, several; or the cells are not of one configuration.
    """
    cells = list(readable(store.cells()))
    found: dict[str, StoredCell] = {}
    for word in filter(None, (word.strip() for word in words.split(","))):
        found.update({stored.key: stored for stored in _fitting(cells, word, store)})
    if not found:
        raise ConfigError("a comparison needs two names of cells; 'bench ls runs' lists them")
    chosen = sorted(found.values(), key=lambda stored: stored.cell.seed)
    _check_one_configuration(chosen, words)
    return chosen


def name_of(cells: Sequence[StoredCell]) -> str:
    """Name a configuration: its label without the seed."""
    return _SEED.sub("", cells[0].cell.label)


def _fitting(cells: Sequence[StoredCell], word: str, store: Store) -> list[StoredCell]:
    if _KEY.fullmatch(word):
        found = [stored for stored in cells if stored.key.startswith(word)]
        if len(found) > 1:
            raise ConfigError(f"'{word}' begins the keys of {len(found)} cells; give more digits")
        if found:
            return found
    labels = {stored.key: stored.cell.label for stored in cells}
    fitting = [
        stored
        for stored in cells
        if fnmatchcase(labels[stored.key], word)
        or fnmatchcase(_SEED.sub("", labels[stored.key]), word)
    ]
    if not fitting:
        known = {_SEED.sub("", label) for label in labels.values()}
        raise ConfigError(f"{store.root} has no cell '{word}'{suggestion(word, known)}")
    return fitting


def _check_one_configuration(cells: Sequence[StoredCell], words: str) -> None:
    names = sorted({_SEED.sub("", stored.cell.label) for stored in cells})
    if len(names) > 1:
        raise ConfigError(f"'{words}' names several configurations: {', '.join(names)}; narrow it")
    described = [
        {
            **settings_of(stored.cell),
            "data": stored.cell.fingerprint[:8],
            **{f"protocol.{k}": str(v) for k, v in stored.cell.protocol.training_part().items()},
        }
        for stored in cells
    ]
    differing = differences(described)
    if differing:
        shown = "; ".join(
            f"{stored.key[:12]}: " + ", ".join(f"{key}={entry.get(key, '-')}" for key in differing)
            for stored, entry in zip(cells, described, strict=True)
        )
        raise ConfigError(
            f"'{words}' names cells of different settings ({shown}); give the keys of one of them, "
            "parted by commas"
        )
