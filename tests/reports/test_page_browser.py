"""The HTML page in a real browser: it sorts, filters and shows where a row comes from."""

import itertools
import json
import re
import shutil
import subprocess
from html import escape, unescape

import pytest
from made_up_store import make_experiment, save

from bench.files import write_text
from bench.reports.names import USUAL
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.titles import RegisteredTitles

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--virtual-time-budget=2000",
]
SCRIPT = """
<script>{
const table = document.querySelector("table");
const heads = [...table.tHead.rows[0].cells];
const column = name => heads.findIndex(head => head.textContent.startsWith(name));
const rows = () => [...table.tBodies[0].rows].filter(row => !row.hidden);
const texts = name => rows().map(row => row.cells[column(name)].textContent);
const press = name => heads[column(name)].querySelector("button").click();
const seen = {};
press("HR@5"); seen.falling = texts("HR@5");
press("HR@5"); seen.rising = texts("HR@5");
seen.aria = heads[column("HR@5")].getAttribute("aria-sort");
const fill = (p, place) => { rows()[place].cells[column("HR@20")].textContent = p; };
["0.030", "<0.001", "\u2014"].forEach(fill);
press("HR@20"); press("HR@20"); seen.p = texts("HR@20");
press("Backbone"); seen.names = texts("Backbone");
const field = document.getElementById("filter");
field.value = "sasrec ml"; field.dispatchEvent(new Event("input"));
seen.filtered = texts("Backbone"); seen.count = document.getElementById("shown").textContent;
document.querySelector("tbody tr:not([hidden]) button[data-key]").click();
seen.dialog = document.querySelector("dialog[open] pre").textContent;
seen.wide = document.documentElement.scrollWidth > window.innerWidth;
const told = document.createElement("samp");
told.textContent = JSON.stringify(seen);
document.body.append(told);
}</script>
"""


def needs_browser(test):
    """Mark a test that drives Chromium."""
    there = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
    return pytest.mark.browser(there(test))


def shown_by(page, folder, size):
    """Open a page and return what its script appended as JSON."""
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run(
        [BROWSER, *QUIET, profile, f"--window-size={size}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<samp>(.*?)</samp>", done.stdout, re.DOTALL)
    assert found, done.stderr[-500:]
    return json.loads(unescape(found[1]))


@needs_browser
@pytest.mark.parametrize("size", [pytest.param("1280,900", marks=pytest.mark.slow), "500,900"])
def test_sorting_filtering_and_sources(tmp_path, size):
    for backbone, ranks in {"caser": [9, 1, 30], "gru4rec": [9, 9, 9], "sasrec": [1, 2, 3]}.items():
        save(tmp_path / "store", make_experiment(backbone=backbone), ranks)
    page = tmp_path / "page.html"
    text = render(tmp_path / "store", Request(format="html", tables=USUAL))
    write_text(page, text.replace("</body>", SCRIPT + "</body>"))
    seen = shown_by(page, tmp_path, size)
    assert seen["falling"] == ["1.0000", "0.3333", "0.0000"]
    assert seen["rising"] == ["0.0000", "0.3333", "1.0000"]
    assert seen["aria"] == "ascending"
    assert seen["p"] == ["<0.001", "0.030", "\N{EM DASH}"]
    assert seen["names"] == sorted(seen["names"])
    assert [name.lower() for name in seen["filtered"]] == ["sasrec"]
    assert seen["count"] == "9 of 15 rows"  # comparison, tests and cost, and six improvements
    assert seen["dialog"].startswith("bench run --dataset ml-100k --backbone sasrec")
    assert not seen["wide"]


LAYOUT = """
<script>{
const frames = [...document.querySelectorAll(".frame")];
const results = frames.find(frame => frame.getAttribute("aria-label").startsWith("Test"));
const edge = results.getBoundingClientRect();
const heads = [...results.querySelectorAll("thead th")].filter(head => head.offsetWidth);
const right = name => heads.find(head => head.textContent === name).getBoundingClientRect().right;
const names = heads.filter(head => head.matches(".label")).map(head => head.textContent);
const seen = {
  cut: frames.filter(frame => frame.scrollWidth > frame.clientWidth).length,
  wide: document.documentElement.scrollWidth > window.innerWidth,
  names,
  visible: right("HR@5") <= edge.right && right("HR@10") <= edge.right,
  below: getComputedStyle(results.querySelector("td.name"), "::after").content,
};
results.scrollLeft = 10000;
seen.kept = names.every(name => right(name) > edge.left && right(name) < edge.right);
const told = parent.document.createElement("samp");
told.textContent = JSON.stringify(seen);
parent.document.body.append(told);
}</script>
"""


@needs_browser
@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_columns_fit_a_desktop_and_figures_show_on_a_phone(tmp_path, width):
    for seed, dataset in itertools.product((1, 2), ("beauty", "ml-100k")):
        for method in ("none", "none:prefixes", "popularity-drop"):
            ranks = [seed, 2, 9, 40 + len(method)]
            save(tmp_path / "store", make_experiment(method, "gru4rec", seed, dataset), ranks)
    text = render(tmp_path / "store", Request(format="html", tables=USUAL), RegisteredTitles())
    inner = escape(text.replace("</body>", LAYOUT + "</body>"), quote=True)
    frame = f'<body style="margin: 0"><iframe srcdoc="{inner}" width="{width}" height="900" '
    page = tmp_path / "page.html"
    write_text(page, frame + 'style="border: 0"></iframe></body>')
    seen = shown_by(page, tmp_path, "1400,1000")
    assert not seen["wide"]
    assert seen["visible"]
    assert seen["kept"]
    if width == 1280:
        assert seen["cut"] == 0
        assert [name[:6] for name in seen["names"]] == ["Data s", "Method"]
    else:
        assert seen["names"] == ["Method"]
        assert seen["below"] == '"Beauty"'
