"""Check published experiments: what cannot be, what differs from the table's, what looks odd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.components import BASELINE, VARIANT_MARK
from bench.errors import BenchError
from bench.evaluate.metrics import NDCG, rank_of
from bench.hashing import content_hash
from bench.packs.published import WHOLE_COMMIT, PublishedExperiment, read_published
from bench.plan.data_card import card_names, load_card
from bench.plan.experiment import Experiment
from bench.plan.protocol import PHASES, Phase, Protocol
from bench.plan.result import Ranks
from bench.plan.training import TrainingConfig
from bench.plan.variants import split_source
from bench.settings import Settings
from bench.tuning.space import NOT_SEARCHED, SHARED

_SAME = ("target", "target_count", "history_length", "candidates_all", "candidates_unseen")
"""Arrays that the data alone decide."""
_TIED = 0.01
"""Share of users whose target may tie without an alarm."""


@dataclass(frozen=True)
class PackCheck:
    """What a check of a pack has found.

    Attributes
    ----------
    experiments
        In the pack; empty where it cannot be read.
    problems
        One sentence for each reason to refuse it.
    alarms
        One sentence for each thing that a reviewer should look at.
    """

    experiments: Sequence[PublishedExperiment] = ()
    problems: Sequence[str] = field(default_factory=list)
    alarms: Sequence[str] = field(default_factory=list)


def check_pack(
    path: Path, published: Sequence[PublishedExperiment], settings: Settings
) -> PackCheck:
    """Check a pack against what is published, and against the data where they are here.

    Parameters
    ----------
    path
        Written by ``bench store pack --published``.
    published
        Experiments that are published already.
    settings
        Name the folders of data and cache; nothing is downloaded.
    """
    try:
        entries = read_published(path)
    except BenchError as error:
        return PackCheck(problems=[str(error)])
    if not entries:
        return PackCheck(problems=[f"{path} holds no experiment; see 'bench store pack'"])
    known = _Known(published, settings)
    problems = [
        f"{entry.experiment.label} ({entry.key[:12]}): {problem}"
        for entry in entries
        for problem in _problems(entry, known)
    ]
    alarms = [
        f"{entry.experiment.label} ({entry.key[:12]}): {alarm}"
        for entry in entries
        for alarm in _alarms(entry)
    ]
    return PackCheck(entries, problems, [*alarms, *_without_base(entries, published)])


class _Known:
    """What is known of data sets: from published experiments, else from files on this machine."""

    def __init__(self, published: Sequence[PublishedExperiment], settings: Settings) -> None:
        self.published = {entry.key: entry for entry in published}
        self._settings = settings
        self._fingerprints: dict[str, set[str]] = {}

    def about(self, experiment: Experiment) -> list[PublishedExperiment]:
        """Return published experiments on the same data set."""
        entries = self.published.values()
        return [entry for entry in entries if entry.experiment.dataset == experiment.dataset]

    def fingerprints(self, experiment: Experiment) -> set[str]:
        """Return the fingerprints that a data set may have; empty where nothing is known."""
        name = experiment.dataset
        if name not in self._fingerprints:
            found = {entry.experiment.fingerprint for entry in self.about(experiment)}
            self._fingerprints[name] = found or self._read(name)
        return self._fingerprints[name]

    def _read(self, name: str) -> set[str]:
        from bench.data.load import load_dataset

        try:
            return {load_dataset(name, self._settings).fingerprint}
        except BenchError:
            return set()


def _problems(entry: PublishedExperiment, known: _Known) -> Iterator[str]:
    experiment = entry.experiment
    content = dict(entry.content)
    protocol = {k: v for k, v in content["protocol"].items() if k != "cutoffs"}
    if content_hash({**content, "protocol": protocol}) != entry.key:
        yield "its key is not that of its settings; pack it again from the store that trained it"
    held = known.published.get(entry.key)
    if held is not None and not held.has_ranks_of(entry):
        yield "it is published with other ranks; say in the pull request what was mended"
    if not WHOLE_COMMIT.fullmatch(entry.commit or ""):
        yield f"commit '{entry.commit}' is not 40 digits of a commit; pack it again with --commit"
    if not (entry.metadata.processor and {"torch", "numpy"} <= {*entry.metadata.versions}):
        yield "processor or versions are missing; run it again with this version of bench"
    yield from _data_problems(experiment, known)
    for phase in PHASES:
        yield from (f"{phase}: {text}" for text in impossible(entry.ranks[phase]))
        yield from (f"{phase}: {text}" for text in _other_users(entry, phase, known))
    yield from _contradictions(entry)
    yield from _other_budget(entry, known)


def _data_problems(experiment: Experiment, known: _Known) -> Iterator[str]:
    name, _ = split_source(experiment.dataset)
    if name not in card_names():
        yield f"data set '{name}' does not come with bench, so others cannot check it"
        return
    fingerprints = known.fingerprints(experiment)
    if not fingerprints:
        yield f"the data of '{name}' are not here to compare with; set BENCH_DATA_DIR"
    elif experiment.fingerprint not in fingerprints:
        theirs = ", ".join(sorted(one[:8] for one in fingerprints))
        yield f"its data have fingerprint {experiment.fingerprint[:8]}, not {theirs}"
    length = load_card(name).max_length
    expected = Protocol(max_length=length).training_part()
    own = experiment.protocol.training_part()
    if differing := [f"{k} is {own[k]}, not {v}" for k, v in expected.items() if own[k] != v]:
        yield f"its protocol is another: {', '.join(differing)}"


def impossible(ranks: Ranks) -> Iterator[str]:
    """Yield a sentence for each way in which ranks contradict themselves.

    Parameters
    ----------
    ranks
        Of one phase.
    """
    columns = ranks.columns()
    if not len(ranks.target):
        yield "there are no users"
        return
    if any(values.min() < 0 for values in columns.values()):
        yield "a count is negative"
    if ranks.target.min() < 1 or (ranks.target > ranks.candidates_all).any():
        yield "a target is no item"
    for kind in ("all", "unseen"):
        better, ties, candidates = (
            columns[f"{n}_{kind}"] for n in ("better", "ties", "candidates")
        )
        if count := int((better.astype(np.int64) + ties >= candidates).sum()):
            yield f"{count} users have a rank beyond the number of candidates ({kind})"
    for name in ("better", "ties", "candidates"):
        fewer = columns[f"{name}_all"] - columns[f"{name}_unseen"]
        if ((fewer < 0) | (fewer > ranks.history_length)).any():
            yield f"{name}: all items and unseen ones differ by more than the history holds"
    if (ranks.candidates_all != ranks.candidates_all[0]).any():
        yield "users compete with different numbers of items"


def _other_users(entry: PublishedExperiment, phase: Phase, known: _Known) -> Iterator[str]:
    """Compare what the data alone decide with a published experiment on the same data."""
    one = entry.experiment
    for held in known.about(one):
        if held.experiment.fingerprint == one.fingerprint and held.key != entry.key:
            ours, theirs = (e.ranks[phase].columns() for e in (entry, held))
            odd = [name for name in _SAME if not np.array_equal(ours[name], theirs[name])]
            if odd:
                yield f"{', '.join(odd)} are not those of published experiments on the same data"
            return


def _contradictions(entry: PublishedExperiment) -> Iterator[str]:
    """Compare the learning curve and the metadata with the ranks."""
    metadata, curve = entry.metadata, entry.curve
    best = metadata.best_epoch
    if not curve or metadata.epochs != len(curve) or best is None or not best < len(curve):
        yield "its learning curve does not have the epochs that its metadata say"
        return
    if [row.epoch for row in curve] != [*range(len(curve))]:
        yield "its learning curve lacks epochs"
    if len(curve) > entry.experiment.training.epochs:
        yield f"it trained {len(curve)} epochs, more than {entry.experiment.training.epochs}"
    protocol = entry.experiment.protocol
    ranks = rank_of(entry.ranks["validation"], protocol.candidates, protocol.ties)
    measured, said = NDCG(10).mean(ranks), curve[best].metric
    if not np.isclose(measured, said, rtol=0, atol=1e-9):
        yield (
            f"its validation ranks give {protocol.selection} {measured:.6f}, its learning curve "
            f"has {said:.6f}"
        )


def _other_budget(entry: PublishedExperiment, known: _Known) -> Iterator[str]:
    """Compare the settings of training that are the same for every method."""
    tuned = entry.run is not None and entry.run.tuned
    own = _budget(entry.experiment.training, tuned=tuned)
    table = [
        _budget(held.experiment.training, tuned=tuned)
        for held in known.about(entry.experiment)
        if tuned == (held.run is not None and held.run.tuned)
    ]
    table = table or [_budget(TrainingConfig(), tuned=tuned)]
    if own not in table:
        differing = [
            f"{key} is {own[key]}, not {v}" for key, v in table[0].items() if own[key] != v
        ]
        yield f"its training is not the table's: {', '.join(differing)}"


def _budget(training: TrainingConfig, *, tuned: bool) -> Mapping[str, object]:
    """Return what rows of a table share; a search may choose the rest."""
    fixed = {name.removeprefix(SHARED) for name in NOT_SEARCHED}
    content = training.model_dump(mode="json", exclude={"samples"})
    return {key: value for key, value in content.items() if not tuned or key in fixed}


def _alarms(entry: PublishedExperiment) -> Iterator[str]:
    for phase in PHASES:
        ranks = entry.ranks[phase]
        tied = float((ranks.ties_all > 0).mean())
        if tied > _TIED:
            median = int(np.median(ranks.ties_all[ranks.ties_all > 0]))
            yield (
                f"{phase}: {tied:.1%} of the targets share their score with others (median: "
                f"{median} items); collapsed scores look like this"
            )
    test = entry.ranks["test"]
    middle = (float(test.candidates_all.mean()) + 1) / 2
    places = rank_of(test, "all", "average").ranks
    error = float(places.std()) / len(places) ** 0.5
    if float(places.mean()) >= middle - 2 * error:
        yield f"the mean rank {places.mean():.0f} is no better than chance ({middle:.0f})"
    curve = entry.curve
    if (
        curve
        and entry.metadata.best_epoch == len(curve) - 1 == entry.experiment.training.epochs - 1
    ):
        yield "the last epoch was the best: it had not converged"


def _without_base(
    entries: Iterable[PublishedExperiment], published: Iterable[PublishedExperiment]
) -> Iterator[str]:
    """Name the methods whose bare backbone is neither in the pack nor published."""

    def place(one: Experiment) -> tuple[str, str, str | None]:
        return one.dataset, one.fingerprint, one.backbone

    new = [entry.experiment for entry in entries]
    every = [*new, *(entry.experiment for entry in published)]
    bases = {place(one) for one in every if one.method.partition(VARIANT_MARK)[0] == BASELINE}
    for one in new:
        if one.backbone is not None and place(one) not in bases:
            yield f"{one.label}: no bare backbone to compare with is in the pack or published"
