"""Cost of an experiment: wall and CPU seconds of each stage, peak memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
import torch

IDLE_BYTES = 256 * 2**20
"""Memory that a process may gain, beyond what one step leaves, before idle pages are given back."""
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Meter:
    """Add up the seconds of named stages and track peak memory.

    Attributes
    ----------
    seconds, cpu_seconds
        By stage; they continue those of an interrupted run.
    """

    def __init__(self, seconds: dict[str, float], cpu_seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.cpu_seconds = cpu_seconds
        self._idle = IdleMemory()
        _reset_peak()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what the block takes towards a stage."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - wall
            self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + time.process_time() - cpu
            self._idle.release()

    def tidy(self) -> None:
        """Keep idle memory from piling up; to be called after every step."""
        self._idle.check()


class IdleMemory:
    """Return memory that tensors have left to the system.

    Batches differ in size, so tensors leave holes that later ones do not fit, and the allocator
    of most Linux systems (glibc) keeps the pages of its holes: a training run whose steps needed
    1 GiB each grew to 9. What one step leaves is what the next one needs: taking it away would
    cost the system's time to bring it again.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._floor = self._resident()
        self._own, self._fresh = 0, True

    def check(self) -> None:
        """Release idle pages if the process has grown by more than the limit."""
        gained = self._resident() - self._floor
        if self._fresh:
            self._own, self._fresh = max(self._own, gained), False
        elif gained > self._own + IDLE_BYTES:
            self.release()

    def release(self) -> None:
        """Return all empty pages to the system."""
        trim = _trim()
        if trim is not None:
            trim(0)
        self._floor, self._fresh = self._resident(), True

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)


@cache
def _trim() -> Callable[[int], int] | None:
    """Find glibc's ``malloc_trim``; other systems' allocators do without."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found


def peak_memory_bytes() -> int:
    """Largest resident size since the last :class:`Meter` began.

    Where the system keeps no such peak (it does on Linux), the present size.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)


def peak_gpu_bytes(device: torch.device) -> int:
    """Largest allocation on a GPU; 0 on the CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        _CLEAR.write_text("5")
    except OSError:
        return  # not Linux, or not allowed: the peak then spans the process
