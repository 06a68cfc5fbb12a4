"""The trainer: stopping, resuming, refusing."""

from __future__ import annotations

import random

import pytest
import torch
from safetensors import SafetensorError
from toys import training_data
from training_toys import SIZES, Opinionated, dataset, experiment, from_lists

from bench.data.split import Split
from bench.errors import StoreError, TrainingError, WriteError
from bench.model.batch import SequenceData
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig
from bench.runs.train import build_method
from bench.training import checkpoint
from bench.training.trainer import Trainer


def _trainer(method=None, config=None, data=None, **kwargs):
    split = Split.of(data or dataset())
    if method is None:
        torch.manual_seed(0)
        method = build_method(experiment(), training_data(SIZES, split.train))
    options = {"sampling": "positions", "axes": ("toy", 1), "device": torch.device("cpu")}
    return Trainer(
        method,
        SequenceData(split.train),
        config or TrainingConfig(epochs=6, batch_size=64),
        Protocol(max_length=8),
        **(options | kwargs),
    )


def _script(figures):
    remaining = iter(figures)
    return lambda _: next(remaining)


def _without_seconds(curve):
    return [row.model_dump(exclude={"seconds", "validation_seconds"}) for row in curve]


def _quiet(_):
    pass


class KilledError(Exception):
    pass


def test_stops_after_patience_and_keeps_the_best_weights(tmp_path):
    trainer = _trainer(config=TrainingConfig(epochs=50, patience=3, batch_size=64))
    snapshots = []

    def validate(method):
        snapshots.append({k: v.clone() for k, v in method.state_dict().items()})
        return [0.1, 0.5, 0.3, 0.5, 0.2, 0.9][len(snapshots) - 1]

    done = trainer.fit(validate, tmp_path / "c.safetensors", _quiet)
    assert (done.epoch, done.best_epoch, done.best_metric) == (5, 1, 0.5)
    for name, tensor in trainer.method.state_dict().items():
        torch.testing.assert_close(tensor, snapshots[1][name], rtol=0, atol=0)


def test_stops_at_the_last_epoch(tmp_path):
    done = _trainer().fit(_script([0.1 * n for n in range(9)]), tmp_path / "c", _quiet)
    assert done.epoch == 6
    assert [row.epoch for row in done.curve] == list(range(6))
    assert all(row.loss == pytest.approx(row.parts["next_item"]) for row in done.curve)
    assert done.curve[-1].loss < done.curve[0].loss


@pytest.mark.parametrize("killed_after", [1, 2, 5])
def test_resumes_bit_for_bit(tmp_path, killed_after):
    figures = [0.1, 0.3, 0.2, 0.4, 0.2, 0.1]
    whole = _trainer()
    expected = whole.fit(_script(figures), tmp_path / "whole", _quiet)

    def kill(progressed):
        if progressed.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        _trainer().fit(_script(figures), tmp_path / "part", kill)
    torch.manual_seed(12345)  # whatever another process has drawn must not matter
    resumed = _trainer()
    done = resumed.fit(_script(figures[killed_after:]), tmp_path / "part", _quiet)
    assert _without_seconds(done.curve) == _without_seconds(expected.curve)
    for name, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, resumed.method.state_dict()[name]), name


def test_a_finished_run_trains_no_further(tmp_path):
    trainer = _trainer()
    trainer.fit(_script([0.1] * 6), tmp_path / "c", _quiet)
    again = _trainer().fit(_script([]), tmp_path / "c", _quiet)
    assert again.epoch == trainer.state.epoch


def test_a_damaged_checkpoint_is_set_aside_and_the_training_starts_again(tmp_path, caplog):
    path = tmp_path / "c.safetensors"
    config = TrainingConfig(epochs=1, batch_size=64)
    expected = _trainer(config=config).fit(_script([0.1]), tmp_path / "whole", _quiet)
    path.write_bytes(b"no safetensors")
    done = _trainer(config=config).fit(_script([0.1]), path, _quiet)
    assert _without_seconds(done.curve) == _without_seconds(expected.curve)
    [record] = caplog.records
    assert "is damaged" in record.getMessage()
    assert (tmp_path / "c.safetensors.damaged").read_bytes() == b"no safetensors"


def test_a_flipped_bit_of_a_checkpoint_is_never_resumed_from(tmp_path):
    method = Opinionated()
    trainer = _trainer(method, TrainingConfig(epochs=1, batch_size=64))
    path = tmp_path / "c"
    trainer.fit(_script([0.1]), path, _quiet)
    content = path.read_bytes()
    expected = trainer.state.model_dump()
    weights = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    draw, resumed = random.Random(0), 0
    for place in draw.sample(range(8 * len(content)), 300):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)
        found = checkpoint.load(path, method, trainer.optimiser)
        if found is not None:
            state, best = found
            resumed += 1
            assert state.model_dump() == expected
            assert all(torch.equal(best[name], tensor) for name, tensor in weights.items())
    assert resumed < 10


def test_a_checkpoint_of_another_model_is_named(tmp_path):
    path = tmp_path / "c.safetensors"
    _trainer(Opinionated(), TrainingConfig(epochs=1)).fit(_script([0.1]), path, _quiet)
    with pytest.raises(StoreError, match=r"c\.safetensors belongs to another model .*; delete it"):
        _trainer().fit(_script([]), path, _quiet)


def test_a_full_disk_is_a_refusal_to_write(monkeypatch, tmp_path):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(WriteError, match=r"cannot write .*: No space left on device; free space"):
        _trainer().fit(_script([0.1]), tmp_path / "c", _quiet)


def test_nan_loss_is_refused_with_the_epoch(tmp_path):
    method = Opinionated()
    with torch.no_grad():
        method.table.weight[3, 0] = float("nan")
    with pytest.raises(TrainingError, match="loss 'size' became nan in epoch 1; lower"):
        _trainer(method).fit(_script([]), tmp_path / "c", _quiet)
    assert not (tmp_path / "c").exists()


def test_nothing_to_learn_is_refused(tmp_path):
    short = from_lists([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(TrainingError, match="no next item to learn"):
        _trainer(data=short).fit(_script([]), tmp_path / "c", _quiet)


def test_gradient_clipping_bounds_the_step(tmp_path):
    seen = []

    class Steep(Opinionated):
        def losses(self, batch):
            return {"steep": 1e6 * self.table.weight.sum()}

    trainer = _trainer(Steep(), TrainingConfig(epochs=1, clip_norm=0.5))
    step = trainer.optimiser.step
    trainer.optimiser.step = lambda: (
        seen.append(trainer.method.table.weight.grad.norm().item()),
        step(),
    )
    trainer.fit(_script([0.1]), tmp_path / "c", _quiet)
    assert seen
    assert max(seen) <= 0.5001


def test_samples_and_order_depend_on_named_axes_only():
    first = _trainer().samples(3)
    torch.manual_seed(99)
    torch.rand(10)
    assert torch.equal(first.start, _trainer(sampling="positions").samples(3).start)
    drawn = [_trainer(sampling="prefixes", axes=("toy", seed)).samples(0) for seed in (1, 2)]
    assert not torch.equal(drawn[0].length, drawn[1].length)


class Recorder(Opinionated):
    """Notes each batch that it learns from, and a random number that it draws for it."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def begin_epoch(self, epoch):
        self.epochs.append([])

    def losses(self, batch):
        ends = [index[index >= 0][-1].item() for index in batch.flat_index]
        self.epochs[-1].append((ends, torch.rand(()).item()))
        return super().losses(batch)


@pytest.fixture
def recorded(tmp_path):
    """Samples of two epochs in the order of training, and the noise of their batches."""

    def fit(sampling, seed=1, **settings):
        method = Recorder()
        config = TrainingConfig(epochs=2, batch_size=16, **settings)
        trainer = _trainer(method, config, sampling=sampling, axes=("toy", seed))
        trainer.fit(_script([0.1, 0.2]), tmp_path / f"{sampling} {seed}", _quiet)
        samples = [[end for ends, _ in epoch for end in ends] for epoch in method.epochs]
        return samples, [[noise for _, noise in epoch] for epoch in method.epochs]

    return fit


def test_noise_differs_between_epochs_and_batches(recorded):
    _, (first, second) = recorded("positions")
    assert len({*first, *second}) == len(first) + len(second)
    assert recorded("positions", seed=2)[1][0] != first


@pytest.mark.parametrize("sampling", ["prefixes", "segments"])
def test_samples_differ_between_epochs(recorded, sampling):
    (first, second), _ = recorded(sampling, prefixes_per_user=1)
    assert sorted(first) != sorted(second)


def test_windows_begin_elsewhere_each_epoch():
    trainer = _trainer(data=from_lists([[1] * 40, [2] * 40]))
    assert len({tuple(trainer.samples(epoch).start.tolist()) for epoch in range(5)}) > 1


def test_batches_come_in_another_order_each_epoch(recorded):
    (first, second), _ = recorded("last")  # always the same samples
    assert sorted(first) == sorted(second)
    assert first != second


def test_the_order_of_batches_is_independent_of_the_draw_of_samples(recorded):
    # Both are permutations of all pairs here: from one seed they would be one and the same.
    trainer = _trainer(config=TrainingConfig(prefixes_per_user=99), sampling="prefixes")
    rows = trainer.samples(0)
    drawn = (rows.start + rows.length - 1).tolist()
    (trained, _), _ = recorded("prefixes", prefixes_per_user=99)
    place = {end: index for index, end in enumerate(drawn)}
    order = [place[end] for end in trained]
    rank = {end: index for index, end in enumerate(sorted(drawn))}
    permutation = [rank[end] for end in drawn]
    assert sorted(order) == sorted(permutation) == list(range(len(drawn)))
    assert order != permutation


def test_weight_decay_moves_weights_without_a_gradient(tmp_path):
    class Flat(Opinionated):
        def losses(self, batch):
            return {"flat": 0 * self.table.weight.sum()}

    before, after = {}, {}
    for decay in (0.0, 0.5):
        trainer = _trainer(
            Flat(),
            TrainingConfig(epochs=1, batch_size=10**6, learning_rate=0.01, weight_decay=decay),
        )
        before[decay] = trainer.method.table.weight.detach().clone()
        trainer.fit(_script([0.1]), tmp_path / str(decay), _quiet)
        after[decay] = trainer.method.table.weight.detach()
    torch.testing.assert_close(after[0.0], before[0.0], rtol=0, atol=0)
    # Adam's first step has the size of the learning rate, whatever the gradient: decay * weight.
    expected = before[0.5] - 0.01 * before[0.5].sign()
    torch.testing.assert_close(after[0.5], expected, rtol=0, atol=1e-5)


def test_stopping_on_the_training_loss_ignores_validation(tmp_path):
    config = TrainingConfig(epochs=4, batch_size=64, learning_rate=0.01, stop_on="training_loss")
    trainer = _trainer(config=config)
    done = trainer.fit(_script([0.9, 0.1, 0.1, 0.1]), tmp_path / "c.safetensors", lambda _: None)
    losses = [row.loss for row in done.curve]
    assert losses == sorted(losses, reverse=True)
    assert (done.best_epoch, done.best_metric, done.best_criterion) == (3, 0.1, -losses[3])
