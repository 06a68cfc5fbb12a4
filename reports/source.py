"""Where the data behind finished cells are loaded from; light, for verbs that only print help."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.reports.results import Result


def source_of(results: Iterable[Result]) -> str:
    """Say what the data set of some cells, all of one, is loaded by.

    That is its name, or the path of a user's own card: where cells know several, one that exists.
    """
    found = list(results)
    cards = [str(result.facts["card"]) for result in found if "card" in result.facts]
    return next(filter(os.path.isfile, cards), cards[0] if cards else found[0].cell.dataset)
