"""Published results as a store, alone or together with a user's own experiments."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import ConfigError, StoreError
from bench.files import atomic_path, locked
from bench.hashing import content_hash, file_hash
from bench.packs.publish import restore, united
from bench.packs.published import SUFFIX, PublishedExperiment, published_keys, read_published
from bench.plan.experiment import Experiment
from bench.plan.progress import counted
from bench.reports.differences import content_read, training_of
from bench.runs.record import record_paths
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable
from bench.settings import Settings, expanded

if TYPE_CHECKING:
    from bench.reports.site import Site

REFERENCE = "reference"
"""The published results that come with bench."""


class Joined(NamedTuple):
    """A user's experiments and published ones that they can be compared with.

    The settings name a store of both, which lasts as long as the process; keys are those to
    compare, None all; notes are sentences on what is published and what is left out.
    """

    settings: Settings
    keys: list[str] | None
    notes: Sequence[str]


def packs_of(name: str) -> list[Path]:
    """Return the packs that a name stands for; raise a StoreError if there is none.

    The name is :data:`REFERENCE`, a pack, or a folder of packs.
    """
    folder = published_folder() if name == REFERENCE else expanded(name)
    found = [folder] if folder.is_file() else sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        raise StoreError(
            f"{folder} is not a pack of published results, nor a folder with one; check the path"
        )
    return found


def published_folder() -> Path:
    """Return the folder of the packs that come with bench."""
    return Path(str(files("bench.reports"))) / "published"


def published_experiments(name: str) -> list[PublishedExperiment]:
    """Return what is published under a name; raise a StoreError if a pack is damaged, or none is.

    Two packs may hold an experiment, but not with different ranks.
    """
    return united((path, read_published(path)) for path in packs_of(name))


def published_store(name: str, cache: Path) -> Store:
    """Return the experiments of packs as a store, unpacked once and kept in the cache.

    The name is that of :func:`packs_of`. Raise a StoreError as :func:`published_experiments`.
    """
    packs = packs_of(name)
    store = Store(cache / "published" / content_hash([file_hash(path) for path in packs])[:16])
    with locked(store.root.with_suffix(".lock")):
        kept = {stored.key for stored in readable(store.experiments(), "key")}
        if not kept or kept != {key for path in packs for key in published_keys(path)}:
            with atomic_path(store.root) as temporary:
                restore(published_experiments(name), temporary)
    return store


def published_site(name: str, settings: Settings) -> Site:
    """Return the site of what is published under a name; raise a StoreError if there is nothing."""
    from bench.reports.site import Site
    from bench.reports.titles import RegisteredTitles

    store = published_store(name, settings.cache)
    checksums = {one.key: one.checksum for one in published_experiments(name)}
    return Site(replace(settings, store=store.root), checksums, RegisteredTitles())


def join(settings: Settings, keys: list[str] | None, name: str | None) -> Joined:
    """Join a user's experiments with the published ones that they can be compared with.

    These are on the same data under the same protocol. Of experiments that differ in code and
    computation alone, the user's own take the place of published ones, else the latest is shown.
    Without keys, all of the user's experiments take part; without a name, nothing is joined.

    Raises
    ------
    ConfigError
        No published experiment can be compared with the user's; the message says why.
    StoreError
        There is no pack, or one is damaged.
    """
    if name is None:
        return Joined(settings, keys, [])
    theirs = published_store(name, settings.cache)
    published = list(readable(theirs.experiments()))
    everything = list(readable(Store(settings.store).experiments()))
    own = [stored for stored in everything if keys is None or stored.key in keys]
    if not own:
        note = f"{settings.store} holds no experiment to compare; all published results are shown."
        return Joined(replace(settings, store=theirs.root), [s.key for s in published], [note])
    fitting, reasons = _comparable(own, published)
    if not fitting:
        raise ConfigError(f"nothing published can be compared with your results: {reasons[0]}")
    ours = {_settings(stored) for stored in own}
    newest = sorted(fitting, key=lambda stored: stored.finished)
    shown = {text: one for one in newest if (text := _settings(one)) not in ours}.values()
    names = dict.fromkeys(stored.experiment.configuration for stored in shown)
    notes = [
        *([f"Published ({counted(len(shown), 'experiment')}): {', '.join(names)}."] * bool(shown)),
        *(f"{reason[0].upper()}{reason[1:]}." for reason in reasons),
    ]
    root = _joined((*shown, *everything), settings.store, theirs.root)
    ours_too = [stored.key for stored in own] if keys is None else keys  # also what is missing
    return Joined(replace(settings, store=root), [*ours_too, *(s.key for s in shown)], notes)


def _settings(stored: StoredExperiment) -> str:
    return content_read(stored.experiment, stored.metadata, "code", "computation")


def _comparable(
    own: Iterable[StoredExperiment], published: Iterable[StoredExperiment]
) -> tuple[list[StoredExperiment], list[str]]:
    """Return what is on the data and under a protocol of the user's, and reasons for the rest."""
    found: list[StoredExperiment] = []
    reasons = []
    for name in dict.fromkeys(stored.experiment.dataset for stored in own):
        ours = [stored for stored in own if stored.experiment.dataset == name]
        about = [stored for stored in published if stored.experiment.dataset == name]
        kinds = {_kind(stored.experiment) for stored in ours}
        fitting = [stored for stored in about if _kind(stored.experiment) in kinds]
        found += fitting
        if not about:
            reasons.append(f"no result on {name} is published")
        elif not fitting:
            both = ([stored.experiment for stored in group] for group in (ours, about))
            reasons.append(_obstacle(name, *both))
        elif budgets := _other_budget(ours, fitting):
            reasons.append(
                f"the published results on {name} were trained differently from yours ({budgets}) "
                "and form separate blocks"
            )
    return found, reasons


def _kind(one: Experiment) -> tuple[str, str]:
    return one.fingerprint, one.protocol.hash


def _obstacle(name: str, ours: Sequence[Experiment], theirs: Sequence[Experiment]) -> str:
    if not {one.fingerprint for one in theirs} & {one.fingerprint for one in ours}:
        return (
            f"the published results on {name} are on different data (fingerprint "
            f"{theirs[0].fingerprint[:8]}, yours is {ours[0].fingerprint[:8]})"
        )
    a, b = (one[0].protocol.model_dump(mode="json") for one in (theirs, ours))
    differing = [f"{key} is {a[key]} there and {b[key]} here" for key in a if a[key] != b[key]]
    return f"the published results on {name} have another protocol: {', '.join(differing)}"


def _other_budget(ours: Iterable[StoredExperiment], theirs: Iterable[StoredExperiment]) -> str:
    """Say in which settings of training all of two groups differ; empty if some agree."""
    a, b = ([training_of(s.experiment, s.metadata) for s in group] for group in (theirs, ours))
    found: list[list[str]] = []
    for there, here in product(a, b):
        shared = there.keys() & here.keys()  # what one side did not read keeps no rows apart
        differing = (key for key in there if key in shared and there[key] != here[key])
        found.append([f"{key}={there[key]}, not {here[key]}" for key in differing])
    nearest = min(found, key=len)
    return ", ".join(nearest)


def _joined(experiments: Iterable[StoredExperiment], own: Path, theirs: Path) -> Path:
    """Return a folder of links that reads like a store; the process removes it at its end."""
    root = Path(tempfile.mkdtemp(dir=_folder().name))
    links = {root / "experiments" / one.folder.name: one.folder for one in experiments}
    links |= {root / "runs" / path.name: path for s in (theirs, own) for path in record_paths(s)}
    links |= {root / name: own / name for name in ("failures", "tuning") if (own / name).is_dir()}
    for link, path in links.items():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(path.resolve(), target_is_directory=path.is_dir())
    return root


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench-joined-")
