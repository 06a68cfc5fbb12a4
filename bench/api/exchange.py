"""Export cleaned data and ranks; import ranks of models trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from bench.api.results import Results, check_name, check_results, load
from bench.data.dataset import Dataset
from bench.data.load import load_dataset
from bench.errors import ConfigError, whole_number
from bench.plan.data_card import is_path
from bench.plan.formats import CleanedFormat, CleanedPart
from bench.plan.protocol import Candidates, Protocol
from bench.plugins import resolve_settings
from bench.reports.tables.configuration import find_configuration
from bench.reports.titles import RegisteredTitles
from bench.runs.cleaned import Cleaned, write_cleaned
from bench.runs.imported import import_ranks as store_ranks
from bench.runs.imported import write_ranks
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.settings import Settings, expanded


def import_ranks(
    file: str | Path,
    dataset: str,
    *,
    name: str,
    seed: int = 1,
    origin: str = "",
    candidates: Candidates | None = None,
    like: str | None = None,
    settings: Settings | None = None,
) -> Results:
    """Store the ranks of a model that was trained elsewhere, as ``bench import ranks`` does.

    Tables then show the model as another row, and the same paired tests compare it.

    Parameters
    ----------
    file
        Ranks, scores or lists; see :func:`bench.runs.imported.import_ranks`.
    dataset
        Name or path of the card of the data set that the model was tested on.
    name
        Name of the model, as tables print it.
    seed
        Repetition of its training.
    origin
        Where the ranks come from, in words.
    candidates
        Which items compete in a column ``rank``, in lists (both ``"all"`` if None) and in scores
        (``"unseen"`` where those of the history are masked).
    like
        An experiment whose protocol the result takes, named as for :func:`compare`; None means the
        default protocol of the data set.
    settings
        Store, data and cache; None reads the environment.

    Returns
    -------
    Results
        The imported result.

    Raises
    ------
    ConfigError
        The name or ``like`` is invalid.
    DataError
        The file is damaged or does not fit the data set.
    StoreError
        The store holds other ranks with the same name and seed.
    """
    settings = resolve_settings(settings)
    whole_number("seed", seed, 0)
    if candidates is not None:
        check_name("set of candidates", candidates, get_args(Candidates))
    data = load_dataset(dataset, settings)
    protocol = Protocol(max_length=data.max_length)
    if like is not None:
        protocol = _chosen(like, settings).experiment.protocol
    stored = store_ranks(
        Store(settings.store),
        expanded(str(file)),
        data,
        protocol,
        name=name,
        seed=seed,
        origin=origin,
        candidates=candidates,
        card=str(Path(dataset).absolute()) if is_path(dataset) else None,
    )
    return Results(settings, [stored.key])


def export_ranks(
    experiment: Results | str, out: str | Path, *, settings: Settings | None = None
) -> None:
    """Write the ranks of one experiment in the form that :func:`import_ranks` reads.

    Parameters
    ----------
    experiment
        Results of one experiment, or its name, as for :func:`compare`.
    out
        A ``.parquet`` or ``.csv`` file.
    settings
        As for :func:`import_ranks`.

    Raises
    ------
    ConfigError
        Several experiments could be meant, or the file has another ending.
    DataError
        The data of the experiment are not on this machine.
    """
    write_ranks(*_one(experiment, settings), expanded(str(out)))


def _one(experiment: Results | str, settings: Settings | None) -> tuple[StoredExperiment, Dataset]:
    if isinstance(experiment, str):
        results = Results(resolve_settings(settings))
        stored = _chosen(experiment, results.settings)
    else:
        check_results(experiment)
        results, stored = experiment, experiment._single()  # noqa: SLF001 - of this package
    return stored, results._dataset(stored)  # noqa: SLF001


def _chosen(pattern: str, settings: Settings) -> StoredExperiment:
    """Return the one experiment that a row, label or key names."""
    store = Store(load(settings=settings).settings.store)
    found = find_configuration(store, pattern, RegisteredTitles())
    if len(found) > 1:
        labels = ", ".join(f"'{stored.experiment.label}'" for stored in found)
        raise ConfigError(f"'{pattern}' names several experiments; name one of {labels}")
    return found[0]


def denoise(
    experiment: Results | str,
    out: str | Path,
    *,
    format: CleanedFormat = "csv",  # noqa: A002 - as the flag
    part: CleanedPart = "train",
    threshold: float | None = None,
    settings: Settings | None = None,
) -> Cleaned:
    """Write the data that a finished experiment keeps, as ``bench denoise`` does.

    Parameters
    ----------
    experiment
        Results of one experiment, or what names it, as for :func:`compare`.
    out
        Folder to write; must not exist.
    format
        ``csv``, ``parquet``, ``recbole`` or ``sequences``.
    part
        ``train``: the training histories; ``all``: with the validation and test targets.
    threshold
        Quantile of the noise scores: interactions that score higher are dropped. None takes the
        method's own decisions.
    settings
        Store, data and cache; None reads the environment.

    Returns
    -------
    Cleaned
        The written data; pass its ``card`` to ``bench.run(datasets=...)``.

    Raises
    ------
    ConfigError
        Several experiments could be meant, the folder exists, or nothing would be dropped.
    DataError
        The data of the experiment are not on this machine, or the format cannot hold their ids.
    """
    check_name("format", format, get_args(CleanedFormat))
    check_name("part", part, get_args(CleanedPart))
    stored, dataset = _one(experiment, settings)
    return write_cleaned(
        stored,
        dataset,
        expanded(str(out)),
        source=stored.metadata.card or stored.experiment.dataset,
        fmt=format,
        part=part,
        threshold=threshold,
    )
