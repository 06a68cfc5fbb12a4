"""The comparison of encoders: the same texts, honest batches, vectors that agree."""

import pytest
from embed import HEADERS, measure

from bench.errors import ConfigError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import tiny_models

    return tiny_models.llama(tmp_path_factory.mktemp("models") / "base")


@pytest.mark.slow
def test_three_sides_encode_the_same_texts(model):
    from tiny_models import TEXTS, tokenizer

    rows = measure("llm2vec", {"model": str(model)}, TEXTS, "cpu", repeats=2)
    found = [dict(zip(HEADERS, row, strict=True)) for row in rows]
    assert [row["side"] for row in found] == [
        "LLM2Vec.encode, arrival order",
        "LLM2Vec.encode, its own order",
        "ours",
    ]
    tokens = sum(len(tokenizer()(text)["input_ids"]) for text in TEXTS)
    assert {row["tokens"] for row in found} == {str(tokens)}
    assert found[0]["ratio"] == "1.00"
    assert max(float(row["difference"]) for row in found) < 1e-4
    assert max(float(row["of length"]) for row in found) < 1e-5


def test_plain_encode_gets_as_many_texts_as_our_batches_hold_on_average(model, monkeypatch):
    from tiny_models import TEXTS, tokenizer

    monkeypatch.setattr("bench.text.encoders.tokens.TOKENS_ON_CPU", 40)
    rows = measure("llm2vec", {"model": str(model)}, TEXTS, "cpu", repeats=1)
    mean = sum(len(tokenizer()(text)["input_ids"]) for text in TEXTS) / len(TEXTS)
    assert rows[0][1] == f"{round(40 / mean)} texts"
    assert rows[2][1] == "40 tokens"


def test_an_encoder_without_llm2vec_is_refused():
    with pytest.raises(ConfigError, match="does not go through LLM2Vec"):
        measure("random", {}, ["a"], "cpu", repeats=1)
