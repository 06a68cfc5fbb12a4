"""Conformance tests of backbones."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from bench.components import BACKBONES, BackboneEntry
from bench.model.backbone import Backbone, BackboneFactory, Sizes
from bench.testing.example import assert_close, assert_equal

_SIZES = Sizes(n_users=7, n_items=50, max_length=12)


def example_items(rows: int = 5, length: int = 9, seed: int = 0) -> Tensor:
    """Right-padded random item ids, int64 ``[rows, length]``; row r has r + 3 items at most."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(1, _SIZES.n_items + 1, (rows, length), generator=generator)
    lengths = torch.arange(3, rows + 3).clamp_max(length)
    return items * (torch.arange(length) < lengths[:, None])


def _users_of(items: Tensor) -> Tensor:
    """Return a user for each row, int64 ``[rows]``."""
    return torch.arange(len(items)) % _SIZES.n_users


class BackboneTests:
    """What must hold for every backbone."""

    name: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}

    @property
    def entry(self) -> BackboneEntry:
        """The backbone's descriptor."""
        return BACKBONES.get(self.name)

    def make(self, seed: int = 0) -> Backbone:
        """Build the backbone in evaluation mode with weights large enough to matter."""
        torch.manual_seed(seed)
        build: BackboneFactory = self.entry.model_class()
        backbone = build(self.entry.parse({self.name: self.settings}, self.name), _SIZES)
        with torch.no_grad():
            backbone.items.weight.mul_(4 / backbone.items.weight.std())
            backbone.items.weight[0].zero_()
        return backbone.eval()

    def states(self, backbone: Backbone, items: Tensor) -> Tensor:
        """Encode ids."""
        return backbone.encode(backbone.embed(items), items > 0, _users_of(items))

    def test_shapes(self) -> None:
        """States are [B, L, H], scores [B, L, items]."""
        backbone, items = self.make(), example_items()
        states = self.states(backbone, items)
        assert states.shape == (*items.shape, backbone.state_size)
        assert backbone.scores(states).shape == (*items.shape, _SIZES.n_items)

    def test_causality(self) -> None:
        """Changing item t changes a later state, and an earlier one only if declared."""
        backbone, items = self.make(), example_items(rows=1, length=3)
        assert backbone.causal == self.entry.causal, "descriptor and model differ"
        for place in range(1, 3):
            changed = items.clone()
            changed[0, place] = changed[0, place] % _SIZES.n_items + 1
            before, after = self.states(backbone, items), self.states(backbone, changed)
            if backbone.causal:
                assert_equal(before[:, :place], after[:, :place])
            else:
                # Otherwise positions are not mixed, or the backbone is causal.
                assert not torch.allclose(before[:, :place], after[:, :place])
            assert not torch.allclose(before[:, place], after[:, place])

    def test_a_prefix_knows_no_later_item(self) -> None:
        """Each state of ``encode_prefixes`` is the last one of a sequence that ends there."""
        backbone, items = self.make(), example_items()
        users = _users_of(items)
        states = backbone.encode_prefixes(backbone.embed(items), items > 0, users)
        for row in range(len(items)):
            for n in range(1, int((items[row] > 0).sum()) + 1):
                prefix = items[row : row + 1, :n]
                x, whose = backbone.embed(prefix), users[row : row + 1]
                assert_close(states[row, n - 1], backbone.encode_last(x, prefix > 0, whose)[0])

    def test_only_the_last_state_predicts_unless_causal(self) -> None:
        """Two targets in a row are refused where the first would be seen; one is read as such."""
        backbone, items = self.make(), example_items()
        x, valid, users = backbone.embed(items), items > 0, _users_of(items)
        last = valid & ~torch.nn.functional.pad(valid, (0, 1))[:, 1:]
        states = backbone.encode_predicting(x, valid, items * last, users)
        assert_close(states, backbone.encode_last(x, valid, users))
        if backbone.causal:
            states = backbone.encode_predicting(x, valid, items, users)
            assert_close(states, backbone.encode(x, valid, users)[valid])
            return
        with pytest.raises(ValueError, match="not causal"):
            backbone.encode_predicting(x, valid, items, users)

    def test_padding_invariance(self) -> None:
        """More padding changes no state."""
        backbone, items = self.make(), example_items()
        longer = torch.nn.functional.pad(items, (0, 3))
        real = items > 0
        states = self.states(backbone, longer)[:, : items.shape[1]]
        assert_close(self.states(backbone, items)[real], states[real])

    def test_batch_invariance(self) -> None:
        """A row's states do not depend on its neighbours in the batch."""
        backbone, items = self.make(), example_items()
        together, users = self.states(backbone, items), _users_of(items)
        for row in range(len(items)):
            one, whose = items[row : row + 1], users[row : row + 1]
            alone = backbone.encode(backbone.embed(one), one > 0, whose)
            real = one[0] > 0
            assert_close(together[row, real], alone[0, real])

    def test_last_state(self) -> None:
        """``encode_last`` is the state of ``encode`` at the last valid position."""
        backbone, items = self.make(), example_items()
        last = backbone.encode_last(backbone.embed(items), items > 0, _users_of(items))
        whole = self.states(backbone, items)
        expected = torch.stack([row[n - 1] for row, n in zip(whole, (items > 0).sum(1))])  # noqa: B905
        assert_close(last, expected)

    def test_one_item_and_full_length(self) -> None:
        """The shortest and the longest input give finite states."""
        backbone = self.make()
        for length in (1, _SIZES.max_length):
            states = self.states(backbone, torch.ones(2, length, dtype=torch.long))
            assert torch.isfinite(states).all()

    def test_dtype(self) -> None:
        """The backbone computes in the precision it is given."""
        backbone = self.make().double()
        states = self.states(backbone, example_items())
        assert states.dtype == torch.float64
        assert backbone.scores(states).dtype == torch.float64

    def test_gradient_reaches_everything_but_padding(self) -> None:
        """Every parameter learns; the padding row stays zero, without gradient."""
        backbone, items = self.make().train(), example_items()
        states = self.states(backbone, items)[items > 0]
        backbone.scores(states).logsumexp(-1).mean().backward()  # type: ignore[no-untyped-call]
        for name, parameter in backbone.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name
        table = backbone.items.weight
        assert table.grad is not None
        assert table.grad[0].abs().sum() == 0
        assert table[0].abs().sum() == 0

    def test_dropped_out_rows_differ(self) -> None:
        """Training mode is random, evaluation mode repeats itself bit for bit."""
        backbone, items = self.make(), example_items()
        assert_equal(self.states(backbone, items), self.states(backbone, items))
        backbone.train()
        real = items > 0
        drawn = [self.states(backbone, items)[real] for _ in range(2)]
        assert not torch.allclose(drawn[0], drawn[1])

    def test_save_and_load(self) -> None:
        """A state dict carries everything: a differently drawn twin takes over the states."""
        backbone, twin, items = self.make(0), self.make(1), example_items()
        real = items > 0
        expected = self.states(backbone, items)[real]
        assert not torch.allclose(self.states(twin, items)[real], expected)
        twin.load_state_dict(backbone.state_dict())
        assert_equal(self.states(twin, items)[real], expected)
