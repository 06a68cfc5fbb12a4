"""Which text an item has, in each variant of the text-quality study."""

from collections import Counter

import numpy as np
from text_toys import CLEAN, TEXTS, dataset

from bench.plan.encoding import EncoderConfig
from bench.text.texts import Corpus, item_texts

MANY = dataset([f"name {item}" if item % 3 else "" for item in range(60)])


def test_real_texts_are_the_items_own_without_spare_blanks():
    assert item_texts(dataset(), "real") == CLEAN


def test_shuffled_texts_are_the_same_ones_on_other_items():
    real, shuffled = item_texts(MANY, "real"), item_texts(MANY, "shuffled")
    assert Counter(shuffled) == Counter(real)
    assert [bool(text) for text in shuffled] == [bool(text) for text in real]
    moved = [old != new for old, new in zip(real, shuffled, strict=True) if old]
    assert np.mean(moved) > 0.8
    assert shuffled == item_texts(MANY, "shuffled")
    assert shuffled != item_texts(dataset(MANY.item_texts, name="other"), "shuffled")


def test_random_texts_have_as_many_words_of_the_same_vocabulary():
    real, random = item_texts(MANY, "real"), item_texts(MANY, "random")
    assert [len(text.split()) for text in random] == [len(text.split()) for text in real]
    words = {word for text in real for word in text.split()}
    assert {word for text in random for word in text.split()} <= words
    assert random != real
    assert random == item_texts(MANY, "random")


def test_no_texts():
    assert item_texts(dataset(), "none") == [""] * len(TEXTS)
    assert not any(item_texts(dataset(["", ""]), kind) != ["", ""] for kind in ("real", "random"))


def test_equal_texts_share_a_row_and_missing_ones_have_row_zero():
    corpus = Corpus.of(dataset(), EncoderConfig(), max_length=4)
    assert corpus.texts == ["blue shoe", "green hat", "old hat", "red shoe"]
    assert corpus.row_index.tolist() == [0, 4, 1, 0, 2, 4, 3]
    assert corpus.characters.tolist() == [9, 9, 7, 8]
    assert corpus.offsets is None
    assert corpus.names == ["red shoe", "blue shoe", "green hat", "red shoe", "old hat"]


def test_shuffled_texts_need_no_other_vectors():
    real = Corpus.of(MANY, EncoderConfig(), 4)
    shuffled = Corpus.of(MANY, EncoderConfig(texts="shuffled"), 4)
    assert shuffled.digest() == real.digest()
    assert (shuffled.row_index != real.row_index).any()
