"""``bench store``: list, inspect, clean, merge and pack results stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from bench.cli.options import Json, StoreDir, one_of, print_json, verb_group, verb_of
from bench.cli.reading import Where
from bench.errors import ConfigError
from bench.plan.progress import counted
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.packs.inventory import Removable
    from bench.runs.store import Store
else:
    Store = Any  # options are read from annotations at run time, and the store imports NumPy

_Sort = Literal["label", "metric", "finished", "size", "key"]


def _keys(**shown: Any) -> Any:
    return typer.Argument(metavar="[KEY]...", help="First digits of keys.", **shown)


Keys = Annotated[list[str] | None, _keys(show_default="all")]
Tag = Annotated[str | None, typer.Option(metavar="NAME", help="Only experiments with this tag.")]
Yes = Annotated[bool, typer.Option("--yes", help="Remove; without this flag, only show.")]


def opened_store(store: StoreDir = None) -> Store:
    """Return the store that a verb reads or changes."""
    from bench.runs.store import Store

    return Store(Settings.from_environment(store=store).store)


app = verb_group("store", "List, inspect, clean, merge and pack results stores.")
_verb = verb_of(app, opened=opened_store)


@_verb("ls --sort metric", "ls --where dataset=beauty method=none,hsd")
def ls(
    *,
    keys: Keys = None,
    where: Where = None,
    tag: Tag = None,
    sort: Annotated[
        _Sort, one_of("--sort", _Sort, f"{', '.join(get_args(_Sort))}; highest or last first.")
    ] = "label",
    json_: Json = False,
    opened: Store,
) -> None:
    """List finished experiments, their metrics, dates and settings."""
    from bench.packs.inventory import date, listing, selected

    lines = listing(opened, selected(opened, keys or (), where or (), tag), sort)
    if json_:
        print_json(lines)
        return
    from tabulate import tabulate

    from bench.reports.tables.grid import format_number

    rows = [
        {
            "key": line["key"][:12],
            "experiment": line["label"],
            "metric": f"{line['name']} {format_number(line['metric'], '.4f')}",
            "finished": date(line["finished"]),
            "code": line["commit"] or line["code"],
            "size": _size(line["size"]),
            "tags": ", ".join(line["tags"]),
            "settings": line["settings"],
        }
        for line in lines
    ]
    typer.echo(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="simple"))
    typer.echo(f"{counted(len(rows), 'experiment')}, {_size(sum(line['size'] for line in lines))}")


@_verb("show 3f2a9c")
def show(
    *, key: Annotated[str, typer.Argument(help="First digits of a key.")], opened: Store
) -> None:
    """Print command, settings, costs and files of one experiment."""
    import yaml

    from bench.packs.inventory import details, selected

    found = selected(opened, [key])
    if len(found) > 1:
        raise ConfigError(f"'{key}' begins the keys of {len(found)} experiments; give more digits")
    typer.echo(yaml.safe_dump(details(opened, found[0]), sort_keys=False, width=100).rstrip())


@_verb("rm 3f2a9c", "rm --where method=mine --yes")
def rm(
    *,
    keys: Annotated[list[str] | None, _keys()] = None,
    where: Where = None,
    yes: Yes = False,
    opened: Store,
) -> None:
    """Remove experiments and their checkpoints.

    Choose them by keys or --where; those with a tag are refused.
    """
    from bench.packs.inventory import chosen_for_removal, selected

    if not keys and not where:
        raise ConfigError("no experiment is chosen; give keys or --where")
    chosen = selected(opened, keys or (), where or ())
    _remove(opened, chosen_for_removal(opened, chosen), yes)


@_verb("gc", "gc --superseded --yes")
def gc(
    *,
    superseded: Annotated[
        bool,
        typer.Option(
            "--superseded",
            help="Also what only superseded runs need: those followed by a later run of their "
            "specification.",
        ),
    ] = False,
    yes: Yes = False,
    opened: Store,
) -> None:
    """Show what no run or tag needs; with --yes, remove it."""
    from bench.packs.inventory import unneeded

    _remove(opened, unneeded(opened, superseded=superseded), yes)


@_verb("merge /mnt/other/runs --store runs")
def merge(
    *,
    sources: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Other stores.")],
    opened: Store,
) -> None:
    """Add the experiments of other stores.

    Nothing is written where two results conflict.
    """
    from bench.packs.merge import merge as merge_stores
    from bench.runs.store import Store

    for source in sources:
        if not (source / "experiments").is_dir():
            raise ConfigError(f"{source} is not a results store; name the folder with experiments/")
        merged = merge_stores(Store(source), opened)
        typer.echo(_merged(source, len(merged.added), len(merged.equal)))


@_verb(
    "pack results.zip",
    "pack everything.zip --checkpoints",
    "pack --published reports/published --where dataset=beauty",
)
def pack(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="File of the pack, such as results.zip.")
    ] = None,
    where: Where = None,
    tag: Tag = None,
    checkpoints: Annotated[
        bool,
        typer.Option(
            "--checkpoints",
            help="Include trained weights and checkpoints of unfinished experiments.",
        ),
    ] = False,
    published: Annotated[
        Path | None,
        typer.Option(
            "--published",
            metavar="DIR",
            help="Write the compact published form instead: one Parquet file per data set, added "
            "to existing files.",
        ),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(
            metavar="SHA",
            help="Commit that trained the experiments, for the published form.",
            show_default="this checkout's, if it has the same code",
        ),
    ] = None,
    opened: Store,
) -> None:
    """Write one verified file to pass on, or packs to publish."""
    from bench.packs.inventory import selected

    if (file is None) == (published is None):
        raise ConfigError("name either the file of the pack or --published with a folder")
    if published is not None and checkpoints:
        raise ConfigError("the published form has no checkpoints; drop --checkpoints")
    if published is None and commit is not None:
        raise ConfigError("--commit belongs to the published form; add --published or drop it")
    chosen = selected(opened, where=where or (), tag=tag)
    if published is not None:
        from bench.packs.publish import publish

        for path, number in publish(opened, published, chosen, commit).items():
            size = path.stat().st_size
            typer.echo(f"{path}: {counted(number, 'experiment')}, {_size(size)}")
    elif file is not None:
        from bench.packs.archive import pack as write_pack

        number = write_pack(opened, file, [one.key for one in chosen], checkpoints=checkpoints)
        typer.echo(f"{file}: {counted(number, 'experiment')}, {_size(file.stat().st_size)}")


@_verb("unpack results.zip --store runs")
def unpack(
    *,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Written by 'bench store pack'.")
    ],
    opened: Store,
) -> None:
    """Check packs and add what they hold to a store."""
    from bench.packs.publish import unpack as add_pack

    for file in files:
        merged = add_pack(file, opened)
        typer.echo(_merged(file, len(merged.added), len(merged.equal)))


@_verb("tag", "tag paper --where dataset=beauty", "tag paper --remove")
def tag(
    *,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Name of the tag.", show_default="list tags"),
    ] = None,
    keys: Keys = None,
    where: Where = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tag.")] = False,
    opened: Store,
) -> None:
    """Give experiments a tag, which keeps them from 'gc' and 'rm'.

    Those that have the tag keep it.
    """
    from bench.packs.inventory import read_tags, selected, write_tag

    root = opened.root
    tags = read_tags(root)
    if name is None and (keys or where or remove):
        raise ConfigError("no tag is named; write for example 'bench store tag paper'")
    if name is None:
        for known, keys_of in tags.items():
            typer.echo(f"{known}  {counted(len(keys_of), 'experiment')}")
        if not tags:
            typer.echo(f"{root} has no tags")
        return
    if remove and (keys or where):
        raise ConfigError("--remove removes a whole tag; drop the keys and --where")
    if remove and name not in tags:
        raise ConfigError(f"{root} has no tag '{name}'; 'bench store tag' lists them")
    chosen = [] if remove else selected(opened, keys or (), where or ())
    tagged = {*(stored.key for stored in chosen), *(() if remove else tags.get(name, ()))}
    write_tag(root, name, tagged)
    typer.echo(f"{name}: {'removed' if remove else counted(len(tagged), 'experiment')}")


def _remove(opened: Store, entries: Sequence[Removable], yes: bool) -> None:
    from bench.packs.inventory import remove

    for entry in entries:
        typer.echo(f"{entry.path.relative_to(opened.root)}  {_size(entry.size)}  {entry.reason}")
    if not entries:
        typer.echo("nothing to remove")
    elif yes:
        gone = remove(opened, entries)
        typer.echo(f"removed {len(gone)} of {len(entries)}, {_size(sum(one.size for one in gone))}")
    else:
        typer.echo(f"{_size(sum(one.size for one in entries))} in all; add --yes to remove them")


def _merged(source: Path, added: int, equal: int) -> str:
    return f"{source}: {counted(added, 'experiment')} added, {equal} already there"


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
