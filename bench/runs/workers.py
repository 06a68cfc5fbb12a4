"""Worker processes, each with its own pipe, so that one's death harms no other.

A pool from the standard library does not tell which task a killed worker had and takes the
other workers down with it; here the parent knows both ends of every pipe.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.errors import BenchError
from bench.runs.attempt import Outcome, Setup, attempt
from bench.runs.plan import Job
from bench.runs.progress import Progress

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Started:
    """A worker has begun a cell."""

    label: str


@dataclass(frozen=True)
class Stopped:
    """A worker cannot go on, and neither can the others."""

    reason: str


Message = Started | Progress | Outcome | Stopped


class Worker:
    """One process that runs cells one after another.

    Parameters
    ----------
    setup
        How cells are run.
    threads
        Of its arithmetic.

    Attributes
    ----------
    job
        What it is at, None when it waits for more.
    """

    def __init__(self, setup: Setup, threads: int) -> None:
        self.job: Job | None = None
        self.connection, remote = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(remote, setup))
        with _environment(threads):
            self._process.start()
        remote.close()

    def give(self, job: Job) -> None:
        """Hand over a cell; a worker that died meanwhile is noticed by :meth:`receive`."""
        self.job = job
        with suppress(OSError):
            self.connection.send(job)

    def receive(self) -> Message | None:
        """Read the next message; None when the process has died."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, Outcome):
            self.job = None
        return message

    def cause_of_death(self) -> str:
        """Say how the process ended."""
        self._process.join()
        code = self._process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; the system may be short of memory" if code == -signal.SIGKILL else ""
        return f"its worker process died ({how}){hint}"

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self.connection.close()
        self._process.terminate()
        self._process.join()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Set the number of threads where the libraries of a new process look for it."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, setup: Setup) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C for all
    _end_with_parent()
    with suppress(EOFError, OSError):  # the parent closed its end
        while True:
            job: Job = connection.recv()
            connection.send(_answer(job, setup, connection))


def _answer(job: Job, setup: Setup, connection: Connection) -> Outcome | Stopped:
    try:
        return attempt(job, setup, lambda label: connection.send(Started(label)), connection.send)
    except BenchError as error:
        return Stopped(str(error))


def _end_with_parent() -> None:
    """Leave no orphan that trains on when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
