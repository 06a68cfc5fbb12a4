"""Settings of IADSR."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config

Progressive = Literal["recomputed", "carried", "causal", "leaky", "none"]


class IADSRConfig(Config):
    """Defaults are the paper's, and the published code's where the paper is silent.

    Attributes
    ----------
    theta
        Users whose long-term interests by behaviour and by text have at least this cosine are
        denoised; -1 denoises everyone, above 1 nobody.
    tau
        Temperature of the gate.
    tau_info
        Temperature of the contrastive losses.
    info_weight, recon_weight
        Of the contrastive and the reconstruction loss; 0 leaves it out.
    info_rows
        Most rows that a contrastive loss compares with each other; more are sampled down.
    interests
        Which interests score a position and are aligned: ``both``, ``short`` (the paper's
        short-only) or ``long`` (its long-only).
    pooling
        Collaborative long-term interest: ``max`` over the states, or the ``last`` state.
    progressive
        Masks on the training input, from the second epoch on. ``recomputed``: drawn from the
        unmasked prefix itself, in a pass without gradient. ``carried``: drawn in the epoch
        before, used where they had seen nothing beyond the present prefix. ``causal``:
        carried, each judged by its item and those before. ``leaky``: carried and used whatever
        they had seen. ``none``: no mask.
    recon_target
        Embeddings to be rebuilt: the ``original`` ones, or the masked ``input``.
    detach_target
        Send no gradient of the reconstruction into its target.
    denoise_at_inference
        Mask the input that is ranked with, too.
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
