"""Choose the device, and make the CPU repeat itself bit for bit."""

from __future__ import annotations

import ctypes
import platform
import re
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench.errors import ConfigError
from bench.numerics import VARIABLES, Numerics
from bench.plan.experiment import Computation
from bench.settings import Settings

_BRANCHES = {
    1: "OFF",
    2: "AUTO",
    3: "COMPATIBLE",
    4: "SSE2",
    6: "SSSE3",
    8: "SSE4_2",
    9: "AVX",
    10: "AVX2",
    12: "AVX512",
    14: "AVX512_E1",
}
"""Code branches of conditional numerical reproducibility by their constant in ``mkl_types.h``."""


def select_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device.

    Raises
    ------
    ConfigError
        The name is not that of a device, or there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        known = "use auto, cpu, cuda or cuda:N"
        raise ConfigError(f"--device {name} is not a device; {known}") from None
    if device.type not in {"cpu", "cuda"}:
        raise ConfigError(f"--device {name} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: no GPU is visible to torch; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"--device {name}: this machine has {count} GPUs; use cuda:0")
    return device


def computation(settings: Settings) -> Computation:
    """Return what determines the last digits of an experiment under given settings.

    Raises
    ------
    ConfigError
        There is no such device, or this process cannot compute with those numerics.
    """
    device = select_device(settings.device)
    _check(device, settings.numerics)
    if device.type == "cpu":
        return Computation(numerics=settings.numerics, threads=settings.threads)
    return Computation(device="cuda", threads=None)


def configure(device: torch.device, threads: int, numerics: Numerics = "native") -> None:
    """Make arithmetic repeatable on the CPU, fast on denormal numbers, and float32 on a GPU.

    The number of threads decides the order of some sums, so it is given, never taken from
    the machine.

    Raises
    ------
    ConfigError
        The libraries do not compute as ``numerics`` asks.
    """
    _check(device, numerics)
    # Off for matrix products by default, but on for recurrent and convolutional layers.
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Filling every new tensor with NaN would only cost time: the tests look for such reads.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _check(device: torch.device, numerics: Numerics) -> None:
    """Refuse numerics that this process does not have."""
    if numerics == "native":
        return
    if device.type != "cpu":
        raise ConfigError("numerics 'portable' is for the CPU; add --device cpu")
    found = arithmetic()
    if found["cpu_capability"] != VARIABLES["ATEN_CPU_CAPABILITY"].upper():
        raise ConfigError(
            "numerics 'portable' needs a processor with AVX2, and torch uses "
            f"{found['cpu_capability']} here; use --numerics native"
        )
    if found["blas_branch"] != VARIABLES["MKL_CBWR"]:
        raise ConfigError(
            "numerics 'portable' needs a torch whose matrix products are MKL's in the branch "
            f"{VARIABLES['MKL_CBWR']}, and here they are {found['blas'] or 'of another library'} "
            f"({found['blas_branch'] or 'no branch'}); use --numerics native"
        )


@cache
def arithmetic() -> dict[str, Any]:
    """Return processor and libraries by the names of :class:`bench.plan.result.Metadata`."""
    return {
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "blas": _blas(),
        "blas_branch": _mkl_branch(),
    }


def _processor() -> str:
    try:
        content = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        content = ""
    named = re.search(r"^model name\s*:\s*(.+)$", content, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _blas() -> str | None:
    shown = torch.__config__.show()
    mkl = re.search(r"Math Kernel Library Version (\S+?)-Product", shown)
    if mkl:
        return f"MKL {mkl[1]}"
    library = re.search(r"BLAS_INFO=(\w+)", shown)
    return library[1] if library else None


def _mkl_branch() -> str | None:
    """Ask MKL, which is linked into torch or loaded by it; None if that is not possible."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        branch = ctypes.CDLL(str(library)).mkl_serv_cbwr_get(1)  # MKL_CBWR_BRANCH
    except (OSError, AttributeError):
        return None
    return _BRANCHES.get(branch, str(branch))
