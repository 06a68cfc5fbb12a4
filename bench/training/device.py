"""Where a model computes, and making the CPU repeat itself bit for bit."""

from __future__ import annotations

import torch

from bench.errors import ConfigError


def select_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device.

    Raises
    ------
    ConfigError
        The name is not that of a device, or the device is not there.
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


def configure(device: torch.device, threads: int) -> None:
    """Make arithmetic repeatable on the CPU, never slow on denormal numbers, float32 on a GPU.

    The number of threads decides the order of some sums, so it is given, never taken from
    the machine.
    """
    # Off for matrix products by default, but on for recurrent and convolutional layers.
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Filling every new tensor with NaN would only cost time: the tests look for such reads.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
