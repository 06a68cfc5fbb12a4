"""Caser: convolutions over the most recent items."""

from bench.components import BackboneEntry

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
)
