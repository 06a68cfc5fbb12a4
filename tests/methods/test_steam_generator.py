"""The insertion generator: causality, and greedy decoding against a loop over positions."""

import pytest
import torch
from steam_toys import END, MASK, N_ITEMS, batch_of, model_of, naive_edit, rows_of
from torch.nn import functional

from bench.methods.parts.ragged import Ragged
from bench.methods.steam.generator import argmax_class


def trm(block, z):
    """One causal post-norm block on ``[T, D]``, in plain matrices."""
    heads, width = block.heads, z.shape[-1]
    q, k, v = functional.linear(z, block.qkv.weight, block.qkv.bias).chunk(3, -1)
    mixed = []
    for part in range(heads):
        own = slice(part * width // heads, (part + 1) * width // heads)
        logits = q[:, own] @ k[:, own].T / (width / heads) ** 0.5
        future = torch.ones_like(logits, dtype=torch.bool).triu(1)
        mixed.append(torch.softmax(logits.masked_fill(future, -1e30), -1) @ v[:, own])
    z = block.norm_attention(z + block.out(torch.cat(mixed, -1)))
    return block.norm_feed(z + block.contract(functional.gelu(block.expand(z))))


def naive_decode(model, state):
    """Decode one position's tokens step by step."""
    encoder, generator = model.encoder, model.corrector.generator
    table = encoder.items.weight
    inputs, tokens = [state], []
    for step in range(generator.longest):
        rows = []
        for slot, vector in enumerate(inputs):
            times = step - slot + 1 if model.config.decode_positions == "cumulative" else 1
            rows.append(vector + times * encoder.positions.weight[slot])
        scores = trm(generator.block, torch.stack(rows))[-1] @ table.T
        if model.config.classes == "items":
            scores[0] = scores[MASK] = -torch.inf
        token = int(scores.argmax())
        tokens.append(token)
        if token == END:
            break
        inputs.append(table[token])
    return tokens + [0] * (generator.longest - len(tokens))


def states_of(model, rows):
    batch = batch_of(rows)
    return model.encoder(batch.items, Ragged(batch.valid))


@pytest.mark.parametrize("longest", [1, 3, 5])
@pytest.mark.parametrize("positions", ["fixed", "cumulative"])
@pytest.mark.parametrize("classes", ["items", "all"])
@torch.no_grad()
def test_decoding_equals_the_loop(longest, positions, classes):
    model = model_of(
        max_inserted=longest, decode_positions=positions, classes=classes, heads=2, seed=longest
    )
    states = states_of(model, rows_of(users=12))
    written = model.corrector.generator.decode(model.encoder, states)
    expected = [naive_decode(model, state) for state in states]
    assert written.tolist() == expected
    # Otherwise the comparison would say little.
    assert len({tuple(row) for row in expected}) > 3


@torch.no_grad()
def test_some_sequences_end_early_and_some_never():
    model = model_of()
    written = model.corrector.generator.decode(model.encoder, states_of(model, rows_of()))
    ended = (written == END).any(1)
    assert ended.any()
    assert (~ended).any()
    assert ((written == END).sum(1) <= 1).all()


@torch.no_grad()
def test_teacher_forcing_repeats_the_greedy_choice():
    model = model_of()
    states = states_of(model, rows_of())
    generator = model.corrector.generator
    written = generator.decode(model.encoder, states)
    read = generator(model.encoder, states, written)
    table, first = model.encoder.classes("generator")
    assert torch.equal(argmax_class(read, table, first), written[written > 0])


@torch.no_grad()
def test_a_logit_does_not_see_its_token_nor_later_ones():
    model = model_of()
    states = torch.randn(4, 16)
    tokens = torch.randint(1, N_ITEMS, (4, 5))
    read = model.corrector.generator(model.encoder, states, tokens).view(4, 5, -1)
    for step in range(5):
        changed = tokens.clone()
        changed[:, step:] = changed[:, step:] % N_ITEMS + 1
        other = model.corrector.generator(model.encoder, states, changed).view(4, 5, -1)
        torch.testing.assert_close(read[:, : step + 1], other[:, : step + 1], rtol=0, atol=1e-6)
        if step < 4:
            assert not torch.allclose(read[:, step + 1], other[:, step + 1])


@torch.no_grad()
def test_official_classes_may_write_padding_and_mask_which_insert_nothing():
    model = model_of(classes="all")
    # One of two opposite long vectors beats nearly every other class.
    model.encoder.items.weight[0] = 50 * torch.randn(16)
    model.encoder.items.weight[MASK] = -model.encoder.items.weight[0]
    batch = batch_of(rows_of())
    written = model.corrector.generator.decode(model.encoder, states_of(model, rows_of()))
    assert ((written == 0) | (written == MASK)).double().mean() > 0.5
    # Padding does not stop the decoder.
    assert ((written[:, :-1] == 0) & (written[:, 1:] > 0)).any()
    made = model.correct(batch.items)
    assert int(made.items.max()) <= N_ITEMS
    fair = model_of(classes="items")
    assert (fair.encoder.classes("generator")[0]).shape[0] == N_ITEMS + 1


@pytest.mark.parametrize("edits", ["all", "delete", "insert", "none"])
@torch.no_grad()
def test_correction_equals_the_loop(edits):
    rows = rows_of(seed=4)
    model = model_of(edits=edits)
    batch = batch_of(rows)
    made = model.correct(batch.items)
    longest = model.length - 1
    decided = []
    for row, items in enumerate(batch.items.tolist()):
        items = [item for item in items if item]
        one = torch.tensor([items])
        states = model.encoder(one, Ragged(one > 0))
        decisions = model.corrector.head(states).argmax(-1).tolist()
        decided.extend(decisions)
        tokens = [
            naive_decode(model, s) if d == 2 else [] for s, d in zip(states, decisions, strict=True)
        ]
        if edits in {"insert", "none"}:
            decisions = [0 if d == 1 else d for d in decisions]
        if edits in {"delete", "none"}:
            decisions = [0 if d == 2 else d for d in decisions]
        tokens = [[token for token in found if token] for found in tokens]
        expected = naive_edit(items, decisions, tokens)[-longest:]
        count = int(made.lengths[row])
        assert made.items[row, :count].tolist() == [item for item, _, _ in expected]
        assert made.anchor[row, :count].tolist() == [slot for _, slot, _ in expected]
        assert made.inserted[row, :count].tolist() == [new for _, _, new in expected]
    assert {0, 1, 2} == set(decided)


def test_ties_go_to_the_first_class():
    table = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    vectors = torch.tensor([[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]])
    assert argmax_class(vectors, table, 1).tolist() == [2, 1, 1]
    assert argmax_class(vectors[:0], table, 1).tolist() == []
