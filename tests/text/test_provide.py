"""From an experiment to the vectors that its method reads."""

import numpy as np
import pytest
import torch
from made_up_store import make_experiment
from text_toys import CLEAN, HISTORIES, dataset

from bench.components import ENCODERS
from bench.data.split import Split
from bench.errors import ConfigError
from bench.model.batch import Rows, SequenceData
from bench.plan.grid import freeze, make_plan
from bench.plan.protocol import Protocol
from bench.plan.spec import Spec
from bench.plan.training import TrainingConfig
from bench.settings import Settings
from bench.text.prefixes import BETWEEN
from bench.text.provide import embed, request_for, requests_of, text_vectors_for


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))


settings = Settings.from_environment


def experiment(**settings):
    encoder = {"encoder": "random", "encoder_settings": {"size": 5, **settings}}
    return make_experiment("iadsr", dataset="toy", protocol=Protocol(max_length=3), **encoder)


def expected(text):
    """The vector of a text, asked for alone."""
    entry = ENCODERS.get("random")
    [vector] = entry.model_class()(entry.config_class()(size=5), settings()).encode([text])
    return torch.from_numpy(vector)


def pairs(data, phase="test"):
    """One row a user: the whole history before the phase's target."""
    inputs = SequenceData(Split.of(data).history(phase))
    users = torch.arange(data.n_users)
    length = inputs.lengths.clamp_max(3)
    start = inputs.offsets[1:] - length
    return inputs.gather(Rows(users, start, length, torch.zeros_like(length)))


def test_a_cell_without_encoder_has_no_text_vectors():
    assert (
        text_vectors_for(
            experiment().model_copy(update={"encoder": None}),
            dataset(),
            settings(),
        )
        is None
    )


def test_pooled_rows_are_the_items_texts():
    data = dataset()
    text_vectors = text_vectors_for(experiment(), data, settings())
    assert (text_vectors.pooled, text_vectors.size) == (True, 5)
    batch = pairs(data)
    found = text_vectors.vectors[text_vectors.rows(batch)]
    for row in range(data.n_users):
        for at in range(3):
            item = int(batch.items[row, at])
            text = CLEAN[item - 1] if item else ""
            wanted = expected(text) if text else torch.zeros(5)
            torch.testing.assert_close(found[row, at], wanted, rtol=0, atol=0)


@pytest.mark.parametrize("phase", ["validation", "test"])
def test_text_rows_are_the_texts_of_the_items_up_to_a_position(phase):
    data = dataset()
    text_vectors = text_vectors_for(experiment(reading="text"), data, settings())
    assert not text_vectors.pooled
    batch = pairs(data, phase)
    found = text_vectors.vectors[text_vectors.rows(batch)]
    drop = {"validation": 2, "test": 1}[phase]
    for row, history in enumerate(HISTORIES):
        inputs = history[:-drop]
        for at in range(int(batch.valid[row].sum())):
            end = int(batch.first[row]) + at + 1
            names = [CLEAN[item - 1] for item in inputs[max(0, end - 3) : end]]
            text = BETWEEN.join(name for name in names if name)
            wanted = expected(text) if text else torch.zeros(5)
            torch.testing.assert_close(found[row, at], wanted, rtol=0, atol=0)
    assert not text_vectors.rows(batch)[~batch.valid].any()


def test_without_texts_everything_is_row_zero_and_nothing_is_stored(tmp_path):
    text_vectors = text_vectors_for(experiment(texts="none"), dataset(), settings())
    assert (text_vectors.vectors == 0).all()
    assert not text_vectors.row_index.any()
    assert not (tmp_path / "cache").exists()


def test_what_it_cost_comes_along():
    assert text_vectors_for(experiment(), dataset(), settings()).metadata["texts"] == 4


SPEC = Spec(
    datasets=("planted",),
    backbones=("gru4rec", "sasrec"),
    methods=("none", "iadsr"),
    encoders=("random", "tfidf"),
    seeds=(1, 2),
    encoder_settings={"random": {"size": 4}},
)


def test_every_data_set_and_encoder_is_wanted_once():
    wanted = requests_of(SPEC, {"planted": dataset(name="planted")})
    assert {(one.dataset.name, one.encoder) for one in wanted} == {
        ("planted", "random"),
        ("planted", "tfidf"),
    }
    assert len(wanted) == 2
    assert wanted[0].config.size == 4
    assert requests_of(SPEC.with_changes({"methods": ["none"]}, ""), {}) == []


def test_the_joined_texts_are_as_long_as_the_protocol_allows():
    shorter = SPEC.with_changes({"protocol": {"max_length": 2}}, "")
    assert request_for(SPEC, dataset(), "random").max_length == 4
    assert request_for(shorter, dataset(), "random").max_length == 2


def test_embedding_beforehand_is_what_a_cell_reads(monkeypatch):
    from text_toys import Noting

    data, noting = dataset(name="planted"), Noting()
    embed(requests_of(SPEC, {"planted": data}), settings(), noting)
    assert noting.endings == [("planted/random", True), ("planted/tfidf", True)]
    monkeypatch.setattr("bench.text.encoders.random.model.RandomEncoder.encode", None)
    jobs = make_plan(SPEC, {"planted": data})
    [first, *_] = [planned.experiment for planned in jobs if planned.experiment.encoder == "random"]
    assert text_vectors_for(first, data, settings()).size == 4


def test_settings_of_a_strange_class_are_refused(monkeypatch):
    monkeypatch.setattr("bench.text.encoders.random.config.RandomConfig", TrainingConfig)
    with pytest.raises(ConfigError, match="make TrainingConfig extend"):
        SPEC.with_changes({"encoder_settings": {}}, "").encoder_config("random")


def test_variants_of_an_encoder_are_cells_of_their_own():
    from bench.plan.grid import GridPoint

    plain, altered = (
        freeze(GridPoint("planted", "gru4rec", "iadsr", name, 1), SPEC, dataset(name="planted"))
        for name in ("random", "random:texts=shuffled")
    )
    assert plain.key != altered.key
    assert altered.encoder_settings == {**plain.encoder_settings, "texts": "shuffled"}
    assert np.array_equal(plain.code, altered.code)
