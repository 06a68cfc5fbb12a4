"""DCRec's four graphs and the makers of their edges, from training interactions only."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from scipy import sparse
from torch import nn

from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.method import TrainingData

from .config import DCRecConfig
from .counting import Transitions, co_interactions, histories_of, transitions
from .graphs import ItemGraph
from .perturb import Perturbation

_LOG = logging.getLogger(__name__)


class GraphPair(nn.Module):
    """Transition and co-interaction graph of the same histories.

    Parameters
    ----------
    transition, co_interaction
        The matrices that views gather with.
    """

    def __init__(self, transition: sparse.csr_matrix, co_interaction: sparse.csr_matrix) -> None:
        super().__init__()
        self.transition = ItemGraph(transition)
        self.co_interaction = ItemGraph(co_interaction)

    def links(self) -> dict[str, int]:
        """Count the stored edges between different items of each graph."""
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
    """Count, normalise and index.

    Raises
    ------
    DataError
        No two items follow each other in a history, or no two have a user in common.
    """
    made, training = _pair(config, histories_of(data.train), data.sizes.n_items + 1)
    _, evaluation = _pair(config, data.train, data.sizes.n_items + 1)
    for name, pair in (("training", training), ("evaluation", evaluation)):
        _LOG.info("%s graphs, edges between different items: %s", name, pair.links())
        for relation, links in pair.links().items():
            if not links:
                raise DataError(
                    f"the {relation} graph of {name} has no edge between two items; dcrec needs "
                    "histories of more than two training interactions: use other data or methods"
                )
    return Built(training, evaluation, Perturbation(made))


def _pair(config: DCRecConfig, histories: Sequences, nodes: int) -> tuple[Transitions, GraphPair]:
    made = transitions(histories, nodes)
    similar = co_interactions(histories, nodes, config.neighbours)
    if config.co_direction == "push":
        similar = sparse.csr_matrix(similar.T)
        similar.sort_indices()
    return made, GraphPair(made.matrix, similar)
