"""Processes that run trials at the same time; one's death harms no other."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bench.errors import BenchError, StoreError
from bench.runs.workers import end_with_parent
from bench.tuning.tune import Tuning, work

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class _Stopped:
    """A worker cannot go on, and neither can the others."""

    reason: str


def work_in_processes(tuning: Tuning, count: int, say: Callable[[str], None]) -> None:
    """Run trials until no study admits another.

    A worker that dies is not replaced here: its trial is given up and taken up again by the next
    round; see :func:`bench.tuning.tune.tune`.

    Parameters
    ----------
    tuning
        Prepared.
    count
        Processes.
    say
        Given the workers' lines.

    Raises
    ------
    StoreError
        A worker met a store or storage that fails.
    """
    pairs = [_begin(tuning) for _ in range(count)]
    open_ends = [end for _, end in pairs]
    try:
        while open_ends:
            for end in wait(open_ends):
                if isinstance(end, Connection) and not _listen(end, say):
                    open_ends.remove(end)
    finally:
        for process, end in pairs:
            end.close()
            process.terminate()
            process.join()


def _begin(tuning: Tuning) -> tuple[BaseProcess, Connection]:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(theirs, tuning))
    process.start()
    theirs.close()
    return process, ours


def _listen(end: Connection, say: Callable[[str], None]) -> bool:
    """Pass on one line; False when the worker has ended."""
    try:
        message: str | _Stopped = end.recv()
    except (EOFError, OSError):
        return False
    if isinstance(message, _Stopped):
        raise StoreError(message.reason)
    say(message)
    return True


def _serve(end: Connection, tuning: Tuning) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C for all
    end_with_parent()
    with suppress(BrokenPipeError):  # the parent closed its end
        try:
            work(tuning, end.send)
        except BenchError as error:
            end.send(_Stopped(str(error)))
