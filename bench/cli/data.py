"""``bench data``: list, fetch, describe, verify and audit data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import Json, data_settings, print_json, verb_group, verb_of
from bench.data.locate import fetchable, locate
from bench.errors import BenchError, ConfigError, DataError
from bench.plan.data_card import Card, card_names, load_card
from bench.plan.protocol import LEAVE_ONE_OUT, Protocol
from bench.plan.variants import Change, split_source
from bench.settings import Settings

app = verb_group("data", "List, fetch, describe, verify and audit data sets.")
_verb = verb_of(app, settings=data_settings)

_NAMES_HELP = "Data sets or paths of cards; default: every shipped one whose files are present."
Names = Annotated[list[str] | None, typer.Argument(help=_NAMES_HELP, show_default=False)]


@_verb("list", "list beauty ./mine.yaml")
def list_(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Data sets or paths of cards; default: every shipped one."),
    ] = None,
    json: Json = False,
    settings: Settings,
) -> None:
    """List data sets and the folders of their files."""
    rows = [
        {"data set": card.name, "summary": card.summary, "files": _whereabouts(card, settings)}
        for card in map(load_card, names or card_names())
    ]
    _print_table(rows, as_json=json)


@_verb("fetch beauty toys")
def fetch(
    *,
    names: Annotated[
        list[str], typer.Argument(help="Data sets or paths of cards.", show_default=False)
    ],
    again: Annotated[
        bool, typer.Option("--again", help="Download again even if the files are present.")
    ] = False,
    settings: Settings,
) -> None:
    """Download data sets, check them and cache them parsed."""
    from bench.data.fetch import fetch_card
    from bench.data.load import read_card

    for card in [load_card(name) for name in names]:
        located = fetch_card(card, settings, again=again)
        dataset = read_card(card, located, settings.cache)
        places = sorted({str(path.parent) for path in located.files.values()}) or ["generated"]
        typer.echo(f"{card.name}: {dataset.n_interactions:,} interactions, {', '.join(places)}")
        for head, text in (("licence", card.licence), ("cite", card.citation)):
            if text:
                typer.echo(f"  {head}: {text}")


@_verb("stats", "stats beauty ./mine.yaml")
def stats(*, names: Names = None, json: Json = False, settings: Settings) -> None:
    """Print users, items, actions, average length and sparsity."""
    from bench.data.audit import statistics
    from bench.data.load import load_dataset

    rows = [
        {"data set": dataset.name, **statistics(dataset)}
        for dataset in (load_dataset(name, settings) for name in names or _present(settings))
    ]
    _print_table(rows, as_json=json)


@_verb("verify", "verify ml-100k")
def verify(*, names: Names = None, settings: Settings) -> None:
    """Compare files with checksums and contents with known counts."""
    from bench.data.load import verify as verify_card

    failed = []
    for name in names or _present(settings):
        try:
            files, dataset = verify_card(load_card(name), settings)
        except BenchError as error:
            failed.append(str(error))
            typer.echo(f"{name}: FAILED")
            continue
        typer.echo(f"{name}: ok, fingerprint {dataset.fingerprint}")
        for file in files:
            typer.echo(f"  {file.path}  sha256 {file.sha256}  (known from: {file.authority})")
    if failed:
        raise DataError(" | ".join(failed))


@_verb("audit", "audit ./mine.yaml")
def audit(
    *,
    names: Names = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Split by time to report on, such as temporal:test_from=0.95."
        ),
    ] = "temporal",
    json: Json = False,
    settings: Settings,
) -> None:
    """Look for defects that silently ruin comparisons.

    One is a copy whose sequences are sorted by item id instead of by time.
    """
    from bench.data.audit import against_file
    from bench.data.audit import audit as audit_dataset
    from bench.data.load import load_dataset

    rows: list[dict[str, str]] = []
    rule = Protocol.parse({"split": split}, "--split").split
    if rule == LEAVE_ONE_OUT:
        raise ConfigError(f"--split {rule} is not a split by time; write for example temporal")
    for name in names or _present(settings):
        dataset = load_dataset(name, settings)
        results = audit_dataset(dataset, rule)
        base, variants = split_source(name)
        if variants and not any(isinstance(variant, Change) for variant in variants):
            results.append(against_file(dataset, load_dataset(base, settings)))
        rows += [{"data set": name, **vars(result)} for result in results]
        lines = [f"  {result.level:<7}  {result.check}: {result.text}" for result in results]
        if not json:
            typer.echo("\n".join([f"{name}:", *lines]))
    if json:
        print_json(rows)


def _present(settings: Settings) -> list[str]:
    return [name for name in card_names() if locate(load_card(name), settings)]


def _whereabouts(card: Card, settings: Settings) -> str:
    located, command = locate(card, settings), f"bench data fetch {card.name}"
    if located is not None:
        folders = [str(path.parent) for path in located.files.values()]
        return folders[0] if folders else "generated"
    if fetchable(card):
        return command
    return f"by hand: {command}" if card.obtain else "missing"


def _print_table(rows: list[dict[str, str]], *, as_json: bool) -> None:
    from tabulate import tabulate

    if as_json:
        print_json(rows)
        return
    align = ["left", *["right"] * (len(rows[0]) - 1)] if rows and "users" in rows[0] else None
    typer.echo(
        tabulate(rows, headers="keys", disable_numparse=True, colalign=align, tablefmt="simple")
    )
