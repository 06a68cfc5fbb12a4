"""Descriptors of backbones, methods and encoders, readable without importing torch.

A component's package holds a small descriptor (this module's classes), a settings class and
a model class. Descriptors and settings import neither torch nor pandas, so listing and
validating stay fast; the model class is imported when an experiment runs.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, Self, TypeVar

from bench.config import Config, parse_value
from bench.errors import ConfigError, suggestion
from bench.registry import Registry, load_object

Sampling = Literal["positions", "prefixes", "last", "segments", "windows"]
"""How training samples are drawn.

``positions``: one pass over a sequence predicts the next item at every valid position.
``prefixes``: random (prefix, next item) pairs, in an epoch K times as many as there are users,
for whatever looks at its whole input.
``last``: the one pair of each user that ends with the last training interaction.
``segments``: K random segments of each training history and epoch, without a next item, for
methods that make their own targets of them; each interaction counts as one.
``windows``: runs that together cover each training history, without a next item, for a masked-item
objective; each interaction counts as one.
"""
BASELINE = "none"
"""The method that leaves its backbone bare, against which every other is measured."""
VARIANT_MARK = ":"
"""Between the name of a component and its variant, as in ``hsd:compat`` or ``iadsr:theta=0.5``."""


@dataclass(frozen=True)
class Variant:
    """A named choice of a component's settings, such as an ablation.

    Attributes
    ----------
    name
        The part after the mark: ``compat`` in ``hsd:compat``.
    title
        Whole title in tables: ``HSD (compat)``.
    summary
        One line for ``bench ls``.
    settings
        Settings that it changes; the others keep the component's defaults.
    changes
        Other attributes of the descriptor that it changes, such as a method's ``sampling``.
    """

    name: str
    title: str
    summary: str
    settings: Mapping[str, Any]
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """Descriptor of one pluggable part.

    Attributes
    ----------
    name
        The registered name.
    title
        Title in tables, as a paper would print it.
    summary
        One line for ``bench ls``.
    config
        ``"module:Class"`` of the settings, a :class:`bench.config.Config`.
    model
        ``"module:Class"`` of the implementation.
    citation
        Authors, title, venue and year of the source.
    variants
        Named choices of settings, reached as ``name:variant``; any one setting is a variant too,
        as in ``name:theta=0.5``.
    defaults
        Settings that differ from those of the settings class; set by :meth:`variant`.
    """

    name: str
    title: str
    summary: str
    config: str
    model: str
    citation: str
    variants: tuple[Variant, ...] = field(default=(), kw_only=True)
    defaults: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def variant(self, name: str) -> Self:
        """Return the descriptor of a variant: a named one, or one setting, as ``theta=-0.5``.

        Raises
        ------
        ConfigError
            No variant has that name, or the setting's value is not YAML.
        """
        if "=" in name:
            return self._as(self._one_setting(name))
        for variant in self.variants:
            if variant.name == name:
                return self._as(variant)
        known = [variant.name for variant in self.variants]
        raise ConfigError(f"'{self.name}' has no variant '{name}'{suggestion(name, known)}")

    def _as(self, variant: Variant) -> Self:
        return replace(
            self,
            name=f"{self.name}{VARIANT_MARK}{variant.name}",
            title=variant.title,
            summary=variant.summary,
            defaults=variant.settings,
            variants=(),
            **variant.changes,
        )

    def _one_setting(self, text: str) -> Variant:
        """Return ``key=value`` as a variant, so that a curve over a setting is a list of names."""
        key, _, value = text.partition("=")
        settings = {key: parse_value(value, f"'{self.name}{VARIANT_MARK}{text}'")}
        return Variant(text, f"{self.title} ({text})", f"{self.summary}, with {text}", settings)

    def parse(self, given: Mapping[str, Mapping[str, Any]], where: str) -> Config:
        """Complete the settings of this component or variant.

        Parameters
        ----------
        given
            Settings by component. Those of ``name`` apply to ``name:variant`` too; the variant's
            own choices override them, and settings given for the variant override both.
        where
            Named in the error message.

        Raises
        ------
        ConfigError
            A setting is unknown or does not fit.
        """
        base = self.name.partition(VARIANT_MARK)[0]
        own = given.get(self.name, {}) if self.name != base else {}
        return self.config_class().parse({**given.get(base, {}), **self.defaults, **own}, where)

    def config_class(self) -> type[Config]:
        """Import the settings class; raise a ConfigError if it is none."""
        found = load_object(self.config)
        if not (isinstance(found, type) and issubclass(found, Config)):
            raise ConfigError(f"'{self.config}' must be a class derived from bench.config.Config")
        return found

    def model_class(self) -> Any:
        """Import the implementation."""
        return load_object(self.model)


@dataclass(frozen=True)
class BackboneEntry(Component):
    """A sequential recommender that methods attach to; its model is a ``Backbone``.

    Attributes
    ----------
    causal
        Whether the state after a position depends on no later one. If False, only the state after
        the last position may predict, so training is on (prefix, next item) pairs.
    has_mask
        Whether it has a vector that stands for a hidden item, for a masked-item objective.
    """

    causal: bool = field(default=True, kw_only=True)
    has_mask: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class MethodEntry(Component):
    """A denoiser, or the bare backbone; its model is a ``Method``.

    Attributes
    ----------
    standalone
        Whether the method has a recommender of its own and takes no backbone.
    needs_text
        Whether it needs an encoder's vectors of the items' texts.
    sampling
        How it must or may draw training samples; see :data:`Sampling`.
    either_sampling
        Whether it may also train on the other kind of samples without leaking targets.
    needs_mask
        Whether it needs a backbone with a vector for hidden items.
    judges_targets
        Whether its decisions are about interactions as targets: what it does not keep is not
        learnt from, and remains in every history.
    cost
        Seconds of an epoch over those of the bare backbone, as ``benchmarks/steps.py`` prints
        them; read by estimates of how long a run takes, by nothing else.
    """

    standalone: bool = False
    needs_text: bool = False
    sampling: Sampling = "positions"
    either_sampling: bool = False
    needs_mask: bool = False
    judges_targets: bool = False
    cost: float = 1.0

    def sampling_for(
        self,
        asked: Literal["auto", "positions", "prefixes", "last"],
        backbone: BackboneEntry | None = None,
    ) -> Sampling:
        """Decide how samples are drawn.

        Parameters
        ----------
        asked
            ``training.samples``.
        backbone
            What the method attaches to; None for a standalone method.

        Raises
        ------
        ConfigError
            The method does not attach to this backbone, or the settings ask for samples that would
            show a prediction its own target.
        """
        if backbone is not None:
            self._check_attaches(backbone)
            if not backbone.causal and self.sampling == "positions":
                if asked == "positions":
                    raise ConfigError(
                        f"training.samples = 'positions': every state of backbone "
                        f"'{backbone.name}' depends on the whole input, so those before the last "
                        "would see their own targets; set 'auto', 'prefixes' or 'last'"
                    )
                return "prefixes" if asked == "auto" else asked
        if asked in {"auto", self.sampling}:
            return self.sampling
        # One pair of each user is a choice among the prefixes: it shows nothing more.
        if not (self.either_sampling or (asked == "last" and self.sampling == "prefixes")):
            raise ConfigError(
                f"training.samples = '{asked}': method '{self.name}' must train on "
                f"{self.sampling}, or it would see its own targets; set 'auto'"
            )
        return asked

    def _check_attaches(self, backbone: BackboneEntry) -> None:
        if not backbone.causal and self.sampling == "positions" and not self.either_sampling:
            raise ConfigError(
                f"method '{self.name}' trains at all positions, and every state of backbone "
                f"'{backbone.name}' depends on the whole input; choose another backbone, such as "
                "'sasrec'"
            )
        if self.needs_mask and not backbone.has_mask:
            raise ConfigError(
                f"method '{self.name}' hides items, and backbone '{backbone.name}' has no vector "
                "for a hidden item; choose another backbone, such as 'bert4rec'"
            )


@dataclass(frozen=True)
class EncoderEntry(Component):
    """A text encoder; its model turns texts into vectors."""


C = TypeVar("C", bound=Component)


class Components(Registry[C]):
    """A registry whose entries have variants: ``name`` or ``name:variant``."""

    def get(self, name: str) -> C:
        """Resolve a name; raise a ConfigError also if there is no such variant."""
        base, mark, variant = name.partition(VARIANT_MARK)
        entry = super().get(base)
        return entry.variant(variant) if mark else entry


def _packages(parent: str, attribute: str, skip: frozenset[str] = frozenset()) -> dict[str, str]:
    """Scan the packages inside ``parent``; a folder's name with ``_`` becomes a name with ``-``."""
    return {
        info.name.replace("_", "-"): f"{parent}.{info.name}:{attribute}"
        for info in pkgutil.iter_modules(import_module(parent).__path__)
        if info.ispkg and info.name not in skip
    }


METHODS: Components[MethodEntry] = Components(
    "method",
    MethodEntry,
    lambda: _packages("bench.methods", "METHOD", frozenset({"backbones", "parts"})),
    "bench.methods",
)
BACKBONES: Components[BackboneEntry] = Components(
    "backbone",
    BackboneEntry,
    lambda: _packages("bench.methods.backbones", "BACKBONE"),
    "bench.backbones",
)
ENCODERS: Components[EncoderEntry] = Components(
    "encoder", EncoderEntry, lambda: _packages("bench.text.encoders", "ENCODER"), "bench.encoders"
)
KINDS: dict[str, Components[Any]] = {"backbone": BACKBONES, "method": METHODS, "encoder": ENCODERS}
"""What an experiment is made of beside its data."""
