"""A data set with texts, and an encoder that remembers what it was asked."""

from __future__ import annotations

import hashlib

import numpy as np

from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.plan.encoding import EncoderConfig
from bench.settings import Settings
from bench.text.encoder import Encoder, silent

TEXTS = ["red shoe", "blue shoe", "", "green hat", "red shoe", "old  hat "]
CLEAN = ["red shoe", "blue shoe", "", "green hat", "red shoe", "old hat"]
HISTORIES = [[1, 2, 3, 4], [3, 3, 5, 1, 6], [6, 5, 4, 3, 2, 1], [1, 2, 4]]


def dataset(texts=TEXTS, histories=HISTORIES, name="toy"):
    return Dataset(
        name=name,
        fingerprint="toy",
        sequences=Sequences.from_lists(histories),
        user_ids=[f"u{user}" for user in range(len(histories))],
        item_ids=[f"i{item}" for item in range(1, len(texts) + 1)],
        item_texts=texts,
        max_length=4,
    )


def vector(text, size=3):
    """What :class:`Remembering` gives for a text, whatever stands beside it."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


class Remembering(Encoder):
    """Gives each text its own vector; notes every call, and fails where it is told to."""

    name = "remembering"

    def __init__(self, config=None, fails_at=None, scale=1.0):
        super().__init__(config or EncoderConfig(), Settings.from_environment())
        self.fails_at = fails_at
        self.scale = scale
        self.opened = 0
        self.calls = []

    def open(self, device):
        self.opened += 1

    def encode(self, texts, report=silent):
        if self.fails_at is not None and len(self.calls) == self.fails_at:
            raise KeyboardInterrupt
        self.calls.append(list(texts))
        report(len(texts), self.count_tokens(texts))
        return np.stack([vector(text) for text in texts]) * np.float32(self.scale)


class Noting:
    """A reporter that keeps what it receives."""

    def __init__(self):
        self.estimates = []
        self.texts = 0
        self.endings = []

    def started(self, estimate):
        self.estimates.append(estimate)

    def advanced(self, texts, tokens):
        self.texts += texts

    def ended(self, label, vectors, *, made):
        self.endings.append((label, made))
