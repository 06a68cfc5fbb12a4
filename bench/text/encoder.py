"""The interface of text encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from bench.errors import ConfigError
from bench.hashing import content_hash
from bench.plan.code_version import package_version
from bench.plan.encoding import EncoderConfig
from bench.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

C = TypeVar("C", bound=EncoderConfig)
Report = Callable[[int, int], None]
"""Called with the number of texts just encoded and of their tokens."""
EXTRA = "seqrec-denoise-bench[semantic]"


def silent(texts: int, tokens: int) -> None:
    """Report nothing."""
    del texts, tokens


class Encoder(ABC, Generic[C]):
    """A text encoder; its settings are known at once, its weights when :meth:`open` is called.

    Parameters
    ----------
    config
        Complete settings of the encoder.
    settings
        The cache's folder and whether the network may be used, for encoders with weights.

    Attributes
    ----------
    name
        Name of the encoder without variant; part of the fingerprint.
    libraries
        Distributions whose versions affect the vectors.
    fitted
        Whether the vectors also depend on the data set's item texts, by :meth:`fit`.
    """

    name: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]] = ()
    fitted: ClassVar[bool] = False

    def __init__(self, config: C, settings: Settings) -> None:
        self.config = config
        self.settings = settings

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the vector of a text: settings, weights, code, libraries."""
        return content_hash(
            {
                "name": self.name,
                "settings": self.config.own(),
                "weights": self.weights(),
                "code": package_version(type(self).__module__),
                "libraries": self.versions(),
            }
        )

    def versions(self) -> dict[str, str]:
        """Version of each of :attr:`libraries`; raise a ConfigError if one is not installed."""
        try:
            return {library: version(library) for library in self.libraries}
        except PackageNotFoundError as error:
            raise ConfigError(
                f"encoder '{self.name}' needs the package '{error.name}', which is not "
                f"installed; run: pip install '{EXTRA}'"
            ) from None

    def weights(self) -> str:
        """Return a hash of the weights; empty if there are none."""
        return ""

    def open(self, device: torch.device) -> None:
        """Load the weights, fetching them if they are missing.

        Parameters
        ----------
        device
            Where to compute.

        Raises
        ------
        ConfigError
            The weights are missing and cannot be fetched, or do not fit the settings.
        DataError
            Fetching them fails, or they are damaged.
        """
        del device

    def fit(self, texts: Sequence[str]) -> None:
        """Learn from the texts of all items of a data set; most encoders learn nothing.

        Parameters
        ----------
        texts
            The text of each item that has one; never any information on interactions.
        """
        del texts

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Count the tokens of some texts; words, unless the encoder has a tokenizer."""
        return sum(len(text.split()) for text in texts)

    @abstractmethod
    def encode(self, texts: Sequence[str], report: Report = silent) -> NDArray[np.float32]:
        """Turn texts into vectors.

        Parameters
        ----------
        texts
            None of them empty.
        report
            Called with the progress.

        Returns
        -------
        ndarray
            float32 ``[len(texts), S]``.
        """
