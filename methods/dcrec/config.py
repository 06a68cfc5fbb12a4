"""Settings of DCRec."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class DCRecConfig(Config):
    """Settings of DCRec; defaults are the official Beauty script's, without its faults.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding and of all views.
    blocks
        Number of attention blocks of the sequence encoder.
    heads
        Number of attention heads; must divide ``embedding_size``.
    inner_size
        Hidden size of the feed-forward layer.
    hidden_dropout
        Dropout rate of hidden states and of the item table that the graphs read.
    attention_dropout
        Dropout rate of attention weights.
    edge_dropout
        Dropout rate of the graphs' edges, in training only.
    convolutions
        Number of convolutions of each graph view.
    neighbours
        k, number of similar items of each item in the co-interaction graph.
    contrast_weight
        lambda1, weight of the contrasts.
    prior_weight
        lambda2, weight of the divergence from the prior.
    conformity
        mu, mean of the conformity weights over a batch and of their Gaussian prior.
    temperature
        tau of the contrasts.
    contrast
        ``infonce``, or ``grace``: symmetric, with a projection and negatives of both views.
    graph_norm
        ``single``: weights as built; ``double``: multiplied again by degree factors, after adding
        another loop to every node, as DGL does for the official code.
    co_direction
        ``pull``: an item gathers from the items similar to it; ``push``: from the items that it is
        similar to (official code).
    weights_from
        Graph passes from which conformity is computed: ``clean``, without dropout, or ``dropped``,
        like those for prediction (official code).
    neighbour_sample
        Largest number of neighbours averaged on each side; None = all. With a number, the own side
        is what the sampled foreign side leaves (official code).
    loop_is_neighbour
        Whether an item is its own foreign neighbour (official code).
    first_item_weight
        Conformity of the only item of a history; None: computed like any other.
    hide_target_edge
        Whether training fuses the perturbed graph, which holds no edge of the batch's users, in
        particular none to a prefix's own target.
    detach_weights
        Whether to stop the gradient of the contrasts at the conformity weights.
    """

    embedding_size: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    inner_size: int = Field(default=256, ge=1)
    hidden_dropout: float = Field(default=0.5, ge=0, lt=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    edge_dropout: float = Field(default=0.5, ge=0, lt=1)
    convolutions: int = Field(default=2, ge=1)
    neighbours: int = Field(default=4, ge=1)
    contrast_weight: float = Field(default=0.1, ge=0)
    prior_weight: float = Field(default=0.01, ge=0)
    conformity: float = Field(default=0.5, gt=0)
    temperature: float = Field(default=1.0, gt=0)
    contrast: Literal["infonce", "grace"] = "infonce"
    graph_norm: Literal["single", "double"] = "single"
    co_direction: Literal["pull", "push"] = "pull"
    weights_from: Literal["clean", "dropped"] = "clean"
    neighbour_sample: int | None = Field(default=None, ge=1)
    loop_is_neighbour: bool = False
    first_item_weight: float | None = Field(default=None, ge=0)
    hide_target_edge: bool = False
    detach_weights: bool = False

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError("heads must divide embedding_size")
        return self
