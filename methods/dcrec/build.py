"""DCRec's four graphs, from training interactions only, and the edges of each user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scipy import sparse
from torch import nn

from bench.data.sequences import Sequences
from bench.methods.parts.graphs import load_or_build, require_edges
from bench.model.method import TrainingData

from .config import DCRecConfig
from .counting import co_interactions, edges_by_user, training_histories, transitions
from .graphs import ItemGraph
from .perturb import Perturbation

REMEDIES = {
    "transition": "use data with histories of more than two training interactions",
    "co_interaction": "use data in which users share items",
}


class GraphPair(nn.Module):
    """Transition and co-interaction graph of the same histories.

    Parameters
    ----------
    transition, co_interaction
        Matrices of the graph convolutions.
    """

    def __init__(self, transition: sparse.csr_array, co_interaction: sparse.csr_array) -> None:
        super().__init__()
        self.transition = ItemGraph(transition)
        self.co_interaction = ItemGraph(co_interaction)

    def links(self) -> dict[str, int]:
        """Return the number of stored edges between different items of each relation."""
        return {"transition": self.transition.links, "co_interaction": self.co_interaction.links}


@dataclass(frozen=True, eq=False)
class DCRecGraphs:
    """All graphs of the model.

    Attributes
    ----------
    training
        Graphs of histories without the last training interaction, which is always a target.
    evaluation
        Graphs of all training interactions, for validation and test alike.
    perturbation
        Edges of the training transition graph by user.
    """

    training: GraphPair
    evaluation: GraphPair
    perturbation: Perturbation


def build_graphs(config: DCRecConfig, data: TrainingData) -> DCRecGraphs:
    """Build the graphs, or read them from the cache.

    Raises
    ------
    ConfigError
        A relation has no edge between two items.
    """
    histories, nodes = training_histories(data.train), data.sizes.n_items + 1
    training = _matrices(config, data.cache, histories, nodes)
    evaluation = _matrices(config, data.cache, data.train, nodes)
    perturbation = Perturbation(*edges_by_user(histories, training["transition"]))
    return DCRecGraphs(_pair(config, training), _pair(config, evaluation), perturbation)


def _matrices(
    config: DCRecConfig, cache: Path | None, histories: Sequences, nodes: int
) -> dict[str, sparse.csr_array]:
    graphs = load_or_build(
        "dcrec",
        cache,
        histories,
        {"nodes": nodes, "neighbours": config.neighbours},
        lambda: {
            "transition": transitions(histories, nodes),
            "co_interaction": co_interactions(histories, nodes, config.neighbours),
        },
        (transitions,),
    )
    require_edges({name: _without_loops(graph) for name, graph in graphs.items()}, REMEDIES)
    return graphs


def _without_loops(graph: sparse.csr_array) -> sparse.csr_array:
    links = graph.tocoo()
    different = links.row != links.col
    coordinates = (links.row[different], links.col[different])
    return sparse.csr_array((links.data[different], coordinates), graph.shape)


def _pair(config: DCRecConfig, graphs: dict[str, sparse.csr_array]) -> GraphPair:
    similar = graphs["co_interaction"]
    pushed = config.co_direction == "push"
    return GraphPair(graphs["transition"], sparse.csr_array(similar.T) if pushed else similar)
