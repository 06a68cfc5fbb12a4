"""HSD: drop interactions that both sequence order and user interest call noise."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="hsd",
    title="HSD",
    summary="drops interactions that both sequence order and user interest call noise",
    config="bench.methods.hsd.config:HSDConfig",
    model="bench.methods.hsd.model:HSD",
    citation=(
        "Zhang, Du, Zhao, Han, Chen, Li. Hierarchical Item Inconsistency Signal Learning for "
        "Sequence Denoising in Sequential Recommendation. CIKM 2022."
    ),
    sampling="prefixes",
    cost=2.0,
    variants=(
        Variant(
            "compat",
            "HSD (compat)",
            "as the official code behaves, its known faults included",
            {
                "eval_gate": "sample",
                "eval_draws": 1,
                "keep_one": False,
                "wipe_short_rows": True,
                "pads": "official",
                "tau_schedule": "batches",
                "tau_rate": 1e-3,
                "tau_floor": 1e-3,
            },
        ),
        Variant(
            "raw",
            "HSD (raw logits)",
            "gates sample from the scores before their sigmoid, so they are not bounded",
            {"gate_logits": "raw"},
        ),
        Variant(
            "user-query",
            "HSD (user query)",
            "trains with the user vector as query, as it is evaluated",
            {"train_query": "user"},
        ),
        Variant(
            "sampled",
            "HSD (sampled gates)",
            "evaluates the mean score of five seeded draws of the gates",
            {"eval_gate": "sample", "eval_draws": 5},
        ),
    ),
)
