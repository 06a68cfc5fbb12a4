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
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome, run_one

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Started:
    """A worker has begun an experiment."""

    label: str


@dataclass(frozen=True)
class Stopped:
    """A worker cannot go on, and neither can the others."""

    reason: str


Message = Started | Progress | ExperimentOutcome | Stopped


class Worker:
    """One process that runs experiments one after another.

    Parameters
    ----------
    setup
        How experiments are run.

    Attributes
    ----------
    planned
        What it is at, None when it waits for more.
    """

    def __init__(self, setup: ExecutionSettings) -> None:
        self.planned: PlannedExperiment | None = None
        self.connection, remote = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(remote, setup))
        self._process.start()
        remote.close()

    def give(self, planned: PlannedExperiment) -> None:
        """Hand over an experiment; a worker that died meanwhile is noticed by :meth:`receive`."""
        self.planned = planned
        with suppress(OSError):
            self.connection.send(planned)

    def receive(self) -> Message | None:
        """Read the next message; None when the process has died."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, ExperimentOutcome):
            self.planned = None
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


def _serve(connection: Connection, setup: ExecutionSettings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C for all
    end_with_parent()
    with suppress(EOFError, OSError):  # the parent closed its end
        while True:
            planned: PlannedExperiment = connection.recv()
            connection.send(_answer(planned, setup, connection))


def _answer(
    planned: PlannedExperiment, setup: ExecutionSettings, connection: Connection
) -> ExperimentOutcome | Stopped:
    try:
        return run_one(
            planned, setup, lambda label: connection.send(Started(label)), connection.send
        )
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
