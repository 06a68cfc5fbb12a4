"""Cards: the built-in ones, a user's own, and wrong ones."""

import pytest
import yaml
from own_cards import EXPECTED, histories, load, sequences_card, write_card

from bench.errors import ConfigError
from bench.plan import data_card as card_module
from bench.plan.data_card import Card, card_names, load_card

SHA = "0" * 64


def test_the_promised_cards_are_there():
    movielens = ["ml-100k", "ml-10m", "ml-1m", "ml-20m", "ml-25m"]
    assert card_names() == [
        *("beauty", "diginetica", "gowalla", "lastfm", *movielens, "planted", "sports", "steam"),
        *("toys", "video-games-2018", "video-games-2023", "yelp"),
    ]


@pytest.mark.parametrize("name", card_names())
def test_a_built_in_card_says_all_that_a_reader_needs(name):
    card = load_card(name)
    assert card.name == name
    assert card.title
    assert card.summary
    assert card.citation
    assert card.licence
    assert card.expected.interactions or card.published.interactions
    urls = [s.url for form in card.forms for s in form.sources if s.url]
    official = (
        *("https://snap.stanford.edu/data/", "https://files.grouplens.org/"),
        *("https://mcauleylab.ucsd.edu/public_datasets/", "https://cseweb.ucsd.edu/~wckang/"),
    )
    assert bool(urls) != bool(card.obtain or name == "planted")
    assert all(url.startswith(official) for url in urls)


def test_unknown_name_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'beauty'"):
        load_card("beuty")


def test_a_users_files_lie_beside_the_card_or_in_the_data_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    path = sequences_card(tmp_path / "cards")
    assert histories(load(path)) == EXPECTED
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").mkdir()
    for name in ("seq.txt", "items.tsv"):
        (tmp_path / "cards" / name).rename(tmp_path / "data" / "mine" / name)
    assert histories(load(path)) == EXPECTED


def test_a_relative_path_of_a_card_works_from_its_folder(tmp_path, monkeypatch):
    sequences_card(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert histories(load("mine.yaml")) == EXPECTED


def test_a_users_card_may_not_take_a_built_in_name(tmp_path):
    path = sequences_card(tmp_path, name="beauty")
    with pytest.raises(ConfigError, match="a shipped data set is also named 'beauty'"):
        load_card(path)


def test_duplicate_built_in_cards_are_refused(tmp_path, monkeypatch):
    for name in ("x.yaml", "x.yml"):
        (tmp_path / name).write_text("name: x\n")
    monkeypatch.setattr(card_module, "_cards_folder", lambda: tmp_path)
    with pytest.raises(ConfigError, match="two cards are named 'x'"):
        card_names()


def test_a_built_in_card_is_named_as_its_file(tmp_path, monkeypatch):
    write_card(tmp_path, name="y", format="planted")
    (tmp_path / "y.yaml").rename(tmp_path / "x.yaml")
    monkeypatch.setattr(card_module, "_cards_folder", lambda: tmp_path)
    with pytest.raises(ConfigError, match="its name is 'y', but its file is named 'x'"):
        load_card("x")


URL = "https://example.org/a.zip"
FORM = {"format": "sequences", "files": {"sequences": "seq.txt"}}
WRONG = {
    "unknown key": ({"max_lenght": 3}, "unknown key 'max_lenght'; did you mean 'max_length'"),
    "unknown nested key": (
        {"filters": {"min_user_interaction": 3}},
        "unknown key 'filters.min_user_interaction'; did you mean 'min_user_interactions'",
    ),
    "unknown key in a list": (
        {"forms": [{**FORM, "optoins": {}}]},
        "unknown key 'forms.0.optoins'; did you mean 'options'",
    ),
    "unknown key in an optional part": (
        {"expected": {"users": 1, "items": 1, "interactoins": 1}},
        "unknown key 'expected.interactoins'; did you mean 'interactions'",
    ),
    "no form": ({"forms": []}, "key 'forms'"),
    "name with a path": ({"name": "../x"}, "must be lower case letters"),
    "negative limit": ({"filters": {"min_item_interactions": -1}}, "min_item_interactions"),
    "unknown policy": ({"filters": {"duplicates": "drop"}}, "filters.duplicates"),
    "required file not named": (
        {"forms": [{"format": "recbole", "files": {"items": "x"}}]},
        "'files' must name 'interactions'",
    ),
    "source without address": (
        {"forms": [{**FORM, "sources": [{"role": "sequences"}]}]},
        "either 'url' or 'wheel'",
    ),
    "source with two addresses": (
        {
            "forms": [
                {
                    **FORM,
                    "sources": [
                        {
                            "url": URL,
                            "wheel": {"distribution": "x", "version": "1"},
                            "role": "sequences",
                        }
                    ],
                }
            ]
        },
        "either 'url' or 'wheel'",
    ),
    "source that gives nothing": (
        {"forms": [{**FORM, "sources": [{"url": URL}]}]},
        "either 'role' or 'members'",
    ),
    "address of a local file": (
        {"forms": [{**FORM, "sources": [{"url": "file:///etc/passwd", "role": "sequences"}]}]},
        "forms.0.sources.0.url",
    ),
    "address without a host": (
        {"forms": [{**FORM, "sources": [{"url": "http://:80/x", "role": "sequences"}]}]},
        "'forms.0.sources.0.url' = 'http://:80/x': it names no host",
    ),
    "address of half a host": (
        {"forms": [{**FORM, "sources": [{"url": "http://[::1", "role": "sequences"}]}]},
        "'forms.0.sources.0.url' = 'http://[::1': invalid IPv6",
    ),
    "address with an impossible port": (
        {"forms": [{**FORM, "sources": [{"url": "http://h:99999/x", "role": "sequences"}]}]},
        "'forms.0.sources.0.url' = 'http://h:99999/x': port out of range",
    ),
    "address with a space": (
        {"forms": [{**FORM, "sources": [{"url": URL + " b", "role": "sequences"}]}]},
        "write spaces and letters beyond ASCII as %20",
    ),
    "forms that are no list": (
        {"forms": FORM},
        "key 'forms' must be a list; write each entry behind '- '",
    ),
    "a truth where a number belongs": (
        {"max_length": True},
        "key 'max_length' = True: a number is expected, not true or false",
    ),
    "separator beyond ASCII": (
        {
            "forms": [
                {"format": "table", "files": {"interactions": "x"}, "options": {"separator": "§"}}
            ]
        },
        "separator",
    ),
    "half a checksum": (
        {"forms": [{**FORM, "sources": [{"url": URL, "role": "sequences", "sha256": "ab"}]}]},
        "sha256",
    ),
    "fetched file with a path": (
        {
            "forms": [
                {
                    "format": "sequences",
                    "files": {"sequences": "../seq.txt"},
                    "sources": [{"url": URL, "role": "sequences"}],
                }
            ]
        },
        "must be a plain file name",
    ),
    "source of an unnamed role": (
        {"forms": [{**FORM, "sources": [{"url": URL, "role": "items"}]}]},
        "gives 'items', which 'files' does not name",
    ),
    "pip option as a wheel": (
        {
            "forms": [
                {
                    **FORM,
                    "sources": [
                        {
                            "wheel": {"distribution": "--index-url=x", "version": "1"},
                            "members": {"sequences": {"path": "a"}},
                        }
                    ],
                }
            ]
        },
        "wheel.distribution",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_card_names_its_file_and_key(kind, tmp_path):
    change, message = WRONG[kind]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "forms": [FORM], **change}))
    with pytest.raises(ConfigError) as caught:
        load_card(str(path))
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_misspelt_key_is_called_unknown_rather_than_missing(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "form": [FORM]}))
    with pytest.raises(ConfigError, match="unknown key 'form'; did you mean 'forms'"):
        load_card(str(path))


def test_a_card_survives_dump_and_reload():
    for name in card_names():
        card = load_card(name)
        assert Card.parse(card.model_dump(mode="json"), name) == card
