"""Check a ``bench ...`` line against the real commands, options and values, without running it."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import typer.main
from house import fenced

from bench.cli.main import app
from bench.components import BACKBONES, ENCODERS, METHODS, VARIANT_MARK
from bench.plan.data_card import card_names, is_path
from bench.plan.variants import split_source

KNOWN = {
    "dataset": card_names,
    "datasets": card_names,
    "backbone": BACKBONES.names,
    "method": METHODS.names,
    "encoder": ENCODERS.names,
}
_INLINE = re.compile(r"`(?:python -m )?(bench(?: [^`]*)?)`")


@cache
def bench_command() -> Any:
    """Build the tree of the commands, which takes as long as a hundred lookups in it."""
    return typer.main.get_command(app)


def shown(page: Path) -> Iterator[str]:
    """Every ``bench ...`` command of a page: lines of its shell blocks, and in running text."""
    text = page.read_text(encoding="utf-8")
    for language, content in fenced(page):
        text = text.replace(f"```{language}\n{content}```", "")
        if language == "sh":
            for line in content.replace("\\\n", " ").splitlines():
                pieces = (piece.strip() for piece in line.split("&&"))
                yield from (piece for piece in pieces if re.match(r"bench\b", piece))
    yield from (found for found in _INLINE.findall(text) if found != "bench")


def introduced(page: Path) -> set[str]:
    """Names that a page's own examples register."""
    blocks = [tomllib.loads(content) for language, content in fenced(page) if language == "toml"]
    groups = [group for block in blocks for group in block["project"]["entry-points"].values()]
    return {name for group in groups for name in group}


def check(line: str, also: set[str] = frozenset()) -> str:
    """Fail unless the line names a command, its options and its values as they are.

    A command alone, as text mentions it, may lack its arguments.

    Parameters
    ----------
    line
        Begins with ``bench``.
    also
        Names of components that are not registered but are no mistake.

    Returns
    -------
    str
        Name of the command that the line runs.
    """
    words = shlex.split(line, comments=True)[1:]
    command = bench_command()
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command '{words[0]}'"
        command = command.commands[words.pop(0)]
    if not words or words == ["--help"]:
        return str(command.name)
    with mock.patch.dict(os.environ):  # some options set variables as they are parsed
        values = command.make_context("bench", words).params
    for option, names in KNOWN.items():
        value = values.get(option) or ()
        for name in [value] if isinstance(value, str) else value:
            base = split_source(name)[0].partition(VARIANT_MARK)[0]
            assert is_path(name) or base in {*names(), *also}, f"no {option} '{name}'"
    return str(command.name)
