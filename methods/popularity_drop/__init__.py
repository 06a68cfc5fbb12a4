"""Control: drop interactions by the popularity of their items."""

from bench.components import MethodEntry, Variant

METHOD = MethodEntry(
    name="popularity-drop",
    title="Popularity drop",
    summary="control: drops the interactions whose items are rarest, at a given rate",
    config="bench.methods.popularity_drop.config:PopularityDropConfig",
    model="bench.methods.popularity_drop.model:PopularityDrop",
    citation="A control of this benchmark, without a publication.",
    sampling="positions",
    either_sampling=True,
    variants=(
        Variant(
            "popular",
            "Popularity drop (popular)",
            "drops the interactions whose items are most popular",
            {"drop": "popular"},
        ),
    ),
)
