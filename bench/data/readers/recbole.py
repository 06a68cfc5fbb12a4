"""RecBole's atomic files, ``.inter`` and ``.item``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.data.columns import Columns, item_texts, read_delimited
from bench.data.interactions import Interactions
from bench.plan.formats import RecboleOptions


def read(files: Mapping[str, Path], options: RecboleOptions) -> Interactions:
    """Parse; a header's types (``user_id:token``) are dropped.

    Raises
    ------
    DataError
        A file is missing, empty, not UTF-8, lacks a field or holds a time that is none.
    """
    table = _atomic(files["interactions"])
    users, user_ids = table.ids(options.user, "user")
    items, item_ids = table.ids(options.item, "item")
    texts = None
    if "items" in files:
        texts = item_texts(_atomic(files["items"]), options.item, options.text)
    return Interactions(users, items, user_ids, item_ids, table.times(options.time), texts)


def _atomic(path: Path) -> Columns:
    table = read_delimited(path, "\t")
    arrays = {name.partition(":")[0]: column for name, column in table.arrays.items()}
    return replace(table, arrays=arrays)
