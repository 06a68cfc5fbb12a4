"""Tags: names for sets of experiments, which ``bench store gc`` keeps.

::

    tags/<name>.json     keys of the experiments
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from bench.errors import ConfigError
from bench.files import read_model, write_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Tag(BaseModel):
    """Content of a tag's file."""

    keys: list[str]


def read_tags(root: Path) -> dict[str, list[str]]:
    """Return the keys of the experiments of each tag, by its name.

    Raises
    ------
    StoreError
        A file is damaged.
    """
    paths = sorted((root / "tags").glob("[!.]*.json"))
    return {path.stem: read_model(path, _Tag, "delete it").keys for path in paths}


def write_tag(root: Path, name: str, keys: Iterable[str]) -> None:
    """Name a set of experiments; without any, the tag is removed.

    Raises
    ------
    ConfigError
        The name is not fit for a file.
    StoreError
        The file system refuses.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is no name of a tag; use letters, digits, '.', '_' and '-'")
    path, chosen = root / "tags" / f"{name}.json", sorted(set(keys))
    if chosen:
        write_json(path, {"keys": chosen})
    else:
        path.unlink(missing_ok=True)
