"""Deliver what MLflow lacks; the store is only read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import BenchError
from bench.files import read_json, write_json
from bench.hashing import content_hash
from bench.tracking.items import Name, Outline
from bench.tracking.listing import Draw, draw_nothing, outlines
from bench.tracking.where import Destination

FAILURES_IN_A_ROW = 3
"""Items that fail one after another until the destination counts as down."""


@dataclass(frozen=True)
class Delivery:
    """What one pass brought.

    Attributes
    ----------
    delivered, present
        Items written now, and those that were there already.
    left
        Items that are still to be delivered.
    problem
        Why, in one sentence; empty when nothing is left.
    """

    delivered: int
    present: int
    left: int
    problem: str = ""


def set_limits(seconds: float, retries: int) -> None:
    """Bound what MLflow's client waits for, unless the user has; before MLflow is imported.

    Parameters
    ----------
    seconds
        For one answer of a server.
    retries
        Of one request.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(seconds)))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(retries))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")


def pending(root: Path, where: Destination) -> list[Outline]:
    """List what no pass has delivered yet, as far as the store remembers; imports no MLflow.

    Parameters
    ----------
    root
        Of the results store.
    where
        The destination.
    """
    remembered = _remembered(root, where)
    return [o for o in outlines(root) if remembered.get(_flat(o.name)) != o.digest]


def sync(
    root: Path,
    where: Destination,
    draw: Draw = draw_nothing,
    *,
    said: Callable[[str], None] = lambda _: None,
    patience: float = -1,
) -> Delivery:
    """Compare the store with MLflow and deliver what is missing or was cut short.

    Parameters
    ----------
    root
        Of the results store.
    where
        The destination.
    draw
        Makes tables and figures of runs.
    said
        Told of each delivered item.
    patience
        Seconds to wait for another process that delivers from this store; below 0 as long as
        that takes.

    Raises
    ------
    StoreError
        MLflow cannot be reached, or a record is damaged.
    """
    lock = root / "locks" / "tracking.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=patience):
            return _sync(root, where, draw, said)
    except Timeout:
        left = len(pending(root, where))
        return Delivery(0, 0, left, "another process delivers from this store")


def _sync(root: Path, where: Destination, draw: Draw, said: Callable[[str], None]) -> Delivery:
    from bench.tracking.deliver import Tracker

    tracker = Tracker(where)
    known = tracker.index()
    delivered = present = in_a_row = 0
    failed: list[str] = []
    listed = list(outlines(root, draw))
    for outline in listed:
        there = known.get(outline.name)
        parent = known[outline.parent].run_id if outline.parent in known else ""
        if there is not None and there.digest == outline.digest and there.parent == parent:
            present += 1
            continue
        try:
            known[outline.name] = tracker.deliver(outline, there, parent)
        except BenchError as error:
            failed.append(str(error))
            in_a_row += 1
            if in_a_row == FAILURES_IN_A_ROW:
                break
            continue
        in_a_row = 0
        delivered += 1
        said(f"{outline.kind} {outline.key[:12]} delivered")
    _remember(root, where, {name: entry.digest for name, entry in known.items()})
    left = len(listed) - delivered - present
    return Delivery(delivered, present, left, failed[0] if failed else "")


def _memory(root: Path, where: Destination) -> Path:
    return root / "tracking" / f"delivered-{content_hash([where.uri, where.experiment])[:12]}.json"


def _remembered(root: Path, where: Destination) -> dict[str, Any]:
    path = _memory(root, where)
    return dict(read_json(path)) if path.exists() else {}


def _remember(root: Path, where: Destination, digests: dict[Name, str]) -> None:
    write_json(_memory(root, where), {_flat(name): digest for name, digest in digests.items()})


def _flat(name: Name) -> str:
    return " ".join(name)
