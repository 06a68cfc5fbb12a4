"""Caser: convolutions over the most recent items."""

from bench.components import BackboneEntry, Variant

BACKBONE = BackboneEntry(
    name="caser",
    title="Caser",
    summary="horizontal and vertical convolutions over the last few items",
    config="bench.methods.backbones.caser.config:CaserConfig",
    model="bench.methods.backbones.caser.model:Caser",
    citation=(
        "Tang, Wang. Personalized Top-N Sequential Recommendation via Convolutional Sequence "
        "Embedding. WSDM 2018."
    ),
    variants=(
        Variant(
            "recbole",
            "Caser (RecBole)",
            "as RecBole computes it, with users, and as HSD and SSDRec attach to it officially",
            {
                "user_embedding": True,
                "short_windows": "start",
                "vertical_bias": True,
                "output_activation": "relu",
                "initialisation": "xavier",
            },
        ),
    ),
)
