"""Decisions of a denoiser outside this package, read from a file."""

from bench.components import MethodEntry

METHOD = MethodEntry(
    name="decisions",
    title="Decisions of a file",
    summary="drops or replaces the interactions that a file names, as another denoiser decided",
    config="bench.methods.decisions.config:DecisionsConfig",
    model="bench.methods.decisions.model:FileDecisions",
    citation="A door of this benchmark, without a publication; cite the denoiser that decided.",
    sampling="positions",
    either_sampling=True,
)
