"""DCRec's four graphs, from training interactions only, and who made their edges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scipy import sparse
from torch import nn

from bench.data.sequences import Sequences
from bench.methods.parts.graphs import cached, refuse_empty
from bench.model.method import TrainingData

from .config import DCRecConfig
from .counting import co_interactions, histories_of, makers, transitions
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
        The matrices that views gather with.
    """

    def __init__(self, transition: sparse.csr_array, co_interaction: sparse.csr_array) -> None:
        super().__init__()
        self.transition = ItemGraph(transition)
        self.co_interaction = ItemGraph(co_interaction)

    def links(self) -> dict[str, int]:
        """Count the stored edges between different items of each relation."""
        return {"transition": self.transition.links, "co_interaction": self.co_interaction.links}


@dataclass(frozen=True, eq=False)
class Built:
    """What the model reads.

    Attributes
    ----------
    training
        Of histories without the last training interaction, which is always a target.
    evaluation
        Of all training interactions, for validation and test alike (section 3.5).
    perturbation
        Who made the edges of the training transition graph.
    """

    training: GraphPair
    evaluation: GraphPair
    perturbation: Perturbation


def build_graphs(config: DCRecConfig, data: TrainingData) -> Built:
    """Count, normalise and index, or read what an earlier run has counted.

    Raises
    ------
    ConfigError
        A relation has no edge between two items.
    """
    histories, nodes = histories_of(data.train), data.sizes.n_items + 1
    training = _matrices(config, data.cache, histories, nodes)
    evaluation = _matrices(config, data.cache, data.train, nodes)
    perturbation = Perturbation(*makers(histories, training["transition"]))
    return Built(_pair(config, training), _pair(config, evaluation), perturbation)


def _matrices(
    config: DCRecConfig, cache: Path | None, histories: Sequences, nodes: int
) -> dict[str, sparse.csr_array]:
    graphs = cached(
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
    refuse_empty({name: _without_loops(graph) for name, graph in graphs.items()}, REMEDIES)
    return graphs


def _without_loops(graph: sparse.csr_array) -> sparse.csr_array:
    links = graph.tocoo()
    different = links.row != links.col
    places = (links.row[different], links.col[different])
    return sparse.csr_array((links.data[different], places), graph.shape)


def _pair(config: DCRecConfig, graphs: dict[str, sparse.csr_array]) -> GraphPair:
    similar = graphs["co_interaction"]
    pushed = config.co_direction == "push"
    return GraphPair(graphs["transition"], sparse.csr_array(similar.T) if pushed else similar)
