"""Rows with named columns: separated text, Parquet, JSON lines, and formats made of them."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path

from bench.data.columns import Columns, item_texts
from bench.data.interactions import CheckResult, Interactions
from bench.data.tables import read_table
from bench.errors import DataError
from bench.plan.formats import RecboleOptions, TableOptions


def read(files: Mapping[str, Path], options: TableOptions) -> Interactions:
    """Parse.

    Raises
    ------
    DataError
        A file is missing, empty, damaged, in another encoding, lacks a column or holds a time
        that is none.
    """
    table = read_table(
        files["interactions"],
        [options.user, options.item, *([] if options.time is None else [options.time])],
        options,
        max_bad_lines=options.max_bad_lines,
    )
    return _interactions(table, files.get("items"), options)


def read_reviews(files: Mapping[str, Path], options: TableOptions) -> Interactions:
    """Parse files with the roles ``reviews`` and ``metadata``; see :func:`read`."""
    names = {"interactions": "reviews", "items": "metadata"}
    return read({name: files[role] for name, role in names.items() if role in files}, options)


def read_atomic(files: Mapping[str, Path], options: RecboleOptions) -> Interactions:
    """Parse files whose header states types; see :func:`read`.

    Raises
    ------
    DataError
        The file holds sequences that were cut from histories instead of interactions.
    """
    path = files["interactions"]
    wanted = [options.user, options.item, *([] if options.time is None else [options.time])]
    table = read_table(path, wanted, options, typed=True)
    kinds = dict(name.partition(":")[::2] for name in table.header)
    if f"{options.item}_list" in kinds:
        raise DataError(
            f"{path} holds '{options.item}_list': sequences that RecBole has cut from histories, "
            "in which an interaction occurs many times; take the .inter file with one "
            "interaction a line"
        )
    times = {name for name, kind in kinds.items() if kind.startswith("float")} - {"rating"}
    if options.time not in table.arrays and "time" not in options.model_fields_set and not times:
        text = f"{path} has no times; the order of its lines is taken as the order of time"
        table.notes.append(CheckResult("times", "note", text))
        options = options.model_copy(update={"time": None})
    return _interactions(table, files.get("items"), options, typed=True)


def _interactions(
    table: Columns, listed: Path | None, options: TableOptions, *, typed: bool = False
) -> Interactions:
    users, user_ids = table.ids(options.user)
    items, item_ids = table.ids(options.item)
    times = None if options.time is None else table.times(options.time, options.time_format)
    texts, notes = None, table.notes
    if listed:
        id_column = options.item_id or options.item
        products = read_table(
            listed,
            [id_column, options.text],
            options.items_file,
            typed=typed,
            optional=options.text,
            among={value.strip() for value in item_ids},
            max_bad_lines=options.max_bad_lines,
        )
        texts = item_texts(products, id_column, options.text, options.max_bad_lines)
        drop = re.compile(options.text_drop)
        if options.text_html:
            texts = {item: html.unescape(text) for item, text in texts.items()}
        if options.text_drop:
            texts = {item: drop.sub("", text) for item, text in texts.items()}
        notes = [*table.notes, *products.notes]
    return Interactions(
        users, items, user_ids, item_ids, times, texts, place=table.place, notes=notes
    )
