"""One experiment as plain, frozen, hashed data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.components import BASELINE, VARIANT_MARK
from bench.config import Config
from bench.hashing import content_hash
from bench.numerics import Numerics
from bench.plan.protocol import Protocol, SplitRule, TemporalSplit
from bench.plan.training import LossName, TrainingConfig

IMPORTED = "imported:"
"""Before the name of a model that was trained elsewhere, in place of a method."""

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 that names a file or folder; anything else could name one outside the store."""
Moment = Annotated[float, Field(ge=0, lt=253_402_300_800)]
"""Seconds since 1970, until the last year with four digits."""


def key_of(content: Mapping[str, Any]) -> str:
    """Return the key of an experiment as plain data, as :attr:`Experiment.key`."""
    protocol = {name: v for name, v in content["protocol"].items() if name != "cutoffs"}
    return content_hash({**content, "protocol": protocol})


@cache
def _torch_minor() -> str:
    return ".".join(version("torch").split(".")[:2])


class Computation(Config):
    """How numbers are computed, which decides their last digits; by default, on one CPU thread.

    Attributes
    ----------
    torch
        Its minor version, such as ``2.13``.
    device
        Kind of device.
    numerics
        See :mod:`bench.numerics`; always ``native`` on a GPU.
    threads
        Of the arithmetic on a CPU, which decide the order of some sums; None on a GPU.
    """

    torch: str = Field(default_factory=_torch_minor)
    device: Literal["cpu", "cuda"] = "cpu"
    numerics: Numerics = "native"
    threads: int | None = Field(default=1, ge=1)


class Experiment(Config):
    """Everything that decides one result, and nothing else.

    Attributes
    ----------
    dataset, fingerprint
        Name of the data set and hash of its parsed content.
    backbone, backbone_settings
        Registered name and complete settings, defaults filled in; None and empty for a
        standalone method.
    method, method_settings
        Likewise.
    encoder, encoder_settings
        Registered name and complete settings of the text encoder, for methods that read texts.
    training, protocol
        Shared settings.
    seed
        The repetition; every random number derives from it and named axes.
    code
        Hash of the source that the result depends on.
    computation
        Versions and arithmetic; None in a result of a version of bench that did not record it.
    """

    dataset: str
    fingerprint: str
    backbone: str | None
    backbone_settings: dict[str, Any]
    method: str
    method_settings: dict[str, Any]
    encoder: str | None = None
    encoder_settings: dict[str, Any] = Field(default_factory=dict)
    training: TrainingConfig
    protocol: Protocol
    seed: int
    code: str
    computation: Computation | None = None

    @cached_property
    def key(self) -> str:
        """SHA-256 of the content; reading-only parts of the protocol are left out."""
        return self._hash(self.seed)

    @cached_property
    def kind(self) -> str:
        """What experiments have in common that differ only in the seed, as a hash."""
        return self._hash(None)

    def _hash(self, seed: int | None) -> str:
        return key_of({**self.model_dump(mode="json"), "seed": seed})

    @property
    def imported(self) -> bool:
        """Whether the model was trained elsewhere; then only its protocol is meaningful."""
        return self.method.startswith(IMPORTED)

    @property
    def is_bare(self) -> bool:
        """Whether it trains a bare backbone, which keeps every interaction."""
        return self.method.partition(VARIANT_MARK)[0] == BASELINE

    @property
    def label(self) -> str:
        """Short readable name: ``ml-100k/sasrec/none/seed 1``."""
        parts = self.dataset, self.backbone, self.method, self.encoder
        training = self.training
        return label_of(*parts, training.budget, self.seed, training.loss, self.protocol.split)

    @property
    def configuration(self) -> str:
        """The label without the seed: ``ml-100k/sasrec/none``."""
        return self.label.removesuffix(f"/seed {self.seed}")


def label_of(
    dataset: str,
    backbone: str | None,
    method: str,
    encoder: str | None,
    budget: str,
    seed: int,
    loss: LossName | None,
    split: SplitRule | None,
) -> str:
    """Join what an experiment consists of; what it lacks or has as usual is left out.

    Examples
    --------
    >>> label_of("ml-100k", "sasrec", "none", None, "paper", 1, "cross_entropy", None)
    'ml-100k/sasrec/none/seed 1'
    >>> label_of("ml-100k", "sasrec", "none", None, "quick", 1, "bpr", TemporalSplit(targets="all"))
    'ml-100k/sasrec/none/temporal:targets=all/bpr/quick/seed 1'
    """
    own_loss = None if loss == "cross_entropy" else loss
    own_budget = None if budget == "paper" else budget
    own_split = str(split) if isinstance(split, TemporalSplit) else None
    parts = [dataset, backbone, method, encoder, own_split, own_loss, own_budget, f"seed {seed}"]
    return "/".join(part for part in parts if part)
