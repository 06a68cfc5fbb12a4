"""Every method on every backbone on a GPU, held against the same weights on the CPU."""

import copy

import numpy as np
import pytest
import torch
from toys import data_of

from bench.components import BACKBONES, METHODS
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.evaluate.full_ranking import FullRanking
from bench.model.batch import Batch
from bench.runs import train
from bench.settings import Settings
from bench.testing import MethodTests, example
from bench.testing.methods import backbones_of
from bench.training.device import configure

pytestmark = pytest.mark.gpu

COMBINATIONS = [
    (method, backbone)
    for method in [*METHODS.names(), "none:cloze"]
    for backbone in backbones_of(method)
]


def _needs_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU is visible to torch")


@pytest.fixture(params=COMBINATIONS, ids=lambda pair: "-".join(filter(None, pair)))
def subject(request):
    """Helpers of the conformance tests for one method on one backbone."""
    _needs_gpu()
    method, backbone = request.param
    yield type("Tests", (MethodTests,), {"name": method, "backbone": backbone})()
    configure(torch.device("cpu"), 1)


@pytest.fixture
def gpu():
    return torch.device("cuda")


def moved(batch, device):
    return Batch(*(tensor.to(device) for tensor in vars(batch).values()))


def test_the_gpu_answers_as_the_cpu_does(subject, gpu):
    method, batch = subject.trained(), subject.inputs()
    on_gpu = copy.deepcopy(method).to(gpu)
    with torch.no_grad():
        expected = method.user_vectors(batch) @ method.item_vectors().T
        found = on_gpu.user_vectors(moved(batch, gpu)) @ on_gpu.item_vectors().T
        decided, decided_there = method.denoise(batch), on_gpu.denoise(moved(batch, gpu))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)
    if decided is not None:
        valid = batch.valid
        assert torch.equal(decided_there.keep.cpu()[valid], decided.keep[valid])
        torch.testing.assert_close(
            decided_there.score.cpu()[valid], decided.score[valid], rtol=1e-3, atol=1e-4
        )


def test_ranks_are_those_of_the_cpu(subject, gpu):
    method = subject.trained()
    split = Split.of(example.dataset())
    ranks = [
        FullRanking(split, "test", example.MAX_LENGTH, device).rank(model).columns()
        for device, model in (
            (torch.device("cpu"), method),
            (gpu, copy.deepcopy(method).to(gpu)),
        )
    ]
    assert ranks[0].keys() == ranks[1].keys()
    for name, column in ranks[0].items():
        # Scores that lie closer together than the arithmetic rounds may change places.
        assert (column == ranks[1][name]).mean() >= 0.9, name


@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "mixed"])
def test_a_cell_trains_on_the_gpu(subject, tmp_path, mixed):
    experiment = subject.experiment(epochs=3, mixed_precision=mixed, learning_rate=0.01)
    with subject.texts("pooled"):
        found = train.run_experiment(
            experiment, example.dataset(), tmp_path, Settings.from_environment(device="cuda")
        )
    assert found.metadata.device == "cuda"
    assert found.metadata.peak_gpu_bytes > 0
    losses = [row.loss for row in found.curve]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_without_dropout_the_losses_are_those_of_the_cpu(backbone, tmp_path):
    """Two epochs of training: another device, the same arithmetic."""
    _needs_gpu()
    plain = type("Tests", (MethodTests,), {"name": "none", "backbone": backbone})()
    fields = BACKBONES.get(backbone).config_class().model_fields
    settings = {name: 0.0 for name in fields if "dropout" in name}
    assert settings, "the backbone's dropout has another name now"
    experiment = plain.experiment(epochs=2)
    experiment = experiment.model_copy(
        update={"backbone_settings": experiment.backbone_settings | settings}
    )
    losses = []
    for device in ("cpu", "cuda"):
        found = train.run_experiment(
            experiment,
            example.dataset(),
            tmp_path / device,
            Settings.from_environment(device=device),
        )
        losses.append([row.loss for row in found.curve])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_million_items_rank_within_a_gigabyte_of_the_gpu():
    """Scores of 10,000 users are 40 GB: they are made in blocks."""
    _needs_gpu()

    class Random(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(1_000_001, 64)

        def item_vectors(self):
            return self.table.weight[1:]

        def user_vectors(self, batch):
            return self.table(batch.items).mean(1)

    generator = np.random.default_rng(0)
    items = generator.integers(1, 1_000_001, 10_000 * 8).astype(np.int32)
    sequences = Sequences.from_lengths(np.full(10_000, 8), items)
    split = Split.of(data_of(sequences, 1_000_000))
    gpu = torch.device("cuda")
    model = Random().to(gpu)
    torch.cuda.reset_peak_memory_stats()
    ranks = FullRanking(split, "test", 50, gpu).rank(model)
    assert 450_000 < (1 + ranks.better_all).mean() < 550_000
    assert torch.cuda.max_memory_allocated() < 2**30
