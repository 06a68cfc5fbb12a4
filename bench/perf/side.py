"""One side of a comparison: what its epochs took and reached."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError


@dataclass(frozen=True)
class Side:
    """A training run as the comparison sees it.

    Attributes
    ----------
    name
        Whose run.
    targets
        Next-item targets of an epoch.
    training_seconds, evaluation_seconds
        Wall seconds of each epoch.
    validation
        NDCG@10 after each epoch.
    test
        Figures of the best weights, lower-case names as ``ndcg@10``.
    peak_memory_bytes
        Of the process.
    """

    name: str
    targets: int
    training_seconds: Sequence[float]
    evaluation_seconds: Sequence[float]
    validation: Sequence[float]
    test: dict[str, float]
    peak_memory_bytes: int

    @property
    def seconds_per_epoch(self) -> float:
        """Median training seconds of an epoch."""
        return statistics.median(self.training_seconds)

    @property
    def seconds_per_evaluation(self) -> float:
        """Median seconds of a full ranking of all users."""
        return statistics.median(self.evaluation_seconds)

    @property
    def best_validation(self) -> float:
        """Best validation NDCG@10."""
        return max(self.validation)

    def epochs_to(self, figure: float) -> int | None:
        """Epochs until validation NDCG@10 reached a figure; None if it never did."""
        for epoch, reached in enumerate(self.validation, start=1):
            if reached >= figure:
                return epoch
        return None

    def seconds_to(self, figure: float) -> float | None:
        """Wall seconds until validation NDCG@10 reached a figure; None if it never did."""
        epochs = self.epochs_to(figure)
        if epochs is None:
            return None
        return sum(self.training_seconds[:epochs]) + sum(self.evaluation_seconds[:epochs])

    @classmethod
    def read(cls, name: str, path: Path) -> Side:
        """Read the JSON lines that a side wrote.

        Raises
        ------
        BenchError
            The run did not come to its end.
        """
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        by_event = {row["event"]: row for row in rows}
        if "end" not in by_event:
            raise BenchError(f"{path} has no end: that run was cut off; run the benchmark again")
        epochs = [row for row in rows if row["event"] == "epoch"]
        return cls(
            name=name,
            targets=by_event["start"]["targets"],
            training_seconds=[row["training_seconds"] for row in epochs],
            evaluation_seconds=[row["evaluation_seconds"] for row in epochs],
            validation=[row["validation"]["ndcg@10"] for row in epochs],
            test=by_event["end"]["test"],
            peak_memory_bytes=by_event["end"]["peak_memory_bytes"],
        )
