"""CSV (any separator) and Parquet with named columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.data.columns import Columns, item_texts, read_delimited, read_parquet
from bench.data.interactions import Interactions
from bench.plan.formats import TableOptions

_PARQUET = {".parquet", ".pq"}


def read(files: Mapping[str, Path], options: TableOptions) -> Interactions:
    """Parse; a file whose name ends in .parquet or .pq is Parquet, any other is text.

    Raises
    ------
    DataError
        A file is missing, empty, in another encoding, lacks a column or holds a time that
        is none.
    """
    table = _columns(files["interactions"], options)
    users, user_ids = table.ids(options.user, "user")
    items, item_ids = table.ids(options.item, "item")
    times = None if options.time is None else table.times(options.time)
    texts = None
    if "items" in files:
        texts = item_texts(_columns(files["items"], options), options.item_id, options.text)
    return Interactions(users, items, user_ids, item_ids, times, texts)


def _columns(path: Path, options: TableOptions) -> Columns:
    if path.suffix.lower() in _PARQUET:
        return read_parquet(path)
    return read_delimited(path, options.separator, encoding=options.encoding, quoted=True)
