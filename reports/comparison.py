"""Which experiments make one comparison: those of a run, of a specification or of a whole store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from bench.errors import BenchError, ConfigError, shortened, suggestion
from bench.plan.experiment import Experiment
from bench.plan.overrides import COMMA
from bench.plan.spec import Spec
from bench.reports.differences import content_read, settings_of
from bench.runs.record import RunRecord, read_records
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable

EVERYTHING = "all"
"""Instead of a run: every experiment of the store."""
KEY = re.compile(r"[0-9a-f]{6,64}")
"""The first digits of a key, enough to name a run or an experiment."""


def comparison_keys(
    store: Store,
    *,
    run: str | None = None,
    spec: str | None = None,
    where: Iterable[str] = (),
    seeds: Iterable[int] = (),
    latest: bool = False,
    datasets: Sequence[str] = (),
) -> list[str] | None:
    """Choose the experiments of one comparison.

    By default they are those of the last run and of earlier runs with the same protocol, training
    and backbone settings on the same data sets, and what was imported for these data sets. An
    experiment of an earlier run is replaced by one of a later run that differs from it in code
    alone, so that code versions do not mix.

    Parameters
    ----------
    store
        Where to look.
    run
        Exactly the experiments of one run: its name, of which the last run is taken, or the first
        digits of its key; :data:`EVERYTHING` for the whole store.
    spec
        As by default, for the last run of the specification of this name or path.
    where
        Conditions, see :func:`matches`; all must hold.
    seeds
        Only these.
    latest
        Of experiments that differ only in code, only the one that finished last.
    datasets
        Names that a report is restricted to; the last run of any of them is taken.

    Returns
    -------
    list of str or None
        Keys; None if everything is chosen, as by default in a store without runs.

    Raises
    ------
    ConfigError
        There is no such run, two choices exclude each other, a condition is not ``key=value``, or
        no experiment has the key of a condition or fits all of them.
    """
    if run is not None and spec is not None:
        raise ConfigError("a run and a specification exclude each other; name one")
    conditions = [*map(_condition, where)]
    if chosen := sorted(set(seeds)):
        conditions.append(("seed", [str(seed) for seed in chosen]))
    held = {stored.key: stored for stored in readable(store.experiments())}
    keys = None if run == EVERYTHING else _run_keys(store, held, run, spec, datasets)
    if not conditions and not latest:
        return keys
    left = [stored for key, stored in held.items() if keys is None or key in keys]
    _check_conditions(conditions, left)
    for key, values in conditions:
        before, left = left, [one for one in left if _holds(one.experiment, key, values)]
        if before and not left:
            has = {fact for one in before for fact in _facts(one.experiment, key)}
            raise ConfigError(
                f"no experiment has {key}={','.join(values)}"
                f"{' beside the other conditions' if len(conditions) > 1 else ''}; "
                f"found: {', '.join(sorted(has)) or 'nothing'}"
            )
    last_first = sorted(left, key=lambda stored: stored.finished, reverse=True)
    return [stored.key for stored in (_newest_code(last_first) if latest else last_first)]


def _run_keys(
    store: Store,
    held: Mapping[str, StoredExperiment],
    run: str | None,
    spec: str | None,
    datasets: Sequence[str],
) -> list[str] | None:
    records = sorted(read_records(store.root), key=attrgetter("last_given"), reverse=True)
    if run is not None:
        return _named(records, run, store).experiments
    of = {record.key: _datasets(record, held) for record in records}
    fitting = [one for one in records if not datasets or of[one.key] & {*datasets}]
    if spec is not None:
        name = Path(spec).stem if spec.endswith((".yaml", ".yml")) else spec
        last = _named([one for one in fitting if one.name == name] or fitting, name, store)
    elif fitting:
        last = fitting[0]
    else:
        return None
    wanted = {*datasets} or of[last.key]
    # Labels of what the last run has yet to finish: an earlier result must not take its place.
    pending = {
        label for label, key in zip(last.labels, last.experiments, strict=True) if key not in held
    }
    earlier = [
        key
        for record in records[records.index(last) + 1 :]
        if _same_settings(record, last)
        for label, key in zip(record.labels, record.experiments, strict=True)
        if key in held and label not in pending
    ]
    imported = [key for key, stored in held.items() if stored.experiment.imported]
    keys = dict.fromkeys((*last.experiments, *earlier, *imported))
    found = [held[key] for key in keys if key in held and held[key].experiment.dataset in wanted]
    shown = [one.key for one in _newest_code(found)]
    return [*shown, *(key for key in last.experiments if key not in held)]


def _named(records: Sequence[RunRecord], name: str, store: Store) -> RunRecord:
    """Return the last run of a name, or the one whose key begins with it."""
    for record in records:
        file = f"{record.name}-{record.key[:12]}"
        if name in {record.name, file} or (KEY.fullmatch(name) and record.key.startswith(name)):
            return record
    names = dict.fromkeys(record.name for record in records)
    raise ConfigError(f"{store.root} has no run '{name}'{suggestion(name, names)}")


def _datasets(record: RunRecord, held: Mapping[str, StoredExperiment]) -> set[str]:
    # Earlier versions of bench did not record them: take those of finished experiments.
    of_finished = (held[key].experiment.dataset for key in record.experiments if key in held)
    return {*(record.datasets or of_finished)}


def _same_settings(one: RunRecord, other: RunRecord) -> bool:
    """Return whether rows of two runs share all that bare backbones and methods share."""
    try:
        a, b = Spec.parse(one.spec, one.name), Spec.parse(other.spec, other.name)
    except BenchError:  # a version of bench with other settings wrote it
        return False
    shared = [(spec.complete_training, spec.protocol) for spec in (a, b)]
    return (
        shared[0] == shared[1]
        and one.tuned == other.tuned
        and all(
            a.backbone_settings.get(name, {}) == b.backbone_settings.get(name, {})
            for name in {*a.backbones} & {*b.backbones}
        )
    )


def _condition(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise ConfigError(f"--where '{text}' is not key=value; write for example epochs=30")
    return key.strip(), [value.strip() for value in COMMA.split(values)]


def _check_conditions(
    conditions: Sequence[tuple[str, Sequence[str]]], held: Sequence[StoredExperiment]
) -> None:
    known = {key for stored in held for key in facts_of(stored.experiment)}
    known |= {key.rpartition(".")[2] for key in known}
    for key, _ in conditions:
        if held and key not in known:
            raise ConfigError(
                f"--where {key}: no experiment has it{shortened(suggestion(key, known))}"
            )


def facts_of(experiment: Experiment) -> Mapping[str, str]:
    """Return what conditions are about: an experiment's components, protocol and settings."""
    names = {
        name: getattr(experiment, name)
        for name in ("dataset", "backbone", "method", "encoder", "seed")
    }
    named = {name: str(value) for name, value in names.items() if value is not None}
    protocol = {**experiment.protocol.training_part(), "split": experiment.protocol.split}
    rules = {f"protocol.{name}": str(value) for name, value in protocol.items()}
    return {**settings_of(experiment), **rules, **named}


def _holds(experiment: Experiment, key: str, values: Sequence[str]) -> bool:
    return any(matches(fact, value) for fact in _facts(experiment, key) for value in values)


def _facts(experiment: Experiment, key: str) -> list[str]:
    facts = facts_of(experiment)
    return [fact for name, fact in facts.items() if key in {name, name.rpartition(".")[2]}]


def matches(fact: str, value: str) -> bool:
    """Return whether a printed setting has a value: the same text, or the same number.

    Examples
    --------
    >>> matches("0.001", "1e-3"), matches("hsd", "hsd"), matches("30", "3")
    (True, True, False)
    """
    try:
        return fact == value or float(fact) == float(value)
    except ValueError:
        return False


def _newest_code(newest_first: Iterable[StoredExperiment]) -> list[StoredExperiment]:
    """Keep the first of experiments that differ only in code."""
    kept: dict[str, StoredExperiment] = {}
    for stored in newest_first:
        kept.setdefault(content_read(stored.experiment, stored.metadata, "code"), stored)
    return list(kept.values())
