"""BERT4Rec: bidirectional self-attention, read at a mask after the last item."""

from bench.components import BackboneEntry

BACKBONE = BackboneEntry(
    name="bert4rec",
    title="BERT4Rec",
    summary="bidirectional self-attention, read at a mask behind the last item",
    config="bench.methods.backbones.bert4rec.config:BERT4RecConfig",
    model="bench.methods.backbones.bert4rec.model:BERT4Rec",
    citation=(
        "Sun, Liu, Wu, Pei, Lin, Ou, Jiang. BERT4Rec: Sequential Recommendation with "
        "Bidirectional Encoder Representations from Transformer. CIKM 2019."
    ),
    causal=False,
    has_mask=True,
)
