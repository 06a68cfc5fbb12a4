"""FMLP-Rec: learnt filters over time in place of attention."""

from bench.components import BackboneEntry, Variant

BACKBONE = BackboneEntry(
    name="fmlp",
    title="FMLP-Rec",
    summary="learnt filters of frequencies over time",
    config="bench.methods.backbones.fmlp.config:FMLPConfig",
    model="bench.methods.backbones.fmlp.model:FMLP",
    citation=(
        "Zhou, Yu, Zhao, Wen. Filter-enhanced MLP is All You Need for Sequential "
        "Recommendation. WWW 2022."
    ),
    causal=False,
    variants=(
        Variant(
            "zero-pads",
            "FMLP-Rec (zero pads)",
            "positions without an item stay zero, so that only items are filtered",
            {"pads": "zero"},
        ),
    ),
)
