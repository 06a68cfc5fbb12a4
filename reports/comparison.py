"""Which experiments make one comparison: those of a run, of a specification or of a whole store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError, ConfigError, suggestion
from bench.plan.experiment import Experiment
from bench.plan.spec import Spec
from bench.reports.differences import settings_of
from bench.runs.record import RunRecord, read_records
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable

EVERYTHING = "all"
"""Instead of a run: every experiment of the store."""
_KEY = re.compile(r"[0-9a-f]{6,64}")
_COMPONENTS = ("backbones", "methods", "encoders")


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

    By default they are those of the last run and of earlier runs with the same settings on the
    same data sets. An experiment of an earlier run gives way to that of a later one with the same
    label, so that code versions do not mix.

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
        Of experiments that differ in code alone, only the one that finished last.
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
        no experiment has the key of a condition.
    """
    if run is not None and spec is not None:
        raise ConfigError("--run and --spec exclude each other; drop one")
    conditions = [*map(_condition, where)]
    if chosen := sorted(set(seeds)):
        conditions.append(("seed", [str(seed) for seed in chosen]))
    keys = None if run == EVERYTHING else _run_keys(store, run, spec, datasets)
    if not conditions and not latest:
        return keys
    held = [s for s in readable(store.experiments()) if keys is None or s.key in keys]
    _check_conditions(conditions, held)
    held = [s for s in held if all(_holds(s.experiment, *condition) for condition in conditions)]
    return [stored.key for stored in (_latest(held) if latest else held)]


def _run_keys(
    store: Store, run: str | None, spec: str | None, datasets: Sequence[str]
) -> list[str] | None:
    records = sorted(read_records(store.root), key=lambda r: max(r.asked, r.begun), reverse=True)
    if run is not None:
        return _named(records, run, store).experiments
    if spec is not None:
        name = Path(spec).stem if spec.endswith((".yaml", ".yml")) else spec
        chosen = [_named([one for one in records if one.name == name], name, store, records)]
    else:
        chosen = [one for one in records if not datasets or _datasets(one) & {*datasets}][:1]
    if not chosen:
        return None
    (last,) = chosen
    wanted = {*datasets} or _datasets(last)
    keys: dict[str, str] = {}
    for record in records[records.index(last) :]:
        if record is last or _same_settings(record, last):
            for label, key in zip(record.labels, record.experiments, strict=True):
                if label.partition("/")[0] in wanted:
                    keys.setdefault(label, key)
    return list(keys.values())


def _named(
    records: Sequence[RunRecord],
    name: str,
    store: Store,
    known: Sequence[RunRecord] | None = None,
) -> RunRecord:
    """Return the last run of a name, or the one whose key begins with it."""
    for record in records:
        file = f"{record.name}-{record.key[:12]}"
        if name in {record.name, file} or (_KEY.fullmatch(name) and record.key.startswith(name)):
            return record
    names = dict.fromkeys(record.name for record in (known or records))
    raise ConfigError(f"{store.root} has no run '{name}'{suggestion(name, names)}")


def _datasets(record: RunRecord) -> set[str]:
    return {label.partition("/")[0] for label in record.labels}


def _same_settings(one: RunRecord, other: RunRecord) -> bool:
    """Return whether two runs share all settings but what they combine."""
    try:
        a, b = Spec.parse(one.spec, one.name), Spec.parse(other.spec, other.name)
    except BenchError:  # a version of bench with other settings wrote it
        return False
    return (a.training, a.protocol, one.tuned) == (b.training, b.protocol, other.tuned) and all(
        getattr(a, f"{kind[:-1]}_settings").get(name, {})
        == getattr(b, f"{kind[:-1]}_settings").get(name, {})
        for kind in _COMPONENTS
        for name in {*getattr(a, kind)} & {*getattr(b, kind)}
    )


def _condition(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise ConfigError(f"--where '{text}' is not key=value; write for example epochs=30")
    return key.strip(), [value.strip() for value in values.split(",")]


def _check_conditions(
    conditions: Sequence[tuple[str, Sequence[str]]], held: Sequence[StoredExperiment]
) -> None:
    known = {key for stored in held for key in facts_of(stored.experiment)}
    known |= {key.rpartition(".")[2] for key in known}
    for key, _ in conditions:
        if held and key not in known:
            raise ConfigError(f"--where {key}: no experiment has it{suggestion(key, known)}")


def facts_of(experiment: Experiment) -> Mapping[str, str]:
    """Return what conditions are about: what an experiment consists of, and all its settings."""
    names = {
        name: getattr(experiment, name)
        for name in ("dataset", "backbone", "method", "encoder", "seed")
    }
    named = {name: str(value) for name, value in names.items() if value is not None}
    return {**settings_of(experiment), **named}


def _holds(experiment: Experiment, key: str, values: Sequence[str]) -> bool:
    return any(
        matches(fact, value)
        for name, fact in facts_of(experiment).items()
        if key in {name, name.rpartition(".")[2]}
        for value in values
    )


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


def _latest(experiments: Iterable[StoredExperiment]) -> list[StoredExperiment]:
    last: dict[str, StoredExperiment] = {}
    for stored in sorted(experiments, key=lambda one: one.finished):
        last[stored.experiment.model_copy(update={"code": ""}).key] = stored
    return list(last.values())
