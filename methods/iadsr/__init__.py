"""IADSR: align interests from behaviour with interests from item texts."""

from bench.components import MethodEntry, Variant

_NO_INFO = {"info_weight": 0.0}
_NO_RECON = {"recon_weight": 0.0}

METHOD = MethodEntry(
    name="iadsr",
    title="IADSR",
    summary="masks interactions where interests from behaviour and from item texts disagree",
    config="bench.methods.iadsr.config:IADSRConfig",
    model="bench.methods.iadsr.model:IADSR",
    citation=(
        "Interest Alignment for Denoising Sequential Recommendation. CIKM 2025, arXiv 2510.04239."
    ),
    needs_text=True,
    sampling="prefixes",
    cost=1.7,
    variants=(
        Variant(
            "without-both",
            "IADSR w/o both",
            "neither auxiliary loss: the masks are left to chance",
            {**_NO_INFO, **_NO_RECON},
        ),
        Variant("without-info", "IADSR w/o info", "no contrastive alignment", _NO_INFO),
        Variant("without-recon", "IADSR w/o recon", "no reconstruction", _NO_RECON),
        Variant(
            "short-only",
            "IADSR short-only",
            "short-term interests alone score and are aligned",
            {"interests": "short"},
        ),
        Variant(
            "long-only",
            "IADSR long-only",
            "long-term interests alone score and are aligned",
            {"interests": "long"},
        ),
        Variant(
            "published",
            "IADSR (published code)",
            "as the published script computes: nobody filtered, no mask on the input",
            {"theta": -1.0, "progressive": "none", "recon_target": "input"},
        ),
        Variant(
            "causal",
            "IADSR (causal masks)",
            "trains at all positions; a mask bit has seen no item after its own",
            {"progressive": "causal"},
            {"sampling": "positions"},
        ),
        Variant(
            "leaky",
            "IADSR (leaky)",
            "trains at all positions with masks of the last epoch, which have seen the targets",
            {"progressive": "leaky"},
            {"sampling": "positions"},
        ),
    ),
)
