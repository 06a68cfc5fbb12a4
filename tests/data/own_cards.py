"""Small data sets of a user's own, written to a folder."""

import gzip
import json
from pathlib import Path

import pytest
import yaml

from bench.data.load import load_dataset
from bench.errors import DataError
from bench.settings import Settings

# (user, item, time) in file order; times of u1's b and c tie, so b stays before c.
ROWS = [
    ("u2", "c", 30),
    ("u1", "b", 20),
    ("u1", "c", 20),
    ("u2", "a", 10),
    ("u1", "a", 5),
    ("u2", "b", 20),
    ("u10", "b", 3),
    ("u10", "a", 1),
    ("u10", "c", 2),
]
TITLES = {"a": "Ink & Quill", "b": "Paper", "c": ""}
EXPECTED = {"u1": ["a", "b", "c"], "u10": ["a", "c", "b"], "u2": ["a", "b", "c"]}


def write_card(folder: Path, name: str = "mine", **form) -> str:
    """Write a card of one form; ``card=`` overrides keys outside the form."""
    folder.mkdir(parents=True, exist_ok=True)
    card = {"name": name, **form.pop("card", {}), "forms": [form]}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(path)


def sequences_card(folder: Path, **more) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{user} {' '.join(items)}\n" for user, items in reversed(EXPECTED.items())]
    (folder / "seq.txt").write_text("".join(lines), encoding="utf-8")
    titles = "".join(f"{item}\t{title}\n" for item, title in TITLES.items())
    (folder / "items.tsv").write_text("item_id\ttitle\n" + titles, encoding="utf-8")
    form = {"format": "sequences", "files": {"sequences": "seq.txt", "items": "items.tsv"}}
    return write_card(folder, **{**form, **more})


def recbole_card(folder: Path, **more) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{user}\t{item}\t4\t{time}\n" for user, item, time in ROWS)
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / "x.inter").write_text(header + rows, encoding="utf-8")
    titles = "".join(f"{item}\t{title}\t1999\n" for item, title in TITLES.items())
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\n"
    (folder / "x.item").write_text(header + titles, encoding="utf-8")
    form = {"format": "recbole", "files": {"interactions": "x.inter", "items": "x.item"}}
    return write_card(folder, **{**form, **more})


def amazon_card(folder: Path, extra_meta: str = "", extra_reviews: str = "", **more) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    reviews = "".join(
        json.dumps(
            {
                "reviewerID": user,
                "asin": item,
                "reviewText": 'she said "asin": "zzz"',
                "unixReviewTime": time,
            }
        )
        + "\n"
        for user, item, time in ROWS
    )
    # Python literals, as published: single quotes, None, HTML entities; c has no title.
    meta = (
        "{'asin': 'a', 'title': 'Ink &amp; Quill', 'price': None}\n"
        "{'asin': 'b', 'title': \"Paper\", 'salesRank': {'Toys': 5}}\n"
        "{'asin': 'never reviewed', 'title': 'Glue'}\n"
        "{'asin': 'c', 'imUrl': 'http://x'}\n"
    )
    (folder / "reviews.json.gz").write_bytes(gzip.compress((reviews + extra_reviews).encode()))
    (folder / "meta.json.gz").write_bytes(gzip.compress((meta + extra_meta).encode()))
    files = {"reviews": "reviews.json.gz", "metadata": "meta.json.gz"}
    return write_card(folder, **{"format": "amazon", "files": files, **more})


def csv_card(folder: Path, **more) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f'{time},"{user}",{item}\n' for user, item, time in ROWS)
    (folder / "x.csv").write_text("when,who,what\n" + rows, encoding="utf-8")
    titles = "".join(f'{item},"{title}"\n' for item, title in TITLES.items())
    (folder / "items.csv").write_text("what,name\n" + titles, encoding="utf-8")
    options = {"user": "who", "item": "what", "time": "when", "item_id": "what", "text": "name"}
    files = {"interactions": "x.csv", "items": "items.csv"}
    return write_card(folder, **{"format": "table", "files": files, "options": options, **more})


def parquet_card(folder: Path, **more) -> str:
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s")
    frame.to_parquet(folder / "x.parquet")
    items = pd.DataFrame({"item_id": list(TITLES), "title": list(TITLES.values())})
    items.to_parquet(folder / "items.parquet")
    files = {"interactions": "x.parquet", "items": "items.parquet"}
    return write_card(folder, **{"format": "table", "files": files, **more})


def movielens_card(folder: Path, **more) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{user}\t{item}\t3\t{time}\n" for user, item, time in ROWS)
    (folder / "u.data").write_text(rows, encoding="latin-1")
    films = "".join(
        f"{item}|{title + ' (1995)' if title else ''}|01-Jan-1995||http://x|{'|'.join('0' * 19)}\n"
        for item, title in TITLES.items()
    )
    (folder / "u.item").write_text(films, encoding="latin-1")
    files = {"interactions": "u.data", "items": "u.item"}
    return write_card(folder, **{"format": "movielens", "files": files, **more})


CARDS = [sequences_card, recbole_card, amazon_card, csv_card, parquet_card, movielens_card]


def load(source, **options):
    """Load a data set with the settings of the test's environment."""
    return load_dataset(source, Settings.from_environment(), **options)


def refused(read, *arguments) -> str:
    """See a data set refused with one sentence, and return the sentence."""
    with pytest.raises(DataError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(dataset) -> dict[str, str]:
    """Texts by original id of the item."""
    return dict(zip(dataset.item_ids, dataset.item_texts, strict=True))


def histories(dataset) -> dict[str, list[str]]:
    """Original ids, oldest first, by user."""
    return {
        user: [dataset.item_ids[item - 1] for item in row]
        for user, row in zip(dataset.user_ids, dataset.sequences, strict=True)
    }
