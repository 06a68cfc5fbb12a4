"""Settings of DCRec."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class DCRecConfig(Config):
    """Sizes and weights of the official Beauty script, with its defects mended.

    Attributes
    ----------
    embedding_size
        D, width of the item table and of all views.
    blocks, heads
        Attention blocks of the sequence encoder, and heads in each.
    inner_size
        Width of the feed-forward layer.
    hidden_dropout, attention_dropout
        Of hidden states and of the item table that the graphs read; of attention weights.
    edge_dropout
        Of the graphs' edges, in training only.
    convolutions
        Of each graph view.
    neighbours
        k, similar items of each item in the co-interaction graph.
    contrast_weight, prior_weight
        lambda1 and lambda2, of the contrasts and of the divergence from the prior.
    conformity
        mu, mean of the conformity weights over a batch and of their Gaussian prior.
    temperature
        tau of the contrasts.
    contrast
        ``infonce``, or ``grace``: symmetric, with a projection and negatives of both views.
    graph_norm
        ``single``: weights as built; ``double``: multiplied once more by degree factors, after
        adding one more loop to every node, as DGL does for the official code.
    co_direction
        ``pull``: an item gathers from the items similar to it; ``push``: from the items that
        it is similar to (official code).
    weights_from
        Graph passes that conformity is read from: ``clean`` ones without dropout, or those
        ``dropped`` like the passes for prediction (official code).
    neighbour_sample
        Most neighbours that are averaged on each side; None = all. With a number, the own
        side is what the sampled foreign side leaves over (official code).
    loop_is_neighbour
        Whether an item is its own foreign neighbour (official code).
    first_item_weight
        Conformity of the only item of a history; None = as any other.
    hide_target_edge
        Whether training fuses the perturbed graph, in which no user of the batch has left an
        edge, a prefix's own answer among them.
    detach_weights
        Whether the conformity weights pass no gradient through the contrasts.
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
