"""Interests by behaviour and by meaning."""

import pytest
import torch
from iadsr_toys import HISTORIES, PREFIXES, SIZE, WITHOUT_TEXT, batch, padded, text_vectors

from bench.methods.iadsr.interests import (
    SemanticInterests,
    causal_collaborative_interests,
    collaborative_interests,
)
from bench.methods.parts.ragged import Ragged

H = 4


def semantic_interests(**kwargs):
    torch.manual_seed(1)
    return SemanticInterests(text_vectors(**kwargs), H)


def by_hand(module, histories):
    """Average the vectors first and project afterwards, one position at a time."""
    vectors, places = module.text_vectors.vectors, module.text_vectors.row_index
    shorts, longs = [], []
    for items in histories:
        found = [vectors[places[item]] for item in items if places[item] > 0]
        longs.append(module.long(torch.stack(found).mean(0)) if found else torch.zeros(H))
        for t in range(len(items)):
            up_to = [vectors[places[item]] for item in items[: t + 1] if places[item] > 0]
            shorts.append(module.short(torch.stack(up_to).mean(0)) if up_to else torch.zeros(H))
    return torch.stack(shorts), torch.stack(longs)


PREFIX_ITEMS = [[item for item in row if item] for row in PREFIXES.items.tolist()]


def test_pooled_interests_are_running_means_of_what_has_text():
    module = semantic_interests()
    found = module(PREFIXES, Ragged(PREFIXES.valid))
    short, long = by_hand(module, PREFIX_ITEMS)
    assert any(WITHOUT_TEXT in items for items in PREFIX_ITEMS)
    torch.testing.assert_close(found.short, short, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.long, long, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooled", [True, False])
def test_padding_changes_nothing(pooled):
    module = semantic_interests(pooled=pooled)
    longer = padded(PREFIXES)
    one = module(PREFIXES, Ragged(PREFIXES.valid))
    other = module(longer, Ragged(longer.valid))
    assert torch.equal(one.short, other.short)
    assert torch.equal(one.long, other.long)


def test_text_interests_are_the_rows_of_the_positions():
    module = semantic_interests(pooled=False)
    given = batch([0, 3], [3, 2], start=1)
    found = module(given, Ragged(given.valid))
    before_user_3 = sum(len(HISTORIES[user]) for user in range(3))
    # Row 0 means no text; row 1 is the first user's first interaction.
    own = [2, 3, 4, before_user_3 + 2, before_user_3 + 3]
    vectors = module.text_vectors.vectors
    torch.testing.assert_close(found.short, module.short(vectors[own]))
    torch.testing.assert_close(found.long, module.long(vectors[[4, before_user_3 + 3]]))


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("pooling", ["max", "last"])
def test_interests_so_far_are_those_of_each_prefix(pooled, pooling):
    module = semantic_interests(pooled=pooled)
    whole = batch([0], [6])
    tokens = Ragged(whole.valid)
    states = torch.randn(6, H)
    semantic, ours = (
        module.causal(whole, tokens),
        causal_collaborative_interests(states, tokens, pooling),
    )
    for length in range(1, 7):
        prefix = batch([0], [length])
        part = Ragged(prefix.valid)
        torch.testing.assert_close(semantic.long[length - 1], module(prefix, part).long[0])
        expected = collaborative_interests(states[:length], part, pooling).long[0]
        torch.testing.assert_close(ours.long[length - 1], expected)
    torch.testing.assert_close(semantic.short, module(whole, tokens).short)


def test_long_term_behaviour_leaves_padding_out():
    valid = torch.tensor([[True, True, False], [True, False, False]])
    tokens = Ragged(valid)
    states = torch.tensor([[-1.0, -5.0], [-2.0, -3.0], [-4.0, -4.0]])
    assert collaborative_interests(states, tokens, "max").long.tolist() == [
        [-1.0, -3.0],
        [-4.0, -4.0],
    ]
    assert collaborative_interests(states, tokens, "last").long.tolist() == [
        [-2.0, -3.0],
        [-4.0, -4.0],
    ]


def test_half_precision_vectors_are_read_as_float32():
    kept = text_vectors()
    module = semantic_interests()
    module.text_vectors = type(kept)(True, kept.vectors.half(), kept.row_index)
    found = module(PREFIXES, Ragged(PREFIXES.valid))
    assert found.short.dtype == torch.float32
    short, _ = by_hand(semantic_interests(), PREFIX_ITEMS)
    torch.testing.assert_close(found.short, short, atol=5e-3, rtol=0)


def test_vectors_are_neither_parameters_nor_buffers():
    module = semantic_interests()
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == {
        "short.weight": (H, SIZE),
        "long.weight": (H, SIZE),
    }
    module(PREFIXES, Ragged(PREFIXES.valid)).short.sum().backward()
    assert module.text_vectors.vectors.grad is None
    assert not module.text_vectors.vectors.requires_grad
