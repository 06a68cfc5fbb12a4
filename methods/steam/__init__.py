"""STEAM: a corrector, trained on random corruptions, edits histories before they are used."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="steam",
    title="STEAM",
    summary="deletes and inserts items with a corrector trained to undo random corruption",
    config="bench.methods.steam.config:STEAMConfig",
    model="bench.methods.steam.model:STEAM",
    citation=(
        "Lin, Wang, Chen, Ren, Xin, Yan, de Rijke, Cheng, Ren. A Self-Correcting Sequential "
        "Recommender. WWW 2023."
    ),
    standalone=True,
    sampling="segments",
    cost=5.1,
    variants=(
        Variant(
            "raw",
            "STEAM (raw)",
            "trained as STEAM, ranks with the history as it is",
            {"edits": "none"},
        ),
        Variant(
            "delete-only",
            "STEAM (delete only)",
            "trained as STEAM, ranks with deletions applied and insertions not",
            {"edits": "delete"},
        ),
        Variant(
            "insert-only",
            "STEAM (insert only)",
            "trained as STEAM, ranks with insertions applied and deletions not",
            {"edits": "insert"},
        ),
        Variant(
            "compat",
            "STEAM (compat)",
            "special tokens in every softmax, positions added anew in each decoding step",
            {"classes": "all", "decode_positions": "cumulative"},
        ),
        Variant(
            "protect-last",
            "STEAM (protect last)",
            "never deletes the last item, as no corruption ever labels it so",
            {"protect_last": True},
        ),
        Variant(
            "blind-correction",
            "STEAM (blind correction)",
            "in training, corrects the masked segment, so that no answer is seen",
            {"correct_masked": True},
        ),
        Variant(
            "late-correction",
            "STEAM (late correction)",
            "learns from corrected segments from the 11th epoch on",
            {"correct_after_epoch": 10},
        ),
        Variant(
            "popular-noise",
            "STEAM (popular noise)",
            "inserts noise by training popularity, so that rarity gives nothing away",
            {"noise_items": "popularity"},
        ),
    ),
)
