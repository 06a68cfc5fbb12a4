"""DCRec: contrasts between sequence and graph views, weighted by conformity."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="dcrec",
    title="DCRec",
    summary="re-weights contrasts of three views by how much an interaction follows the crowd",
    config="bench.methods.dcrec.config:DCRecConfig",
    model="bench.methods.dcrec.model:DCRec",
    citation=(
        "Yang, Huang, Xia, Huang, Luo, Lin. Debiased Contrastive Learning for Sequential "
        "Recommendation. WWW 2023."
    ),
    standalone=True,
    sampling="prefixes",
    cost=2.4,
    variants=(
        Variant(
            "reference",
            "DCRec (reference)",
            "arithmetic of the official code on the graphs that it meant to build",
            {
                "graph_norm": "double",
                "co_direction": "push",
                "weights_from": "dropped",
                "neighbour_sample": 10,
                "loop_is_neighbour": True,
                "first_item_weight": 0.5,
            },
        ),
        Variant(
            "no-contrast",
            "DCRec (no contrast)",
            "control: three views and their fusion, without both auxiliary losses",
            {"contrast_weight": 0.0, "prior_weight": 0.0},
        ),
        Variant(
            "grace",
            "DCRec (GRACE)",
            "the first public commit's symmetric contrast with a projection",
            {"contrast": "grace"},
        ),
        Variant(
            "hidden-target",
            "DCRec (hidden target)",
            "training fuses a graph view without the transitions of the batch's own users",
            {"hide_target_edge": True},
        ),
    ),
)
