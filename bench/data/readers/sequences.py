"""``user_sequence.txt``: one user a line; and ``items.tsv``: titles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.columns import item_texts, read_delimited, read_text
from bench.data.interactions import Interactions, check_ids, encode
from bench.errors import DataError
from bench.plan.formats import SequencesOptions


def read(files: Mapping[str, Path], options: SequencesOptions) -> Interactions:
    """Parse; items of a line are in chronological order.

    Raises
    ------
    DataError
        A file is missing, empty or not UTF-8, a user has no items or two lines.
    """
    path = files["sequences"]
    rows = [line.split() for line in read_text(path).split("\n")]
    lines = [number for number, row in enumerate(rows, 1) if row]
    rows = [row for row in rows if row]
    _check_rows(path, rows, lines)
    lengths = [len(row) - 1 for row in rows]
    items, item_ids = encode(item for row in rows for item in row[1:])
    user_ids = [row[0] for row in rows]
    check_ids(user_ids, "user", lambda user: f"{path}, line {lines[user_ids.index(user)]}")
    check_ids(item_ids, "item", lambda item: f"{path}, line {_line_of(item, rows, lines)}")
    texts = None
    if "items" in files:
        table = read_delimited(files["items"], "\t")
        texts = item_texts(table, options.id_column, options.text_column)
    users = np.repeat(np.arange(len(rows)), lengths)
    return Interactions(users, items, user_ids, item_ids, texts=texts)


def _check_rows(path: Path, rows: list[list[str]], lines: list[int]) -> None:
    first: dict[str, int] = {}
    for line, row in zip(lines, rows, strict=True):
        if len(row) == 1:
            raise DataError(
                f"{path}, line {line}: user '{row[0]}' has no items; a line is USER ITEM ITEM ..."
            )
        if row[0] in first:
            raise DataError(
                f"{path}, line {line}: user '{row[0]}' is already on line {first[row[0]]}; "
                "merge the two lines"
            )
        first[row[0]] = line


def _line_of(item: str, rows: list[list[str]], lines: list[int]) -> int:
    return next(line for line, row in zip(lines, rows, strict=True) if item in row[1:])
