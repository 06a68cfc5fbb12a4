"""The two models that the package index carries; needs it once."""

import numpy as np
import pytest
import torch

from bench.components import ENCODERS
from bench.settings import Settings

pytestmark = pytest.mark.network
CPU = torch.device("cpu")


def opened(name, **settings):
    entry = ENCODERS.get(name)
    encoder = entry.model_class()(entry.config_class()(**settings), Settings.from_environment())
    encoder.open(CPU)
    return encoder


@pytest.fixture(scope="module")
def smollm2():
    return opened("smollm2")


def test_smollm2_knows_the_capital_of_france(smollm2):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    [folder] = smollm2.folders()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, low_cpu_mem_usage=True).eval()
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        [following] = model(**prompt).logits[:, -1].argmax(-1).tolist()
    assert tokenizer.decode(following) == " Paris"


def test_smollm2_has_no_token_of_several_digits(smollm2):
    tokens = smollm2.tokenizer.get_vocab()
    assert not [token for token in tokens if sum(sign.isdigit() for sign in token) > 1]


def test_smollm2_in_batches_is_plain_llm2vec(smollm2):
    texts = ["Toy Story", "GoldenEye (1995)", "Four Rooms", "Get Shorty and its many sequels"]
    assert type(smollm2.model).__name__ == "LLM2Vec"
    plain = smollm2.model.encode(texts, show_progress_bar=False, device="cpu").numpy()
    found = smollm2.encode(texts)
    assert found.shape == (4, 576)
    distance = np.linalg.norm(found - plain, axis=1) / np.linalg.norm(plain, axis=1)
    assert distance.max() < 1e-4


def test_minilm_finds_the_paraphrase():
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell sharply."]
    vectors = opened("minilm").encode(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
