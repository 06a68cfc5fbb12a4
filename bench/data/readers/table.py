"""Rows with named columns: separated text, Parquet, JSON lines, and formats made of them."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.columns import Columns, item_texts
from bench.data.interactions import CheckResult, Interactions, tidy
from bench.data.tables import read_table
from bench.errors import DataError
from bench.plan.formats import RecboleOptions, TableOptions


def read(files: Mapping[str, Path], options: TableOptions) -> Interactions:
    """Parse files with the roles ``interactions`` and ``items``, or ``reviews`` and ``metadata``.

    Raises
    ------
    DataError
        A file is missing, empty, damaged, in another encoding, lacks a column or holds a time
        that is none.
    """
    path = files.get("interactions") or files["reviews"]
    columns = [options.user, options.item, *filter(None, [options.time, options.rating])]
    typed = isinstance(options, RecboleOptions)
    table = read_table(
        path,
        columns,
        options,
        typed=typed,
        optional=options.rating,
        max_bad_lines=options.max_bad_lines,
    )
    time = _time_of_atomic(table, options) if typed else options.time
    users, user_ids = table.ids(options.user)
    items, item_ids = table.ids(options.item)
    times, per_second = table.times(time, options.time_format) if time else (None, None)
    texts, notes, listed = None, table.notes, files.get("items") or files.get("metadata")
    if listed:
        texts, more = _texts(listed, options, item_ids, typed=typed)
        notes = [*notes, *more]
    return Interactions(
        users,
        items,
        user_ids,
        item_ids,
        times,
        texts,
        per_second=per_second,
        ratings=_ratings(table, options),
        place=table.place,
        notes=notes,
    )


def _ratings(table: Columns, options: TableOptions) -> NDArray[np.float32] | None:
    """Return the ratings; None if there are none and the card names no column of them."""
    if options.rating is None:
        return None
    stated = "rating" in options.model_fields_set
    if options.rating not in table.arrays and not stated:
        return None
    ratings = table.ratings(options.rating)
    if not np.isnan(ratings).all():
        return ratings
    if stated:
        raise DataError(
            f"{table.path} has no '{options.rating}' in any line; correct the card's 'rating', or "
            "remove it"
        )
    return None


def _time_of_atomic(table: Columns, options: TableOptions) -> str | None:
    """Return the field of times; None if the card names none and the file has none."""
    kinds = dict(name.partition(":")[::2] for name in table.header)
    if f"{options.item}_list" in kinds:
        raise DataError(
            f"{table.path} holds '{options.item}_list': sequences that RecBole has cut from "
            "histories, in which an interaction occurs many times; use the .inter file with one "
            "interaction per line"
        )
    others = {name for name, kind in kinds.items() if kind.startswith("float")}
    others -= {options.rating}
    if options.time in table.arrays or "time" in options.model_fields_set or others:
        return options.time
    text = f"{table.path} has no times; the order of its lines is taken as the order of time"
    table.notes.append(CheckResult("times", "note", text))
    return None


def _texts(
    path: Path, options: TableOptions, item_ids: Sequence[str], *, typed: bool
) -> tuple[dict[str, str], list[CheckResult]]:
    """Read the list of items: texts by id, and notes."""
    id_column = options.item_id or options.item
    table = read_table(
        path,
        [id_column, options.text],
        options.items_file,
        typed=typed,
        optional=options.text,
        among={*map(str.strip, item_ids), *tidy(item_ids, "item")[0]},
        max_bad_lines=options.max_bad_lines,
    )
    texts = item_texts(table, id_column, options.text, options.max_bad_lines)
    if options.text_html:
        texts = {item: html.unescape(text) for item, text in texts.items()}
    if options.text_drop:
        texts = {item: re.sub(options.text_drop, "", text) for item, text in texts.items()}
    return texts, table.notes
