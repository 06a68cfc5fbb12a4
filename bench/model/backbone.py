"""The interface of sequential recommenders that methods attach to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Sizes that the data set and the protocol give to a model.

    Attributes
    ----------
    n_users, n_items
        Users are 0 .. n_users - 1, items 1 .. n_items; item 0 is padding.
    max_length
        Maximum number of positions of a sequence.
    """

    n_users: int
    n_items: int
    max_length: int


class Backbone(nn.Module, ABC):
    """A sequence encoder over one item table.

    Concrete classes are built as :class:`BackboneFactory` says. Sequences are right-padded:
    position 0 is the oldest interaction, and ``valid`` marks a prefix of each row. The state after
    position t is a function of positions <= t only, unless :attr:`causal` is False: each state is
    then one of the whole row, and only the one at the last valid position may predict.

    Parameters
    ----------
    sizes
        Sizes of the data set.
    embedding_size
        D, width of the item table.
    state_size
        H, width of a state.

    Attributes
    ----------
    causal
        As in the descriptor.
    mask
        ``[D]``, the vector of a hidden item, if the backbone has one; else None.
    """

    causal: ClassVar[bool] = True
    mask: nn.Parameter | None

    def __init__(self, sizes: Sizes, embedding_size: int, state_size: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding_size = embedding_size
        self.state_size = state_size
        self.items = nn.Embedding(sizes.n_items + 1, embedding_size, padding_idx=0)
        self.register_parameter("mask", None)

    def embed(self, items: Tensor) -> Tensor:
        """Look items up: int64 ``[B, L]`` to ``[B, L, D]``; padding is zero, without gradient."""
        table: Tensor = self.items(items)
        return table

    @abstractmethod
    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Compute the state after each position.

        Parameters
        ----------
        x
            ``[B, L, D]`` embeddings, which a method may have masked, mixed or inserted.
        valid
            bool ``[B, L]``.
        users
            int64 ``[B]``, for backbones with a user embedding.

        Returns
        -------
        Tensor
            ``[B, L, H]``; states at padding are undefined.
        """

    def encode_hidden(self, x: Tensor, valid: Tensor) -> Tensor:
        """Compute ``[B, L, H]`` states of rows in which :attr:`mask` stands for some items.

        The state at a hidden item predicts it. Only for backbones with a mask.
        """
        return self.encode(x, valid)

    def encode_prefixes(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Compute the state after each position that knows no later one, ``[B, L, H]``.

        A causal backbone encodes once, another one each prefix by itself.
        """
        if self.causal:
            return self.encode(x, valid, users)
        lengths = range(1, x.shape[1] + 1)
        prefixes = [self.encode_last(x[:, :n], valid[:, :n], users) for n in lengths]
        return torch.stack(prefixes, 1)

    def encode_predicting(
        self,
        x: Tensor,
        valid: Tensor,
        targets: Tensor,
        users: Tensor | None = None,
        predicted: Tensor | None = None,
    ) -> Tensor:
        """Compute the states at the positions with a target, ``[M, H]``, row by row.

        Parameters
        ----------
        x, valid, users
            As for :meth:`encode`.
        targets
            int64 ``[B, L]``, 0 where nothing is predicted.
        predicted
            :attr:`Batch.predicted`, with which a GPU is not asked for their number.

        Raises
        ------
        ValueError
            As :meth:`check_targets`.
        """
        if predicted is None:
            predicted = torch.nonzero(targets.flatten()).squeeze(1)
        if self.causal:
            return self.encode(x, valid, users).flatten(0, 1).index_select(0, predicted)
        self.check_targets(valid, targets)
        rows = predicted.div(targets.shape[1], rounding_mode="floor")
        return self.encode_last(x, valid, users).index_select(0, rows)

    def check_targets(self, valid: Tensor, targets: Tensor) -> None:
        """Make sure that no state that predicts has seen its target.

        Raises
        ------
        ValueError
            The backbone is not causal and a target lies before the last position of its row.
        """
        if not self.causal and (targets[:, :-1] * valid[:, 1:]).any():
            raise ValueError(
                f"{type(self).__name__} is not causal: a target before the last position of a row "
                "is in sight of its own prediction; train on (prefix, next item) pairs"
            )

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Compute the state after the last valid position, ``[B, H]``."""
        last = valid.sum(1).clamp_min(1) - 1
        return self.encode(x, valid, users)[torch.arange(len(x), device=x.device), last]

    def encode_empty(self, users: Tensor) -> Tensor:
        """Compute the state of sequences without any item, ``[B, H]``: that of one zero vector.

        A backbone overrides it where its public implementation computes another one.
        """
        x = self.items.weight.new_zeros(len(users), 1, self.embedding_size)
        return self.encode_last(x, x.new_ones(len(users), 1, dtype=torch.bool), users)

    def project(self, states: Tensor) -> Tensor:
        """Map states ``[..., H]`` into the space of :meth:`item_vectors`, ``[..., S]``."""
        return states

    def item_embeddings(self) -> Tensor:
        """``[n_items, D]``: the table without its padding row."""
        return self.items.weight[1:]

    def item_vectors(self) -> Tensor:
        """Compute what projected states are multiplied with, ``[n_items, S]``."""
        return self.scoring_vectors(self.item_embeddings())

    def scoring_vectors(self, embeddings: Tensor) -> Tensor:
        """Turn :meth:`item_embeddings` into :meth:`item_vectors`; the same unless overridden.

        A backbone with output biases appends them here, and 1 to what it projects.
        """
        return embeddings

    def scores(self, states: Tensor) -> Tensor:
        """Score every real item: ``[..., H]`` to ``[..., n_items]``, column i = item i + 1."""
        return self.project(states) @ self.item_vectors().T

    def zero_padding(self) -> None:
        """Set the padding row to zero; call it after the weights are initialised."""
        with torch.no_grad():
            self.items.weight[0].zero_()


class BackboneFactory(Protocol):
    """How a backbone is built: what ``model`` of its descriptor names."""

    def __call__(self, config: Any, sizes: Sizes) -> Backbone:
        """Build the backbone and draw its weights.

        Parameters
        ----------
        config
            Its settings, of the class that the descriptor names.
        sizes
            Users, items and positions.
        """


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw linear maps and embeddings from N(0, std^2), zero biases, reset layer norms.

    The transformer's usual start (BERT, SASRec's public implementations).
    """

    def draw(part: nn.Module) -> Any:
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
        if isinstance(part, nn.Linear | nn.LayerNorm) and part.bias is not None:
            nn.init.zeros_(part.bias)

    module.apply(draw)
