"""DCRec's training step, as the published code computes it, on the weights of our model.

Per batch a deep copy of the graph, from which users' transitions are removed one by one;
neighbours of each row's last item as Python sets, at most ten of them drawn and averaged; padded
frames of 50 items; logits of a whole batch at once. The arithmetic is that of the preset
``dcrec:reference``. Sparse products are torch's own; those of the graph library that the published
code uses are compiled too.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from toys import training_data

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.methods.dcrec.config import DCRecConfig
from bench.methods.dcrec.conformity import conformity_channels, conformity_weights
from bench.methods.dcrec.contrast import infonce, prior_divergence
from bench.methods.dcrec.graphs import ItemGraph
from bench.methods.dcrec.model import DCRec
from bench.methods.parts.attention import PostNormBlock
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import prefixes

USERS, ITEMS, LENGTH = 22_363, 12_101, 50
"""Beauty's users and items, longest input of the published code."""
CHECKED = 128
"""Rows of the batch on which losses are compared."""
DRAWN = 10
"""Neighbours of each side that the published code draws at most."""


@dataclass(frozen=True, eq=False)
class EdgeList:
    """A graph as the published code holds it: edges with ends and weights."""

    source: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def of(cls, graph: ItemGraph) -> EdgeList:
        """Take the stored edges; they run into the rows."""
        return cls(graph.matrix.columns.long(), graph.rows, graph.matrix.values)

    def without(self, edges: set[int]) -> EdgeList:
        """Remove edges by number."""
        stays = torch.ones(len(self.weight), dtype=torch.bool)
        stays[list(edges)] = False
        return EdgeList(self.source[stays], self.target[stays], self.weight[stays])

    def dropped(self, rate: float) -> EdgeList:
        """Zero the weights of edges drawn with replacement."""
        weight = self.weight.clone()
        weight[torch.randint(len(weight), (int(rate * len(weight)),))] = 0
        return EdgeList(self.source, self.target, weight)

    def neighbours(self, nodes: int) -> list[set[int]]:
        """List the sources of each node's edges."""
        found: list[set[int]] = [set() for _ in range(nodes)]
        for source, target in zip(self.source.tolist(), self.target.tolist(), strict=True):
            found[target].add(source)
        return found


class Published:
    """The published step on our model's weights.

    Parameters
    ----------
    model
        Ours.
    train
        Histories; their last items are no part of the graph.
    limit
        Most neighbours of a side; None = all.
    """

    def __init__(self, model: DCRec, train: Sequences, limit: int | None) -> None:
        self.model, self.limit = model, limit
        graphs = model.training_graphs
        self.transition = EdgeList.of(graphs.transition)
        self.co_interaction = EdgeList.of(graphs.co_interaction)
        ends = zip(self.transition.source.tolist(), self.transition.target.tolist(), strict=True)
        self.number = {pair: edge for edge, pair in enumerate(ends)}
        self.histories = [row[:-1].tolist() for row in train]
        self.around = self.transition.neighbours(ITEMS + 1)

    def perturbed(self, users: list[int]) -> EdgeList:
        """Copy the graph and remove every transition of some users, both ways."""
        graph, gone = copy.deepcopy(self.transition), set()
        for user in users:
            history = self.histories[user]
            for before, after in pairwise(history):
                if before != after:
                    gone.add(self.number[before, after])
                    gone.add(self.number[after, before])
        return graph.without(gone)

    def read(self, left: EdgeList, last: list[int], views: Tensor) -> tuple[Tensor, Tensor]:
        """Average own and foreign neighbours of each row's last item."""
        remaining = left.neighbours(ITEMS + 1)
        own, foreign = [], []
        for item in last:
            outside = self.draw(remaining[item])
            own.append(self.mean(self.draw(self.around[item] - outside), views))
            foreign.append(self.mean(outside, views))
        return torch.stack(own), torch.stack(foreign)

    def draw(self, items: set[int]) -> set[int]:
        """Draw at most so many neighbours."""
        if self.limit is None or len(items) <= self.limit:
            return items
        return set(random.sample(sorted(items), self.limit))

    def mean(self, items: set[int], views: Tensor) -> Tensor:
        """Average views; zero of none."""
        return views[sorted(items)].mean(0) if items else torch.zeros_like(views[0])

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the parts of one step."""
        model, config = self.model, self.model.config
        lengths = batch.valid.sum(1)
        last = batch.items[torch.arange(len(batch.items)), lengths - 1]
        views = self.view(self.transition)
        similar = self.view(self.co_interaction)[last]
        left = self.perturbed(batch.users.tolist())
        other = self.view(left)[last]
        own, foreign = self.read(left, last.tolist(), views)
        found = conformity_channels(views[last], other, own, foreign)
        weights = conformity_weights(found, config.conformity, lengths, config.first_item_weight)
        state, again = self.encode(batch.items), self.encode(batch.items)
        fused = model.fusion(torch.stack([state, views[last], similar], 1))
        logits = fused @ model.items.weight.T
        logits[:, 0] = -torch.inf
        contrast = weights.omega * infonce(again, views[last], config.temperature)
        contrast = contrast + weights.psi * infonce(views[last], similar, config.temperature)
        prior = prior_divergence(weights.omega, config.conformity)
        return {
            "next_item": functional.cross_entropy(logits, batch.targets.sum(1)),
            "contrast": config.contrast_weight * contrast.mean(),
            "prior": config.prior_weight * prior,
        }

    def view(self, graph: EdgeList) -> Tensor:
        """View all items through a graph; degrees and loops are found anew in each convolution."""
        model, config = self.model, self.model.config
        table = functional.dropout(model.items.weight, config.hidden_dropout)
        graph = graph.dropped(config.edge_dropout)
        features, total = table, table
        for _ in range(config.convolutions):
            features = convolve(graph, features)
            total = total + features
        viewed: Tensor = model.graph_encoder.norm(total / (1 + config.convolutions) + table)
        return viewed

    def encode(self, items: Tensor) -> Tensor:
        """Encode the padded frame and take the last item's state."""
        encoder, config = self.model.encoder, self.model.config
        valid = items > 0
        x = self.model.items(items) + encoder.positions.weight[: items.shape[1]]
        x = functional.dropout(encoder.norm(x), config.hidden_dropout)
        for block in encoder.blocks:
            assert isinstance(block, PostNormBlock)
            x = self.block(block, x, valid)
        return x[torch.arange(len(items)), valid.sum(1) - 1]

    def block(self, block: PostNormBlock, x: Tensor, valid: Tensor) -> Tensor:
        """Attend over all places of the frame."""
        config = self.model.config
        q, k, v = (
            part.unflatten(-1, (config.heads, -1)).transpose(1, 2)
            for part in block.qkv(x).chunk(3, -1)
        )
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        logits = logits - 10_000.0 * ~valid[:, None, None]
        attention = functional.dropout(logits.softmax(-1), config.attention_dropout)
        mixed = block.out((attention @ v).transpose(1, 2).flatten(2))
        x = block.norm_attention(x + functional.dropout(mixed, config.hidden_dropout))
        fed = block.contract(functional.gelu(block.expand(x)))
        settled: Tensor = block.norm_feed(x + functional.dropout(fed, config.hidden_dropout))
        return settled


def convolve(graph: EdgeList, features: Tensor) -> Tensor:
    """Sum messages after one more loop at every node, divided by both ends' degrees."""
    loops = torch.arange(len(features))
    source, target = torch.cat([graph.source, loops]), torch.cat([graph.target, loops])
    weight = torch.cat([graph.weight, torch.ones(len(loops))])
    out, into = (torch.bincount(ends, minlength=len(loops)) for ends in (source, target))
    weight = weight * (out[source] * into[target]).float().rsqrt()
    shape = (len(loops), len(loops))
    ends = torch.stack([target, source])
    matrix = torch.sparse_coo_tensor(ends, weight, shape, check_invariants=True)
    gathered: Tensor = torch.sparse.mm(matrix, features)
    return gathered


def histories() -> Sequences:
    """Draw histories about as long, and items about as popular, as Beauty's."""
    generator = np.random.default_rng(0)
    lengths = np.minimum(2 + generator.geometric(0.2, USERS), 4 * LENGTH).astype(np.int64)
    weights = np.arange(1, ITEMS + 1) ** -0.6
    items = generator.choice(ITEMS, int(lengths.sum()), p=weights / weights.sum()) + 1
    return Sequences.from_lengths(lengths, items.astype(np.int32))


def model(train: Sequences, **settings: float) -> DCRec:
    """Build the reference preset with some settings."""
    torch.manual_seed(0)
    config = DCRecConfig.parse({**METHODS.get("dcrec:reference").defaults, **settings}, "oracle")
    return DCRec(config, training_data(Sizes(USERS, ITEMS, LENGTH), train)).train()


def some_batch(train: Sequences, rows: int, width: int | None = None) -> Batch:
    """Draw prefixes, padded to a width."""
    interactions, generator = SequenceData(train), torch.Generator().manual_seed(0)
    drawn = prefixes(interactions, LENGTH, 1, generator)
    batch = interactions.gather(drawn.take(torch.randperm(len(drawn), generator=generator)[:rows]))
    if width is None:
        return batch
    more = (0, width - batch.items.shape[1])
    return replace(
        batch,
        items=functional.pad(batch.items, more),
        targets=functional.pad(batch.targets, more),
        flat_index=functional.pad(batch.flat_index, more, value=-1),
    )


def compare(train: Sequences) -> float:
    """Return the largest difference of a loss of port and model, without dropout and drawing.

    The prior is left out: it is drawn on both sides.
    """
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "edge_dropout": 0.0}
    ours = model(train, **still, neighbour_sample=ITEMS)
    batch = some_batch(train, CHECKED)
    mine, theirs = ours.losses(batch), Published(ours, train, None).losses(batch)
    return max(
        float((mine[part] - theirs[part]).detach().abs()) for part in ("next_item", "contrast")
    )
