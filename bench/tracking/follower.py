"""A process beside a run that delivers what finishes; it delays the run's end by little.

MLflow takes seconds to import and may be slow or away, so nothing of it happens in the run's own
process. What is not delivered in time stays in the store for ``bench track sync``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from bench.errors import BenchError
from bench.tracking.items import Name
from bench.tracking.sync import Delivery, pending
from bench.tracking.where import destination

GRACE = 5.0
"""Seconds that a run waits at its end for the last deliveries."""
POLL = 2.0
"""Seconds between two looks at the store."""
BACK_OFF = 15.0
"""Seconds until a destination that failed is tried again."""
LAST = 30.0
"""Seconds that the process lives on when the run has been killed."""
COMMAND = [sys.executable, "-m", "bench", "track", "sync", "--follow"]


class Follower:
    """The run's side: begins the process, and ends it.

    Parameters
    ----------
    root
        Of the results store.
    say
        Given warnings.
    busy
        Whether the run has anything to do; otherwise a process begins only for what was left
        undelivered before.
    """

    def __init__(self, root: Path, say: Callable[[str], None], *, busy: bool) -> None:
        self._root = root
        self._say = say
        self._busy = busy
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Follower:
        """Begin the process; whatever prevents it costs a warning."""
        try:
            self._where = destination(self._root)
            if not self._busy and not self._left():
                return self
            log = self._root / "tracking" / "log.txt"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as stream:
                self._process = subprocess.Popen(  # noqa: S603 - this program
                    COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=stream,
                    stderr=stream,
                    env={**os.environ, "BENCH_STORE": str(self._root)},
                    start_new_session=True,  # Ctrl-C is the run's; this one ends with the pipe
                )
        except (BenchError, OSError) as error:
            self._say(f"warning: not tracked: {error}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for what is left for at most :data:`GRACE` seconds; not after an interruption."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            if kind is None:
                self._wait(process)
        finally:
            process.kill()
            process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        try:
            if self._left():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
            left = self._left()
        except BenchError as error:
            self._say(f"warning: not tracked: {error}")
            return
        if left:
            self._say(
                f"warning: {left} of what is to be tracked did not reach MLflow at "
                f"{self._where.shown} within {GRACE:g} s (see {self._root / 'tracking/log.txt'}); "
                "'bench track sync' delivers it later"
            )

    def _left(self) -> int:
        return len(pending(self._root, self._where))


def follow(
    root: Path,
    deliver: Callable[[float], Delivery],
    stream: IO[bytes],
    said: Callable[[str], None],
) -> None:
    """Deliver again and again until the run's end closes a pipe, then once more.

    Parameters
    ----------
    root
        Of the results store.
    deliver
        Makes one pass; given how long it may wait for another process.
    stream
        The pipe.
    said
        Given one line a pass that brought something or failed.
    """
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(stream, ended), daemon=True).start()
    seen: frozenset[tuple[Name, str]] | None = None
    while not ended.is_set():
        now = state(root)
        pause = POLL
        if now != seen:
            problem = _pass(deliver, 0.0, said)
            seen, pause = (seen, BACK_OFF) if problem else (now, POLL)
        ended.wait(pause)
    last = threading.Timer(LAST, lambda: os._exit(1))
    last.daemon = True
    last.start()
    _pass(deliver, LAST, said)


def _await_end(stream: IO[bytes], ended: threading.Event) -> None:
    stream.read()
    ended.set()


def state(root: Path) -> frozenset[tuple[Name, str]]:
    """Give what a pass would look at, to see whether there is anything new."""
    from bench.tracking.listing import outlines

    return frozenset((outline.name, outline.digest) for outline in outlines(root))


def _pass(
    deliver: Callable[[float], Delivery], patience: float, said: Callable[[str], None]
) -> str:
    try:
        brought = deliver(patience)
    except BenchError as error:
        said(f"{time.strftime('%H:%M:%S')} {error}")
        return str(error)
    if brought.delivered or brought.problem:
        problem = f"; {brought.left} not: {brought.problem}" if brought.problem else ""
        said(f"{time.strftime('%H:%M:%S')} {brought.delivered} delivered{problem}")
    return brought.problem
