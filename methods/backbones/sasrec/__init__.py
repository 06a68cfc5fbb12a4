"""SASRec: causal self-attention over the sequence."""

from bench.components import BackboneEntry

BACKBONE = BackboneEntry(
    name="sasrec",
    title="SASRec",
    summary="causal self-attention over the sequence",
    config="bench.methods.backbones.sasrec.config:SASRecConfig",
    model="bench.methods.backbones.sasrec.model:SASRec",
    citation="Kang, McAuley. Self-Attentive Sequential Recommendation. ICDM 2018.",
)
