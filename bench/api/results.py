"""Finished experiments as data frames: ``bench.load`` and the result of :func:`bench.run`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, get_args

import numpy as np
import pandas as pd

from bench.api.model import TrainedModel, as_list
from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.errors import ConfigError, StoreError, shortened
from bench.evaluate.metrics import rank_of
from bench.packs.reference import REFERENCE, join, published_store
from bench.plan.progress import counted
from bench.plan.protocol import PARTS, PHASES, Part, Phase
from bench.plan.result import Decisions, TopLists
from bench.plugins import resolve_settings
from bench.reports.available import AvailableData, load_same
from bench.reports.comparison import comparison_keys
from bench.reports.differences import content_read
from bench.reports.names import FigureKind
from bench.reports.report import draw, read_report, warn
from bench.reports.request import Reading, Request
from bench.reports.results import ScoredExperiment, restricted
from bench.reports.tables.frame import frame
from bench.reports.titles import RegisteredTitles
from bench.runs.imported import UnknownRanksError
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable
from bench.settings import Settings, expanded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IDENTITY = ("dataset", "backbone", "method", "encoder", "seed")


@dataclass(frozen=True)
class Results:
    """Finished experiments of a store.

    Every method that returns a data frame reads stored ranks; nothing is trained again.

    Parameters
    ----------
    settings
        Give the store and the folder of the data sets.
    keys
        Keys of experiments, in this order; None means all that have finished.
    """

    settings: Settings
    keys: Sequence[str] | None = None
    _datasets: dict[str, Dataset] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self._stored)

    def __repr__(self) -> str:
        names = dict.fromkeys(stored.experiment.dataset for stored in self._stored)
        of = f" of {', '.join(names)}" if names else ""
        return f"<Results: {counted(len(self), 'experiment')}{of}>"

    def _repr_html_(self) -> str:
        if not len(self):
            return repr(self)
        names = [name for name in _IDENTITY if name != "seed"]
        # Other settings and protocols are other lines: only seeds are averaged.
        alike = [content_read(one.experiment, one.metadata, "seed") for one in self._stored]
        every = self.metrics().drop(columns="key").assign(alike=alike)
        rows = every.groupby([*names, "alike"], dropna=False, sort=False)
        frame = rows.mean().assign(seed=rows.size()).rename(columns={"seed": "seeds"}).reset_index()
        frame = frame.drop(columns="alike")
        return str(frame.to_html(index=False, float_format="{:.4f}".format, na_rep=""))

    def filter(
        self,
        *,
        dataset: str | Iterable[str] | None = None,
        backbone: str | Iterable[str] | None = None,
        method: str | Iterable[str] | None = None,
        encoder: str | Iterable[str] | None = None,
        seed: int | Iterable[int] | None = None,
        key: str | None = None,
        run: str | None = None,
        spec: str | None = None,
        where: str | Iterable[str] = (),
        latest: bool = False,
    ) -> Results:
        """Select experiments.

        Parameters
        ----------
        dataset, backbone, method, encoder, seed
            One value or several; None means all.
        key
            First digits of one experiment's key.
        run
            Only experiments of this ``bench run`` or :func:`bench.run`: its name, for the last run
            of that name, or the first digits of its key.
        spec
            Only the last run of this specification and earlier runs of the same settings and data.
        where
            Conditions such as ``"epochs=30"`` or ``"method=hsd,none"``, one or several; all must
            hold.
        latest
            Of experiments that differ only in code, only those that finished last.

        Raises
        ------
        ConfigError
            There is no such run or specification, or no experiment has a value, key or condition.
        """
        chosen = comparison_keys(
            Store(self.settings.store),
            run="all" if run is None and spec is None else run,
            spec=spec,
            where=[where] if isinstance(where, str) else where,
            latest=latest,
        )
        values = (dataset, backbone, method, encoder, seed)
        wanted = {
            name: {*as_list(value)}
            for name, value in zip(_IDENTITY, values, strict=True)
            if value is not None
        }
        for name, allowed in wanted.items():
            known = {getattr(stored.experiment, name) for stored in self._stored}
            for value in allowed - known if known else ():
                names = ", ".join(sorted(map(str, known)))
                raise ConfigError(f"no experiment has {name}={value!r}; found: {names}")
        held = [stored.key for stored in self._stored]
        if key and held and not any(one.startswith(key) for one in held):
            names = ", ".join(one[:12] for one in held)
            raise ConfigError(f"no experiment has the key '{key}'; found: {shortened(names)}")
        keys = [
            stored.key
            for stored in self._stored
            if stored.key.startswith(key or "")
            and (chosen is None or stored.key in chosen)
            and all(getattr(stored.experiment, name) in allowed for name, allowed in wanted.items())
        ]
        return replace(self, keys=keys)

    def table(self, **reading: Unpack[Reading]) -> pd.DataFrame:
        """Return the comparison: one row per method, means over seeds, tests and cost, unrounded.

        It equals ``bench report --format csv``: results of :func:`load` that are not filtered show
        the last run with earlier runs of the same settings and data sets, other results all their
        experiments.

        Parameters
        ----------
        **reading
            ``metrics``, ``phase``, ``candidates``, ``ties`` and ``targets``; see
            :class:`bench.reports.request.Reading`.

        Raises
        ------
        StoreError
            No experiment has finished, or one is damaged.
        """
        request = request_of(reading, keys=self._comparison_keys())
        data = read_report(self.settings, request, RegisteredTitles())
        warn([*data.problems, *data.available.problems])
        return frame(data.tables)

    def metrics(self, **reading: Unpack[Reading]) -> pd.DataFrame:
        """Return the metrics of every experiment, means over users; one row per experiment.

        They are NaN where an imported result does not determine them. Parameters are those of
        :meth:`table`.
        """
        request, problems = request_of(reading), list[str]()
        available = AvailableData(self.settings)
        every = [ScoredExperiment(stored, request) for stored in self._stored]
        rows = []
        for one in restricted(every, request, available, problems):
            names = (metric.name for metric in request.metrics_for(one.experiment.protocol))
            values: Mapping[str, float] = dict.fromkeys(names, math.nan)
            with suppress(UnknownRanksError):
                values = one.scored().values  # noqa: PD011 - by metric
            rows.append({**_identity(one.stored), **values})
        warn([*problems, *available.problems])
        return pd.DataFrame(rows)

    def figure(
        self,
        kind: FigureKind,
        out: str | Path | None = None,
        *,
        setting: str | None = None,
        **reading: Unpack[Reading],
    ) -> Figure:
        """Draw what ``bench report --figure`` draws.

        Parameters
        ----------
        kind
            ``differences``, ``accuracy``, ``learning-curves``, ``denoising``, ``quality-cost``,
            ``robustness``, ``tuning`` or ``setting-curve``.
        out
            Also write it to this ``.png``, ``.pdf`` or ``.svg`` file.
        setting
            Drawn by ``setting-curve``; None if only one has a curve.
        **reading
            As for :meth:`table`; the first metric is drawn, by default NDCG@10.

        Raises
        ------
        ConfigError
            The kind, the ending or the setting is unknown, or there is nothing to draw.
        StoreError
            No experiment has finished, one is damaged, or the file cannot be written.
        """
        check_name("figure", kind, get_args(FigureKind))
        request = request_of(reading, keys=self._comparison_keys())
        target = None if out is None else expanded(str(out))
        return draw(self.settings, kind, target, request, RegisteredTitles(), setting)

    def ranks(self, phase: Phase = "test", *, ids: bool = True) -> pd.DataFrame:
        """Return the rank of every held-out item; one row per target and experiment.

        Columns: identification of the experiment, ``user`` and ``target``, ``rank_all`` and
        ``rank_unseen`` (by the protocol's tie rule, among all items and among those absent from the
        user's history), and the stored counts behind them; see :class:`bench.plan.result.Ranks`.

        Parameters
        ----------
        phase
            ``test`` or ``validation``.
        ids
            Identify users and items by the ids of the data set, which must be on this machine;
            otherwise by row (from 0) and item number (from 1).

        Raises
        ------
        ConfigError
            There is no such phase.
        DataError
            The data are not on this machine, or have changed.
        """
        check_name("phase", phase, PHASES)

        def columns(stored: StoredExperiment) -> dict[str, Any]:
            ranks, ties = stored.ranks(phase), stored.experiment.protocol.ties
            counts = ranks.columns()
            return {
                "user": counts.pop("user", np.arange(len(ranks.target))),
                "target": counts.pop("target"),
                "rank_all": rank_of(ranks, "all", ties).ranks,
                "rank_unseen": rank_of(ranks, "unseen", ties).ranks,
                **counts,
            }

        return self._long(columns, items="target", ids=ids)

    def decisions(self, part: Part = "test", *, ids: bool = True) -> pd.DataFrame:
        """Return the decisions of denoisers about every interaction; other methods are left out.

        Columns: identification of the experiment, ``user``, ``position`` (0 = oldest), ``item``,
        ``item_count`` (training interactions of the item), ``keep`` and ``score`` (high = noise).

        Parameters
        ----------
        part
            Training interactions, or the history before the test target.
        ids
            As for :meth:`ranks`.

        Raises
        ------
        ConfigError
            There is no such part.
        DataError
            As for :meth:`ranks`.
        """
        check_name("part", part, PARTS)
        return self._long(lambda stored: _columns(stored.decisions(part)), items="item", ids=ids)

    def lists(self, *, ids: bool = True) -> pd.DataFrame:
        """Return the top items of every user, for experiments run with ``keep="lists"``.

        Columns: identification of the experiment, ``user``, ``rank``, ``item`` and ``score``.

        Parameters
        ----------
        ids
            As for :meth:`ranks`.
        """
        return self._long(lambda stored: _columns(stored.lists), items="item", ids=ids)

    def curves(self) -> pd.DataFrame:
        """Return learning curves: one row per epoch, parts of the loss as ``loss: NAME``.

        Epochs count from 0, as ``best_epoch`` of :meth:`cost`; in tables they count from 1.
        """
        return pd.DataFrame(
            {
                **_identity(stored),
                **row.model_dump(exclude={"parts", "metric"}),
                stored.experiment.protocol.selection: row.metric,
                **{f"loss: {name}": value for name, value in row.parts.items()},
            }
            for stored in self._stored
            for row in stored.curve
        )

    def cost(self) -> pd.DataFrame:
        """Return parameters, epochs, seconds by stage, memory and machine of each experiment."""
        return pd.json_normalize(
            [
                {**_identity(one), **one.metadata.model_dump(exclude={"card", "origin"})}
                for one in self._stored
            ]
        )

    def model(self, key: str | None = None) -> TrainedModel:
        """Load the trained model of an experiment run with ``keep="weights"``.

        Parameters
        ----------
        key
            First digits of its key; may be omitted if there is only one experiment.

        Raises
        ------
        ConfigError
            Several experiments could be meant.
        StoreError
            Its weights were not kept.
        DataError
            Its data are not on this machine.
        """
        stored = self._single(key)
        return TrainedModel.load(stored, self._split(stored), self.settings)

    def _single(self, key: str | None = None) -> StoredExperiment:
        """Return the one experiment there is, or the one whose key begins with ``key``."""
        chosen = [stored for stored in self._stored if stored.key.startswith(key or "")]
        if len(chosen) != 1:
            found = "; ".join(f"{one.key[:12]} {one.experiment.label}" for one in chosen[:5])
            raise ConfigError(
                f"{len(chosen)} experiments match; narrow them with .filter(...) or give the key "
                f"of one{f': {found}' if found else ''}{'; ...' if len(chosen) > 5 else ''}"
            )
        return chosen[0]

    def _long(
        self, columns: Callable[[StoredExperiment], Mapping[str, Any]], *, items: str, ids: bool
    ) -> pd.DataFrame:
        """Stack the columns of all experiments that have some, by ids of the data set if asked."""
        parts = []
        for stored in self._stored:
            if values := {**columns(stored)}:
                if ids:
                    dataset = self._split(stored).dataset
                    values["user"] = np.array(dataset.user_ids, dtype=object)[values["user"]]
                    values[items] = np.array(dataset.item_ids, dtype=object)[values[items] - 1]
                size = len(values["user"])
                identity = {name: [value] * size for name, value in _identity(stored).items()}
                parts.append(pd.DataFrame({**identity, **values}))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _split(self, stored: StoredExperiment) -> Split:
        return Split.of(self._dataset(stored), stored.experiment.protocol.split)

    def _dataset(self, stored: StoredExperiment) -> Dataset:
        name, fingerprint = stored.experiment.dataset, stored.experiment.fingerprint
        if fingerprint not in self._datasets:
            source = stored.metadata.card or name
            self._datasets[fingerprint] = load_same(source, self.settings, name, fingerprint)
        return self._datasets[fingerprint]

    @cached_property
    def _stored(self) -> list[StoredExperiment]:
        found = {
            stored.key: stored for stored in readable(Store(self.settings.store).experiments())
        }
        keys = list(found) if self.keys is None else self.keys
        return [found[key] for key in keys if key in found]

    def _comparison_keys(self) -> list[str]:
        """Return the keys of what a table shows by default."""
        known = self._known_keys()
        if self.keys is not None:
            return known
        chosen = comparison_keys(Store(self.settings.store))
        return known if chosen is None else chosen

    def _known_keys(self) -> list[str]:
        if not self._stored:
            raise StoreError(
                f"no finished experiment in {self.settings.store}; run 'bench run' first"
            )
        return [stored.key for stored in self._stored]


def load(
    store: str | Path | None = None, *, against: str | None = None, settings: Settings | None = None
) -> Results:
    """Open the finished experiments of a results store.

    Parameters
    ----------
    store
        Its folder; None is that of ``settings``; ``"reference"`` are the published results.
    against
        Join published results on the same data under the same protocol: ``"reference"``, a pack of
        ``bench store pack --published``, or a folder of packs. From the store, the last run and
        earlier runs of the same settings are joined. What is published is logged, and on what it
        differs, as ``bench report --against`` prints it.
    settings
        Folders of data and cache; None reads the environment.

    Raises
    ------
    StoreError
        There is no such folder or pack.
    ConfigError
        No published result can be compared with those of the store.
    """
    settings = resolve_settings(settings)
    if store == REFERENCE:
        opened = published_store(REFERENCE, settings.cache)
        everything = [stored.key for stored in opened.experiments()]
        return Results(replace(settings, store=opened.root), everything)
    if store is not None:
        settings = replace(settings, store=expanded(str(store)))
    if not settings.store.is_dir():
        raise StoreError(f"{settings.store} is not a results store; run 'bench run' first")
    keys = None if against is None else comparison_keys(Store(settings.store))
    settings, keys, notes = join(settings, keys, against)
    warn(notes)
    return Results(settings, keys)


def request_of(reading: Mapping[str, Any], **others: Any) -> Request:
    """Return what to show, from the keywords of :class:`bench.reports.request.Reading`."""
    metrics = reading.get("metrics") or None
    return Request.parse({**reading, "metrics": metrics, **others}, "report")


def check_results(side: object) -> None:
    """Refuse what is neither results nor the name of an experiment."""
    if not isinstance(side, Results):
        raise ConfigError(f"{side!r} is not a Results; give one of bench.load or bench.run")


def check_name(kind: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that is not among the known ones."""
    if name not in known:
        raise ConfigError(f"no {kind} is named '{name}'; known: {', '.join(known)}")


def _columns(found: Decisions | TopLists | None) -> Mapping[str, Any]:
    return {} if found is None else found.columns()


def _identity(stored: StoredExperiment) -> dict[str, Any]:
    experiment = stored.experiment
    return {**{name: getattr(experiment, name) for name in _IDENTITY}, "key": stored.key}
