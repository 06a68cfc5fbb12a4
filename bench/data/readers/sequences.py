"""``user_sequence.txt``: one user per line; and ``items.tsv``: titles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.columns import Columns, item_texts
from bench.data.interactions import CheckResult, Interactions, tidy
from bench.data.tables import read_table, read_text
from bench.errors import DataError
from bench.plan.formats import FileOptions, SequencesOptions


def read(files: Mapping[str, Path], options: SequencesOptions) -> Interactions:
    """Parse; items of a line are in chronological order.

    Raises
    ------
    DataError
        A file is missing, empty or not UTF-8, a user has no items or two lines.
    """
    import pyarrow as pa

    path = files["sequences"]
    text = read_text(path).replace("\t", " ")
    rows = [[value for value in line.split(" ") if value] for line in text.split("\n")]
    lines = [number for number, row in enumerate(rows, 1) if row]
    rows = [row for row in rows if row]
    _check_rows(path, rows, lines)
    users = np.repeat(np.arange(len(rows)), [len(row) - 1 for row in rows])

    def place(row: int) -> str:
        return f"{path}, line {lines[users[row]]}"

    flat = pa.array([item for row in rows for item in row[1:]], pa.string())
    table = Columns(path, {"item": pa.chunked_array([flat])}, place, ["item"])
    items, item_ids = table.ids("item")
    texts, notes = None, list[CheckResult]()
    if "items" in files:
        layout = FileOptions(separator="\t")
        listed = read_table(files["items"], [options.id_column, options.text_column], layout)
        texts, notes = item_texts(listed, options.id_column, options.text_column), listed.notes
    user_ids = [row[0] for row in rows]
    return Interactions(users, items, user_ids, item_ids, texts=texts, place=place, notes=notes)


def _check_rows(path: Path, rows: list[list[str]], lines: list[int]) -> None:
    first: dict[str, int] = {}
    meant, _ = tidy([row[0] for row in rows], "user")  # as the data set will name them
    for line, row, user in zip(lines, rows, meant, strict=True):
        if len(row) == 1:
            raise DataError(
                f"{path}, line {line}: user '{row[0]}' has no items; a line is USER ITEM ITEM ..."
            )
        if user in first:
            raise DataError(
                f"{path}, line {line}: user '{user}' is already on line {first[user]}; merge the "
                "two lines"
            )
        first[user] = line
