"""Name one configuration of the store: by keys, or by a pattern of its label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from bench.errors import ConfigError, suggestion
from bench.reports.differences import differences, settings_of
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable

_KEY = re.compile(r"[0-9a-f]{6,64}")
_SEED = re.compile(r"/seed \d+$")


def choose(store: Store, words: str) -> list[StoredExperiment]:
    """Find the seeds of one configuration.

    Parameters
    ----------
    store
        Where to look.
    words
        One or several, parted by commas: the first six or more digits of an experiment's key, or a
        pattern of its label with ``*`` and ``?``, with or without the seed, such as
        ``ml-100k/sasrec/hsd`` or ``ml-100k/sas*/none/seed 1``.

    Returns
    -------
    list of StoredExperiment
        In the order of seeds.

    Raises
    ------
    ConfigError
        A word fits no experiment or several keys, or the experiments differ in settings.
    """
    experiments = list(readable(store.experiments()))
    found: dict[str, StoredExperiment] = {}
    for word in filter(None, (word.strip() for word in words.split(","))):
        found.update({stored.key: stored for stored in _fitting(experiments, word, store)})
    if not found:
        raise ConfigError("a comparison needs two names of experiments; 'bench ls runs' lists them")
    chosen = sorted(found.values(), key=lambda stored: stored.experiment.seed)
    _check_one_configuration(chosen, words)
    return chosen


def name_of(experiments: Sequence[StoredExperiment]) -> str:
    """Name a configuration: its label without the seed."""
    return _SEED.sub("", experiments[0].experiment.label)


def _fitting(
    experiments: Sequence[StoredExperiment], word: str, store: Store
) -> list[StoredExperiment]:
    if _KEY.fullmatch(word):
        found = [stored for stored in experiments if stored.key.startswith(word)]
        if len(found) > 1:
            raise ConfigError(
                f"'{word}' begins the keys of {len(found)} experiments; give more digits"
            )
        if found:
            return found
    labels = {stored.key: stored.experiment.label for stored in experiments}
    fitting = [
        stored
        for stored in experiments
        if fnmatchcase(labels[stored.key], word)
        or fnmatchcase(_SEED.sub("", labels[stored.key]), word)
    ]
    if not fitting:
        known = {_SEED.sub("", label) for label in labels.values()}
        raise ConfigError(f"{store.root} has no experiment '{word}'{suggestion(word, known)}")
    return fitting


def _check_one_configuration(experiments: Sequence[StoredExperiment], words: str) -> None:
    names = sorted({_SEED.sub("", stored.experiment.label) for stored in experiments})
    if len(names) > 1:
        raise ConfigError(f"'{words}' names several configurations: {', '.join(names)}; narrow it")
    described = [
        {
            **settings_of(stored.experiment),
            "data": stored.experiment.fingerprint[:8],
            **{
                f"protocol.{k}": str(v)
                for k, v in stored.experiment.protocol.training_part().items()
            },
        }
        for stored in experiments
    ]
    differing = differences(described)
    if differing:
        shown = "; ".join(
            f"{stored.key[:12]}: " + ", ".join(f"{key}={entry.get(key, '-')}" for key in differing)
            for stored, entry in zip(experiments, described, strict=True)
        )
        raise ConfigError(
            f"'{words}' means experiments of different settings ({shown}); give keys of one, "
            "parted by commas"
        )
