"""GRU4Rec: a gated recurrent unit over the sequence."""

from bench.components import BackboneEntry

BACKBONE = BackboneEntry(
    name="gru4rec",
    title="GRU4Rec",
    summary="gated recurrent network over the sequence",
    config="bench.methods.backbones.gru4rec.config:GRU4RecConfig",
    model="bench.methods.backbones.gru4rec.model:GRU4Rec",
    citation=(
        "Hidasi, Karatzoglou, Baltrunas, Tikk. Session-based Recommendations with Recurrent "
        "Neural Networks. ICLR 2016."
    ),
)
