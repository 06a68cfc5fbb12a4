"""What the engine knows of a backbone, a method or an encoder before it imports torch.

A component's package holds a small descriptor (this module's classes), a settings class and
a model class. Descriptors and settings import neither torch nor pandas, so listing and
validating stay fast; the model class is imported when a cell runs.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import Any, Literal, cast

from bench.config import Config
from bench.errors import ConfigError
from bench.registry import Registry, load_object

Sampling = Literal["positions", "prefixes"]
"""How training samples are drawn.

``positions``: one pass over a sequence predicts the next item at every valid position.
``prefixes``: K random (prefix, next item) pairs per user and epoch, for whatever looks at
its whole input.
"""


@dataclass(frozen=True)
class Component:
    """Descriptor of one pluggable part.

    Attributes
    ----------
    name
        The registered name.
    title
        As it stands in a paper's table.
    summary
        One line for ``bench ls``.
    config
        ``"module:Class"`` of the settings, a :class:`bench.config.Config`.
    model
        ``"module:Class"`` of the implementation.
    citation
        Authors, title, venue and year of the source.
    """

    name: str
    title: str
    summary: str
    config: str
    model: str
    citation: str

    def config_class(self) -> type[Config]:
        """Import the settings class."""
        return cast("type[Config]", load_object(self.config))

    def model_class(self) -> Any:
        """Import the implementation."""
        return load_object(self.model)


@dataclass(frozen=True)
class BackboneEntry(Component):
    """A sequential recommender that methods attach to; its model is a ``Backbone``."""


@dataclass(frozen=True)
class MethodEntry(Component):
    """A denoiser (or the bare backbone); its model is a ``Method``.

    Attributes
    ----------
    standalone
        Whether the method brings its own recommender and takes no backbone.
    needs_text
        Whether it needs an encoder's vectors of the items' texts.
    sampling
        How it must or may draw training samples; see :data:`Sampling`.
    either_sampling
        Whether it may also train on the other kind of samples without leaking targets.
    """

    standalone: bool = False
    needs_text: bool = False
    sampling: Sampling = "positions"
    either_sampling: bool = False

    def sampling_for(self, asked: Literal["auto", "positions", "prefixes"]) -> Sampling:
        """Decide how samples are drawn.

        Raises
        ------
        ConfigError
            The settings ask for samples that would show the method its own targets.
        """
        if asked in {"auto", self.sampling}:
            return self.sampling
        if not self.either_sampling:
            raise ConfigError(
                f"training.samples = '{asked}': method '{self.name}' must train on "
                f"{self.sampling}, or it would see its own targets; set 'auto'"
            )
        return asked


@dataclass(frozen=True)
class EncoderEntry(Component):
    """A text encoder; its model turns texts into vectors."""


def _packages(parent: str, attribute: str, skip: frozenset[str] = frozenset()) -> dict[str, str]:
    """Scan the packages inside ``parent``; a folder's name with ``_`` becomes a name with ``-``."""
    module = __import__(parent, fromlist=["__path__"])
    return {
        info.name.replace("_", "-"): f"{parent}.{info.name}:{attribute}"
        for info in pkgutil.iter_modules(module.__path__)
        if info.ispkg and info.name not in skip
    }


METHODS: Registry[MethodEntry] = Registry(
    "method",
    MethodEntry,
    lambda: _packages("bench.methods", "METHOD", frozenset({"backbones"})),
    "bench.methods",
)
BACKBONES: Registry[BackboneEntry] = Registry(
    "backbone",
    BackboneEntry,
    lambda: _packages("bench.methods.backbones", "BACKBONE"),
    "bench.backbones",
)
ENCODERS: Registry[EncoderEntry] = Registry("encoder", EncoderEntry, dict, "bench.encoders")
