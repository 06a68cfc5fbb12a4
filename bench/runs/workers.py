"""Worker processes, each with its own pipe, so that one's death harms no other.

A pool from the standard library does not tell which task a killed worker had and takes the
other workers down with it; here the parent knows both ends of every pipe.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.errors import BenchError
from bench.runs.attempt import Outcome, Setup, attempt
from bench.runs.plan import Job
from bench.runs.progress import Progress

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

    Attributes
    ----------
    job
        What it is at, None when it waits for more.
    """

    def __init__(self, setup: Setup) -> None:
        self.job: Job | None = None
        self.connection, remote = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(remote, setup))
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


def _serve(connection: Connection, setup: Setup) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C for all
    end_with_parent()
    with suppress(EOFError, OSError):  # the parent closed its end
        while True:
            job: Job = connection.recv()
            connection.send(_answer(job, setup, connection))


def _answer(job: Job, setup: Setup, connection: Connection) -> Outcome | Stopped:
    try:
        return attempt(job, setup, lambda label: connection.send(Started(label)), connection.send)
    except BenchError as error:
        return Stopped(str(error))


def end_with_parent() -> None:
    """Leave no orphan that trains on when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
