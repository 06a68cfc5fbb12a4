"""Check published experiments: what cannot be, what differs from the table's, what looks odd."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bench.errors import BenchError, ConfigError
from bench.evaluate.metrics import NDCG, rank_of
from bench.packs.published import (
    OF_DATA,
    WHOLE_COMMIT,
    PublishedExperiment,
    read_published,
)
from bench.plan.data_card import card_names, load_card
from bench.plan.experiment import Experiment
from bench.plan.protocol import PHASES, Protocol
from bench.plan.training import TrainingConfig
from bench.plan.variants import split_source
from bench.settings import Settings
from bench.tuning.space import NOT_SEARCHED, SHARED

_TIED = 0.01
"""Share of users whose target may tie without an alarm."""


@dataclass(frozen=True)
class PackCheck:
    """What a check of a pack has found.

    There are no experiments if it cannot be read. Each of ``problems`` is a sentence on a reason to
    refuse the pack, each of ``alarms`` one on what a reviewer should look at.
    """

    experiments: Sequence[PublishedExperiment] = ()
    problems: Sequence[str] = ()
    alarms: Sequence[str] = ()


def check_pack(
    path: Path, published: Sequence[PublishedExperiment], settings: Settings
) -> PackCheck:
    """Check a pack against what is published already, and against the data where they are here.

    The folders of ``settings`` are read; nothing is downloaded. Raise a ConfigError if there is no
    such file.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is not a file; correct the name of the pack")
    try:
        entries = read_published(path)
    except BenchError as error:
        return PackCheck(problems=[str(error)])
    if not entries:
        return PackCheck(problems=[f"{path} holds no experiment; see 'bench store pack'"])
    known = _Known(entries, published, settings)

    def found(*checks: Callable[[PublishedExperiment], Iterator[str]]) -> list[str]:
        return [
            f"{entry.label}: {text}" for entry in entries for one in checks for text in one(entry)
        ]

    return PackCheck(
        entries,
        found(known.origin, known.data, known.users, _contradictions, known.budget, known.search),
        found(_alarms, known.base, known.seed),
    )


def _is_tuned(one: PublishedExperiment) -> bool:
    return one.parts.run is not None and one.parts.run.tuned


def _trials(one: PublishedExperiment) -> int:
    """Return the trials of the search for its settings; 0 if they are not known."""
    run = one.parts.run
    return run.search.trials if run and run.tuned and run.search else 0


def _place(one: Experiment) -> tuple[str, str, str | None]:
    return one.dataset, one.fingerprint, one.backbone


class _Known:
    """What is known of data sets and tables: published experiments, else this machine's files.

    Its methods yield a sentence for each problem of an experiment of the pack.
    """

    def __init__(
        self,
        entries: Sequence[PublishedExperiment],
        published: Sequence[PublishedExperiment],
        settings: Settings,
    ) -> None:
        self.entries = entries
        self.published = {entry.key: entry for entry in published}
        self.everything = [*{one.key: one for one in (*published, *entries)}.values()]
        self.about: dict[str, list[PublishedExperiment]] = defaultdict(list)
        for entry in published:
            self.about[entry.experiment.dataset].append(entry)

        @cache
        def fingerprint(name: str) -> set[str]:
            from bench.data.load import load_dataset

            try:
                return {load_dataset(name, settings).fingerprint}
            except BenchError:
                return set()

        self.fingerprint = fingerprint

    def origin(self, entry: PublishedExperiment) -> Iterator[str]:
        metadata = entry.parts.metadata
        held = self.published.get(entry.key)
        if held is not None and not held.has_ranks_of(entry):
            yield "it is published with other ranks; say in the pull request what was fixed"
        if not WHOLE_COMMIT.fullmatch(entry.commit or ""):
            yield (
                f"commit '{entry.commit}' is not 40 digits of a commit; pack it again with --commit"
            )
        if not (metadata.processor and {"torch", "numpy"} <= {*metadata.versions}):
            yield "processor or versions are missing; run it again with this version of bench"

    def data(self, entry: PublishedExperiment) -> Iterator[str]:
        experiment = entry.experiment
        name, _ = split_source(experiment.dataset)
        if name not in card_names():
            yield f"data set '{name}' does not come with bench, so others cannot check it"
            return
        held = {one.experiment.fingerprint for one in self.about.get(experiment.dataset, ())}
        fingerprints = held or self.fingerprint(experiment.dataset)
        if not fingerprints:
            yield f"the data of '{name}' are not on this machine; set BENCH_DATA_DIR"
        elif experiment.fingerprint not in fingerprints:
            theirs = ", ".join(sorted(one[:8] for one in fingerprints))
            yield f"its data have fingerprint {experiment.fingerprint[:8]}, not {theirs}"
        expected = Protocol(max_length=load_card(name).max_length).training_part()
        if differing := _differing(experiment.protocol.training_part(), expected):
            yield f"its protocol differs: {differing}"

    def users(self, entry: PublishedExperiment) -> Iterator[str]:
        """Compare what the data alone decide with a published experiment on the same data."""
        one = entry.experiment
        for held in self.about.get(one.dataset, ()):
            theirs = held.experiment
            same = (theirs.fingerprint, theirs.protocol.split) == (
                one.fingerprint,
                one.protocol.split,
            )
            if same and held.key != entry.key:
                for phase in PHASES:
                    a, b = (e.ranks[phase].columns() for e in (entry, held))
                    odd = [name for name in OF_DATA if not np.array_equal(a[name], b[name])]
                    if odd:
                        what = "are not those of published experiments on the same data"
                        yield f"{phase}: {', '.join(odd)} {what}"
                return

    def budget(self, entry: PublishedExperiment) -> Iterator[str]:
        """Compare the settings of training that are the same for every method."""
        tuned = _is_tuned(entry)
        trainings = [
            held.experiment.training
            for held in self.about.get(entry.experiment.dataset, ())
            if _is_tuned(held) == tuned
        ]
        table = [_budget(one, tuned=tuned) for one in trainings or [TrainingConfig()]]
        own = _budget(entry.experiment.training, tuned=tuned)
        if own not in table:
            yield f"its training differs from the leaderboard's: {_differing(own, table[0])}"

    def search(self, entry: PublishedExperiment) -> Iterator[str]:
        """Compare the trials of tuned rows with those of published ones, else of the pack's."""
        if not _is_tuned(entry):
            return
        if not (own := _trials(entry)):
            yield "its run does not say what its search spent; run it again with --tuned"
            return
        held = map(_trials, self.about.get(entry.experiment.dataset, ()))
        budget = max(held, default=0) or max(map(_trials, self.entries))
        if own != budget:
            yield f"its search had {own} trials, those of other tuned rows {budget}"

    def base(self, entry: PublishedExperiment) -> Iterator[str]:
        """Look for the bare backbone, in the pack or among what is published."""
        bare = (one.experiment for one in self.everything if one.experiment.is_bare)
        if entry.experiment.backbone and _place(entry.experiment) not in map(_place, bare):
            yield "neither the pack nor the published results have a bare backbone to compare with"

    def seed(self, entry: PublishedExperiment) -> Iterator[str]:
        """Look for the same ranks under another seed."""
        own = entry.experiment
        for other in self.everything:
            theirs = other.experiment
            if theirs.kind == own.kind and theirs.seed != own.seed and entry.has_ranks_of(other):
                yield f"its ranks are those of seed {theirs.seed}; was only the seed changed?"


def _differing(own: Mapping[str, object], expected: Mapping[str, object]) -> str:
    return ", ".join(
        f"{key} is {own[key]}, not {v}" for key, v in expected.items() if own[key] != v
    )


def _budget(training: TrainingConfig, *, tuned: bool) -> Mapping[str, object]:
    """Return what rows of a table share; a search may choose the rest."""
    fixed = {name.removeprefix(SHARED) for name in NOT_SEARCHED}
    content = training.model_dump(mode="json", exclude={"samples"})
    return {key: value for key, value in content.items() if not tuned or key in fixed}


def _contradictions(entry: PublishedExperiment) -> Iterator[str]:
    """Compare the learning curve and the metadata with the ranks."""
    experiment, metadata, curve = entry.experiment, entry.parts.metadata, entry.parts.curve
    training, best = experiment.training, metadata.best_epoch
    if not curve or metadata.epochs != len(curve) or best is None or not 0 <= best < len(curve):
        yield "its learning curve does not have as many epochs as its metadata say"
        return
    if [row.epoch for row in curve] != [*range(len(curve))]:
        yield "its learning curve lacks epochs"
    if len(curve) != (due := min(training.epochs, best + 1 + training.patience)):
        yield (
            f"it trained {len(curve)} epochs; with epoch {best} the best, its patience and most "
            f"epochs give {due}"
        )
    metrics = [row.metric for row in curve]
    if training.stop_on == "validation" and metrics.index(max(metrics)) != best:
        yield f"epoch {best} is not the best of its learning curve"
    if metadata.best_metric != metrics[best]:
        yield f"its best metric {metadata.best_metric} is not that of epoch {best}"
    spent = (metadata.seconds, metadata.cpu_seconds)
    costs = [seconds for stages in spent for seconds in stages.values()]
    costs += [metadata.peak_memory_bytes or 0, metadata.peak_gpu_bytes or 0]
    costs += [seconds for row in curve for seconds in (row.seconds, row.validation_seconds)]
    if min(costs) < 0:
        yield "a cost is negative"
    protocol = experiment.protocol
    ranks = rank_of(entry.ranks["validation"], protocol.candidates, protocol.ties)
    measured, said = NDCG(10).mean(ranks), curve[best].metric
    if not np.isclose(measured, said, rtol=0, atol=1e-9):
        yield (
            f"its validation ranks give {protocol.selection} {measured:.6f}, its learning curve "
            f"has {said:.6f}"
        )


def _alarms(entry: PublishedExperiment) -> Iterator[str]:
    for phase in PHASES:
        ties = entry.ranks[phase].ties_all
        if (tied := float((ties > 0).mean())) > _TIED:
            yield (
                f"{phase}: {tied:.1%} of the targets share their score with others (median: "
                f"{int(np.median(ties[ties > 0]))} items); collapsed scores look like this"
            )
    test = entry.ranks["test"]
    middle = (float(test.candidates_all.mean()) + 1) / 2
    places = rank_of(test, "all", "average").ranks
    error = float(places.std()) / len(places) ** 0.5
    if float(places.mean()) >= middle - 2 * error:
        yield f"the mean rank {places.mean():.0f} is no better than chance ({middle:.0f})"
    last = entry.experiment.training.epochs - 1
    if entry.parts.curve and entry.parts.metadata.best_epoch == len(entry.parts.curve) - 1 == last:
        yield "the last epoch was the best: it had not converged"
