"""DuoRec: pull histories that lead to the same next item together, push others away."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="duorec",
    title="DuoRec",
    summary="removes nothing; contrasts histories before the same next item, and dropout's noise",
    config="bench.methods.duorec.config:DuoRecConfig",
    model="bench.methods.duorec.model:DuoRec",
    citation=(
        "Qiu, Huang, Yin, Wang. Contrastive Learning for Representation Degeneration Problem in "
        "Sequential Recommendation. WSDM 2022."
    ),
    sampling="positions",
    either_sampling=True,
    cost=2.5,
    variants=(
        Variant(
            "prefixes",
            "DuoRec (prefixes)",
            "trained on (prefix, next item) pairs, each of which is contrasted, as in its code",
            {},
            {"sampling": "prefixes"},
        ),
        Variant(
            "dropout",
            "DuoRec (dropout)",
            "contrasts two passes of a history that differ in dropout alone",
            {"pairs": "un"},
        ),
        Variant(
            "same-target",
            "DuoRec (same target)",
            "contrasts a history with one before the same next item",
            {"pairs": "su"},
        ),
        Variant(
            "both",
            "DuoRec (both)",
            "contrasts a history with both, by two losses",
            {"pairs": "us"},
        ),
    ),
)
