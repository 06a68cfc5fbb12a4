"""Options that take several values after one flag, and those that every verb shares."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class ManyValues(TyperCommand):
    """A command whose repeatable options take several values after one flag.

    ``--seeds 1 2`` becomes ``--seeds 1 --seeds 2`` before parsing. Values end at the next
    word that begins with ``-``, so positional arguments stand before such options.
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


def _folder(flag: str, variable: str, content: str) -> Any:
    def set_environment(value: Path | None) -> Path | None:
        if value is not None:
            os.environ[variable] = str(value)  # worker processes see it too
        return value

    return typer.Option(
        flag, help=f"Folder of {content}.", callback=set_environment, show_default=False
    )


DataDir = Annotated[
    Path | None, _folder("--data-dir", "BENCH_DATA_DIR", "raw data sets (BENCH_DATA_DIR)")
]
CacheDir = Annotated[
    Path | None,
    _folder("--cache-dir", "BENCH_CACHE_DIR", "parsed data and vectors (BENCH_CACHE_DIR)"),
]
StoreDir = Annotated[
    Path | None,
    _folder("--store", "BENCH_STORE", "finished cells (BENCH_STORE, or runs/ in this folder)"),
]
