"""Figures: what is drawn where, not how it looks."""

import itertools
import signal
import subprocess
import sys

import matplotlib as mpl
import matplotlib.image
import pytest
from made_up_store import make_experiment, save
from studies import write_study

from bench.errors import ConfigError
from bench.evaluate.metrics import HitRatio
from bench.plan.protocol import Protocol
from bench.reports.figures import draw as figures
from bench.reports.figures.canvas import palette
from bench.reports.report import draw
from bench.reports.results import Reading
from bench.tuning.records import Trial


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw a figure of the store and give the figure object and the file."""

    def draw_it(kind, ending="png", **options):
        seen = []
        original = figures.make_figure

        def spy(*arguments):
            seen.append(original(*arguments))
            return seen[0]

        monkeypatch.setattr(figures, "make_figure", spy)
        target = tmp_path / f"figure.{ending}"
        draw(tmp_path, kind, target, **options)
        return seen[0], target

    return draw_it


def heights(ax):
    return [round(bar.get_height(), 6) for bar in ax.patches]


def test_bars_are_the_means_of_the_metric(tmp_path, drawn):
    save(tmp_path, make_experiment(seed=1), [1, 1, 99, 99])
    save(tmp_path, make_experiment(seed=2), [99, 99, 99, 99])
    save(tmp_path, make_experiment(backbone="gru4rec"), [1, 1, 1, 99])
    figure, target = drawn(
        "accuracy", reading=Reading(metrics=(HitRatio(5),)), titles={"sasrec": "SASRec $x$"}
    )
    (ax,) = figure.axes
    assert heights(ax) == [0.75, 0.25]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["gru4rec", "SASRec $x$"]
    assert [text.get_text() for text in ax.texts] == ["0.750", "0.250"]
    assert ax.get_ylabel() == "Test HR@5"
    assert ax.get_ylim()[0] == 0
    assert figure.legends == [], "one method needs no legend"
    assert mpl.image.imread(target).std() > 0


def test_methods_have_colours_and_a_missing_bar_is_left_out(tmp_path, drawn):
    for dataset in ("x", "y"):
        save(tmp_path, make_experiment(dataset=dataset), [1])
    save(tmp_path, make_experiment("hsd", dataset="x"), [2])
    figure, _ = drawn("accuracy")
    left, right = figure.axes
    assert (len(left.patches), len(right.patches)) == (2, 1)
    base = {ax.patches[-1].get_facecolor() for ax in figure.axes}
    assert len(base) == 1, "a method keeps its colour over panels"
    assert left.patches[0].get_facecolor() not in base
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["hsd", "none"]


def test_curves_are_every_seed_with_a_dot_at_the_best_epoch(tmp_path, drawn):
    save(tmp_path, make_experiment(seed=1), [1], curve=[0.1, 0.3, 0.2])
    save(tmp_path, make_experiment(seed=2), [1], curve=[0.1, 0.2, 0.4, 0.3])
    figure, _ = drawn("learning-curves", titles={"sasrec": "SASRec"})
    (ax,) = figure.axes
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in lines] == [[0.1, 0.3, 0.2], [0.1, 0.2, 0.4, 0.3]]
    assert [list(line.get_xdata()) for line in lines] == [[1, 2, 3], [1, 2, 3, 4]]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(2, 0.3), (3, 0.4)]
    assert [text.get_text() for text in ax.texts] == ["SASRec"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", "Validation NDCG@10")


def test_several_methods_get_a_panel_a_backbone(tmp_path, drawn):
    for backbone in ("a", "b"):
        for method in ("none", "hsd"):
            save(tmp_path, make_experiment(method, backbone), [1])
    figure, _ = drawn("learning-curves")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["ml-100k, a", "ml-100k, b"]
    for ax in figure.axes:
        first, second = (text.xyann[1] for text in ax.texts)
        assert abs(first - second) >= 0.07, "equal ends must not print over each other"


def test_protocols_of_one_data_set_have_their_own_panels(tmp_path, drawn):
    protocols = (Protocol(), Protocol(max_length=32))
    for protocol in protocols:
        save(tmp_path, make_experiment(protocol=protocol), [1])
    figure, _ = drawn("accuracy")
    titles = {ax.get_title(loc="left") for ax in figure.axes}
    assert titles == {f"ml-100k (protocol {protocol.hash[:8]})" for protocol in protocols}


@pytest.mark.parametrize(
    ("ending", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89P")]
)
def test_the_ending_names_the_format(tmp_path, drawn, ending, magic):
    save(tmp_path, make_experiment(), [1])
    _, target = drawn("accuracy", ending)
    assert target.read_bytes().startswith(magic)


def test_an_experiment_without_a_curve_is_left_out(tmp_path, drawn):
    save(tmp_path, make_experiment(), [1], curve=[])
    figure, _ = drawn("learning-curves")
    assert list(figure.axes[0].lines) == []


def test_an_unknown_ending_leaves_no_file(tmp_path):
    save(tmp_path, make_experiment(), [1])
    with pytest.raises(ConfigError, match=r"figure\.gif: figures end in png, pdf, svg"):
        draw(tmp_path, "accuracy", tmp_path / "figure.gif")
    assert not (tmp_path / "figure.gif").exists()


@pytest.mark.parametrize("count", [1, 7, 8, 21])
def test_every_label_has_its_own_colour(count):
    labels = [str(n) for n in range(count)]
    colours = palette([*labels, *labels])
    assert list(colours) == labels
    assert len(set(colours.values())) == count
    distances = [
        sum(abs(a - b) for a, b in zip(mpl.colors.to_rgb(one), mpl.colors.to_rgb(two), strict=True))
        for one, two in itertools.combinations(colours.values(), 2)
    ]
    assert min(distances, default=1) > 0.08


def study(root, method, values, dataset="ml-100k", objective="validation NDCG@10"):
    """Trials with these figures, None for one that was pruned, the last given up as killed."""
    about = {"dataset": dataset, "backbone": "sasrec", "method": method, "encoder": None}
    about |= {"objective": objective, "pruning": "median"}
    states = ["pruned" if value is None else "complete" for value in values] + ["killed"]
    trials = [
        Trial(n, state, value, {}, ended=1e9 + n)
        for n, (state, value) in enumerate(zip(states, [*values, None], strict=True))
    ]
    write_study(root, f"{dataset}-{method}", about, trials)


def test_tuning_is_the_best_figure_after_each_trial(tmp_path, drawn):
    save(tmp_path, make_experiment(), [1])
    study(tmp_path, "none", [0.2, 0.1, None, 0.3])
    study(tmp_path, "hsd", [None, 0.4])
    study(tmp_path, "none", [0.9], dataset="not-shown")
    figure, _ = drawn("tuning", titles={"hsd": "HSD", "sasrec": "SASRec"})
    (ax,) = figure.axes
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    points = {tuple(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in lines}
    assert points == {((1, 0.2), (2, 0.2), (3, 0.2), (4, 0.3)), ((2, 0.4),)}
    assert {line.get_drawstyle() for line in lines} == {"steps-post"}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["SASRec, HSD", "SASRec, none"]
    assert ax.get_ylabel() == "Best validation NDCG@10"


def test_a_store_without_tuning_has_no_such_figure(tmp_path):
    save(tmp_path, make_experiment(), [1])
    with pytest.raises(ConfigError, match="nothing was tuned on these data sets"):
        draw(tmp_path, "tuning", tmp_path / "figure.png")


KILLED = """
import os, signal, sys
from pathlib import Path
from bench import files
from bench.reports.report import draw, render

def killed(path):
    assert path.stat().st_size > 1000, "all is written, but not yet under its name"
    os.kill(os.getpid(), signal.SIGKILL)

files._flush_to_disk = killed
root, target = map(Path, sys.argv[1:])
if target.suffix == ".png":
    draw(root, "accuracy", target)
else:
    files.write_text(target, render(root, fmt="html"))
"""


@pytest.mark.process
@pytest.mark.parametrize("name", ["figure.png", pytest.param("page.html", marks=pytest.mark.slow)])
def test_a_report_that_is_killed_leaves_the_last_one_whole(tmp_path, name):
    save(tmp_path / "store", make_experiment(), [1])
    target = tmp_path / "out" / name
    target.parent.mkdir()
    target.write_text("the last one")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "store"), str(target)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert target.read_text() == "the last one"
    if target.suffix == ".png":
        draw(tmp_path / "store", "accuracy", target)
        assert target.read_bytes().startswith(b"\x89PNG")
