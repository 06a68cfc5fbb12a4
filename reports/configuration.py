"""Selection of one configuration of a store, by keys or by a pattern of its label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from bench.errors import ConfigError, suggestion
from bench.plan.experiment import Experiment
from bench.reports.differences import differing_keys, settings_of
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable

_KEY = re.compile(r"[0-9a-f]{6,64}")


def find_configuration(store: Store, patterns: str) -> list[StoredExperiment]:
    """Find the seeds of one configuration.

    Parameters
    ----------
    store
        Where to look.
    patterns
        One or several, separated by commas: the first six or more digits of an experiment's key,
        or a pattern of its label with ``*`` and ``?``, with or without the seed, such as
        ``ml-100k/sasrec/hsd`` or ``ml-100k/sas*/none/seed 1``.

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
    found: dict[str, StoredExperiment] = {}
    for pattern in filter(None, (word.strip() for word in patterns.split(","))):
        found.update({stored.key: stored for stored in _matching(experiments, pattern, store)})
    if not found:
        raise ConfigError("a comparison needs two names of experiments; 'bench ls runs' lists them")
    chosen = sorted(found.values(), key=lambda stored: stored.experiment.seed)
    _check_one_configuration([stored.experiment for stored in chosen], patterns)
    return chosen


def configuration_label(experiment: Experiment) -> str:
    """Return the label of an experiment without its seed."""
    return experiment.label.removesuffix(f"/seed {experiment.seed}")


def _matching(
    experiments: Sequence[StoredExperiment], pattern: str, store: Store
) -> list[StoredExperiment]:
    if _KEY.fullmatch(pattern):
        found = [stored for stored in experiments if stored.key.startswith(pattern)]
        if len(found) > 1:
            raise ConfigError(
                f"'{pattern}' begins the keys of {len(found)} experiments; give more digits"
            )
        if found:
            return found
    matching = [
        stored
        for stored in experiments
        if fnmatchcase(stored.experiment.label, pattern)
        or fnmatchcase(configuration_label(stored.experiment), pattern)
    ]
    if not matching:
        known = {configuration_label(stored.experiment) for stored in experiments}
        raise ConfigError(f"{store.root} has no experiment '{pattern}'{suggestion(pattern, known)}")
    return matching


def _check_one_configuration(experiments: Sequence[Experiment], patterns: str) -> None:
    names = sorted({configuration_label(experiment) for experiment in experiments})
    if len(names) > 1:
        raise ConfigError(
            f"'{patterns}' matches several configurations: {', '.join(names)}; narrow it"
        )
    described = [
        {
            **settings_of(experiment),
            "data": experiment.fingerprint[:8],
            **{f"protocol.{k}": str(v) for k, v in experiment.protocol.training_part().items()},
        }
        for experiment in experiments
    ]
    if differing := differing_keys(described):
        shown = "; ".join(
            f"{experiment.key[:12]}: "
            + ", ".join(f"{key}={entry.get(key, '-')}" for key in differing)
            for experiment, entry in zip(experiments, described, strict=True)
        )
        raise ConfigError(
            f"'{patterns}' matches experiments of different settings ({shown}); give the keys of "
            "one, separated by commas"
        )
