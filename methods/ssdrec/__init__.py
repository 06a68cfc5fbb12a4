"""SSDRec: augment a sequence using mined relations, then denoise it with HSD."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="ssdrec",
    title="SSDRec",
    summary="inserts items around a suspicious one, guided by mined relations, then runs HSD",
    config="bench.methods.ssdrec.config:SSDRecConfig",
    model="bench.methods.ssdrec.model:SSDRec",
    citation=(
        "Zhang, Han, Chen, Zhao, Tang, Song. SSDRec: Self-Augmented Sequence Denoising for "
        "Sequential Recommendation. ICDE 2024."
    ),
    sampling="prefixes",
    cost=6.5,
    variants=(
        Variant(
            "compat",
            "SSDRec (compat)",
            "as the official code behaves, its known faults included, but without its leak",
            {
                "stages": "official",
                "position_gradient": "all",
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
            "log-rho",
            "SSDRec (log rho)",
            "draws the suspicious position from the logarithm of its inconsistency",
            {"rho_logits": "log"},
        ),
        Variant(
            "sharp-rho",
            "SSDRec (sharp rho)",
            "divides the inconsistency by 0.01 before the draw, which is then far from uniform",
            {"rho_temperature": 0.01},
        ),
        Variant(
            "no-insertion",
            "SSDRec without insertion",
            "relations and denoising only: nothing is inserted in training either",
            {"insertion": False},
        ),
        Variant(
            "user-query",
            "SSDRec (user query)",
            "trains with the user vector as query, as it is evaluated",
            {"train_query": "user"},
        ),
    ),
)
