"""Conformance tests of methods, on each backbone that they attach to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import pad

from bench.components import BACKBONES, METHODS, BackboneEntry, MethodEntry, Sampling
from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.errors import ConfigError
from bench.model.batch import Batch, SequenceData
from bench.model.method import Method
from bench.model.samples import histories
from bench.plan.experiment import Experiment
from bench.plan.progress import Progress
from bench.plan.result import ExperimentResult
from bench.runs import train
from bench.settings import Settings
from bench.testing import example
from bench.training.trainer import Trainer

_TRAINED: dict[type, Method] = {}


def backbones_of(method: str) -> list[str | None]:
    """Return the backbones that a method attaches to; None alone for one with its own."""
    entry, found = METHODS.get(method), list[str | None]()
    if entry.standalone:
        return [None]
    for name in BACKBONES.names():
        with suppress(ConfigError):
            entry.sampling_for("auto", BACKBONES.get(name))
            found.append(name)
    return found


class _StoppedError(Exception):
    """What ends a run on purpose."""


def _stop(progress: Progress) -> None:
    raise _StoppedError(progress.label)


class MethodTests:
    """What must hold for every method.

    Attributes
    ----------
    name, backbone
        Registered names; the backbone is None for a standalone method.
    settings
        Settings of the method, where its defaults do not suit 40 users and 30 items.
    without_gradient
        Prefixes of the names of parameters that the loss need not reach.
    readings
        How the texts are read, for a method that needs them.
    """

    name: ClassVar[str]
    backbone: ClassVar[str | None] = None
    settings: ClassVar[dict[str, Any]] = {}
    without_gradient: ClassVar[tuple[str, ...]] = ()
    readings: ClassVar[tuple[example.Reading, ...]] = ("pooled", "text")

    @property
    def entry(self) -> MethodEntry:
        """The method's descriptor."""
        return METHODS.get(self.name)

    @property
    def backbone_entry(self) -> BackboneEntry | None:
        """The backbone's descriptor; None for a standalone method."""
        return None if self.backbone is None else BACKBONES.get(self.backbone)

    @property
    def sampling(self) -> Sampling:
        """How samples are drawn for the method on its backbone."""
        return self.entry.sampling_for("auto", self.backbone_entry)

    def experiment(self, **training: Any) -> Experiment:
        """Describe a run; ``training`` changes shared settings."""
        return example.experiment(self.name, self.backbone, self.settings, training)

    @contextmanager
    def texts(self, reading: example.Reading, *, empty: bool = False) -> Iterator[None]:
        """Replace the vectors of texts by ones made by hand."""

        def made(experiment: Experiment, dataset: Dataset, *_: Any, **__: Any) -> Any:
            del experiment
            needed = self.entry.needs_text
            return example.text_vectors(dataset, reading, empty=empty) if needed else None

        with mock.patch.object(train, "text_vectors_for", made):
            yield

    def run(
        self,
        work: Path,
        data: Dataset | None = None,
        reading: example.Reading | None = None,
        **training: Any,
    ) -> ExperimentResult:
        """Run an experiment to its end."""
        with self.texts(reading or self.readings[0]):
            return train.run_experiment(
                self.experiment(**training), example.dataset() if data is None else data, work
            )

    def make(self, reading: example.Reading | None = None, *, empty: bool = False) -> Method:
        """Build the method in evaluation mode, as at the start of the first epoch."""
        data = example.dataset()
        experiment = self.experiment()
        torch.manual_seed(0)
        with self.texts(reading or self.readings[0], empty=empty):
            split = Split.of(data)
            given = train.training_data(experiment, split, Settings.from_environment())
        method = train.build_method(experiment, given)
        method.begin_epoch(0)
        return method.eval()

    def trained(self) -> Method:
        """Return the method after a few training steps, so that every weight has moved.

        All tests of a class share it, so none may change it.
        """
        if type(self) not in _TRAINED:
            _TRAINED[type(self)] = self._take_steps()
        return _TRAINED[type(self)]

    def _take_steps(self) -> Method:
        method = self.make()
        trainer = self.trainer(method)
        method.train()
        for _ in range(3):
            trainer.optimiser.zero_grad()
            _step_back(method, trainer)
            trainer.optimiser.step()
        return method.eval()

    def trainer(self, method: Method) -> Trainer:
        """Wrap a method for training on the example."""
        experiment = self.experiment(learning_rate=0.01, prefixes_per_user=4)
        return Trainer(
            method,
            SequenceData(Split.of(example.dataset()).train),
            experiment.training,
            experiment.protocol,
            sampling=self.sampling,
            axes=("example",),
            device=torch.device("cpu"),
        )

    def inputs(self) -> Batch:
        """Gather test-time histories of all users, of one item up to the maximum length."""
        data = SequenceData(Split.of(example.dataset()).history("test"))
        rows = histories(data, example.MAX_LENGTH)
        shorter = rows.length.minimum(1 + rows.user % example.MAX_LENGTH)
        return data.gather(replace(rows, length=shorter))

    def test_held_out_items_change_nothing_that_training_produces(self, tmp_path: Path) -> None:
        """The leakage canary: other held-out items, ratings, times and noise, the same weights."""
        data = example.dataset()
        for reading in self.readings if self.entry.needs_text else self.readings[:1]:
            found = []
            for name, source in (("data", data), ("twin", example.twin_of(data))):
                work = tmp_path / reading / name
                # One epoch: with more, validation may rightly pick another epoch's weights.
                result = self.run(work, source, reading, epochs=1)
                found.append((result.curve[0].loss, load_file(work / "checkpoint.safetensors")))
            (loss, tensors), (twins_loss, twins_tensors) = found
            assert loss == twins_loss, "held-out items changed the training loss"
            for key, tensor in tensors.items():
                assert torch.equal(tensor, twins_tensors[key]), f"held-out items changed {key}"

    def test_an_earlier_target_is_not_seen(self) -> None:
        """Training at every position must be causal: later items change no earlier prediction."""
        if self.sampling != "positions":
            return
        method = self.make()
        trainer = self.trainer(method)
        batch = trainer.data.gather(trainer.samples(0))
        rows = torch.arange(len(batch.users))
        last = batch.valid.sum(1) - 1
        other, targets = batch.items.clone(), batch.targets.clone()
        other[rows, last] = other[rows, last] % example.N_ITEMS + 1
        targets[rows, last] = 0  # predicted with the changed item in sight
        seen = [
            self._predictions(method, replace(batch, items=items, targets=targets))
            for items in (batch.items, other)
        ]
        example.assert_equal(*seen)

    def test_a_backbone_that_looks_ahead_never_predicts_before_the_end(self) -> None:
        """Batches for it have one target a row, after the last item; more are refused."""
        backbone = self.backbone_entry
        if backbone is None or backbone.causal or self.sampling == "windows":
            return
        with pytest.raises(ConfigError, match=f"{self.name}|{backbone.name}"):
            self.entry.sampling_for("positions", backbone)
        trainer = self.trainer(self.make())
        for epoch in range(2):
            batch = trainer.data.gather(trainer.samples(epoch))
            last = batch.valid & ~pad(batch.valid, (0, 1))[:, 1:]
            assert torch.equal(batch.targets > 0, last)

    @staticmethod
    def _predictions(method: Method, batch: Batch) -> Tensor:
        seen: list[Tensor] = []

        def listen(vectors: Tensor, table: Tensor, targets: Tensor) -> Tensor:
            del table, targets
            seen.append(vectors.detach())
            return vectors.sum(1)

        def listen_to_mean(vectors: Tensor, table: Tensor, targets: Tensor) -> Tensor:
            return listen(vectors, table, targets).sum()

        with (
            mock.patch.object(method, "next_item_loss", listen_to_mean, create=True),
            mock.patch.object(method, "target_loss", listen, create=True),
        ):
            torch.manual_seed(0)
            method.losses(batch)
        return torch.cat(seen)

    def test_runs_repeat_and_resume_bit_for_bit(self, tmp_path: Path) -> None:
        """Only named seeds decide on a CPU; a run stopped after its first epoch ends the same."""
        whole = self.run(tmp_path / "whole", epochs=2)
        torch.manual_seed(1)  # whatever was drawn before must not matter
        with pytest.raises(_StoppedError), self.texts(self.readings[0]):
            train.run_experiment(
                self.experiment(epochs=2), example.dataset(), tmp_path / "part", report=_stop
            )
        assert (tmp_path / "part" / "checkpoint.safetensors").exists()
        _assert_same(self.run(tmp_path / "part", epochs=2), whole)

    def test_shapes(self) -> None:
        """Vectors rank all items; decisions are about real interactions."""
        method, batch = self.make(), self.inputs()
        vectors, table = method.user_vectors(batch), method.item_vectors()
        assert table.shape[0] == example.N_ITEMS
        assert vectors.shape == (len(batch.users), table.shape[1])
        decided = method.denoise(batch)
        if decided is not None:
            assert decided.keep.shape == decided.score.shape == batch.items.shape
            assert decided.keep.dtype == torch.bool
            assert torch.isfinite(decided.score[batch.valid]).all()

    def test_evaluation_repeats_itself(self) -> None:
        """Evaluation draws from no shared generator, and leaves the model as it was."""
        method, batch = self.trained(), self.inputs()
        before = {key: value.clone() for key, value in method.state_dict().items()}
        found = []
        for seed in range(2):
            torch.manual_seed(seed)
            with torch.inference_mode():
                found.append(_answers(method, batch))
        example.assert_equal(*found)
        for key, value in method.state_dict().items():
            assert torch.equal(value, before[key]), f"evaluation changed {key}"

    def test_evaluation_reads_no_target(self) -> None:
        """What is to be predicted changes no vector."""
        method, batch = self.trained(), self.inputs()
        other = replace(batch, targets=batch.items)
        example.assert_equal(_answers(method, other), _answers(method, batch))

    def test_padding_invariance(self) -> None:
        """More padding changes nothing in evaluation."""
        method, batch = self.trained(), self.inputs()
        short = torch.nonzero(batch.valid.sum(1) <= example.MAX_LENGTH - 3).squeeze(1)
        wide = Batch(*(tensor[short] for tensor in vars(batch).values()))
        narrow = replace(
            wide,
            **{
                name: getattr(wide, name)[:, : example.MAX_LENGTH - 3]
                for name in ("items", "targets", "flat_index")
            },
        )
        found = _answers(method, narrow)
        expected = _answers(method, wide)
        for first, second in zip(found, expected, strict=True):
            example.assert_close(pad(first, (0, second.shape[1] - first.shape[1])), second)

    def test_batch_invariance(self) -> None:
        """A row's answers depend neither on its neighbours nor on its position among them."""
        method, batch = self.trained(), self.inputs()
        together = _answers(method, batch)
        for row in (0, 5, len(batch.users) - 1):
            one = Batch(*(tensor[row : row + 1] for tensor in vars(batch).values()))
            for whole, alone in zip(together, _answers(method, one), strict=True):
                example.assert_close(alone, whole[row : row + 1])

    def test_gradient_reaches_what_it_should(self) -> None:
        """Every parameter learns, unless declared, and none of it gets a NaN."""
        method = self.make()
        trainer = self.trainer(method)
        method.train()
        method.begin_epoch(0)
        torch.manual_seed(0)
        _step_back(method, trainer)
        for name, parameter in method.named_parameters():
            if parameter.requires_grad and not name.startswith(self.without_gradient):
                assert parameter.grad is not None, f"no gradient at {name}"
                assert torch.isfinite(parameter.grad).all(), name
                assert parameter.grad.abs().sum() > 0, f"zero gradient at {name}"

    def test_a_step_is_made_of_deterministic_operations(self) -> None:
        """No operation of a training step is one that torch knows to be nondeterministic."""
        before = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True, warn_only=False)
        try:
            self.trained()
        finally:
            torch.use_deterministic_algorithms(before)

    def test_no_memory_is_read_before_it_is_written(self) -> None:
        """New tensors filled with NaN change neither weights, losses nor answers."""
        found = []
        for filled in (False, True):
            with _new_memory_filled(filled):
                method, batch = self.make(), self.inputs()
                trainer = self.trainer(method)
                torch.manual_seed(0)
                losses = _losses(method.train(), trainer)
                answers = _answers(method.eval(), batch)
                found.append([*losses.values(), *method.state_dict().values(), *answers])
        example.assert_equal(*found)

    def test_shortest_and_longest_sequences(self) -> None:
        """One interaction, and as many as the protocol allows, in training and evaluation."""
        method = self.make()
        data = SequenceData(Split.of(example.dataset()).train)
        rows = histories(data, example.MAX_LENGTH)
        wanted = 0 if self.sampling in {"segments", "windows"} else 1
        for length in (1, example.MAX_LENGTH):
            long = torch.nonzero(data.lengths > length).squeeze(1)
            part = replace(
                rows.take(long),
                start=data.offsets[:-1][long],
                length=torch.full_like(long, length),
                targets=torch.full_like(long, wanted),
            )
            for size in (len(long), 1):
                batch = data.gather(part.take(torch.arange(size)))
                losses = method.train().losses(batch)
                assert all(torch.isfinite(value) for value in losses.values())
                vectors = method.eval().user_vectors(batch)
                assert torch.isfinite(vectors @ method.item_vectors().T).all()

    def test_missing_texts(self) -> None:
        """Without any text the model still trains and ranks."""
        if not self.entry.needs_text:
            return
        for reading in self.readings:
            method = self.make(reading, empty=True)
            trainer = self.trainer(method)
            losses = _losses(method.train(), trainer)
            assert all(torch.isfinite(value) for value in losses.values())
            assert torch.isfinite(method.eval().user_vectors(self.inputs())).all()


def _losses(method: Method, trainer: Trainer) -> dict[str, Tensor]:
    """Return the losses of the first epoch's samples."""
    return method.losses(trainer.data.gather(trainer.samples(0)))


def _step_back(method: Method, trainer: Trainer) -> None:
    """Add the gradients of these losses."""
    loss = sum(_losses(method, trainer).values(), torch.zeros(()))
    loss.backward()  # type: ignore[no-untyped-call]


@contextmanager
def _new_memory_filled(filled: bool) -> Iterator[None]:
    """Let torch fill new tensors with NaN, or leave their memory as it is."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = before  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(deterministic)


def _answers(method: Method, batch: Batch) -> list[Tensor]:
    """Return what evaluation reads: vectors, and decisions with zeros at padding."""
    with torch.no_grad():
        decided = method.denoise(batch)
        vectors = method.user_vectors(batch)
    if decided is None:
        return [vectors]
    score = decided.score.masked_fill(~batch.valid, 0)
    return [vectors, (decided.keep & batch.valid).float(), score.float()]


def _assert_same(found: ExperimentResult, expected: ExperimentResult) -> None:
    for row, other in zip(found.curve, expected.curve, strict=True):
        timed = {"seconds", "validation_seconds"}
        assert row.model_dump(exclude=timed) == other.model_dump(exclude=timed)
    for phase, ranks in expected.ranks.items():
        np.testing.assert_equal(found.ranks[phase].columns(), ranks.columns())
    for part, decisions in expected.decisions.items():
        np.testing.assert_equal(found.decisions[part].columns(), decisions.columns())
