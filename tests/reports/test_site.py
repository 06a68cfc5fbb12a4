"""The site: its numbers are those of the ranks, names are escaped, README says what it says."""

import dataclasses
import json
import re
from collections import ChainMap
from pathlib import Path

import numpy as np
import pytest
from command import called, refused
from made_up_store import make_experiment, make_metadata, make_ranks, save
from page_reader import Reader
from scipy import stats
from test_page_browser import needs_browser, shown_by

from bench.errors import ConfigError
from bench.packs.reference import published_site
from bench.reports.site import BEGIN, END, Site
from bench.reports.titles import RegisteredTitles
from bench.runs.store import Store
from bench.settings import Settings

ROOT = Path(__file__).parents[2]
NASTY = "HSD <script>alert(1)</script> & 'co'"
USERS = 1200


def places(number):
    return np.random.default_rng(number).integers(1, 60, USERS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two data sets, one of them with a noisy variant, a bare backbone and a denoiser."""
    tmp_path = tmp_path_factory.mktemp("site")
    for number, dataset in enumerate(("beauty", "ml-100k", "ml-100k+random:0.2")):
        for method, worse in (("none", 0), ("hsd", 9)):
            made = make_ranks(places(number) + worse, unseen_ranks=places(number))
            counts = np.arange(USERS, dtype=np.int32) + 1
            save(
                tmp_path / "store",
                make_experiment(method, dataset=dataset),
                dataclasses.replace(made, target_count=counts),
                make_metadata(versions={"torch": "2.13.0", "commit": "a" * 40}),
            )
    sums = {stored.key: stored.key[::-1] for stored in Store(tmp_path / "store").experiments()}
    settings = Settings.from_environment(
        store=tmp_path / "store", data=tmp_path / "none", cache=tmp_path / "cache"
    )
    titles = ChainMap({"hsd": NASTY}, RegisteredTitles())
    return Site(settings, sums, titles)


@pytest.fixture(scope="module")
def page(site):
    return site.page()


def board(page, number):
    """Return the rows of a board by data set and method, each by the name of its column."""
    heads, *rows = Reader(page).tables[number]
    lines = [dict(zip(heads, row, strict=True)) for row in rows]
    return {(line["Data set"], line["Method"]): line for line in lines}


def test_the_board_holds_the_figures_of_the_ranks(page):
    for number, shift in ((1, 9), (2, 0)):  # among all items, among unseen ones
        rows = board(page, number)
        assert {dataset for dataset, _ in rows} == {"Beauty", "ML-100K"}  # noise is not here
        for place, dataset in enumerate(("Beauty", "ML-100K")):
            own, base = places(place) + shift, places(place)
            for k in (5, 10, 20):
                found = rows[dataset, NASTY]
                assert found[f"HR@{k}"] == f"{np.mean(own <= k):.4f}"
                gains = [np.where(p <= k, 1 / np.log2(p + 1), 0) for p in (own, base)]
                assert found[f"NDCG@{k}"].rstrip("*") == f"{gains[0].mean():.4f}"
                gap = gains[0] - gains[1]
                printed = found[f"NDCG@{k} vs. base"].replace("\N{DOWNWARDS ARROW}", "")
                if not gap.any():
                    assert printed == "+0.0000"
                    continue
                low, high = stats.t.interval(0.95, USERS - 1, gap.mean(), stats.sem(gap))
                assert printed == f"{gap.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


def test_the_board_says_which_of_its_columns_are_corrected(page):
    captions = re.findall(r'<p class="soft">([^<]*ranked among[^<]*)</p>', page)
    assert len(captions) == 2
    for caption in captions:
        assert "Best bold, second underlined." in caption
        assert "Intervals: 95 %, not corrected; p: corrected." in caption


def test_the_contents_name_every_section_once_in_its_order(page):
    contents = page[page.index('aria-label="Contents"') : page.index("</nav>\n</header>")]
    entries = re.findall(r'<a href="#([^"]*)">([^<]*)</a>', contents)
    assert entries == re.findall(r'<section id="([^"]*)">\s*<h2>([^<]*)</h2>', page)
    for part in zip(*entries, strict=True):
        assert len({*part}) == len(part)


def test_the_headline_counts_verdicts(page):
    head = re.search(r'<p class="finding">(.*?)</p>', page).group(1)
    assert head.startswith("On 2 data sets and 1 backbone, a method is significantly above")
    below = [
        row["NDCG@10 vs. base"]
        for row in board(page, 1).values()
        if "\N{DOWNWARDS ARROW}" in row["NDCG@10 vs. base"]
    ]
    assert "in none of 2 comparisons" in head
    assert f"significantly below it in {len(below)} (" in head
    assert below  # nine places lower for everyone


def test_names_are_escaped_and_nothing_is_loaded(page):
    assert Reader(page).tags.count("script") == 1
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(|https?://", page)


def test_every_row_and_figure_leads_to_its_experiments(page):
    keys = set(re.findall(r'data-key="([0-9a-f]{64})"', page))
    assert keys == set(re.findall(r'<dialog id="experiment-([0-9a-f]{64})"', page))
    assert len(keys) == 6
    assert page.count("<dt>Commit</dt><dd>" + "a" * 40) == 6
    assert "bench run --dataset ml-100k+random:0.2 --backbone sasrec --method hsd" in page
    figures = page.count("<figure>")
    assert figures == page.count("bench report --against reference --figure ")
    assert "Robustness to noise" in page


SWITCH = """
<script>{
const selects = [...document.querySelectorAll(".switch select")];
const fields = Object.fromEntries(selects.map(one => [one.name, one]));
const visible = one => one.offsetWidth > 0;
const shown = () => {
  const table = [...document.querySelectorAll("#board table")].find(visible);
  const texts = row => [...row.cells].filter(visible).map(cell => cell.textContent);
  return [...table.rows].filter(visible).map(texts);
};
const seen = {options: [...fields["data-set"].options].map(one => one.value), first: shown()};
const wanted = ["ML-100K", "all", "HR", "5", "Among unseen items"];
selects.forEach((one, place) => {
  one.value = wanted[place];
  one.dispatchEvent(new Event("change", {bubbles: true}));
});
seen.second = shown();
seen.address = location.hash;
seen.ranges = document.querySelectorAll("#board .range").length;
seen.wide = document.documentElement.scrollWidth > window.innerWidth;
const told = document.createElement("samp");
told.textContent = JSON.stringify(seen);
document.body.append(told);
}</script>
"""


@needs_browser
def test_the_board_is_switched_in_a_browser(page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", SWITCH + "</body>"))
    seen = shown_by(file, tmp_path, "1280,900")
    assert seen["options"] == ["Beauty", "ML-100K"]
    heads, best, second = seen["first"]
    assert [head for head in heads if "@" in head] == ["NDCG@10", "NDCG@10 vs. base", "NDCG@10 p"]
    assert (best[0], second[0]) == ("Base", NASTY)  # sorted by the metric
    heads, *rows = seen["second"]
    assert [head for head in heads if "@" in head] == ["HR@5", "HR@5 vs. base", "HR@5 p"]
    figures = {row[0]: row[heads.index("HR@5")].rstrip("*") for row in rows}
    assert figures == dict.fromkeys(("Base", NASTY), f"{np.mean(places(1) <= 5):.4f}")
    assert "metric=HR" in seen["address"]
    assert seen["ranges"]
    assert not seen["wide"]


def test_the_version_is_that_of_specification_and_results(site, page, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "page", lambda: page)
    paths = site.write(tmp_path / "out")
    assert [path.name for path in paths] == ["index.html", "paper.html", "board.json"]
    about = json.loads(paths[2].read_text())
    assert about["sha256"][:12] in paths[0].read_text()
    assert len(about["results"]) == 4
    assert all(checksum == key[::-1] for key, checksum in about["results"].items())
    [table] = about["specification"]
    assert [block["dataset"] for block in table["blocks"]] == ["beauty", "ml-100k"]
    changed = Site.__new__(Site)
    changed.__dict__ |= {**vars(site), "_checksums": dict.fromkeys(about["results"], "0")}
    assert changed.version()["sha256"] != about["sha256"]


def test_the_excerpt_takes_the_place_of_what_was_there(site, tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"# T\n\n{BEGIN}\nformer\n{END}\nrest\n")
    for _ in range(2):
        site.write_into(file)
        text = file.read_text()
        assert text.startswith(f"# T\n\n{BEGIN}\n\nOn 2 data sets and 1 backbone, a method")
        assert text.endswith(f"{END}\nrest\n")
        assert "former" not in text
    written = f"# \x1b[1mT\r\n{BEGIN}\r\nformer\r\n{END}\r\nrest\x0c\r\n".encode()
    file.write_bytes(written)
    site.write_into(file)
    now = file.read_bytes()
    begin, end = BEGIN.encode(), END.encode()
    assert now.partition(begin)[0] == written.partition(begin)[0]
    assert now.partition(end)[2] == written.partition(end)[2]
    assert now.count(b"\n") == now.count(b"\r\n") > 4
    file.write_text("nothing")
    with pytest.raises(ConfigError, match="needs the lines"):
        site.write_into(file)
    file.write_bytes("é".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        site.write_into(file)


def test_readme_says_what_the_pack_says(tmp_path):
    """Write it again with: bench site --into README.md."""
    settings = Settings.from_environment(data=tmp_path / "none", cache=tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    shown = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == published_site("reference", settings).excerpt().strip()


def test_the_command(tmp_path):
    assert "no output is given" in refused("site", cwd=tmp_path)
    assert "is not a pack of published results" in refused(
        "site", "--out", "x", "--packs", "absent", cwd=tmp_path
    )
    (tmp_path / "r.md").write_text(f"{BEGIN}\n{END}\n")
    done = called("site", "--into", "r.md", cwd=tmp_path)
    assert done.stdout == "r.md\n"
    assert "| Method" in (tmp_path / "r.md").read_text()
