"""Figures: what is drawn where, not how it looks."""

import itertools
import signal
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from made_up_store import make_decisions, make_experiment, save
from studies import write_study

from bench.components import METHODS
from bench.errors import ConfigError, StoreError
from bench.plan.protocol import Protocol
from bench.plan.spec import read_spec, shipped
from bench.reports.figures.canvas import COLOURS, assign_styles
from bench.reports.report import draw
from bench.reports.request import Request
from bench.tuning.records import Trial


@pytest.fixture
def drawn(tmp_path):
    """Draw a figure of the store and give the figure object and the file."""

    def draw_it(kind, ending="png", **options):
        target = tmp_path / f"figure.{ending}"
        return draw(tmp_path, kind, target, **options), target

    return draw_it


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def heights(ax):
    return [round(bar.get_height(), 6) for bar in ax.patches]


def test_bars_are_the_means_of_the_metric(tmp_path, drawn):
    save(tmp_path, make_experiment(seed=1), [1, 1, 99, 99])
    save(tmp_path, make_experiment(seed=2), [99, 99, 99, 99])
    save(tmp_path, make_experiment(backbone="gru4rec"), [1, 1, 1, 99])
    figure, target = drawn(
        "accuracy", request=Request(metrics=("HR@5",)), titles={"sasrec": "SASRec $x$"}
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
    assert legend_of(figure) == ["hsd", "none"]


@pytest.mark.parametrize("kind", ["accuracy", "quality-cost"])
def test_the_legend_names_what_is_drawn_alone(tmp_path, drawn, kind):
    """A row that is missing from data on which the method has other rows has a label of its own."""
    for dataset in ("x", "y"):
        save(tmp_path, make_experiment(dataset=dataset), [1])
        save(tmp_path, make_experiment("steam", dataset=dataset), [1])
    for theta in (0, 1):
        settings = {"theta": theta}
        save(tmp_path, make_experiment("hsd", dataset="x", method_settings=settings), [2])
    figure, _ = drawn(kind)
    assert legend_of(figure) == ["hsd, theta=0", "hsd, theta=1", "none", "steam"]


def test_curves_are_every_seed_with_a_dot_at_the_best_epoch(tmp_path, drawn):
    save(tmp_path, make_experiment(seed=1), [1], curve=[0.1, 0.3, 0.2])
    save(tmp_path, make_experiment(seed=2), [1], curve=[0.1, 0.2, 0.4, 0.3])
    figure, _ = drawn("learning-curves", titles={"sasrec": "SASRec"})
    (ax,) = figure.axes
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    dots = [line for line in ax.lines if line.get_marker() != "None"]
    assert [list(line.get_ydata()) for line in lines] == [[0.1, 0.3, 0.2], [0.1, 0.2, 0.4, 0.3]]
    assert [list(line.get_xdata()) for line in lines] == [[1, 2, 3], [1, 2, 3, 4]]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(2, 0.3), (3, 0.4)]
    assert legend_of(figure) == ["SASRec"]
    assert not any(dot.get_clip_on() for dot in dots)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", "Validation NDCG@10")


def test_several_methods_get_a_panel_a_backbone(tmp_path, drawn):
    for backbone in ("a", "b"):
        for method in ("none", "hsd"):
            save(tmp_path, make_experiment(method, backbone), [1])
    figure, _ = drawn("learning-curves")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["ml-100k, a", "ml-100k, b"]
    assert legend_of(figure) == ["hsd", "none"]


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


def test_an_experiment_without_a_curve_has_no_panel(tmp_path, drawn):
    save(tmp_path, make_experiment(dataset="x"), [1], curve=[])
    with pytest.raises(ConfigError, match="no experiment has a learning curve"):
        draw(tmp_path, "learning-curves", tmp_path / "figure.png")
    save(tmp_path, make_experiment(dataset="y"), [1])
    figure, _ = drawn("learning-curves")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["y"]


@pytest.fixture
def mixed(tmp_path):
    """Two data sets, two backbones, a standalone method, a denoiser and a missing row."""
    drops = make_decisions(np.arange(6) > 1, np.arange(6))
    for dataset in ("x", "y"):
        alone = make_experiment("odd", None, dataset=dataset, backbone_settings={})
        save(tmp_path, alone, [1, 9, 99])
        for backbone in ("a", "b"):
            save(tmp_path, make_experiment("none", backbone, dataset=dataset), [1, 9, 99])
            if (dataset, backbone) != ("y", "b"):
                denoiser = make_experiment("hsd", backbone, dataset=dataset)
                save(tmp_path, denoiser, [1, 1, 99], decisions={"test": drops})
    return tmp_path


@pytest.mark.parametrize(
    "kind", ["differences", "accuracy", "learning-curves", "denoising", "quality-cost"]
)
def test_no_panel_is_empty_and_no_mark_is_cut_off(mixed, drawn, kind):
    figure, _ = drawn(kind)
    assert len(figure.axes) == {"learning-curves": 6, "denoising": 6}.get(kind, 2)
    assert len(figure.legends) <= 1
    for ax in figure.axes:
        assert ax.lines or ax.patches
        (left, right), (low, high) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
        for line in ax.lines:
            if line.get_marker() not in {"None", "|", "_"}:
                assert all(left <= x <= right for x in line.get_xdata())
                assert all(low <= y <= high for y in line.get_ydata())


def test_ticks_are_below_the_middle_of_their_bars(mixed, drawn):
    figure, _ = drawn("accuracy")
    right = figure.axes[1]  # hsd is missing on b
    centres = [bar.get_x() + bar.get_width() / 2 for bar in right.patches]
    assert len(centres) == 4
    middles = [sum(centres[:2]) / 2, centres[2], centres[3]]
    assert list(right.get_xticks()) == pytest.approx(middles)


def test_differences_are_to_the_bare_backbone(tmp_path, drawn):
    save(tmp_path, make_experiment(), [1] * 50 + [99] * 150)
    save(tmp_path, make_experiment("hsd"), [1] * 150 + [99] * 50)
    figure, _ = drawn("differences", request=Request(metrics=("HR@5",)))
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["hsd vs. none"]
    points = [line for line in ax.lines if line.get_marker() not in {"None", "|"}]
    assert [(list(p.get_xdata()), list(p.get_ydata())) for p in points] == [([0.5], [0])]
    # By hand: differences of 100 ones and 100 zeros, sd 0.50125, t(199, 0.975) = 1.97196.
    (bar,) = ax.collections
    ((low, _), (high, _)) = bar.get_segments()[0]
    half = 1.97196 * 0.50125 / 200**0.5
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)


def test_fonts_of_a_pdf_are_truetype(tmp_path, drawn):
    save(tmp_path, make_experiment(), [1])
    _, target = drawn("accuracy", "pdf")
    content = target.read_bytes()
    assert b"/Type3" not in content
    assert b"/FontFile2" in content
    assert b"CreationDate" not in content


def test_an_unknown_ending_leaves_no_file(tmp_path):
    save(tmp_path, make_experiment(), [1])
    with pytest.raises(ConfigError, match=r"figure\.gif: figures end in png, pdf, svg"):
        draw(tmp_path, "accuracy", tmp_path / "figure.gif")
    assert not (tmp_path / "figure.gif").exists()


def styles_of(*names):
    return assign_styles([(name, name) for name in names], METHODS)


def test_a_method_looks_alike_whatever_else_is_shown():
    names = {name for path in shipped().values() for name in read_spec(path).methods}
    alone = {name: styles_of(name)[name] for name in names if "=" not in name}
    assert {"none", "none:prefixes", "random-drop", "iadsr:without-both"} <= set(alone)
    assert len(set(alone.values())) == len(alone)
    together = styles_of("elsewhere", "hsd:tau=2", *sorted(alone, reverse=True))
    assert {name: together[name] for name in alone} == alone
    assert len(set(together.values())) == len(together)


def test_many_variants_differ():
    labels = [f"iadsr:theta={n}" for n in range(20)]
    assert len(set(styles_of("iadsr", *labels).values())) == 21


# Machado, Oliveira and Fernandes (2009), severity 1.0.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(linear):
    """CIELAB of linear sRGB (IEC 61966-2-1, D65)."""
    matrix = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    ratios = np.asarray(matrix) @ np.clip(linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_are_distinct_under_colour_blindness(kind):
    seen = []
    for colour in COLOURS:
        rgb = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(lab(np.asarray(BLINDNESS[kind]) @ linear))
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 15  # 2.3 is just noticeable


def study(root, method, values, dataset="ml-100k", objective="validation NDCG@10"):
    """Trials with these figures, None for one that was pruned, the last surplus."""
    about = {"dataset": dataset, "backbone": "sasrec", "method": method, "encoder": None}
    about |= {"objective": objective, "pruning": "median"}
    states = ["pruned" if value is None else "complete" for value in values] + ["surplus"]
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
    assert sorted(legend_of(figure)) == ["SASRec, HSD", "SASRec, none"]
    assert ax.get_ylabel() == "Best validation NDCG@10"


def test_tuning_needs_no_finished_experiment(tmp_path, drawn):
    study(tmp_path, "hsd", [0.2, 0.4])
    figure, _ = drawn("tuning", titles={"ml-100k": "ML"})
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "ML"
    with pytest.raises(StoreError, match="no finished experiment"):
        draw(tmp_path, "accuracy", tmp_path / "figure.png")


def test_a_store_without_tuning_has_no_such_figure(tmp_path):
    save(tmp_path, make_experiment(), [1])
    with pytest.raises(ConfigError, match="nothing was tuned on these data sets"):
        draw(tmp_path, "tuning", tmp_path / "figure.png")


KILLED = """
import os, signal, sys
from pathlib import Path
from bench import files
from bench.reports.report import draw, render
from bench.reports.request import Request

def killed(path):
    assert path.stat().st_size > 1000, "all is written, but not yet under its name"
    os.kill(os.getpid(), signal.SIGKILL)

files._flush_to_disk = killed
root, target = map(Path, sys.argv[1:])
if target.suffix == ".png":
    draw(root, "accuracy", target)
else:
    files.write_text(target, render(root, Request(format="html")))
"""


@pytest.mark.slow
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


def test_titles_with_control_characters_leave_an_svg_valid(tmp_path):
    for method in ("none", "hsd"):
        save(tmp_path, make_experiment(method), [1, 2, 3])
    target = tmp_path / "a.svg"
    draw(tmp_path, "accuracy", target, titles={"hsd": "H\x1b[31mSD\x00", "none": "\x07 & <b>"})
    assert ElementTree.parse(target).getroot().tag.endswith("svg")
