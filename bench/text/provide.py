"""Provide the text vectors that the method of an experiment reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from bench.components import ENCODERS
from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.display import display_for
from bench.model.text_vectors import TextVectors
from bench.plan.encoding import EncoderConfig
from bench.plan.experiment import Experiment
from bench.plan.grid import grid_points
from bench.plan.protocol import LEAVE_ONE_OUT, SplitRule
from bench.plan.spec import Spec
from bench.settings import Settings
from bench.text.display import EncodingDisplay
from bench.text.embed import vectors_of
from bench.text.encoder import Encoder
from bench.text.store import StoredVectors
from bench.text.texts import Corpus


@dataclass(frozen=True, eq=False)
class VectorRequest:
    """Text vectors of one data set by one encoder, a registered name with its variant.

    Attributes
    ----------
    config
        Complete settings of the encoder.
    max_length
        Items that a joined text has at most.
    """

    dataset: Dataset
    encoder: str
    config: EncoderConfig
    max_length: int

    def encoded(
        self, settings: Settings, display: EncodingDisplay
    ) -> tuple[Corpus, StoredVectors | None]:
        """Return texts and their vectors, encoded if they are missing; None without texts."""
        corpus = Corpus.of(self.dataset, self.config, self.max_length)
        if not len(corpus.texts):
            return corpus, None
        encoder: Encoder[Any] = ENCODERS.get(self.encoder).model_class()(self.config, settings)
        label = f"{self.dataset.name}/{self.encoder}"
        return corpus, vectors_of(encoder, corpus, label, display, settings.device)


def embed(
    requests: Iterable[VectorRequest],
    settings: Settings,
    display: EncodingDisplay,
    *,
    threads: int | None = None,
) -> None:
    """Encode what is missing, one data set and encoder after another.

    Parameters
    ----------
    requests, display
        What to encode, in this order, and what receives the progress.
    settings
        The cache's folder, the device, and whether the network may be used.
    threads
        Threads of the arithmetic on a CPU; None is torch's default, all cores or
        ``OMP_NUM_THREADS``. In numerics ``portable`` those of the settings count instead.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    for request in requests:
        request.encoded(settings, display)


def embed_texts(spec: Spec, datasets: Mapping[str, Dataset], settings: Settings) -> None:
    """Encode the texts that a specification's methods read, on all cores, and show the progress."""
    with display_for() as lines:
        embed(requests_of(spec, datasets), settings, EncodingDisplay(lines))


def requests_of(spec: Spec, datasets: Mapping[str, Dataset]) -> list[VectorRequest]:
    """List the vectors that the methods of a checked specification read, each once."""
    read = dict.fromkeys((c.source, c.encoder, c.split) for c in grid_points(spec) if c.encoder)
    return [
        request_for(spec, datasets[source], encoder, rule or LEAVE_ONE_OUT)
        for source, encoder, rule in read
        if encoder
    ]


def request_for(
    spec: Spec, dataset: Dataset, encoder: str, rule: SplitRule = LEAVE_ONE_OUT
) -> VectorRequest:
    """Complete the settings for one data set and encoder under a split."""
    length = spec.protocol_for(dataset.max_length).max_length
    if rule != LEAVE_ONE_OUT:
        dataset = Split.of(dataset, rule).dataset
    return VectorRequest(dataset, encoder, spec.encoder_config(encoder), length)


def text_vectors_for(
    experiment: Experiment, dataset: Dataset, settings: Settings
) -> TextVectors | None:
    """Return the vectors of an experiment's encoder; encode those that the cache lacks.

    The data set is that of the experiment's split. None if it has no encoder. Errors are those of
    :func:`bench.text.embed.vectors_of`.
    """
    if experiment.encoder is None:
        return None
    entry = ENCODERS.get(experiment.encoder)
    config = cast(
        "EncoderConfig",
        entry.config_class().parse(experiment.encoder_settings, f"encoder {entry.name}"),
    )
    length = experiment.protocol.max_length
    request = VectorRequest(dataset, experiment.encoder, config, length)
    corpus, vectors = request.encoded(settings, EncodingDisplay())
    return TextVectors(
        pooled=config.reading == "pooled",
        vectors=torch.zeros(1, 1) if vectors is None else torch.from_numpy(vectors.matrix),
        row_index=torch.from_numpy(corpus.row_index),
        offsets=None if corpus.offsets is None else torch.from_numpy(corpus.offsets),
        metadata={} if vectors is None else vectors.metadata,
    )
