"""Options that take several values after one flag, and those that verbs share."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from typer.core import TyperCommand

from bench.errors import ConfigError, suggestion
from bench.numerics import Numerics, use_numerics
from bench.plan.cluster import Cluster, Slurm
from bench.plan.overrides import COMMA, parse_setting, resolve_spec
from bench.plan.spec import Spec
from bench.plan.training import BudgetName
from bench.plan.variants import MARK
from bench.plugins import use_plugins
from bench.settings import Settings, expanded

NAMES = "NAME ..."
"""How the values of an option look in the help, if it takes several names at once."""
_NUMBERS = "N ..."
_MOST_SEEDS = 1_000


class ManyValues(TyperCommand):
    """A command whose repeatable options take several values after one flag.

    ``--seeds 1 2`` becomes ``--seeds 1 --seeds 2`` before parsing, and so do ``--seeds 1-2`` and
    names with commas between them. Values end at the next word that begins with ``-``, so
    positional arguments come before such options. Where there is ``--format``, ``--json`` is short
    for ``--format json``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its values, then parse as usual."""
        repeatable = {
            flag: _SPLITTERS.get(parameter.metavar, lambda word: [word])
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for flag in parameter.opts
        }
        if any("--format" in parameter.opts for parameter in self.params):
            args = ["--format=json" if word == "--json" else word for word in args]
        return super().parse_args(ctx, expand(args, repeatable))

    def invoke(self, ctx: Any) -> Any:
        """Call the verb, and say so if it is interrupted, which Typer does not."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None


Splitter = Callable[[str], list[str]]
"""Returns the values that one word stands for."""


def expand(words: list[str], repeatable: Mapping[str, Splitter]) -> list[str]:
    """Repeat a flag before each of its values.

    Examples
    --------
    >>> expand(["spec.yaml", "--seeds", "1", "2-3", "--plan"], {"--seeds": numbers})
    ['spec.yaml', '--seeds', '1', '--seeds', '2', '--seeds', '3', '--plan']
    """
    expanded: list[str] = []
    flag: str | None = None
    for word in words:
        if word.startswith("-"):
            name, equals, value = word.partition("=")
            flag = name if name in repeatable else None
            if flag is not None and equals:
                expanded += [f"{flag}={part}" for part in repeatable[flag](value)]
            else:
                expanded.append(word)
        elif flag is None:
            expanded.append(word)
        else:
            for value in repeatable[flag](word):
                expanded += [value] if expanded[-1] == flag else [flag, value]
    return expanded


def separate(word: str) -> list[str]:
    """Split names at commas, but not inside brackets, nor the name of a file.

    What follows the name of a file after a plus are variants of its data set.

    Examples
    --------
    >>> separate("none,hsd:windows=[1,2],iadsr")
    ['none', 'hsd:windows=[1,2]', 'iadsr']
    """
    names = accumulate(word.split(MARK), lambda name, more: f"{name}{MARK}{more}")
    # Not Path.exists, which fails where the list of names is longer than a file's name may be.
    if any("," in name and os.path.exists(name) for name in names):  # noqa: PTH110
        return [word]
    return [part for part in COMMA.split(word) if part]


def numbers(word: str) -> list[str]:
    """Split numbers at commas, and write out ranges.

    Examples
    --------
    >>> numbers("1-3,7")
    ['1', '2', '3', '7']
    """
    values: list[str] = []
    for part in filter(None, word.split(",")):
        bounds = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", part)
        if bounds is None:
            values.append(part)
            continue
        first, last = map(int, bounds.groups())
        if not first <= last < first + _MOST_SEEDS:
            raise ConfigError(f"'{part}' is not a range of 1 to {_MOST_SEEDS} numbers; correct it")
        values += map(str, range(first, last + 1))
    return values


_SPLITTERS: dict[Any, Splitter] = {_NUMBERS: numbers, NAMES: separate}
"""How a word is split, by how the values of its option look in the help."""
Many = list[str] | None
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(content: object) -> None:
    """Print plain data as JSON, as ``--json`` asks for."""
    typer.echo(json.dumps(content, indent=1))


def _folder(flag: str, content: str) -> Any:
    return typer.Option(flag, help=f"Folder of {content}.", show_default=False)


DataDir = Annotated[Path | None, _folder("--data-dir", "raw data sets (BENCH_DATA_DIR)")]
CacheDir = Annotated[
    Path | None, _folder("--cache-dir", "parsed data and vectors (BENCH_CACHE_DIR)")
]
StoreDir = Annotated[
    Path | None, _folder("--store", "finished experiments (BENCH_STORE, or runs/ in this folder)")
]

Against = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Add published results on the same data under the same protocol: "
        "'reference', a pack, or a folder of packs.",
    ),
]


def names(text: str, **shown: Any) -> Any:
    """Option that takes several names."""
    return typer.Option(metavar=NAMES, help=text, **shown)


def whole_numbers(text: str) -> Any:
    """Option that takes several whole numbers and ranges."""
    return typer.Option(metavar=_NUMBERS, help=text)


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
    Many,
    typer.Option(
        "--set",
        metavar="KEY=VALUE ...",
        help="Settings, such as epochs=3; of two, the last counts.",
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
NumericsName = Annotated[
    str | None,
    one_of(
        "--numerics",
        Numerics,
        "portable: the same code on all x86-64 processors with AVX2, slower (BENCH_NUMERICS).",
        "native|portable",
        show_default="native",
    ),
]
Plugins = Annotated[
    Many,
    typer.Option(
        "--plugin",
        metavar="FILE ...",
        help="Python files or package folders with your own components (BENCH_PLUGINS).",
    ),
]


def store_settings(store: StoreDir = None) -> Settings:
    """Return the settings of a verb that reads the store alone."""
    return Settings.from_environment(store=store)


def data_settings(data_dir: DataDir = None, cache_dir: CacheDir = None) -> Settings:
    """Return the settings of a verb that reads data alone."""
    return Settings.from_environment(data=data_dir, cache=cache_dir)


def folder_settings(
    store: StoreDir = None, data_dir: DataDir = None, cache_dir: CacheDir = None
) -> Settings:
    """Return the settings of a verb that reads both."""
    return Settings.from_environment(store=store, data=data_dir, cache=cache_dir)


def run_settings(
    threads: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Threads per experiment; they affect the last digits of results.",
        ),
    ] = 1,
    device: Device = "auto",
    numerics: NumericsName = None,
    track: Annotated[
        bool | None,
        typer.Option(
            "--track/--no-track",
            help="Log results to MLflow (BENCH_TRACK=0 turns it off).",
            show_default="track",
        ),
    ] = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> Settings:
    """Return the settings of a verb that trains, and put its numerics to use."""
    settings = Settings.from_environment(
        store=store,
        data=data_dir,
        cache=cache_dir,
        threads=threads,
        device=device,
        numerics=numerics,
        track=track,
    )
    use_numerics(settings.numerics)
    return settings


RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="Address of a running Ray cluster.",
        show_default="Ray is started here",
    ),
]
Gpus = Annotated[
    float,
    typer.Option(
        "--gpus",
        min=0,
        metavar="N",
        help="GPUs per experiment on Ray, such as 0.25, or per task on Slurm.",
    ),
]


def chosen_cluster(
    on: Annotated[
        Literal["local", "ray"], typer.Option("--on", help="Where to run: here, or on Ray.")
    ] = "local",
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
) -> Cluster | None:
    """Return the cluster to run on, None for this machine."""
    if on == "ray" or ray_address:
        return Cluster(ray_address, gpus)
    if gpus:
        raise ConfigError("--gpus is for a cluster; use --device cuda on this machine")
    return None


def chosen_engine(
    on: Annotated[
        Literal["local", "ray", "slurm"],
        typer.Option("--on", help="Where to run: here, on Ray, or as an array job of Slurm."),
    ] = "local",
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
    slurm: Annotated[
        Many,
        typer.Option(
            "--slurm",
            metavar="KEY=VALUE ...",
            help="Options of each task: partition, time in minutes, memory, and others of sbatch.",
        ),
    ] = None,
) -> Cluster | Slurm | None:
    """Return where to run, None for this machine."""
    if on != "slurm":
        if slurm:
            raise ConfigError("--slurm needs --on slurm; add it, or drop --slurm")
        return chosen_cluster(on, ray_address, gpus)
    if ray_address:
        raise ConfigError("--ray-address needs --on ray; drop one of the two")
    values: dict[str, Any] = {}
    for text in slurm or ():
        key, value = parse_setting(text, "--slurm", "time=60")
        if key in values:
            raise ConfigError(f"--slurm: '{key}' is given twice; remove one")
        values[key] = value
    return Slurm.parse({**values, "gpus": gpus} if gpus else values, "--slurm")


def chosen_spec(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPEC]",
            help="A YAML file, a shipped specification or a data set; comes before the flags.",
            show_default="default",
        ),
    ] = None,
    dataset: Annotated[Many, names("Data sets: names, or paths of cards.")] = None,
    backbone: Annotated[Many, names("Recommenders that denoisers attach to.")] = None,
    method: Annotated[Many, names("Denoisers; 'none' is the bare backbone.")] = None,
    encoder: Encoders = None,
    seeds: Annotated[
        list[int] | None, whole_numbers("Seeds of repetitions, such as 1 2 or 1-3.")
    ] = None,
    split: Annotated[
        Many,
        names(
            "leave-one-out, or temporal with options such as temporal:targets=all.",
            show_default="the specification's",
        ),
    ] = None,
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
        "splits": split,
        "budget": budget,
    }
    return resolve_spec(spec, changes, set_ or [])


def with_options(**groups: Callable[..., Any]) -> Callable[..., Callable[..., None]]:
    """Complete the options of a verb.

    The verb gets ``--plugin``, and each parameter that a group names is replaced by the group's own
    options; the verb then receives what the group makes of them. Groups are made in the order
    given: settings first, because a specification may import plug-ins, and these import torch.
    """

    def options(function: Callable[..., Any]) -> list[inspect.Parameter]:
        return list(inspect.signature(function, eval_str=True).parameters.values())

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def wrapped(plugin: Plugins = None, **values: Any) -> None:
            use_plugins(expanded(path) for path in plugin or ())
            for name, make in groups.items():
                values[name] = make(**{own.name: values.pop(own.name) for own in options(make)})
            for name, value in values.items():
                if isinstance(value, Path):  # of '--out=~/x', the shell leaves '~' as it is
                    values[name] = expanded(str(value))
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


def verb_group(name: str, text: str) -> typer.Typer:
    """Return a verb that has verbs of its own."""
    return typer.Typer(name=name, help=text, no_args_is_help=True, rich_markup_mode=None)


def verb_of(app: typer.Typer, **groups: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """Return a decorator with examples that registers a verb of a group.

    The examples begin with the name of the verb; ``groups`` are those of :func:`with_options`.
    """

    def verb(*examples: str) -> Callable[..., Any]:
        lines = (f"bench {app.info.name} {example}" for example in examples)
        epilog = "\n  ".join(["\b\nExamples:", *lines])
        register = app.command(examples[0].split()[0], cls=ManyValues, epilog=epilog)
        return lambda function: register(with_options(**groups)(function))

    return verb


@contextmanager
def resumable() -> Iterator[None]:
    """Answer an interruption of the block with how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
