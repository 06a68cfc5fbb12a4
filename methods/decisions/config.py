"""Settings of decisions that are read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from bench.config import Config
from bench.errors import ConfigError
from bench.hashing import file_hash
from bench.settings import expanded


class DecisionsConfig(Config):
    """The file, and how to read its rows.

    Attributes
    ----------
    file
        CSV or Parquet file of decisions; the method's page lists its columns.
    sha256
        Hash of the file's content, part of the experiment's key. It is filled in from the file; if
        it is given, a file with other content is refused.
    threshold
        Quantile of the training interactions' scores: interactions that score higher are dropped.
        None reads the column ``keep``.
    targets
        ``kept``: dropped interactions are not predicted either, as if the data lacked them;
        ``all``: every training interaction remains a target, as for the denoisers of this package.
    unlisted
        Treatment of a user without any row: an ``error``, or keep all their interactions
        (``keep``).
    """

    file: str = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    threshold: float | None = Field(default=None, gt=0, le=1)
    targets: Literal["kept", "all"] = "kept"
    unlisted: Literal["error", "keep"] = "error"

    def resolved(self, cache: Path | None = None) -> Self:
        """Fill in the hash of the file."""
        del cache
        if self.sha256:
            return self
        if not self.file:
            raise ConfigError(
                "method 'decisions' needs a file; add --set decisions.file=decisions.csv"
            )
        try:
            found = file_hash(expanded(self.file))
        except OSError as error:
            raise ConfigError(
                f"cannot read decisions.file = {self.file}: {error.strerror}; check the path"
            ) from None
        return self.model_copy(update={"sha256": found})

    def check_data(self, dataset: object) -> None:
        """Read the file as the method will, if the file and the data set exist."""
        from bench.data.dataset import Dataset

        from .read import check_file

        if isinstance(dataset, Dataset) and expanded(self.file).is_file():
            check_file(self, dataset)
