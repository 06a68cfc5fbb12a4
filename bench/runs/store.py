"""The results store: one folder per finished experiment, all of it readable without torch.

::

    experiments/<label>-<key12>/   experiment, metadata, curve (JSON), ranks, decisions (Parquet),
                                   and the manifest with the SHA-256 of each
    work/<key>/              checkpoints of experiments that have begun
    failures/<key>.json      cause of the last failure
    locks/<key>.lock         held while a process runs it; released by the system at its death
    claims/<key>/            in place of locks where machines share the store

Everything is written under a temporary name and renamed, so a folder that exists is complete.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from bench.config import Config
from bench.errors import StoreError, printable
from bench.files import (
    DAY,
    atomic_path,
    discard,
    folder_name,
    leftovers,
    locked,
    read_model,
    write_errors,
    write_json,
)
from bench.hashing import file_hash
from bench.manifest import DamagedError, Manifest, seal
from bench.plan.experiment import Experiment
from bench.plan.protocol import Keep
from bench.plan.result import ExperimentResult
from bench.runs.claims import claim, is_claimed
from bench.runs.stored import LISTS, WEIGHTS, StoredExperiment, write_columns

Status = Literal["done", "failed", "partial", "missing"]
_SHORT = 12
_KEY = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{52})?(?=\.json$|$)")
_REMEDY = "free space or choose another folder with --store or BENCH_STORE"


class Failure(Config):
    """Why an experiment did not finish.

    The cause is one sentence, the details are the traceback, ``when`` is in seconds since 1970 by
    the clock of the machine, and attempts count how often it has failed.
    """

    label: str
    dataset: str
    backbone: str | None
    method: str
    cause: str
    details: str
    when: float
    attempts: int


class Store:
    """Finished experiments, checkpoints, failures and locks under one folder.

    The folder is created when something is first written. What writes raises a StoreError if the
    file system refuses, what reads one if a file is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, key: str, keep: Collection[Keep] = ()) -> bool:
        """Return whether an experiment is finished and has everything that is to be kept."""
        folder = self._folder(key)
        kept = {"weights": WEIGHTS, "lists": LISTS}
        return folder is not None and all((folder / kept[name]).exists() for name in keep)

    def load(self, key: str) -> StoredExperiment:
        """Return a finished experiment; raise a StoreError if it is not there."""
        folder = self._folder(key)
        if folder is None:
            raise StoreError(f"{self.root} holds no experiment {key[:_SHORT]}; run it first")
        return StoredExperiment(folder)

    def experiments(self) -> Iterator[StoredExperiment]:
        """All finished experiments, in the order of their folders' names."""
        folders = self.root / "experiments"
        if folders.is_dir():
            whole = (path for path in folders.iterdir() if not path.name.startswith("."))
            yield from map(StoredExperiment, sorted(path for path in whole if path.is_dir()))

    def status(self, key: str, keep: Collection[Keep] = ()) -> Status:
        """How far an experiment is, as :meth:`has`; a failure counts until it is finished."""
        if self.has(key, keep):
            return "done"
        if self._failure_path(key).exists():
            return "failed"
        work = self.work(key)
        return "partial" if work.is_dir() and any(work.iterdir()) else "missing"

    def work(self, key: str) -> Path:
        """Folder of an experiment's checkpoints, whether or not it exists."""
        return self.root / "work" / key

    def prepare(self) -> None:
        """Make the folders, and remove what killed processes left incomplete a day ago."""
        with write_errors(f"the store {self.root}", remedy=_REMEDY):
            for name in ("experiments", "work", "failures", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        works = (self.root / "work").iterdir()
        for folder in (*(self.root / name for name in ("experiments", "failures", "runs")), *works):
            for name, path in leftovers(folder, seconds=DAY):
                if not self.is_in_use(name if folder.parent == self.root else folder.name):
                    discard(path)

    def save(self, experiment: Experiment, result: ExperimentResult) -> None:
        """Write a finished experiment, whole or not at all; drop its checkpoints and failure."""
        self.write(experiment.key, experiment.label, experiment.model_dump(mode="json"), result)
        self._forget_beginning(experiment.key)

    def write(
        self,
        key: str,
        label: str,
        content: Mapping[str, Any],
        result: ExperimentResult,
        finished: float | None = None,
    ) -> None:
        """Write the folder of a finished experiment, whole or not at all.

        Key, label and content are those of when it ran: in a later version of bench they may
        differ. It finished so many seconds after 1970; None is now.
        """
        head = {
            "key": key,
            "finished": time.time() if finished is None else finished,
            "experiment": content,
            "decisions": sorted(result.decisions),
        }
        with atomic_path(self._new_folder(label, key)) as folder:
            folder.mkdir()
            write_json(folder / "experiment.json", head)
            write_json(folder / "metadata.json", result.metadata.model_dump(mode="json"))
            write_json(folder / "curve.json", [row.model_dump(mode="json") for row in result.curve])
            for phase, ranks in result.ranks.items():
                write_columns(folder / f"ranks-{phase}.parquet", ranks.columns())
            for part, decisions in result.decisions.items():
                write_columns(folder / f"decisions-{part}.parquet", decisions.columns())
            for part, drops in result.drops.items():
                write_columns(folder / f"drops-{part}.parquet", drops.columns())
            if result.lists is not None:
                write_columns(folder / LISTS, result.lists.columns())
            if result.weights is not None:
                shutil.copyfile(result.weights, folder / WEIGHTS)
            seal(folder)

    def save_work(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write an experiment's checkpoint as it is on another machine; nothing writes nothing."""
        for name, content in files.items():
            with atomic_path(self.work(key) / name) as path:
                path.write_bytes(content)

    def adopt(self, experiment: Experiment, files: Mapping[str, bytes]) -> None:
        """Write the files of an experiment that another store has; drop checkpoints and failure.

        Raise a StoreError if a file does not match its checksum.
        """
        with atomic_path(self._new_folder(experiment.label, experiment.key)) as folder:
            folder.mkdir()
            for name, content in files.items():
                (folder / name).write_bytes(content)
            try:
                manifest = Manifest.read(folder)
                for name in manifest.files:
                    manifest.check(folder / name)
            except (FileNotFoundError, DamagedError) as error:
                raise StoreError(
                    f"{experiment.label} arrived damaged ({error}); run it again"
                ) from error
        self._forget_beginning(experiment.key)

    def discard_work(self, key: str) -> None:
        """Remove an experiment's checkpoints, if there are any."""
        shutil.rmtree(self.work(key), ignore_errors=True)

    def sweep(self, key: str) -> None:
        """Remove what a killed run left incomplete; only for who holds the experiment's lock."""
        for folder in (self.root / "experiments", self.root / "failures", self.work(key)):
            for name, path in leftovers(folder):
                if key[:_SHORT] in name or folder == self.work(key):
                    discard(path)

    def record_failure(self, experiment: Experiment, cause: str, details: str = "") -> None:
        """Write why an experiment did not finish."""
        try:
            before = self.failure(experiment.key)
        except StoreError:  # damaged, and replaced now
            before = None
        failure = Failure(
            label=experiment.label,
            dataset=experiment.dataset,
            backbone=experiment.backbone,
            method=experiment.method,
            # JSON cannot hold the lone surrogates of a file name that is not UTF-8.
            cause=printable(cause),
            details=printable(details),
            when=time.time(),
            attempts=1 if before is None else before.attempts + 1,
        )
        write_json(self._failure_path(experiment.key), failure.model_dump(mode="json"))

    def failure(self, key: str) -> Failure | None:
        """Why an experiment did not finish, None if it never failed."""
        path = self._failure_path(key)
        if not path.exists():
            return None
        return read_model(path, Failure, "delete it and run again")

    def failures(self) -> Iterator[tuple[str, Failure]]:
        """Every recorded failure with its experiment's key, in the order of keys."""
        for key in self.failed():
            failure = self.failure(key)
            if failure is not None:
                yield key, failure

    def failed(self) -> dict[str, str]:
        """Keys of the experiments that have failed, each with the SHA-256 of its record."""
        paths = sorted((self.root / "failures").glob("[!.]*.json"))
        return {path.stem: file_hash(path) for path in paths if path.is_file()}

    def failure_since(self, earlier: Mapping[str, str], key: str) -> Failure | None:
        """Return a failure that was recorded after :meth:`failed` had returned ``earlier``."""
        path = self._failure_path(key)
        is_new = path.exists() and file_hash(path) != earlier.get(key)
        return self.failure(key) if is_new else None

    def is_in_use(self, name: str) -> bool:
        """Return whether a process holds the lock of what a file or folder is named after."""
        key = _KEY.search(name)
        if key is None:
            return False
        for lock in (self.root / "locks").glob(f"{key[0]}*.lock"):
            with locked(lock, timeout=0) as free:
                if not free:
                    return True
        return any(map(is_claimed, (self.root / "claims").glob(f"{key[0]}*")))

    def locked(self, key: str) -> AbstractContextManager[bool]:
        """Try to become the one process that runs an experiment; yield False if another does."""
        if self.claims("").is_dir():
            return claim(self.claims(key))
        return locked(self.root / "locks" / f"{key}.lock", timeout=0, remedy=_REMEDY)

    def claims(self, key: str) -> Path:
        """Folder of an experiment's claims, whether or not it exists."""
        return self.root / "claims" / key

    def share(self) -> None:
        """From now on, use claims instead of locks, which do not work between machines."""
        self.claims("").mkdir(parents=True, exist_ok=True)

    def _forget_beginning(self, key: str) -> None:
        self._failure_path(key).unlink(missing_ok=True)
        self.discard_work(key)

    def _new_folder(self, label: str, key: str) -> Path:
        return self.root / "experiments" / folder_name(label, key)

    def _folder(self, key: str) -> Path | None:
        return next((self.root / "experiments").glob(f"[!.]*-{key[:_SHORT]}"), None)

    def _failure_path(self, key: str) -> Path:
        return self.root / "failures" / f"{key}.json"
