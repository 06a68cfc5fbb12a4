"""Where the data behind finished experiments are loaded from; light to import."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.reports.results import Result


def source_of(results: Iterable[Result]) -> str:
    """Say what the data set of some experiments, all of one, is loaded by.

    That is its name, or the path of a user's own card: where several are known, one that exists.
    """
    found = list(results)
    cards = [result.metadata.card for result in found if result.metadata.card]
    return next(filter(os.path.isfile, cards), cards[0] if cards else found[0].experiment.dataset)
