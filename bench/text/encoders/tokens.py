"""What encoders with a tokenizer and a torch model share."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.plan.encoding import EncoderConfig
from bench.text.encoder import Encoder, Report, silent
from bench.text.encoders.batches import budget, token_batches

C = TypeVar("C", bound=EncoderConfig)


class TokenEncoder(Encoder[C]):
    """Encodes batches of texts of like length, without gradients.

    Attributes
    ----------
    tokens_per_batch
        Padding included; set when the encoder is opened.
    """

    device: torch.device
    tokens_per_batch: int

    def open(self, device: torch.device) -> None:
        """Load the weights onto a device; see :meth:`Encoder.open`."""
        self.versions()  # says what to install before an import fails
        _configure_libraries(offline=self.settings.offline)
        self.device = device
        self.tokens_per_batch = budget(device)
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
