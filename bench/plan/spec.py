"""What to run: a YAML file or flags, checked before anything is loaded or trained."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from bench.components import BACKBONES, BASELINE, ENCODERS, METHODS, Component, MethodEntry
from bench.config import Config, read_yaml
from bench.errors import ConfigError, suggestion
from bench.plan.cluster import Slurm
from bench.plan.code_version import check_unchanged
from bench.plan.data_card import card_names, is_path, load_card
from bench.plan.encoding import EncoderConfig
from bench.plan.protocol import Protocol, SplitRule
from bench.plan.training import BUDGETS, BudgetName, LossName, TrainingConfig
from bench.plan.variants import NoiseAxis, split_source
from bench.settings import expanded

DEFAULT = "default"
Seed = Annotated[int, Field(strict=True, ge=0)]
SettingsByName = dict[str, dict[str, Any]]
_AXES = ("datasets", "backbones", "methods", "encoders", "losses", "splits", "seeds")


class Spec(Config):
    """Data sets x backbones x methods x encoders x seeds, under one protocol.

    Attributes
    ----------
    name
        What the run is called.
    datasets
        Names of data cards, or paths of a user's own, with their variants; see
        :mod:`bench.plan.variants`.
    noise
        Kinds and rates of noise, each of which every data set is crossed with.
    backbones, methods, encoders
        Registered names. Encoders are crossed only with methods that read texts.
    losses
        Next-item losses, each of which every model is trained with; empty: ``training.loss``.
    splits
        Splits of the data, each of which every model is trained and tested under; empty:
        ``protocol.split``.
    seeds
        Repetitions, whole numbers from 0.
    protocol
        Its ``max_length``, where it is not set, is each data set's own.
    budget
        How much training an experiment gets: a name of
        :data:`bench.plan.training.BUDGETS`.
    training
        Settings that every method shares; they take precedence over the budget's.
    backbone_settings, method_settings, encoder_settings
        By registered name; what is not set keeps its default.
    slurm
        What a task gets of a Slurm cluster; no result depends on it.
    """

    name: str = "custom"
    datasets: tuple[str, ...]
    noise: tuple[NoiseAxis, ...] = ()
    backbones: tuple[str, ...] = ()
    methods: tuple[str, ...] = (BASELINE,)
    encoders: tuple[str, ...] = ()
    losses: tuple[LossName, ...] = ()
    splits: tuple[SplitRule, ...] = ()
    seeds: tuple[Seed, ...] = (1,)
    protocol: Protocol = Protocol()
    budget: BudgetName = "paper"
    training: TrainingConfig = TrainingConfig()
    backbone_settings: SettingsByName = Field(default_factory=dict)
    method_settings: SettingsByName = Field(default_factory=dict)
    encoder_settings: SettingsByName = Field(default_factory=dict)
    slurm: Slurm | None = None

    @field_validator("noise", *_AXES, mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list; write [{value}]")
        return value

    @field_validator(*_AXES)
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        for entry in value:
            if value.count(entry) > 1:
                raise ValueError(f"{entry} is listed twice; remove one")
        return value

    @field_validator("datasets", "methods", "seeds")
    @classmethod
    def _some(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("the list is empty; name at least one")
        return value

    @property
    def sources(self) -> tuple[str, ...]:
        """Data sets at each rate of noise, each once."""
        every = (
            source
            for name in self.datasets
            for axis in ([axis.sources(name) for axis in self.noise] or [[name]])
            for source in axis
        )
        return tuple(dict.fromkeys(every))

    @property
    def rules(self) -> tuple[SplitRule, ...]:
        """Splits of the data, at least one."""
        return self.splits or (self.protocol.split,)

    def with_changes(self, changes: dict[str, Any], where: str) -> Spec:
        """Copy with other values, checked like a file's.

        Raises
        ------
        ConfigError
            A value does not fit.
        """
        return type(self).parse({**self.plain(), **changes}, where)

    def plain(self) -> dict[str, Any]:
        """Return what was set, as plain data, without defaults."""
        return self.model_dump(mode="json", exclude_unset=True)

    def protocol_for(self, max_length: int) -> Protocol:
        """Return the protocol with a data set's maximum length unless one is set."""
        if "max_length" in self.protocol.model_fields_set:
            return self.protocol
        return Protocol.parse(
            {**self.protocol.model_dump(exclude_unset=True), "max_length": max_length},
            f"spec '{self.name}', protocol",
        )

    @property
    def complete_training(self) -> TrainingConfig:
        """Settings of training, those of the budget included."""
        given = self.training.model_dump(exclude_unset=True)
        return TrainingConfig(**{**BUDGETS[self.budget], **given})

    def backbone_config(self, name: str) -> Config:
        """Complete settings of a backbone.

        Raises
        ------
        ConfigError
            The backbone is unknown, or one of its settings does not fit.
        """
        return _config(BACKBONES.get(name), self.backbone_settings, self.name, "backbone")

    def method_config(self, name: str) -> Config:
        """Complete settings of a method; raises as :meth:`backbone_config` does."""
        return _config(METHODS.get(name), self.method_settings, self.name, "method")

    def encoder_config(self, name: str) -> EncoderConfig:
        """Complete settings of an encoder; raises as :meth:`backbone_config` does."""
        config = _config(ENCODERS.get(name), self.encoder_settings, self.name, "encoder")
        if not isinstance(config, EncoderConfig):
            raise ConfigError(
                f"the settings of encoder '{name}' are not an EncoderConfig; make "
                f"{type(config).__name__} extend bench.plan.encoding.EncoderConfig"
            )
        return config

    def check(self) -> None:
        """Check names and settings against the registries; imports neither torch nor pandas.

        Raises
        ------
        ConfigError
            A name is unknown, a setting does not fit, a method lacks a backbone or encoder, or the
            code of one has changed since this process read it.
        """
        for name in {*self.backbones, *self.backbone_settings}:
            self.backbone_config(name)
        for name in {*self.methods, *self.method_settings}:
            self.method_config(name)
        for source in self.sources:
            load_card(source)
        for name in {*self.encoders, *self.encoder_settings}:
            self.encoder_config(name)
        for name in self.methods:
            self._check_needs(METHODS.get(name))
        check_unchanged(
            [
                *map(METHODS.get, self.methods),
                *map(BACKBONES.get, self.backbones),
                *map(ENCODERS.get, self.encoders),
            ]
        )
        if self.losses and "loss" in self.training.model_fields_set:
            raise ConfigError(
                f"spec '{self.name}': 'losses' and 'training.loss' both set the loss; remove one"
            )
        if self.splits and "split" in self.protocol.model_fields_set:
            raise ConfigError(
                f"spec '{self.name}': 'splits' and 'protocol.split' both set the split; remove one"
            )

    def _check_needs(self, method: MethodEntry) -> None:
        names: tuple[str | None, ...] = () if method.standalone else self.backbones
        for name in names or (None,):
            backbone = None if name is None else BACKBONES.get(name)
            method.sampling_for(self.training.samples, backbone)
        if not method.standalone and not self.backbones:
            raise ConfigError(
                f"spec '{self.name}': method '{method.name}' needs a backbone; add "
                f"'backbones: [{next(iter(BACKBONES.names()), '')}]' or --backbone"
            )
        if method.needs_text and not self.encoders:
            raise ConfigError(
                f"spec '{self.name}': method '{method.name}' reads item texts and needs an "
                "encoder; add 'encoders: [...]' or --encoder (known: "
                f"{', '.join(ENCODERS.names()) or 'none'})"
            )


def _config(entry: Component, settings: SettingsByName, spec: str, kind: str) -> Config:
    return entry.parse(settings, f"spec '{spec}', {kind}_settings, {entry.name}")


def shipped() -> dict[str, Path]:
    """Specifications that come with the package, by name."""
    folder = Path(str(files("bench.plan"))) / "specs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_spec(path: Path) -> Spec:
    """Read a specification file; relative paths of data cards start at its folder.

    Raises
    ------
    ConfigError
        The file is missing, is not UTF-8 YAML, or a key or value does not fit.
    """
    content = read_yaml(path)
    if "forms" in content:
        raise ConfigError(f"{path} is the card of a data set; give it with --dataset")
    spec = Spec.parse({"name": path.stem, **content}, str(path))
    datasets = [_beside(name, path.parent) for name in spec.datasets]
    return spec.with_changes({"datasets": datasets}, str(path))


def _beside(name: str, folder: Path) -> str:
    card = expanded(name)
    return str(card if card.is_absolute() else folder / card) if is_path(name) else name


def find_spec(name: str | None) -> Spec:
    """Resolve the argument of ``bench run``.

    Parameters
    ----------
    name
        A path, the name of a shipped specification, or that of a data set, on which the
        default specification is then run. None is the default specification.

    Raises
    ------
    ConfigError
        Nothing has that name, or the file is wrong.
    """
    specs, datasets = shipped(), card_names()
    if name is None:
        return read_spec(specs[DEFAULT])
    if name in specs:
        return read_spec(specs[name])
    if split_source(name)[0] in datasets:
        changes = {"name": name, "datasets": [name]}
        return read_spec(specs[DEFAULT]).with_changes(changes, name)
    if is_path(name) or Path(name).exists():
        return read_spec(Path(name))
    raise ConfigError(
        f"'{name}' is neither a file nor a shipped specification or data set"
        f"{suggestion(name, [*specs, *datasets])}"
    )
