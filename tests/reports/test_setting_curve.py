"""Curves over a setting, against figures by hand; and accuracy against cost."""

import numpy as np
import pytest
from made_up_store import make_decisions, make_experiment, make_metadata, make_ranks, save

from bench.errors import ConfigError
from bench.evaluate.metrics import HitRatio
from bench.reports.figures.setting_curve import curve_settings, read_panels
from bench.reports.report import draw, render
from bench.reports.request import Request
from bench.reports.results import read_results
from bench.reports.tables.rows import build_tables
from bench.runs.store import Store

HR = Request(metrics=("HR@5",))


def finish(root, experiment, hits, valid=0, dropped=None, **metadata):
    """Four users, of whom ``hits`` are hit; ten interactions, of which ``dropped`` are dropped."""
    before, ranks = (make_ranks([1] * count + [99] * (4 - count)) for count in (valid, hits))
    decisions = {} if dropped is None else {"test": make_decisions(np.arange(10) >= dropped)}
    metadata = make_metadata(**metadata)
    save(root, experiment, ranks, metadata, validation=before, decisions=decisions)


def theta(value, name=None, **changes):
    name = f"iadsr:theta={value}" if name is None else name
    return make_experiment(name, method_settings={"theta": value, "w": 1.0}, **changes)


@pytest.fixture
def root(tmp_path):
    finish(tmp_path, make_experiment(), 2, 1, seconds={"training": 3.0, "test": 1.0})
    finish(tmp_path, theta(0.5), 4, 3, 6)
    finish(tmp_path, theta(-0.5, seed=1), 1, 0, 1)
    finish(tmp_path, theta(-0.5, seed=2), 3, 2, 3)
    finish(tmp_path, theta(0.0, "iadsr"), 3, 3, 5)
    finish(tmp_path, theta(0.0), 0, 0, 0)  # the default said again
    other = {"theta": 1.0, "w": 0.0}
    finish(tmp_path, make_experiment("iadsr:published", method_settings=other), 0, 0, 0)
    return tmp_path


def tables_of(root):
    return build_tables(read_results(Store(root), HR)[0], HR, {})


def test_points_are_the_experiments_that_differ_in_one_setting(root):
    (block,) = tables_of(root)[0].blocks
    (panel,) = read_panels(block, HitRatio(5), "theta", {"iadsr": "IADSR"})
    (curve,) = panel.curves
    assert curve.label == "IADSR"
    assert list(curve.points) == [-0.5, 0.0, 0.5]
    assert [curve.points[at].metric["test"] for at in curve.points] == [[0.25, 0.75], [0.75], [1.0]]
    assert curve.points[-0.5].metric["validation"] == [0.0, 0.5]
    assert curve.points[-0.5].dropped == pytest.approx([0.1, 0.3])
    assert panel.base.metric == {"test": [0.5], "validation": [0.25]}
    assert list(panel.base.dropped) == []


def test_settings_with_a_curve_are_found(root):
    tables = tables_of(root)
    assert curve_settings(tables) == ["theta"]
    assert curve_settings(tables, least=4) == []


def test_lines_of_other_settings_are_distinct(tmp_path):
    for width in (1, 2):
        for rate in (0.1, 0.2):
            settings = {"rate": rate, "width": width, "kind": "x"}
            finish(tmp_path, make_experiment("hsd", method_settings=settings), 1)
    (block,) = tables_of(tmp_path)[0].blocks
    (panel,) = read_panels(block, HitRatio(5), "method.rate", {})
    assert [curve.label for curve in panel.curves] == ["hsd, width=1", "hsd, width=2"]
    assert panel.base is None
    assert list(read_panels(block, HitRatio(5), "kind", {})) == []


@pytest.fixture
def axes(tmp_path):
    def draw_it(root, kind, **options):
        return draw(root, kind, tmp_path / "figure.png", HR, **options).axes

    return draw_it


def test_the_figure_shows_both_phases_the_base_and_what_is_dropped(root, axes):
    accuracy, dropped = axes(root, "setting-curve", setting="theta")
    lines = {
        tuple(line.get_ydata()): line.get_linestyle()
        for line in accuracy.lines
        if len(line.get_ydata()) == 3 or line.get_color() == "#888888"
    }
    assert lines[0.5, 0.75, 1.0] == "-"
    assert lines[0.25, 0.75, 0.75] == "--"
    assert lines[0.5, 0.5] == "-"
    assert lines[0.25, 0.25] == "--"
    shares = [list(line.get_ydata()) for line in dropped.lines if len(line.get_ydata()) == 3]
    assert shares[0] == pytest.approx([20, 50, 60])
    assert accuracy.get_xlabel() == "theta"


def test_one_curve_needs_no_name_and_a_wrong_name_is_explained(root, axes, tmp_path):
    assert axes(root, "setting-curve")[0].get_xlabel() == "theta"
    with pytest.raises(
        ConfigError, match=r"no two finished experiments differ in 'method\.tau' alone"
    ):
        draw(root, "setting-curve", tmp_path / "f.png", setting="tau")
    finish(tmp_path / "bare", make_experiment(), 1)
    with pytest.raises(ConfigError, match="none has a curve"):
        draw(tmp_path / "bare", "setting-curve", tmp_path / "f.png")


def test_cost_is_the_sum_of_all_stages(root, axes):
    (ax,) = axes(root, "quality-cost")
    points = {(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines}
    assert (4.0, 0.5) in points
    assert (28.0, 1.0) in points  # the made-up stages of 0.5, 26 and 1.5 seconds
    assert ax.get_xscale() == "log"
    assert not any("$" in label.get_text() for label in ax.get_xticklabels(which="both"))


@pytest.mark.slow
def test_the_page_draws_what_there_is(root, tmp_path):
    page = render(root, Request(format="html"))
    assert "Accuracy and denoising by theta" in page
    assert "Accuracy and cost" in page
    finish(tmp_path / "bare", make_experiment(), 1)
    page = render(tmp_path / "bare", Request(format="html"))
    assert "Accuracy and denoising" not in page
    assert "Accuracy and cost" not in page
