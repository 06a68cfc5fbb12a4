"""Amazon reviews of 2014: ``reviews_*_5.json.gz`` and ``meta_*.json.gz``.

Reviews are JSON, one a line. Metadata are Python literals, one a line; they are read with
:func:`ast.literal_eval`, which runs no code. Metadata cover many more items than the 5-core
reviews, so a line is parsed only when its item id, found by pattern, has a review.
"""

from __future__ import annotations

import ast
import gzip
import html
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.interactions import Interactions, check_ids, encode
from bench.errors import DataError
from bench.plan.formats import AmazonOptions

_LOG = logging.getLogger(__name__)
_ASIN = re.compile(rb"""['"]asin['"]: *['"]([^'"]*)['"]""")


class _BadLineError(ValueError):
    """A line that holds no review or no product."""


def read(files: Mapping[str, Path], options: AmazonOptions) -> Interactions:
    """Parse; reviews of one second (they are dated by the day) keep the order of the file.

    Raises
    ------
    DataError
        A file is missing, empty, truncated, not gzip, or has too many unreadable lines.
    """
    path = files["reviews"]
    rows = list(_parsed(path, options, _review))
    if not rows:
        raise DataError(f"{path} holds no review; fetch it again")
    users, user_ids = encode(row[0] for row in rows)
    items, item_ids = encode(row[1] for row in rows)
    for ids, kind in ((user_ids, "user"), (item_ids, "item")):
        check_ids(ids, kind, lambda _: str(path))
    times = np.asarray([row[2] for row in rows], dtype=np.int64)
    texts = None
    if "metadata" in files:
        texts = _titles(files["metadata"], options, set(item_ids))
    return Interactions(users, items, user_ids, item_ids, times, texts)


def _titles(path: Path, options: AmazonOptions, wanted: set[str]) -> dict[str, str]:
    def product(line: bytes) -> tuple[str, str] | None:
        found = _ASIN.search(line)
        if found and found[1].decode("utf-8", "replace") not in wanted:
            return None
        return _product(line)

    return dict(_parsed(path, options, product))


def _parsed(path: Path, options: AmazonOptions, parse: Callable[[bytes], Any]) -> Iterator[Any]:
    """Yield what every line holds; unreadable ones are left out and reported, up to a limit."""
    bad: list[int] = []
    for number, line in _lines(path):
        try:
            row = parse(line)
        except _BadLineError as error:
            bad.append(number)
            if len(bad) > options.max_bad_lines:
                raise DataError(
                    f"{path}, line {number}: {error}; {len(bad)} unreadable lines are more than "
                    f"max_bad_lines = {options.max_bad_lines}: fetch the file again or raise the "
                    "limit in its card"
                ) from None
            continue
        if row is not None:
            yield row
    if bad:
        shown = ", ".join(map(str, bad[:10]))
        _LOG.warning("%s: left out %d unreadable lines: %s", path, len(bad), shown)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except EOFError:
        raise DataError(f"{path} is truncated after line {number}; fetch it again") from None
    except (OSError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged after line {number} ({error}); fetch it again"
        ) from None
    if not number:
        raise DataError(f"{path} is empty; fetch it again")


def _review(line: bytes) -> tuple[str, str, int]:
    try:
        review = json.loads(line)
        row = review["reviewerID"], review["asin"], review["unixReviewTime"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _BadLineError("no JSON review with reviewerID, asin and unixReviewTime") from None
    user, item, time = row
    seconds = type(time) is int and 0 <= time < 2**63
    if not (isinstance(user, str) and isinstance(item, str) and seconds):
        raise _BadLineError("reviewerID, asin or unixReviewTime is of the wrong kind")
    return user, item, time


def _product(line: bytes) -> tuple[str, str]:
    try:
        product = ast.literal_eval(line.decode("utf-8").strip())
        item, title = product["asin"], product.get("title") or ""
    except (
        ValueError,
        SyntaxError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
    ):
        raise _BadLineError("no Python literal of a product with asin") from None
    if not (isinstance(item, str) and isinstance(title, str)):
        raise _BadLineError("asin or title is of the wrong kind")
    return item, html.unescape(title)
