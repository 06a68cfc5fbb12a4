"""Options that take several values after one flag, and those that every verb shares."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bench.plugins import use_plugins
from bench.settings import Settings, expanded


class ManyValues(TyperCommand):
    """A command whose repeatable options take several values after one flag.

    ``--seeds 1 2`` becomes ``--seeds 1 --seeds 2`` before parsing. Values end at the next
    word that begins with ``-``, so positional arguments come before such options.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its values, then parse as usual."""
        repeatable = {
            flag
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for flag in parameter.opts
        }
        return super().parse_args(ctx, expand(args, repeatable))


def expand(words: list[str], repeatable: set[str]) -> list[str]:
    """Repeat a flag before each of its values.

    Examples
    --------
    >>> expand(["spec.yaml", "--seeds", "1", "2", "--plan"], {"--seeds"})
    ['spec.yaml', '--seeds', '1', '--seeds', '2', '--plan']
    """
    expanded: list[str] = []
    flag: str | None = None
    for word in words:
        if word.startswith("-"):
            flag = word if word in repeatable else None
        elif flag is not None and expanded[-1] != flag:
            expanded.append(flag)
        expanded.append(word)
    return expanded


Many = list[str] | None


def _folder(flag: str, content: str) -> Any:
    return typer.Option(flag, help=f"Folder of {content}.", show_default=False)


DataDir = Annotated[Path | None, _folder("--data-dir", "raw data sets (BENCH_DATA_DIR)")]
CacheDir = Annotated[
    Path | None, _folder("--cache-dir", "parsed data and vectors (BENCH_CACHE_DIR)")
]
StoreDir = Annotated[
    Path | None,
    _folder("--store", "finished experiments (BENCH_STORE, or runs/ in this folder)"),
]


def settings_of(
    store: Path | None = None,
    data: Path | None = None,
    cache: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    track: bool | None = None,
) -> Settings:
    """Return the settings of the environment with what the flags change."""
    return Settings.from_environment(
        store=store,
        data=data,
        cache=cache,
        device=device,
        threads=threads,
        track=track,
    )


def grid_of(
    dataset: Many, backbone: Many, method: Many, encoder: Many, seeds: list[int] | None
) -> dict[str, list[str] | list[int] | None]:
    """Name the flags as a specification does."""
    return {
        "datasets": dataset,
        "backbones": backbone,
        "methods": method,
        "encoders": encoder,
        "seeds": seeds,
    }


def names(text: str) -> Any:
    """Option that takes several names."""
    return typer.Option(metavar="NAME ...", help=text)


SpecName = Annotated[
    str | None,
    typer.Argument(
        metavar="[SPEC]",
        help="A YAML file, a shipped specification or a data set; comes before the flags.",
        show_default="default",
    ),
]
Datasets = Annotated[Many, names("Data cards: names or paths.")]
Backbones = Annotated[Many, names("Recommenders to attach to.")]
Methods = Annotated[Many, names("Denoisers; 'none' is the bare backbone.")]
Encoders = Annotated[Many, names("Text encoders.")]
Seeds = Annotated[list[int] | None, typer.Option(metavar="N ...", help="Repetitions.")]
Sets = Annotated[
    Many, typer.Option("--set", metavar="KEY=VALUE ...", help="One setting, as epochs=3.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Threads of an experiment; the last digits depend on it."
    ),
]
Track = Annotated[
    bool | None,
    typer.Option(
        "--track/--no-track",
        help="Copy what finishes to MLflow (BENCH_TRACK=0 turns it off).",
        show_default="track",
    ),
]
Plugins = Annotated[
    Many,
    typer.Option(
        "--plugin",
        metavar="FILE ...",
        help="Python files or package folders with components of yours (BENCH_PLUGINS).",
    ),
]


def with_plugins(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the option ``--plugin`` to a verb."""

    @wraps(verb)
    def wrapped(plugin: Plugins = None, **values: Any) -> None:
        use_plugins(expanded(path) for path in plugin or ())
        verb(**values)

    signature = inspect.signature(verb, eval_str=True)
    option = inspect.Parameter(
        "plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins
    )
    parameters = [*signature.parameters.values(), option]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped
