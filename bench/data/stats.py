"""The figures of a data set that papers print: users, items, actions, length, sparsity."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.dataset import Dataset


@dataclass(frozen=True)
class Stats:
    """One row of a paper's table of data sets.

    Attributes
    ----------
    users, items, actions
        Numbers of users, items and interactions.
    average_length
        Interactions per user.
    sparsity
        Share of user-item pairs without interaction, 0 to 1; an item that a user meets twice
        counts twice, as papers do.
    """

    users: int
    items: int
    actions: int
    average_length: float
    sparsity: float

    @classmethod
    def of(cls, dataset: Dataset) -> Stats:
        """Count."""
        users, items, actions = dataset.n_users, dataset.n_items, dataset.n_interactions
        return cls(users, items, actions, actions / users, 1 - actions / users / items)

    def row(self) -> dict[str, str]:
        """Texts by column title, rounded as in papers.

        Examples
        --------
        >>> list(Stats(2, 5, 6, 3.0, 0.4).row().values())
        ['2', '5', '6', '3.0', '40.00 %']
        """
        return {
            "users": f"{self.users:,}",
            "items": f"{self.items:,}",
            "actions": f"{self.actions:,}",
            "avg. length": f"{self.average_length:.1f}",
            "sparsity": f"{self.sparsity:.2%}".replace("%", " %"),
        }
