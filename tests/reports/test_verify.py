"""A report verifies as it was written; whatever is changed in it or in the store is named."""

import json
import re
import shutil

import numpy as np
import pytest
from made_up_store import make_experiment, make_metadata, make_ranks, save
from studies import write_study
from typer.testing import CliRunner

from bench.cli.main import app
from bench.errors import BenchError, ConfigError
from bench.manifest import seal
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig
from bench.reports.names import USUAL
from bench.reports.report import draw, render
from bench.reports.request import Request, embedded_request
from bench.reports.verify import verify as module
from bench.reports.verify.printed import printed_tables
from bench.reports.verify.verify import verify
from bench.runs.store import Store
from bench.runs.stored import write_columns
from bench.settings import Settings
from bench.tuning.records import Trial

TITLES = {"hsd": "HSD | $x_1$ & <b>", "none": "Base"}
FORMATS = ("markdown", "latex", "html", "csv")


def fill(root, protocol=None, seeds=(1, 2)):
    rng = np.random.default_rng(4)
    for dataset in ("beauty", "ml-100k"):
        for method, skill in {"none": 0.05, "hsd": 0.12}.items():
            for seed in seeds:
                experiment = make_experiment(
                    method, "sasrec", seed, dataset, protocol=protocol or Protocol()
                )
                save(root, experiment, rng.geometric(skill, 300))
    return root


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Leave pages without figures, which take most of their time and are not verified."""
    monkeypatch.setattr("bench.reports.report.all_figures", lambda data, ending: [])


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store that nothing changes: each request is rendered once, however often it is compared."""
    root, known = fill(tmp_path_factory.mktemp("store")), {}

    def remembered(function):
        def call(where, *args, **options):
            if Settings.of(where).store != root:
                return function(where, *args, **options)
            key = function.__name__, repr((args, options))
            if key not in known:
                known[key] = function(root, *args, **options)
            return known[key]

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "render", remembered(module.render))
        patch.setattr(module, "read_report", remembered(module.read_report))
        yield root


@pytest.fixture
def root(shared, tmp_path):
    """A copy of the store, to be changed."""
    return shutil.copytree(shared, tmp_path / "store")


def write(tmp_path, root, fmt, **request):
    target = tmp_path / f"report.{fmt}"
    target.write_text(module.render(root, Request(format=fmt, **request), TITLES, origin=True))
    return target


def drift(report, root):
    return verify(report, root, TITLES)[1]


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_was_written_verifies(tmp_path, shared, fmt):
    cells, told = verify(write(tmp_path, shared, fmt), shared, TITLES)
    assert told == []
    assert cells >= 4 * 10


def test_a_byte_order_mark_of_a_spreadsheet_makes_no_difference(tmp_path, shared):
    report = write(tmp_path, shared, "csv")
    report.write_text(report.read_text(), encoding="utf-8-sig")
    assert drift(report, shared) == []


@pytest.mark.parametrize("fmt", FORMATS)
def test_selections_readings_and_protocols_are_remembered(tmp_path, root, fmt):
    fill(root, Protocol(candidates="unseen", max_length=20))
    reading = {"phase": "validation", "ties": "average", "metrics": ("NDCG@3", "HR@7")}
    report = write(tmp_path, root, fmt, datasets=("ml-100k",), methods=("none", "hsd"), **reading)
    assert drift(report, root) == []


@pytest.mark.parametrize("methods", [("hsd", "none", "steam"), ("steam", "hsd", "none"), ()])
def test_a_csv_verifies_where_rows_tie(tmp_path, methods):
    root = tmp_path / "store"
    ranks = np.random.default_rng(1).geometric(0.1, 200)
    for method in ("none", "hsd", "steam"):
        save(root, make_experiment(method), ranks)
    save(root, make_experiment("steam", dataset="beauty"), ranks)
    save(root, make_experiment("hsd", dataset="beauty"), ranks)
    # Read by titles, the order would be another than by the registered names.
    titles = {"steam": "A", "none": "B", "hsd": "C"}
    report = tmp_path / "report.csv"
    report.write_text(render(root, Request(format="csv", methods=methods), titles))
    assert drift(report, root) == []


def test_a_csv_verifies_with_a_method_without_a_backbone(tmp_path, root):
    save(root, make_experiment("steam", None), [1] * 300)
    assert drift(write(tmp_path, root, "csv"), root) == []


def test_a_damaged_experiment_that_a_report_does_not_show_changes_nothing(tmp_path, root):
    report = write(tmp_path, root, "markdown", datasets=("beauty",))
    other = next(
        stored for stored in Store(root).experiments() if stored.experiment.dataset == "ml-100k"
    )
    (other.folder / "experiment.json").write_text("{")
    assert drift(report, root) == []


@pytest.mark.parametrize("figure", [False, True])
def test_what_a_csv_or_a_figure_leaves_out_is_said(tmp_path, root, figure, caplog):
    failed = make_experiment("steam", "sasrec")
    Store(root).record_failure(failed, "the loss is NaN")
    if figure:
        draw(root, "accuracy", tmp_path / "a.png")
    else:
        render(root, Request(format="csv"))
    assert "Failed: ml-100k/sasrec/steam/seed 1: the loss is NaN" in caplog.messages


def numbers(text):
    """Places of the figures in table rows: one digit of each is about to change."""
    for row in re.finditer(r"^.*$", text, re.MULTILINE):
        if row[0].startswith("|") or row[0].endswith("\\\\") or row[0].startswith("<tr"):
            for found in re.finditer(r"(?<=[ >*{])[-+]?[0-9][0-9,.]*[0-9](?=[ <*}%\\↑↓(])", row[0]):
                yield row.start() + found.end() - 1


@pytest.mark.parametrize("fmt", ["markdown", "latex", "html"])
def test_one_changed_digit_anywhere_is_named(tmp_path, shared, fmt, monkeypatch):
    report = write(tmp_path, shared, fmt)
    text = report.read_text()
    again = render(shared, Request(format=fmt), TITLES)
    monkeypatch.setattr(module, "render", lambda *_, **__: again)
    places = list(numbers(text))
    assert len(places) > 60
    for place in places[:: 5 if fmt == "html" else 1]:  # a page takes long to parse
        changed = str((int(text[place]) + 1) % 10)
        report.write_text(text[:place] + changed + text[place + 1 :])
        (told,) = drift(report, shared)
        assert re.match(r"table \d+, row .*, column .*: '.*' is printed, the store gives '", told)


def test_a_message_names_table_row_column_and_both_figures(tmp_path, shared):
    report = write(tmp_path, shared, "markdown")
    text = report.read_text()
    line = re.search(r"\| ml-100k .*? Base .*", text)[0]
    figure = line.split("|")[5].strip()
    report.write_text(text.replace(line, line.replace(figure, "0.9999", 1), 1))
    (told,) = drift(report, shared)
    assert told == (
        "table 1, row ml-100k / sasrec / Base, column HR@5: '0.9999' is printed, the store gives "
        f"'{figure}'"
    )


def test_a_changed_figure_of_a_csv_is_named(tmp_path, shared):
    report = write(tmp_path, shared, "csv")
    text = report.read_text()
    figure = re.search(r"\b0\.\d{9,}\b", text)[0]
    report.write_text(text.replace(figure, figure[:8], 1))
    (told,) = drift(report, shared)
    assert re.match(r"row beauty / f+ / sasrec / \w+, column HR@5( sd)?: ", told)
    report.write_text(text.replace(figure, figure[:-1] + str((int(figure[-1]) + 1) % 10), 1))
    assert drift(report, shared) == [], "the last bit of a sum is the processor's"


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_missing_row_or_a_row_too_many_is_named(tmp_path, shared, fmt):
    report = write(tmp_path, shared, fmt)
    lines = report.read_text().splitlines(keepends=True)
    row = re.compile(r"(?:\||<tr).*HSD|.*HSD.*\\\\$|.*,hsd,")
    n = next(n for n, line in enumerate(lines) if row.match(line))
    report.write_text("".join(lines[:n] + lines[n + 1 :]))
    assert drift(report, shared)
    twice = lines[n].replace("HSD", "HSX").replace("hsd", "steam")
    report.write_text("".join([*lines[: n + 1], twice, *lines[n + 1 :]]))
    assert drift(report, shared)


@pytest.mark.parametrize("fmt", FORMATS)
def test_changed_ranks_are_drift(tmp_path, root, fmt):
    report = write(tmp_path, root, fmt)
    (stored,) = [
        s for s in Store(root).experiments() if s.experiment.label == "beauty/sasrec/hsd/seed 1"
    ]
    worst = make_ranks(np.full(300, 999))
    write_columns(stored.folder / "ranks-test.parquet", worst.columns())
    seal(stored.folder)
    told = drift(report, root)
    assert any("beauty" in line and "HR@5" in line for line in told)
    assert not any("ml-100k" in line and "HR@5" in line and "p " not in line for line in told)


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_ran_since_makes_no_difference(tmp_path, root, fmt):
    report = write(tmp_path, root, fmt)
    fill(root, seeds=(3,))
    save(root, make_experiment("steam", None), [1] * 300)
    failed = make_experiment("dcrec")
    Store(root).record_failure(failed, "out of memory")
    (old,) = [s for s in Store(root).experiments() if s.experiment.method == "steam"]
    head = old.folder / "experiment.json"
    head.write_text(head.read_text().replace('"method_settings"', '"of_another_version"'))
    assert drift(report, root) == []


def write_trials(root, values, study="beauty-sasrec-hsd-k"):
    """A study whose trials found these figures, by number."""
    names = dict(zip(("dataset", "backbone", "method"), study.split("-")[:3], strict=True))
    about = {**names, "encoder": None, "key": "k", "objective": "o", "pruning": "median"}
    trials = [
        Trial(n, "complete", value, {}, seconds=1.0, default=n == 0) for n, value in values.items()
    ]
    write_study(root, study, about, trials)


def test_a_ledger_is_that_of_its_time(tmp_path, root):
    found = {0: 0.0, 1: 0.01, 3: 0.03}
    write_trials(root, found)  # another worker runs trial 2
    report = write(tmp_path, root, "markdown", tables=["overall", "ledger"])
    assert drift(report, root) == []
    found |= {2: 0.02, 4: 0.04}
    write_trials(root, found)
    write_trials(root, {0: 0.0}, "beauty-sasrec-none-k")
    assert drift(report, root) == []
    write_trials(root, found | {3: 0.02})
    assert any("column Best" in line for line in drift(report, root))
    del found[3]
    write_trials(root, found)
    told = f"trial 3 of study beauty-sasrec-hsd-k is no longer in {root}"
    assert drift(report, root) == [told]


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_experiment_that_is_gone_is_named(tmp_path, root, fmt):
    report = write(tmp_path, root, fmt)
    (stored,) = [
        s for s in Store(root).experiments() if s.experiment.label == "beauty/sasrec/hsd/seed 1"
    ]
    key = stored.key[:12]
    shutil.rmtree(stored.folder)
    assert drift(report, root) == [f"experiment {key} is no longer in {root}"]


@pytest.mark.parametrize("fmt", ["markdown", "latex"])
def test_text_around_is_no_drift_and_a_changed_caption_is(tmp_path, shared, fmt):
    report = write(tmp_path, shared, fmt)
    text = report.read_text()
    report.write_text(f"Before.\n\n{text}\nAfter.\n")
    assert drift(report, shared) == []
    report.write_text(text.replace("Best bold", "Best italic", 1))
    (told,) = drift(report, shared)
    assert told.startswith("this is not in the report: ")


def test_a_table_that_is_not_ours_is_named(tmp_path, shared):
    report = write(tmp_path, shared, "markdown")
    text = report.read_text()
    report.write_text(text + "\n| A | HR@5 |\n|---|---|\n| x | 0.9 |\n")
    assert drift(report, shared) == ["table with heads A, HR@5 is not what the store gives"]
    report.write_text(text.replace("| Data set", "| Data sets", 1))
    assert [line for line in drift(report, shared) if "is not in the report" in line]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.split("<!--")[0], "has no hidden comment"),
        (lambda text: text + text, "has several hidden comments"),
        (lambda text: text.replace('"phase":"test"', '"phase":"../x"'), "key 'phase' = '../x'"),
        (lambda text: text.replace('"phase"', '"faze"'), "comment is damaged"),
        (
            lambda text: text.replace('"format":"markdown"', '"format":"pdf"'),
            "key 'format' = 'pdf'",
        ),
    ],
)
def test_a_report_must_say_what_it_was_made_of(tmp_path, shared, change, message):
    report = write(tmp_path, shared, "markdown")
    report.write_text(change(report.read_text()))
    with pytest.raises(ConfigError, match=message):
        verify(report, shared, TITLES)


def test_files_that_cannot_be_read(tmp_path, shared):
    with pytest.raises(BenchError, match="cannot read"):
        verify(tmp_path / "absent.md", shared, {})
    (tmp_path / "x.md").write_bytes(b"\xff\xfe")
    with pytest.raises(BenchError, match="not UTF-8"):
        verify(tmp_path / "x.md", shared, {})


def test_the_comment_ends_no_html_early():
    nasty = "a-->b\n% <x>"
    origin = Request(format="html", keys=(), datasets=(nasty,), tables=USUAL)
    comment = origin.comment([])
    assert comment.count("-->") == 1
    assert len(comment.splitlines()) == 1
    assert json.loads(re.search(r"\{.*\}", comment)[0])["datasets"] == [nasty]
    assert embedded_request(f"text\n{comment}", "x") == origin


def test_printed_tables_come_back_as_text(shared):
    texts = {
        fmt: render(shared, Request(format=fmt, tables=USUAL), TITLES)
        for fmt in ("markdown", "latex", "html")
    }
    tables = {fmt: printed_tables(text, fmt) for fmt, text in texts.items()}
    assert {fmt: len(found) for fmt, found in tables.items()} == {
        "markdown": 4,
        "html": 4,
        "latex": 4,  # wide ones are divided, and joined again
    }
    shapes = {tuple(len(t.rows) for t in tables[fmt]) for fmt in tables}
    assert shapes == {(4, 12, 4, 4)}
    assert "HSD \\| \\$x\\_1\\$ \\& \\<b\\>" in tables["markdown"][0].rows[1]
    assert "HSD | $x_1$ & <b>" in tables["html"][0].rows[1]
    assert tables["latex"][0].name(3).startswith("ml-100k / HSD")


def test_the_verb(tmp_path, shared, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", str(shared))
    runner = CliRunner()
    target = tmp_path / "table.md"
    assert runner.invoke(app, ["report", "--out", str(target)]).exit_code == 0
    done = runner.invoke(app, ["verify", str(target)])
    assert done.exit_code == 0, done.output
    assert "cells, all as" in done.output
    target.write_text(re.sub(r"0\.(?=\d{4})", "1.", target.read_text(), count=1))
    done = runner.invoke(app, ["verify", str(target)])
    assert done.exit_code == 1
    assert "is printed, the store gives" in done.output


def test_the_store_itself(tmp_path):
    root = fill(tmp_path / "store", seeds=(1,))
    words = ["verify", "--store", str(root)]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.output) == (
        0,
        f"{root}: 4 experiments, all files as they were written\n",
    )
    ranks = next(Store(root).experiments()).folder / "ranks-test.parquet"
    content = bytearray(ranks.read_bytes())
    content[len(content) // 2] ^= 1
    ranks.write_bytes(content)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert str(ranks) in done.output
    assert done.output.endswith(f"{root}: 1 difference\n")


def test_a_json_of_all_columns_verifies_as_a_csv_does(tmp_path, root):
    report = write(tmp_path, root, "json")
    cells, told = verify(report, root, TITLES)
    assert (cells, told) == verify(write(tmp_path, root, "csv"), root, TITLES)
    assert (cells >= 4 * 10, told) == (True, [])
    lines = json.loads(report.read_text())
    place = next(n for n, line in enumerate(lines) if line["method"] == "hsd")
    value = lines[place]["HR@5"]
    lines[place]["HR@5"] = value + 0.01
    report.write_text(json.dumps(lines))
    [found] = drift(report, root)
    assert found.startswith(f"row {lines[place]['dataset']} / ")
    assert f"column HR@5: '{value + 0.01}' is printed, the store gives '{value}'" in found
    report.write_text(json.dumps(lines[:place] + lines[place + 1 :]))
    assert any(found.endswith("is missing") for found in drift(report, root))
    del lines[place]["HR@5"]
    report.write_text(json.dumps(lines))
    with pytest.raises(ConfigError, match="is not the table of all columns"):
        verify(report, root, TITLES)


@pytest.mark.parametrize("fmt", ["csv", "json"])
def test_a_flat_file_of_another_table_says_which_can_be_verified(tmp_path, shared, fmt):
    report = write(tmp_path, shared, fmt, tables=("overall",))
    with pytest.raises(ConfigError, match=r"as CSV or JSON without --table, .* or Markdown"):
        verify(report, shared, TITLES)
    report.write_text(report.read_text()[:-20])
    with pytest.raises(ConfigError, match="is not the table of all columns"):
        verify(report, shared, TITLES)


CELL = re.compile(r"(?<=[|>,&])( ?)sasrec")


def inserted(text, what):
    return CELL.sub(f"\\1{what}sasrec", text, count=1)


DAMAGE = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "its head alone": lambda text: text[: text.index("\n") + 1],
    "without a cell": lambda text: re.sub(CELL.pattern + r"[^a-z]+", r"\1", text, count=1),
    "with a table in a cell": lambda text: inserted(text, "<table>x<tr>y<td><table>z"),
    "with a quote": lambda text: inserted(text, '"'),
    "with half a declaration": lambda text: inserted(text, "<![x"),
    "with a zero byte": lambda text: inserted(text, "\x00"),
    "with a long cell": lambda text: inserted(text, "x" * 200_000),
    "with another head": lambda text: text.replace("dataset,", '"dataset,', 1),
    "with half a comment": lambda text: text.replace('"}', '"', 1),
    "with a deep comment": lambda text: with_field(text, "keys", "[" * 9000 + "]" * 9000),
    "with keys of another type": lambda text: with_field(text, "keys", "[{}]"),
    "without metrics": lambda text: with_field(text, "metrics", "[]"),
    "with an impossible metric": lambda text: with_field(text, "metrics", '["NDCG@0"]'),
    "without tables": lambda text: with_field(text, "tables", "[]"),
    "of another format": lambda text: with_field(text, "format", '"csv"'),
    "with trials of no study": lambda text: with_field(text, "trials", '{"x":[-1]}'),
}


def with_field(text, name, value):
    return re.sub(rf'"{name}":("\w+"|null|\[[^\]]*\])', f'"{name}":{value}', text)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_report_is_refused_or_differs(tmp_path, shared, damage):
    """Hundreds of random changes found these, which ended in tracebacks or were overlooked."""
    for fmt in FORMATS:
        report = write(tmp_path, shared, fmt)
        text = report.read_text()
        changed = DAMAGE[damage](text)
        report.write_text(changed)
        try:
            told = drift(report, shared)
        except BenchError as refusal:
            told = [str(refusal)]
        assert told or changed == text, fmt


def test_a_csv_verifies_where_a_row_is_in_two_blocks(tmp_path):
    root = tmp_path / "store"
    draw = np.random.default_rng(3).geometric
    save(root, make_experiment("none"), draw(0.1, 200))
    for count in (1, 8):
        metadata = make_metadata(sampling="prefixes", prefixes_per_user=count)
        training = TrainingConfig(prefixes_per_user=count)
        save(root, make_experiment("hsd", training=training), draw(0.1, 200), metadata)
    report = write(tmp_path, root, "csv")
    assert report.read_text().count(",none,") == 2
    assert drift(report, root) == []
    text = report.read_text()
    last = text.rindex(",none,")
    report.write_text(text[:last] + text[last:].replace("0.", "0.9", 1))
    [found] = drift(report, root)
    assert "row ml-100k" in found
