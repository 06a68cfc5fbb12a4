"""Settings of IADSR."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config

Progressive = Literal["recomputed", "carried", "causal", "leaky", "none"]


class IADSRConfig(Config):
    """Settings of IADSR; the defaults are the paper's, or the published code's where it is silent.

    Attributes
    ----------
    theta
        Smallest cosine of the long-term interests at which a user is denoised; -1 denoises
        everyone, a value above 1 nobody.
    tau
        Temperature of the gate.
    tau_info
        Temperature of the contrastive losses.
    info_weight
        Weight of the contrastive losses; 0 leaves them out.
    recon_weight
        Weight of the reconstruction loss; 0 leaves it out.
    info_rows
        Largest number of rows in a contrastive loss; more are sampled down.
    interests
        Interests that score a position and are aligned: ``both``, ``short`` (the paper's
        short-only) or ``long`` (its long-only).
    pooling
        Collaborative long-term interest: ``max`` over the states, or the ``last`` state.
    progressive
        Masks on the training input, from the second epoch on. ``recomputed``: drawn from the
        unmasked prefix itself, in a pass without gradient. ``carried``: drawn in the previous
        epoch, used if they have seen nothing beyond the current prefix. ``causal``: carried, each
        drawn from its item and earlier ones. ``leaky``: carried and always used. ``none``: no mask.
    recon_target
        Target of the reconstruction: the ``original`` embeddings, or the masked ``input``.
    detach_target
        If True, stop the gradient of the reconstruction loss at its target.
    denoise_at_inference
        If True, also mask the input at inference.
    """

    theta: float = Field(default=-0.9, ge=-1, le=2)
    tau: float = Field(default=1.0, gt=0)
    tau_info: float = Field(default=0.1, gt=0)
    info_weight: float = Field(default=1.0, ge=0)
    recon_weight: float = Field(default=1.0, ge=0)
    info_rows: int = Field(default=512, ge=2)
    interests: Literal["both", "short", "long"] = "both"
    pooling: Literal["max", "last"] = "max"
    progressive: Progressive = "recomputed"
    recon_target: Literal["original", "input"] = "original"
    detach_target: bool = False
    denoise_at_inference: bool = False
