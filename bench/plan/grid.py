"""From a specification to the experiments it means, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from bench.components import BACKBONES, ENCODERS, METHODS, Component
from bench.errors import ConfigError
from bench.plan.code_version import code_version
from bench.plan.experiment import Computation, Experiment, label_of
from bench.plan.protocol import LEAVE_ONE_OUT, SplitRule
from bench.plan.spec import Spec
from bench.plan.training import LossName


class DatasetInfo(Protocol):
    """What a plan needs to know of a loaded data set."""

    @property
    def name(self) -> str:
        """Name on the card."""

    @property
    def fingerprint(self) -> str:
        """Hash of the parsed content."""

    @property
    def max_length(self) -> int:
        """Maximum length on the card."""


D = TypeVar("D", bound=DatasetInfo)


@dataclass(frozen=True)
class GridPoint:
    """One point of the grid, before its data are read.

    Attributes
    ----------
    source
        Name of a data card or path of one.
    backbone
        None for a standalone method.
    encoder
        None for a method that reads no texts.
    budget
        :attr:`bench.plan.training.TrainingConfig.budget`.
    loss
        Next-item loss; None is the specification's own.
    split
        How interactions become training interactions and targets; None is the specification's own.
    """

    source: str
    backbone: str | None
    method: str
    encoder: str | None
    seed: int
    budget: str = "paper"
    loss: LossName | None = None
    split: SplitRule | None = None

    @property
    def label(self) -> str:
        """Short readable name, as an experiment's."""
        parts = self.source, self.backbone, self.method, self.encoder
        return label_of(*parts, self.budget, self.seed, self.loss, self.split)


@dataclass(frozen=True)
class PlannedExperiment:
    """An experiment, and the source that :func:`bench.data.load.load_dataset` is given."""

    experiment: Experiment
    source: str


def grid_points(spec: Spec) -> list[GridPoint]:
    """List the grid: data set, split, loss, seed, method, backbone and encoder, in this order.

    A whole comparison of the first seed comes before the second seed's. Standalone methods
    take no backbone; encoders are crossed only with methods that read texts.
    """
    training = spec.complete_training
    return [
        GridPoint(source, backbone, method, encoder, seed, training.budget, loss, split)
        for source in spec.sources
        for split in spec.rules
        for loss in spec.losses or (training.loss,)
        for seed in spec.seeds
        for method, backbone, encoder in _models(spec)
    ]


def _models(spec: Spec) -> Iterator[tuple[str, str | None, str | None]]:
    for method in spec.methods:
        entry = METHODS.get(method)
        for backbone in (None,) if entry.standalone else spec.backbones:
            for encoder in spec.encoders if entry.needs_text else (None,):
                yield method, backbone, encoder


Adapt = Callable[[GridPoint, Spec, DatasetInfo], Spec]
"""Returns the specification of one point, such as one with tuned settings."""


def freeze(
    point: GridPoint,
    spec: Spec,
    dataset: DatasetInfo,
    cache: Path | None = None,
    computation: Computation | None = None,
) -> Experiment:
    """Fix everything that decides one result.

    Parameters
    ----------
    point
        Which point of the grid.
    spec
        Its settings.
    dataset
        Its data.
    cache
        As :meth:`bench.config.Config.resolved`.
    computation
        Where it runs, from :func:`bench.training.device.computation`; None is one thread of a CPU.

    Raises
    ------
    ConfigError
        A setting does not fit.
    """
    backbone, method, encoder = point.backbone, point.method, point.encoder
    backbone_settings, encoder_settings = {}, {}
    training = spec.complete_training
    if point.loss is not None:
        training = training.model_copy(update={"loss": point.loss})
    protocol = spec.protocol_for(dataset.max_length)
    if point.split is not None:
        protocol = protocol.model_copy(update={"split": point.split})
    if backbone is not None:
        backbone_settings = spec.backbone_config(backbone).model_dump(mode="json")
    if encoder is not None:
        encoder_settings = spec.encoder_config(encoder).resolved(cache).model_dump(mode="json")
    method_config = spec.method_config(method).resolved(cache)
    if protocol.split == LEAVE_ONE_OUT:  # other splits leave users and items out
        method_config.check_data(dataset)
    return Experiment(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        backbone=backbone,
        backbone_settings=backbone_settings,
        method=method,
        method_settings=method_config.model_dump(mode="json"),
        encoder=encoder,
        encoder_settings=encoder_settings,
        training=training,
        protocol=protocol,
        seed=point.seed,
        code=code_of(point),
        computation=computation or Computation(),
    )


def components_of(point: GridPoint | Experiment) -> Iterator[tuple[str, Component]]:
    """Yield ``method``, ``backbone`` and ``encoder`` with what is used of each."""
    yield "method", METHODS.get(point.method)
    if point.backbone is not None:
        yield "backbone", BACKBONES.get(point.backbone)
    if point.encoder is not None:
        yield "encoder", ENCODERS.get(point.encoder)


def code_of(point: GridPoint | Experiment) -> str:
    """Return the hash of the source in use, see :func:`bench.plan.code_version.code_version`."""
    return code_version(component for _, component in components_of(point))


def load_datasets(spec: Spec, load: Callable[[str], D]) -> dict[str, D]:
    """Load every data set of a specification, by source.

    Raises
    ------
    ConfigError
        Two sources have the same name.
    BenchError
        A data set does not load.
    """
    datasets = {source: load(source) for source in spec.sources}
    check_names(datasets)
    return datasets


def check_names(datasets: Mapping[str, DatasetInfo]) -> None:
    """Raise a ConfigError if two sources have the same name, as two spellings of one have."""
    names: dict[str, str] = {}
    for source, dataset in datasets.items():
        if names.setdefault(dataset.name, source) != source:
            raise ConfigError(
                f"{names[dataset.name]} and {source} are both named '{dataset.name}'; "
                "drop one, or rename it in its card"
            )


def make_plan(
    spec: Spec,
    datasets: Mapping[str, DatasetInfo],
    adapt: Adapt | None = None,
    cache: Path | None = None,
    computation: Computation | None = None,
) -> list[PlannedExperiment]:
    """Freeze every point whose data are given.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.plan.spec.Spec.check`.
    datasets
        By source; grid points of other sources are left out.
    adapt
        Returns each point's own specification, such as one with tuned settings; None leaves
        ``spec`` as it is.
    cache, computation
        As for :func:`freeze`.

    Raises
    ------
    ConfigError
        A setting does not fit.
    """
    plan = []
    for point in grid_points(spec):
        dataset = datasets.get(point.source)
        if dataset is not None:
            own = adapt(point, spec, dataset) if adapt else spec
            experiment = freeze(point, own, dataset, cache, computation)
            plan.append(PlannedExperiment(experiment, point.source))
    return plan
