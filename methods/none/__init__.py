"""No denoiser: the bare backbone, the baseline of every method."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="none",
    title="Base",
    summary="the bare backbone",
    config="bench.methods.none.config:NoneConfig",
    model="bench.methods.none.model:BareBackbone",
    citation="The backbone's own.",
    sampling="positions",
    either_sampling=True,
    variants=(
        Variant(
            "prefixes",
            "Base (prefixes)",
            "trained on as many (prefix, next item) pairs as denoisers that need them",
            {},
            {"sampling": "prefixes"},
        ),
        Variant(
            "cloze",
            "Base (cloze)",
            "trained to find hidden items of a history, on backbones with a mask, as BERT4Rec",
            {},
            {
                "sampling": "windows",
                "needs_mask": True,
                "config": "bench.methods.none.config:ClozeConfig",
                "model": "bench.methods.none.cloze:Cloze",
            },
        ),
    ),
)
