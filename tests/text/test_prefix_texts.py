"""Joined texts of prefixes against joining them one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_toys import dataset

from bench.data.noise import with_variants
from bench.errors import ConfigError
from bench.plan.encoding import EncoderConfig
from bench.plan.variants import Noise
from bench.text.prefixes import BETWEEN
from bench.text.texts import Corpus

NAMES = ["", "a", "b c", "a", "d"]
HISTORIES = st.lists(
    st.lists(st.integers(1, len(NAMES)), min_size=3, max_size=12), min_size=1, max_size=6
)


def joined(history, length):
    """Text of the last items up to each position; none for the last, which is never an input."""
    rows = []
    for end in range(1, len(history) + 1):
        names = [NAMES[item - 1] for item in history[max(0, end - length) : end]]
        rows.append(BETWEEN.join(name for name in names if name))
    return [*rows[:-1], ""]


@settings(max_examples=60)
@given(HISTORIES, st.integers(1, 8))
def test_every_position_has_the_text_of_the_items_up_to_it(histories, length):
    data = dataset(NAMES, histories)
    corpus = Corpus.of(data, EncoderConfig(reading="text"), length)
    texts = ["", *corpus.texts]
    expected = [text for history in histories for text in joined(history, length)]
    assert [texts[place] for place in corpus.row_index] == expected
    assert len(set(corpus.texts)) == len(corpus.texts)
    assert "" not in corpus.texts
    assert corpus.characters.tolist() == [len(text) for text in corpus.texts]
    assert np.array_equal(corpus.offsets, data.sequences.offsets)


def test_a_slice_gives_several_texts():
    corpus = Corpus.of(dataset(), EncoderConfig(reading="text"), 4)
    assert corpus.texts[1:3] == [corpus.texts[1], corpus.texts[2]]


def test_the_last_item_of_a_user_is_in_no_text():
    data = dataset(["a", "b", "only last"], [[1, 2, 1, 3], [2, 2, 3]])
    corpus = Corpus.of(data, EncoderConfig(reading="text"), 4)
    assert not [text for text in corpus.texts if "only last" in text]


def test_joined_texts_need_one_history_of_a_user():
    apart = with_variants(
        dataset(NAMES, [[1, 2, 3, 4]]), [Noise(kind="repeat", rate=0.5, histories="train")]
    )
    with pytest.raises(ConfigError, match="histories differ"):
        Corpus.of(apart, EncoderConfig(reading="text"), 4)
