"""Options that take several values after one flag, and those that verbs share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from bench.errors import ConfigError, suggestion
from bench.plan.overrides import resolve_spec
from bench.plan.spec import Spec
from bench.plan.training import BudgetName
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


def names(text: str) -> Any:
    """Option that takes several names."""
    return typer.Option(metavar="NAME ...", help=text)


def one_of(flag: str, literal: Any, text: str, metavar: str = "NAME", **shown: Any) -> Any:
    """Option whose values are those of a Literal; a wrong one gets a suggestion."""
    known = get_args(literal)

    def parse(value: str) -> str:
        if value not in known:
            raise ConfigError(f"{flag} '{value}' is unknown{suggestion(value, known)}")
        return value

    return typer.Option(flag, parser=parse, metavar=metavar, help=text, **shown)


Encoders = Annotated[Many, names("Text encoders.")]
Sets = Annotated[
    Many, typer.Option("--set", metavar="KEY=VALUE ...", help="One setting, as epochs=3.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Plugins = Annotated[
    Many,
    typer.Option(
        "--plugin",
        metavar="FILE ...",
        help="Python files or package folders with components of yours (BENCH_PLUGINS).",
    ),
]


def run_settings(
    threads: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Threads of an experiment; the last digits depend on it."
        ),
    ] = 1,
    device: Device = "auto",
    track: Annotated[
        bool | None,
        typer.Option(
            "--track/--no-track",
            help="Copy what finishes to MLflow (BENCH_TRACK=0 turns it off).",
            show_default="track",
        ),
    ] = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> Settings:
    """Return the settings of a verb that trains."""
    return Settings.from_environment(
        store=store, data=data_dir, cache=cache_dir, threads=threads, device=device, track=track
    )


def chosen_spec(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPEC]",
            help="A YAML file, a shipped specification or a data set; comes before the flags.",
            show_default="default",
        ),
    ] = None,
    dataset: Annotated[Many, names("Data cards: names or paths.")] = None,
    backbone: Annotated[Many, names("Recommenders to attach to.")] = None,
    method: Annotated[Many, names("Denoisers; 'none' is the bare backbone.")] = None,
    encoder: Encoders = None,
    seeds: Annotated[list[int] | None, typer.Option(metavar="N ...", help="Repetitions.")] = None,
    budget: Annotated[
        str | None,
        one_of(
            "--budget",
            BudgetName,
            "quick: few epochs, minutes; paper: training to early stopping.",
            show_default="the specification's",
        ),
    ] = None,
    set_: Sets = None,
) -> Spec:
    """Return the specification that a verb is given, changed by flags and checked."""
    changes = {
        "datasets": dataset,
        "backbones": backbone,
        "methods": method,
        "encoders": encoder,
        "seeds": seeds,
        "budget": budget,
    }
    return resolve_spec(spec, changes, set_ or [])


def with_options(**groups: Callable[..., Any]) -> Callable[..., Callable[..., None]]:
    """Complete the options of a verb.

    The verb gets ``--plugin``, and each parameter that a group names gives way to the group's own
    options; the verb then receives what the group makes of them.
    """

    def options(function: Callable[..., Any]) -> list[inspect.Parameter]:
        return list(inspect.signature(function, eval_str=True).parameters.values())

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def wrapped(plugin: Plugins = None, **values: Any) -> None:
            use_plugins(expanded(path) for path in plugin or ())
            for name, make in groups.items():
                values[name] = make(**{own.name: values.pop(own.name) for own in options(make)})
            verb(**values)

        parameters = [
            option.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for own in options(verb)
            for option in (options(groups[own.name]) if own.name in groups else [own])
        ]
        plugin = inspect.Parameter(
            "plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins
        )
        signature = inspect.Signature([*parameters, plugin])
        wrapped.__signature__ = signature  # type: ignore[attr-defined]
        wrapped.__annotations__ = {own.name: own.annotation for own in [*parameters, plugin]}
        return wrapped

    return decorate


@contextmanager
def resumable() -> Iterator[None]:
    """Answer an interruption of the block with how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
