"""What encoders with a tokenizer and a torch model share: batches of texts of like length."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bench.plan.encoding import EncoderConfig
from bench.text.encoder import Encoder, Report, silent

C = TypeVar("C", bound=EncoderConfig)
TOKENS_ON_CPU = 1024
"""Tokens of a batch, padding included. With more, the states of a small model leave the
processor's cache, and it gets slower."""
TOKENS_ON_GPU = 16_384


class TokenEncoder(Encoder[C]):
    """Encodes batches of texts of like length, without gradients.

    ``tokens_per_batch``, padding included, is set when the encoder is opened.
    """

    device: torch.device
    tokens_per_batch: int

    def open(self, device: torch.device) -> None:
        """Load the weights onto a device; see :meth:`Encoder.open`."""
        self.versions()  # says what to install before an import fails
        _configure_libraries(offline=self.settings.offline)
        self.device = device
        self.tokens_per_batch = TOKENS_ON_GPU if device.type == "cuda" else TOKENS_ON_CPU
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what transformers 4.45 would do
            self.load(device)

    @abstractmethod
    def load(self, device: torch.device) -> None:
        """Load tokenizer and model."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> list[Any]:
        """Return the tokens of each text: anything that has a length."""

    @abstractmethod
    def forward(self, rows: Sequence[Any]) -> Tensor:
        """Turn one batch of tokenized texts into vectors ``[rows, S]``."""

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Count the tokens of some texts."""
        return sum(map(len, self.tokenize(texts)))

    def encode(self, texts: Sequence[str], report: Report = silent) -> NDArray[np.float32]:
        """Turn texts into vectors; see :meth:`Encoder.encode`."""
        rows = self.tokenize(texts)
        lengths = [len(row) for row in rows]
        vectors: NDArray[np.float32] | None = None
        for batch in token_batches(lengths, self.tokens_per_batch):
            with torch.inference_mode():
                found = self.forward([rows[at] for at in batch]).float().cpu().numpy()
            if vectors is None:
                vectors = np.empty((len(texts), found.shape[1]), dtype=np.float32)
            vectors[batch] = found
            report(len(batch), sum(lengths[at] for at in batch))
        return np.empty((0, 0), dtype=np.float32) if vectors is None else vectors


def _configure_libraries(*, offline: bool) -> None:
    """Set what Hugging Face's libraries read when they are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # worker processes are forked off
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def token_batches(lengths: Sequence[int], tokens: int) -> Iterator[NDArray[np.int64]]:
    """Group texts so that little of a batch is padding; yield int64 indices of its texts.

    Texts are sorted by length in tokens, the longest first; a batch is as many as fit into a
    number of tokens when each is as long as its longest, and one at least.

    Examples
    --------
    >>> [batch.tolist() for batch in token_batches([3, 9, 4, 3], 10)]
    [[1], [2, 0], [3]]
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(sizes[order[start]]), 1)
        stop = start + max(tokens // longest, 1)
        yield order[start:stop]
        start = stop


def padded(rows: Sequence[Sequence[int]], fill: int, *, left: bool) -> Tensor:
    """Stack ragged rows of whole numbers to int64 ``[rows, longest]``.

    Parameters
    ----------
    rows, fill
        The rows, and what stands where one has no number.
    left
        Whether rows end together instead of beginning together.

    Examples
    --------
    >>> padded([[1, 2, 3], [4]], 0, left=True).tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    step = -1 if left else 1
    tensors = [torch.tensor(row[::step], dtype=torch.int64) for row in rows]
    whole = pad_sequence(tensors, batch_first=True, padding_value=fill)
    return whole.flip(1) if left else whole
