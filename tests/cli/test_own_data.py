"""Reports on a data set of a user's own find its card again."""

import html
import re
import shlex

import pytest
from command import CARD, printed


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A run on a card with a title, and a folder elsewhere to look at it from."""
    folder, elsewhere = (tmp_path_factory.mktemp(name) for name in ("shop", "elsewhere"))
    (folder / "card.yaml").write_text(CARD + "title: Corner Shop\n")
    words = ("--dataset", "./card.yaml", "--backbone", "sasrec", "--method", "random-drop")
    printed("run", *words, "--jobs", "1", "--set", "epochs=1", cwd=folder)
    return folder, elsewhere


def look(shop, *words):
    folder, elsewhere = shop
    return printed(*words, "--store", str(folder / "runs"), cwd=elsewhere)


def test_its_title_and_counts_are_shown_from_anywhere(shop):
    table = look(shop, "report", "--table", "data")
    assert re.search(r"\| Corner Shop +\| +30 \|", table)


def test_the_command_beside_a_row_finds_the_cell_again(shop):
    page = look(shop, "report", "--format", "html")
    shown = re.search(r"bench run --dataset [^<]*", page)
    assert shown is not None
    assert "1 experiment, 0 of them to run" in look(
        shop, *shlex.split(html.unescape(shown.group()))[1:], "--plan"
    )


def test_noise_detection_reads_an_own_card(shop):
    assert re.search(
        r"\| Corner Shop +\| SASRec +\| Random drop",
        look(shop, "report", "--table", "noise-detection"),
    )


def test_a_card_that_is_gone_leaves_the_name(shop):
    card = shop[0] / "card.yaml"
    text = card.read_text()
    card.unlink()
    try:
        shown = look(shop, "report", "--table", "overall", "data")
    finally:
        card.write_text(text)
    assert "Corner Shop" not in shown
    assert re.search(r"\| tiny +\| SASRec", shown)
    assert "Not shown: what needs the data set itself" in shown
    assert card.name in shown
