"""BSARec: self-attention beside a rescaling of high frequencies."""

from bench.components import BackboneEntry, Variant

BACKBONE = BackboneEntry(
    name="bsarec",
    title="BSARec",
    summary="self-attention mixed with a filter that rescales high frequencies",
    config="bench.methods.backbones.bsarec.config:BSARecConfig",
    model="bench.methods.backbones.bsarec.model:BSARec",
    citation=(
        "Shin, Choi, Wi, Park. An Attentive Inductive Bias for Sequential Recommendation beyond "
        "the Self-Attention. AAAI 2024."
    ),
    causal=False,
    variants=(
        Variant(
            "zero-pads",
            "BSARec (zero pads)",
            "positions without an item stay zero, so that only items are filtered",
            {"pads": "zero"},
        ),
    ),
)
