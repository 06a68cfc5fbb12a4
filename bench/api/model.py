"""A trained model, loaded from a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.errors import DataError, StoreError, whole_number
from bench.plan.experiment import Experiment
from bench.runs.stored import StoredExperiment
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.model.method import Method


def as_list(value: Any) -> list[Any]:
    """Return the values of an argument that takes one or several; a text is one."""
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return list(value) if several else [value]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """The method of a finished experiment with the weights of its best epoch.

    Users and items have the ids of the data set. The input is a user's history before the (last)
    test item, cut to the protocol's maximum length, as in evaluation.

    Attributes
    ----------
    experiment
        The experiment.
    split
        Its data, split.
    method
        A torch module in evaluation mode.
    device
        Where it computes, such as ``cpu``.
    """

    experiment: Experiment
    split: Split
    method: Method
    device: str

    @classmethod
    def load(cls, stored: StoredExperiment, split: Split, settings: Settings) -> TrainedModel:
        """Load the weights of an experiment from the store.

        Raises
        ------
        StoreError
            There are none, or they are damaged.
        """
        from bench.runs.train import load_method
        from bench.training.device import configure, select_device

        if stored.weights is None:
            raise StoreError(
                f"{stored.experiment.label} has no stored weights; run it again with "
                "keep='weights' (bench run ... --keep weights)"
            )
        device = select_device(settings.device)
        configure(device, settings.threads, settings.numerics)
        method = load_method(stored.experiment, split, stored.weights, settings)
        return cls(stored.experiment, split, method, str(device))

    @property
    def dataset(self) -> Dataset:
        """Data set; with a split by time, only the users and items of the training interactions."""
        return self.split.dataset

    def recommend(
        self, users: str | Iterable[str] | None = None, k: int = 10, *, unseen: bool = False
    ) -> pd.DataFrame:
        """Return the k items with the highest scores for each user.

        Parameters
        ----------
        users
            One id or several; None means all users with a test target.
        k
            Length of a list, less if there are fewer items to recommend.
        unseen
            Leave out the items of the user's history.

        Returns
        -------
        pandas.DataFrame
            ``user``, ``rank`` (from 1), ``item``, ``title`` and ``score``.
        """
        k = whole_number("k", k)
        import torch

        from bench.evaluate.full_ranking import FullRanking

        length = self.experiment.protocol.max_length
        ranking = FullRanking(self.split.latest(), "test", length, torch.device(self.device))
        lists = pd.DataFrame(ranking.top(self.method, k, unseen=unseen).columns())
        lists = lists[lists["score"] != -np.inf]  # the score of items left out
        if users is not None:
            lists = pd.DataFrame({"user": self._rows(users)}).merge(lists, on="user")
        items = lists["item"].to_numpy() - 1
        return pd.DataFrame(
            {
                "user": [self.dataset.user_ids[row] for row in lists["user"]],
                "rank": lists["rank"].to_numpy(),
                "item": [self.dataset.item_ids[item] for item in items],
                "title": [self.dataset.item_texts[item] for item in items],
                "score": lists["score"].to_numpy(),
            }
        )

    def user_vectors(self, users: str | Iterable[str] | None = None) -> NDArray[np.float32]:
        """Return float32 ``[users, D]``; the inner product with an item's vector is its score.

        Parameters
        ----------
        users
            One id or several, in the order of the rows; None means all users with a test target, in
            the order of the data set.
        """
        import torch

        from bench.evaluate.full_ranking import POSITIONS_PER_BLOCK
        from bench.model.batch import SequenceData
        from bench.model.samples import blocks, histories

        data = SequenceData(self.dataset.sequences)
        ends = torch.from_numpy(self.split.latest().targets_at["test"])
        rows = histories(data, self.experiment.protocol.max_length, ends)
        parts, order = [], []
        with torch.inference_mode():
            for block in blocks(rows, POSITIONS_PER_BLOCK):
                batch = data.gather(block).to(torch.device(self.device))
                order.append(batch.users.cpu().numpy())
                parts.append(self.method.user_vectors(batch).float().cpu().numpy())
        known = np.concatenate(order)
        vectors = np.concatenate(parts)[np.argsort(known)]
        if users is None:
            return vectors
        return vectors[np.searchsorted(np.sort(known), self._rows(users))]

    def item_vectors(self) -> NDArray[np.float32]:
        """Return float32 ``[items, D]``, in the order of ``dataset.item_ids``."""
        import torch

        with torch.inference_mode():
            vectors: NDArray[np.float32] = self.method.item_vectors().float().cpu().numpy()
        return vectors

    def denoise(self, users: str | Iterable[str] | None = None) -> pd.DataFrame:
        """Return the method's decisions about the history of each user.

        Parameters
        ----------
        users
            One id or several; None means all users with a test target.

        Returns
        -------
        pandas.DataFrame
            ``user``, ``position`` (0 = oldest), ``item``, ``keep`` and ``score`` (high = noise);
            empty if the method removes nothing.
        """
        import torch

        from bench.evaluate.decisions import read_decisions

        found = read_decisions(
            self.method,
            self.dataset.sequences,
            self.split.item_counts().astype(np.int32),
            self.experiment.protocol.max_length,
            torch.device(self.device),
            self.split.latest().targets_at["test"],
        )
        columns = ("user", "position", "item", "keep", "score")
        if found is None:
            return pd.DataFrame(columns=list(columns))
        frame = pd.DataFrame({name: getattr(found, name) for name in columns})
        if users is not None:
            frame = pd.DataFrame({"user": self._rows(users)}).merge(frame, on="user")
        frame["user"] = [self.dataset.user_ids[row] for row in frame["user"]]
        frame["item"] = [self.dataset.item_ids[item - 1] for item in frame["item"]]
        return frame

    def _rows(self, users: str | Iterable[str]) -> list[int]:
        users = as_list(users)
        tested = self.split.latest().users("test").tolist()
        known = {str(self.dataset.user_ids[row]): row for row in tested}
        try:
            return [known[str(user)] for user in users]
        except KeyError as error:
            raise DataError(
                f"data set '{self.dataset.name}' has no user {error} with a test target; see "
                "dataset.user_ids"
            ) from None
