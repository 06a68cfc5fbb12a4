"""Control: drop interactions at random."""

from bench.components import MethodEntry

METHOD = MethodEntry(
    name="random-drop",
    title="Random drop",
    summary="control: drops interactions at random, at a given rate",
    config="bench.methods.random_drop.config:RandomDropConfig",
    model="bench.methods.random_drop.model:RandomDrop",
    citation="A control of this benchmark, without a publication.",
    sampling="positions",
    either_sampling=True,
)
