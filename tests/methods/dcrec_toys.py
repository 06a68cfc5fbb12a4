"""Small data and dense counterparts for DCRec's tests."""

import numpy as np
import torch
from small_models import batch_of
from toys import training_data

from bench.data.sequences import Sequences
from bench.methods.dcrec.config import DCRecConfig
from bench.methods.dcrec.counting import edges_by_user, transitions
from bench.methods.dcrec.graphs import ItemGraph
from bench.methods.dcrec.model import DCRec
from bench.methods.dcrec.perturb import Perturbation
from bench.model.backbone import Sizes

ITEMS = 20
SMALL = {"embedding_size": 8, "inner_size": 12}
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "edge_dropout": 0.0}


def histories(users=30, items=ITEMS, seed=0, longest=9):
    generator = np.random.default_rng(seed)
    sizes = generator.integers(3, longest, users)
    return [generator.integers(1, items + 1, size).tolist() for size in sizes]


def counted(rows=None, nodes=ITEMS + 1):
    """A transition graph and, as a function of users, what their perturbation keeps."""
    sequences = Sequences.from_lists(rows or histories())
    matrix = transitions(sequences, nodes)
    graph, perturbation = ItemGraph(matrix), Perturbation(*edges_by_user(sequences, matrix))
    return graph, lambda users: perturbation.kept(torch.as_tensor(users), graph.edges)


def dense(graph, values=None):
    """The matrix of a graph with some values, ``[N, N]`` float64."""
    matrix = torch.zeros(graph.nodes, graph.nodes, dtype=torch.float64)
    values = graph.matrix.values if values is None else values
    matrix[graph.rows, graph.matrix.columns.long()] = values.double()
    return matrix


def model(rows=None, seed=0, spread=1.0, cache=None, **settings):
    """A small model; ``spread`` is the deviation of what it draws, so that views differ."""
    rows = rows or histories()
    sizes = Sizes(n_users=len(rows), n_items=ITEMS, max_length=8)
    data = training_data(sizes, rows, cache=cache)
    torch.manual_seed(seed)
    made = DCRec(DCRecConfig(**(SMALL | settings)), data)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1 or parameter is made.fusion.query:
                parameter.normal_(std=spread * parameter.shape[-1] ** -0.5)
        made.items.weight[0].zero_()
    return made


def batch(rows, users=None, targets=True):
    """Prefixes of some histories without their last item, which is the target."""
    users = list(range(len(rows))) if users is None else users
    width = max(len(row) for row in rows) - 1
    items = torch.zeros(len(rows), width, dtype=torch.long)
    following = torch.zeros_like(items)
    for number, row in enumerate(rows):
        items[number, : len(row) - 1] = torch.tensor(row[:-1])
        if targets:
            following[number, len(row) - 2] = row[-1]
    return batch_of(items, following, torch.tensor(users))
