"""The HTML page: whole, escaped, alone; and the commands that run a row again."""

import re
import shlex

from made_up_store import make_experiment, make_metadata, save
from page_reader import Reader

from bench.plan.experiment import Computation
from bench.plan.overrides import resolve_spec
from bench.plan.protocol import Protocol
from bench.plan.spec import Spec
from bench.plan.training import TrainingConfig
from bench.reports.figures.draw import Drawing
from bench.reports.names import USUAL
from bench.reports.page.page import write_page
from bench.reports.page.provenance import Provenance, command_of
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.tables.grid import Grid, TableCell

NASTY = "<script>alert('x')</script> $5 100% a_b & \"quotes\"\nline"


def grid(text):
    return Grid(
        "T",
        "C",
        ["Data set"],
        ["HR@5"],
        [[[TableCell(text), TableCell("0.1")]]],
        [text],
        "t",
        [[["k" * 64]]],
    )


def test_titles_of_any_kind_stand_for_themselves():
    source = Provenance("k" * 64, NASTY, 1, NASTY, {NASTY: NASTY}, {NASTY: NASTY})
    figure = Drawing("n", NASTY, NASTY, b"<svg/>")
    page = write_page(NASTY, [NASTY], [grid(NASTY)], [figure, figure], [source], [NASTY])
    reader = Reader(page)
    assert reader.tags.count("script") == 1
    assert NASTY in reader.cells


def test_the_page_loads_nothing():
    page = write_page("T", [], [grid("x")], [Drawing("n", "P", "p", b"<svg/>")], [], [])
    assert all(link.startswith(("#", "data:image/svg+xml")) for link in Reader(page).links)
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(|https?://", page)


def test_every_row_is_complete_and_opens_its_source(tmp_path):
    experiments = [
        save(tmp_path, make_experiment(backbone=name), [1, 2, 30]) for name in ("caser", "sasrec")
    ]
    page = render(tmp_path, Request(format="html", tables=USUAL))
    for experiment in experiments:
        assert page.count(f'data-key="{experiment.key}"') == 3  # comparison, tests, cost
        assert page.count(f'id="experiment-{experiment.key}"') == 1
    assert (
        Reader(page).cells.count("ml-100k") == 3 * len(experiments) + 6
    )  # and an improvement a column


def test_a_label_left_out_below_its_first_row_is_said_again():
    table = Grid(
        "T",
        "C",
        ["Data set"],
        ["HR@5"],
        [
            [[TableCell("a"), TableCell("1")], [TableCell(""), TableCell("2")]],
            [[TableCell("b"), TableCell("3")]],
        ],
        [],
        "t",
    )
    assert [cells[0].text for cells, _ in table.rows()] == ["a", "a", "b"]


def test_the_command_gives_the_same_settings():
    training = TrainingConfig(epochs=3, clip_norm=1.5, loss="in_batch_tanh")
    full = {
        "embedding_size": 32,
        "blocks": 2,
        "heads": 2,
        "inner_size": 256,
        "dropout": 0.5,
        "norm": "pre",
    }
    experiment = make_experiment(
        backbone_settings=full, training=training, protocol=Protocol(max_length=20), seed=7
    )
    words = shlex.split(command_of(experiment, experiment.dataset))
    sets = words[words.index("--set") + 1 :]
    spec = resolve_spec(
        None,
        {"datasets": ["ml-100k"], "backbones": ["sasrec"], "methods": ["none"], "seeds": [7]},
        sets,
    )
    assert isinstance(spec, Spec)
    assert spec.training == training
    assert spec.protocol == experiment.protocol
    assert spec.backbone_config("sasrec").model_dump() == full
    assert words[:2] == ["bench", "run"]
    assert words[words.index("--seeds") + 1] == "7"


def test_the_command_sets_a_variant_that_is_a_setting():
    own = {"rate": 0.2, "ramp": 5}
    experiment = make_experiment("t-ce:rate=0.2", method_settings=own)
    words = shlex.split(command_of(experiment, experiment.dataset))
    given = {"datasets": ["ml-100k"], "backbones": ["sasrec"], "methods": ["t-ce:rate=0.2"]}
    spec = resolve_spec(None, given, words[words.index("--set") + 1 :])
    found = spec.method_config("t-ce:rate=0.2").model_dump()
    assert {name: found[name] for name in own} == own


def test_the_command_names_where_it_was_computed():
    usual = command_of(make_experiment(computation=Computation()), "ml-100k")
    assert usual == command_of(make_experiment(), "ml-100k")
    portable = Computation(numerics="portable", threads=2)
    command = command_of(make_experiment(computation=portable), "ml-100k")
    assert command == usual.replace(" --set", " --numerics portable --threads 2 --set")
    gpu = Computation(device="cuda", threads=None)
    command = command_of(make_experiment(computation=gpu), "ml-100k")
    assert command == usual.replace(" --set", " --device cuda --set")


def test_a_component_that_is_not_installed_has_every_setting():
    experiment = make_experiment(method="elsewhere", method_settings={"rate": 0.5, "kind": "yes"})
    words = shlex.split(command_of(experiment, experiment.dataset))
    assert "method.rate=0.5" in words
    assert 'method.kind="yes"' in words  # bare, YAML would read it as true


def test_versions_and_machine_are_shown(tmp_path):
    metadata = make_metadata(versions={"torch": "9.9.9"}, machine="An-OS")
    save(tmp_path, make_experiment(), [1, 2], metadata=metadata)
    page = render(tmp_path, Request(format="html"))
    assert "torch 9.9.9" in page
    assert "An-OS" in page


def test_the_page_opens_with_what_was_found_and_the_chart(tmp_path):
    save(tmp_path, make_experiment(), [1] * 50 + [99] * 150)
    save(tmp_path, make_experiment("hsd"), [1] * 150 + [99] * 50)
    page = render(tmp_path, Request(format="html", metrics=("HR@5",)))
    opening = page[: page.index("<table>")]
    assert (
        "HR@5: 1 of 1 above the bare backbone on the same samples (most: hsd, +0.5000 [" in opening
    )
    assert opening.count("data:image/svg+xml") == 1


def test_labels_that_all_rows_share_are_said_once():
    rows = [[TableCell(text) for text in ("ml", "a", name, "2", "0.1")] for name in ("x", "y")]
    table = Grid("T", "C", ["Data set", "Backbone", "Method"], ["Seeds", "HR@5"], [rows], [], "t")
    assert table.shared_text() == "Data set: ml. Backbone: a. Seeds: 2."
    page = write_page("T", [], [table], [], [], [])
    assert "Data set: ml. Backbone: a. Seeds: 2." in page
    assert page.count('class="same"') + page.count('class="same ') == 3 * 3
    rows[1][1] = TableCell("b")
    assert table.shared_text() == "Data set: ml. Seeds: 2."
    rows[1][1] = TableCell("\N{EM DASH}")
    assert "Backbone (where there is one): a." in table.shared_text()
    rows[1][1] = TableCell("")  # a mark, such as that of planted noise, that this row has not
    assert table.shared_text() == "Data set: ml. Seeds: 2."
