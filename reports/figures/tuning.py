"""The best validation metric after each trial of tuning, one line for each study."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bench.components import METHODS
from bench.errors import ConfigError
from bench.reports.figures.canvas import assign_styles, canvas, explain, legend
from bench.tuning.records import StudyRecord, best_after, read_studies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.titles import Titles


def draw_tuning(data: ReportData) -> Figure:
    """Draw one panel for each tuned data set; studies of equal names share a style.

    Raises
    ------
    ConfigError
        Nothing was tuned on these data sets.
    StoreError
        A study's file is damaged.
    """
    from matplotlib.ticker import MaxNLocator

    datasets = {block.dataset for table in data.tables for block in table.blocks}
    panels: dict[str, list[StudyRecord]] = defaultdict(list)
    for study in read_studies(data.store.root):
        if study.about["dataset"] in datasets and best_after(study.trials):
            panels[study.about["dataset"]].append(study)
    if not panels:
        raise ConfigError("nothing was tuned on these data sets; run 'bench tune' first")
    names = [
        (_label(study, data.titles), study.about["method"])
        for studies in panels.values()
        for study in studies
    ]
    styles = assign_styles(names, METHODS)
    figure, axes = canvas(len(panels), min(len(panels), 2), 5.5)
    for ax, (name, studies) in zip(axes, panels.items(), strict=True):
        for study in studies:
            points = [point for point in best_after(study.trials) if point["best"] is not None]
            trials, best = ([point[key] for point in points] for key in ("trials", "best"))
            style = styles[_label(study, data.titles)]
            ax.step(trials, best, where="post", color=style.colour, linewidth=1.5)
            ax.plot(
                trials[-1:],
                best[-1:],
                style.marker,
                color=style.colour,
                markersize=5.5,
                clip_on=False,
            )
        ax.set_title(data.titles.get(name, name))
        ax.set_xlabel("Trials")
        ax.set_ylabel(f"Best {studies[0].about['objective']}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, [style.line(label) for label, style in styles.items()])
    explain(figure, "After each trial that counts; the first has the default settings.")
    return figure


def _label(study: StudyRecord, titles: Titles) -> str:
    names = (study.about[key] for key in ("backbone", "method", "encoder"))
    return ", ".join(titles.get(name, name) for name in names if name)
