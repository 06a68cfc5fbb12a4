"""The folder for a paper: complete, consistent, and never in place of somebody's files."""

import re
import shlex
import shutil
import subprocess

import pandas as pd
import pytest
from made_up_store import make_experiment, make_metadata, save
from typer.testing import CliRunner

import bench
from bench.cli.main import app
from bench.errors import BenchError, ConfigError
from bench.files import write_json
from bench.plan.result import Metadata, Origin
from bench.reports import paper
from bench.reports.bibliography import Reference
from bench.reports.request import Request
from bench.reports.titles import RegisteredTitles
from bench.reports.verify.verify import verify
from bench.runs.store import Store

METADATA = make_metadata(versions={"torch": "9.9.9"}, machine="An_OS x86-64")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    for seed in (1, 2):
        for method, ranks in {"none": [1, 9, 99], "hsd": [1, 1, 99]}.items():
            save(folder, make_experiment(method, seed=seed), ranks, metadata=METADATA)
    return folder


@pytest.fixture(scope="module")
def written(root, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "paper"
    return target, paper.write_paper(root, target, titles=RegisteredTitles())


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(paper, "all_figures", lambda *_: iter(()))
    monkeypatch.setattr(paper, "checkout", lambda: "1")  # this one may be edited meanwhile


def test_the_document_shows_every_table_and_figure(written):
    target, names = written
    assert sorted(names) == sorted(
        path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()
    )
    main = (target / "main.tex").read_text()
    inputs = {f"{name}.tex" for name in re.findall(r"\\input\{(.+?)\}", main)}
    images = {f"{name}.pdf" for name in re.findall(r"\\includegraphics\[.+?\]\{(.+?)\}", main)}
    shown = {name for name in names if name.startswith(("tables/", "figures/"))}
    assert inputs | images == shown | {"reproducibility.tex"}
    assert {"tables/overall.tex", "figures/differences.pdf", "figures/accuracy.pdf"} <= shown


def test_tables_verify_and_results_are_unrounded(written, root):
    target, _ = written
    count, differences = verify(target / "tables" / "overall.tex", root, RegisteredTitles())
    assert count >= 12
    assert differences == []
    results = pd.read_csv(target / "results.csv")
    assert list(results["HR@5"]) == pytest.approx([1 / 3, 2 / 3])


def test_the_statement_names_what_a_reader_needs(written):
    target, _ = written
    text = (target / "reproducibility.tex").read_text()
    for words in (r"An\_OS x86-64, cpu, 2 threads", "torch 9.9.9", "epochs = 200", "[Seeds] 1, 2"):
        assert words in text
    assert "c" * 12 in text
    assert re.search(r"commit [0-9a-f]{40}|not from a Git checkout", text)
    bibliography = (target / "references.bib").read_text()
    keys = re.findall(r"^@\w+\{(.+),$", bibliography, re.MULTILINE)
    assert keys == ["hsd", "sasrec", "ml-100k"]
    assert re.findall(r"\\cite\{(.+?)\}", text) == keys
    assert bibliography.count("{") == bibliography.count("}")
    lines = (target / "commands.sh").read_text().splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("bench run")]
    assert [words[words.index("--method") + 1] for words in commands] == ["none", "hsd"]
    assert all(words[words.index("--seeds") + 1 :][:2] == ["1", "2"] for words in commands)


def test_texts_of_others_stay_comments_of_the_shell(tmp_path, quick):
    origin = Origin(file="a\nrm b", sha256="0" * 64, kind="ranks", text="c\nrm d")
    imported = make_experiment("imported:theirs")
    save(tmp_path / "store", imported, [1, 9], metadata=make_metadata(origin=origin))
    record = {"key": "0" * 64, "name": "n", "spec": {}, "labels": [], "begun": 1}
    record |= {"experiments": [imported.key], "command": ["bench", "run", "e\nrm f"]}
    write_json(tmp_path / "store" / "runs" / "n-k.json", record)
    paper.write_paper(tmp_path / "store", tmp_path / "paper")
    _, *lines = (tmp_path / "paper" / "commands.sh").read_text().splitlines()
    assert all(line == "set -e" or line.startswith("#") for line in lines)
    assert "rm" in "".join(lines)


def test_seeds_are_in_the_order_of_their_numbers(tmp_path, quick):
    for seed in (10, 9):
        save(tmp_path / "store", make_experiment(seed=seed), [1])
    paper.write_paper(tmp_path / "store", tmp_path / "paper")
    assert "[Seeds] 9, 10" in (tmp_path / "paper" / "reproducibility.tex").read_text()


def test_nothing_is_said_of_the_machine_of_imported_results(tmp_path, quick):
    save(tmp_path / "store", make_experiment(), [1], make_metadata(machine="Linux", threads=1))
    mine = make_experiment("imported:mine", None, code="imported")
    save(tmp_path / "store", mine, [1], Metadata(), [])
    paper.write_paper(tmp_path / "store", tmp_path / "paper")
    text = (tmp_path / "paper" / "reproducibility.tex").read_text()
    assert "[Machine] Linux, cpu, 1 thread\n" in text


@pytest.mark.parametrize(
    ("citation", "fields"),
    [
        (
            "Kang, McAuley. Self-Attentive Sequential Recommendation. ICDM 2018.",
            {
                "kind": "inproceedings",
                "author": "Kang and McAuley",
                "title": "{Self-Attentive Sequential Recommendation}",
                "booktitle": "ICDM 2018",
                "year": "2018",
            },
        ),
        (
            (
                "F. M. Harper, J. A. Konstan. The MovieLens datasets: history & context. ACM TiiS "
                "5(4), 2015. https://doi.org/10.1145/2827872"
            ),
            {
                "kind": "misc",
                "author": "F. M. Harper and J. A. Konstan",
                "title": r"{The MovieLens datasets: history \& context}",
                "howpublished": "ACM TiiS 5(4), 2015",
                "year": "2015",
                "doi": "10.1145/2827872",
            },
        ),
        (
            "Wang et al. MiniLM. NeurIPS 2020.",
            {
                "kind": "inproceedings",
                "author": "Wang and others",
                "title": "{MiniLM}",
                "booktitle": "NeurIPS 2020",
                "year": "2020",
            },
        ),
        (
            "Our shop's log of 2024",
            {"kind": "misc", "note": "Our shop's log of 2024", "year": "2024"},
        ),
    ],
)
def test_citations_become_entries(citation, fields):
    text = Reference("key", citation).bibtex()
    found = dict(re.findall(r"^  (\w+) = \{(.*)\},$", text, re.MULTILINE))
    assert {"kind": re.match(r"@(\w+)\{key,", text)[1], **found} == fields


def test_only_its_own_folder_is_replaced(root, tmp_path, quick):
    target = tmp_path / "paper"
    target.mkdir()
    paper.write_paper(root, target)
    (target / "tables" / "overall.tex").stat()
    assert paper.write_paper(root, target, Request(tables=("cost",)))
    assert [path.name for path in (target / "tables").iterdir()] == ["cost.tex"]
    assert [path.name for path in tmp_path.iterdir()] == ["paper"]
    mine = target / "draft.txt"
    mine.write_text("mine")
    with pytest.raises(ConfigError, match=r"draft\.txt was not written by 'bench report --paper'"):
        paper.write_paper(root, target)
    mine.unlink()
    table = target / "tables" / "cost.tex"
    table.write_text(table.read_text() + "edited")
    with pytest.raises(ConfigError, match=r"cost\.tex was changed since"):
        paper.write_paper(root, target)
    with pytest.raises(ConfigError, match="is a file"):
        paper.write_paper(root, table)
    assert table.read_text().endswith("edited")


def test_what_is_missing_is_said(root, tmp_path, quick, caplog):
    [one, *_] = Store(root).experiments()
    paper.write_paper(root, tmp_path / "paper", Request(keys=(one.key, "f" * 64)))
    assert "Missing: 1 of 2 selected experiments" in caplog.text


def test_a_failure_keeps_the_last_state(root, tmp_path, quick, monkeypatch):
    target = tmp_path / "paper"
    paper.write_paper(root, target)
    before = (target / paper.MANIFEST).read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paper, "write_json", full)
    with pytest.raises(BenchError, match="No space left"):
        paper.write_paper(root, target)
    assert (target / paper.MANIFEST).read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["paper"]


def test_the_command_and_the_interface_write_it(root, tmp_path, quick):
    words = ["report", "--store", str(root), "--paper", str(tmp_path / "one")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    bench.report(str(root), paper=tmp_path / "two")
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("one", "two")
    )
    assert first == second
    done = CliRunner().invoke(app, [*words, "--figure", "accuracy", "--out", "x.png"])
    assert isinstance(done.exception, ConfigError)
    assert "drop --out, --figure and --format" in str(done.exception)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_pdflatex_compiles_the_document(written, tmp_path):
    folder = shutil.copytree(written[0], tmp_path / "paper")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "main.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Float too large" not in done.stdout
    assert not re.search(r"\.\d+pk", done.stdout), "bitmap fonts, which publishers refuse"
