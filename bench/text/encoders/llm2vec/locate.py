"""Where the files of a model are: a folder, or what the Hugging Face hub's client has cached."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.errors import ConfigError, DataError
from bench.hashing import content_hash
from bench.settings import expanded
from bench.text.encoders.weights import folder_hash

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")
ADAPTER = "adapter_model.safetensors"
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]


def hash_of(folders: Sequence[Path], cache: Path | None) -> str:
    """Hash the files of a model and its adapters, in their order; see :func:`.folder_hash`."""
    return content_hash([folder_hash(folder, cache) for folder in folders])


def on_disk(name: str) -> Path | None:
    """Return the folder of a model without any network access; None if it is not here."""
    folder = expanded(name)
    if name and folder.is_dir():
        return folder
    return _snapshot(name, local=True) if _ID.fullmatch(name) else None


def fetched(name: str, encoder: str, *, offline: bool, is_adapter: bool = False) -> Path:
    """Return the folder of a model, fetched from the hub where it is not here.

    Parameters
    ----------
    name
        A folder or an id.
    encoder
        Its name, for messages.
    offline
        Whether the network is forbidden.
    is_adapter
        Whether it is a PEFT adapter.

    Raises
    ------
    ConfigError
        The name is neither.
    DataError
        The hub cannot be reached or refuses, or the folder has no weights that are read here.
    """
    if not name:
        raise ConfigError(
            f"encoder '{encoder}' needs a model; set {encoder}.model to a folder or a Hugging "
            "Face id"
        )
    folder = on_disk(name)
    if folder is None and not _ID.fullmatch(name):
        raise ConfigError(f"encoder '{encoder}': {name} is neither a folder nor a hub id")
    if folder is None and not offline:
        folder = _snapshot(name, local=False)
    if folder is None:
        raise DataError(_how_to_copy(name, encoder))
    pickled = folder / "adapter_model.bin"
    if pickled.exists():  # PEFT would open it in place of a safetensors file that it does not find
        raise DataError(f"{pickled} is pickled and not read; delete it and keep {ADAPTER}")
    wanted = ADAPTER if is_adapter else "*.safetensors"
    if not any(folder.glob(wanted)):
        raise DataError(f"{folder} has no file {wanted}; pickled weights are not read")
    return folder


def _how_to_copy(name: str, encoder: str) -> str:
    owned = name.partition("@")[0]
    return (
        f"encoder '{encoder}' needs {name}, which is not on this machine and which only the "
        "Hugging Face hub offers, not the package index; where the hub can be reached, run "
        f"'huggingface-cli download {owned} --local-dir FOLDER' (log in first where its licence "
        "must be accepted), copy FOLDER here and set encoder.model or encoder.adapters to it"
    )


def _snapshot(name: str, *, local: bool) -> Path | None:
    """Ask the hub's client for a model; None if it has none and cannot fetch it."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        return None
    owned, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            owned,
            revision=revision or None,
            allow_patterns=_FILES,
            ignore_patterns=["original/*"],
            local_files_only=local,
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        return None
    return Path(folder)
