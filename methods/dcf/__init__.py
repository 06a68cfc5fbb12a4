"""DCF: the targets whose losses stay large over some epochs are not learnt from."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="dcf",
    title="DCF",
    summary="learns nothing from targets whose damped losses stay large over some epochs",
    config="bench.methods.dcf.config:DCFConfig",
    model="bench.methods.dcf.model:DCF",
    citation=(
        "He, Wang, Yang, Sun, Wu, Bai, Gong, Hong, Zhang. Double Correction Framework for "
        "Denoising Recommendation. KDD 2024."
    ),
    sampling="positions",
    either_sampling=True,
    judges_targets=True,
    cost=1.1,
    variants=(
        Variant(
            "paper",
            "DCF (paper)",
            "up to 40 % of the targets, and the published bound, which reorders ties alone",
            {"rate": 0.4, "ramp": 10, "sig2": 1e-4, "sig2_epochs": 10},
        ),
        Variant(
            "reuse",
            "DCF (reuse)",
            "learns from the hardest targets as they are, as the released code does",
            {"relabel": "reuse"},
        ),
        Variant(
            "predicted",
            "DCF (predicted)",
            "replaces the hardest targets by what the model predicts",
            {"relabel": "predicted"},
        ),
        Variant(
            "none",
            "DCF (without relabelling)",
            "drops the hardest targets, too",
            {"relabel": "none"},
        ),
    ),
)
