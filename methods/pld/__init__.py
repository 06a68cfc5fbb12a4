"""PLD: targets with large losses weigh less, compared with the same user's."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="pld",
    title="PLD",
    summary="weights targets by their losses among the same user's",
    config="bench.methods.pld.config:PLDConfig",
    model="bench.methods.pld.model:PLD",
    citation=(
        "Zhang, Cao, Wu, Sun, Shen, Cheng. Personalized Denoising Implicit Feedback for Robust "
        "Recommender System. WWW 2025."
    ),
    sampling="positions",
    either_sampling=True,
    judges_targets=True,
    cost=1.2,
    variants=(
        Variant(
            "paper",
            "PLD (paper)",
            "a temperature with the published contrast of a user's losses",
            {"tau": 0.5},
        ),
        Variant(
            "row",
            "PLD (row)",
            "compares a target with all of its row instead of a few",
            {"pool": "row"},
        ),
        Variant(
            "excess",
            "PLD (excess)",
            "weights by the loss beyond what the item's popularity explains",
            {"key": "excess"},
        ),
        Variant(
            "rarity",
            "PLD (rarity)",
            "control: weights by the popularity of the targets' items",
            {"key": "rarity"},
        ),
        Variant(
            "random",
            "PLD (random)",
            "control: deals the losses of a batch to its targets at random",
            {"key": "random"},
        ),
    ),
)
