"""What a cell costs: wall and CPU seconds of each stage, peak memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Meter:
    """Adds up the seconds of named stages and watches the peak of memory.

    Attributes
    ----------
    seconds, cpu_seconds
        By stage; they continue those of an earlier sitting.
    """

    def __init__(self, seconds: dict[str, float], cpu_seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.cpu_seconds = cpu_seconds
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
