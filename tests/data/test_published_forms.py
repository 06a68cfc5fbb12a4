"""Shipped cards on small files of the form that their publishers describe, or a hostile one."""

import gzip
import json

import numpy as np
import pytest
from own_cards import histories, refused, texts

from bench.data.audit import audit
from bench.data.fetch import fetch_card
from bench.data.load import parse_card
from bench.data.locate import locate
from bench.plan.data_card import Counts, load_card
from bench.settings import Settings


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Read files by a shipped card without its k-core and counts."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))

    def read(name, files, **changes):
        card = load_card(name)
        core = {"min_user_interactions": 1, "min_item_interactions": 1}
        changes = {"expected": Counts(), "published": Counts(), **changes}
        card = card.model_copy(update={"filters": card.filters.model_copy(update=core), **changes})
        for file, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            path = tmp_path / name / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(raw) if file.endswith(".gz") else raw)
        return parse_card(card, locate(card, Settings.from_environment()))

    return read


def ratings(dataset):
    return [None if np.isnan(value) else value for value in dataset.ratings.tolist()]


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


ML_1M = {
    "ratings.dat": "1::1193::5::978300760\r\n1::661::3::978302109\r\n2::1193::4::978298413\r\n\r\n",
    "movies.dat": (
        "661::James: the Peach (1996)::Animation\n"
        '1193::Misérables, "Les" (1975)::Drama\n'
        "9::Never Rated (2000)::Drama\n\n"
    ).encode("latin-1"),
}


def test_ml_1m(parse):
    dataset = parse("ml-1m", ML_1M)
    assert histories(dataset) == {"1": ["1193", "661"], "2": ["1193"]}
    assert texts(dataset) == {"1193": 'Misérables, "Les"', "661": "James: the Peach"}
    assert ratings(dataset) == [5, 3, 4]
    assert dataset.per_second == 1
    bad = {**ML_1M, "ratings.dat": ML_1M["ratings.dat"] + "2::1::5\r\n"}
    assert "ratings.dat, line 5: 3 values where 4" in refused(parse, "ml-1m", bad)
    bad["ratings.dat"] = "2::1::5::978300760\n2::1193::five::978300761\n"
    assert "ratings.dat, line 2: 'rating' is 'five'" in refused(parse, "ml-1m", bad)
    bad["ratings.dat"] = "UserID::MovieID::Rating::Timestamp\n" + ML_1M["ratings.dat"]
    assert "ratings.dat, line 1: 'timestamp' is 'Timestamp'" in refused(parse, "ml-1m", bad)


def test_ml_10m(parse):
    ratings_ = "1::122::5::838985046\n1::185::0.5::838983525\n139::0185::3.5::838983525\n"
    films = "122::Boomerang (1992)::Comedy\n185::Amélie (2001)::War\n0185::Zero (1999)::War\n"
    dataset = parse("ml-10m", {"ratings.dat": ratings_, "movies.dat": films})
    assert histories(dataset) == {"1": ["185", "122"], "139": ["0185"]}  # a leading zero stays
    assert texts(dataset) == {"0185": "Zero", "122": "Boomerang", "185": "Amélie"}
    assert ratings(dataset) == [0.5, 5, 3.5]
    message = refused(
        parse, "ml-10m", {"ratings.dat": ratings_, "movies.dat": films.encode("latin-1")}
    )
    assert "movies.dat, line 2: not UTF-8; save the file as UTF-8" in message


@pytest.mark.parametrize("name", ["ml-20m", "ml-25m"])
def test_ml_20m_and_25m(parse, name):
    rated = "userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n1,11,3.5,1147868817\n"
    films = (
        "movieId,title,genres\n"
        '11,"American President, The (1995)",Comedy|Drama\n'
        '296,"""Great"" Cats (1998) ",Musical\n'
    )
    dataset = parse(name, {"ratings.csv": rated, "movies.csv": films})
    assert histories(dataset) == {"1": ["11", "296"]}
    assert texts(dataset) == {"11": "American President, The", "296": '"Great" Cats'}
    assert ratings(dataset) == [3.5, 5]
    bad = {"ratings.csv": rated, "movies.csv": films + '12,"Open (1995),Drama\n'}
    assert "movies.csv, line 4: " in refused(parse, name, bad)
    bad = {"ratings.csv": rated + "1,2,3.5,1147868817000\n", "movies.csv": films}
    assert "line 4: 'timestamp' is 1147868817000, by its size a time in" in refused(
        parse, name, bad
    )
    bad = {"ratings.csv": rated + "1,999,1.0,1147868818\n", "movies.csv": films}
    assert "1 items have interactions but are not in its list" in refused(parse, name, bad)


def test_amazon_2018(parse):
    reviews = lines(
        {"overall": 5.0, "verified": True, "reviewerID": "A1", "asin": "B1", "style": {"x": 1},
         "reviewText": 'a "tab\t", {"asin": 1}', "unixReviewTime": 1405209601},
        {"reviewerID": "A1", "asin": "B2", "unixReviewTime": 1405209600},
        {"overall": 1, "reviewerID": "A2", "asin": "0700026657", "unixReviewTime": 1405209602},
        {"overall": 1, "reviewerID": "A2", "asin": "B1"},
    )  # fmt: skip
    meta = (
        r'{"category": [], "title": "Cats \ud83d\ude00 \/ dogs &amp; \ud83d", "asin": "B1"}'
        "\n"
        '{"title": null, "asin": "B2", "price": NaN}\n{"title": "", "asin": "B1"}\n'
        '{"title": "stated", "asin": "B2"}\n{"title": "never bought", "asin": "B3"}\n'
        '{"title": "var aPageStart = (new Date()).getTime();\\nvar x", "asin": "0700026657"}\n\n'
    )
    files = {"Video_Games_5.json.gz": reviews, "meta_Video_Games.json.gz": meta}
    dataset = parse("video-games-2018", files)
    assert histories(dataset) == {"A1": ["B2", "B1"], "A2": ["0700026657"]}
    assert texts(dataset) == {
        "0700026657": "",
        "B1": "Cats \U0001f600 / dogs & \ufffd",
        "B2": "stated",
    }
    assert ratings(dataset) == [None, 5, 1]
    found = "\n".join(note.text for note in audit(dataset))
    assert "left out 1 unreadable line: 4" in found
    assert "lines that list an item again: 2" in found


def test_amazon_2023(parse, tmp_path):
    rated = (
        "user_id,parent_asin,rating,timestamp\nU,P,5.0,1605209601000\nU,Q,1.0,1605209600999\n"
        "AGKHLEW2SOWHNMFQ,Q,3.0,1605209600000\n"
    )
    meta = (
        '{"main_category": "Video Games", "title": "p", "parent_asin": "P", "price": null}\n'
        '{"title": "q \\"2\\"", "parent_asin": "Q"}\n'
    )
    items = {"meta_Video_Games.jsonl.gz": meta}
    name = "video-games-2023"
    dataset = parse(name, {"Video_Games.csv.gz": rated, **items})
    assert histories(dataset) == {"AGKHLEW2SOWHNMFQ": ["Q"], "U": ["Q", "P"]}
    assert texts(dataset) == {"P": "p", "Q": 'q "2"'}
    assert ratings(dataset) == [3, 1, 5]
    assert dataset.per_second == 1000
    bad = {"Video_Games.csv.gz": rated + "U,P,5.0,1605209601000000\n", **items}
    assert "line 5: 'timestamp' is 1605209601000000, by its size a time in microseconds" in refused(
        parse, name, bad
    )
    # The raw reviews: variants of a product are one item, and a second review of it is left out.
    raw = lines(
        {"rating": 5.0, "title": "t", "text": "x\n", "images": [], "asin": "P1", "parent_asin": "P",
         "user_id": "U", "timestamp": 1605209601000, "helpful_vote": 0, "verified_purchase": True},
        {"rating": 2.0, "parent_asin": "P", "user_id": "U", "timestamp": 1605209602000},
        {"rating": 1.0, "parent_asin": "Q", "user_id": "U", "timestamp": 1605209600999},
    )  # fmt: skip
    (tmp_path / name / "Video_Games.csv.gz").unlink()
    dataset = parse(name, {"Video_Games.jsonl.gz": raw, **items})
    assert histories(dataset) == {"U": ["Q", "P"]}
    assert ratings(dataset) == [1, 5]


def test_yelp(parse):
    reviews = (
        '{"review_id":"x","user_id":"mh_-eMZ6K5RLWhZyISBhwA","business_id":"XQfwVwDr",'
        '"stars":3.0,"text":"\\"user_id\\": {}","date":"2018-07-07 22:09:11"}\r\n'
        '{"user_id":"mh_-eMZ6K5RLWhZyISBhwA","business_id":"-ATYjT","date":"2012-01-03 15:28:18"}'
        "\r\n\r\n"
    )
    shops = '{"business_id":"-ATYjT","name":"Café"}\n{"business_id":"XQfwVwDr","name":"Bar"}\n'
    files = {
        "yelp_academic_dataset_review.json": reviews,
        "yelp_academic_dataset_business.json": shops,
    }
    dataset = parse("yelp", files)
    assert histories(dataset) == {"mh_-eMZ6K5RLWhZyISBhwA": ["-ATYjT", "XQfwVwDr"]}
    assert texts(dataset) == {"-ATYjT": "Café", "XQfwVwDr": "Bar"}
    assert ratings(dataset) == [None, 3]
    bad = {
        **files,
        "yelp_academic_dataset_review.json": reviews.replace("2012-01-03", "2012-13-03"),
    }
    assert "line 2: 'date' is '2012-13-03 15:28:18', not a time" in refused(parse, "yelp", bad)
    bad = {**files, "yelp_academic_dataset_review.json": reviews.replace("business_id", "shop")}
    assert "review.json, line 1: no 'business_id' in the object, whose keys are" in refused(
        parse, "yelp", bad
    )


def test_steam(parse):
    reviews = (
        "{u'username': u'Chaos\\u00e9', u'hours': 0.1, u'product_id': u'725280', "
        "u'date': u'2017-12-17', u'text': u\"It's \\n\", u'early_access': False}\n"
        "{u'username': u'Chaos\\u00e9', u'product_id': 328100, u'date': u'2017-12-16', u'x': nan}\n"
        "{u'username': u'nan', u'product_id': u'725280', u'date': u'2017-12-17'}\n"
        "{u'username': u'-1', u'product_id': u'725280', u'date': u'2017-12-17'}\n"
        "{u'username': u'1', u'product_id': u'725280', u'date': u'2017-12-17'}\n"
        "{u'username': u'1.0', u'product_id': u'725280', u'date': u'2017-12-17'}\n"
        "{u'username': u'no product', u'date': u'2017-12-17'}\n"
        "{u'username': __import__('os').system('false'), u'product_id': u'1'}\n"
    )
    games = (
        "{u'app_name': u'Tom &amp; R\\xe9al', u'title': u'x', u'id': 725280, u'price': 4.99}\n"
        "{u'app_name': u'Batman', u'genres': [u'Action']}\n\n"
        "{u'id': u'328100'}"
    )
    files = {"steam_reviews.json.gz": reviews, "steam_games.json.gz": games}
    dataset = parse("steam", files)
    assert histories(dataset) == {
        "-1": ["725280"],
        "1": ["725280"],
        "1.0": ["725280"],
        "Chaosé": ["328100", "725280"],
        "nan": ["725280"],
    }
    assert texts(dataset) == {"328100": "", "725280": "Tom & Réal"}
    assert dataset.ratings is None
    found = "\n".join(note.text for note in audit(dataset))
    assert "steam_reviews.json.gz: left out 2 unreadable lines: 7, 8" in found
    bad = {**files, "steam_reviews.json.gz": reviews.replace("2017-12-16", "Posted December")}
    assert "line 2: 'date' is 'Posted December', not a time" in refused(parse, "steam", bad)


def test_lastfm(parse):
    tags = (
        "userID\tartistID\ttagID\ttimestamp\r\n2\t52\t13\t1238536800000\r\n"
        "2\t52\t15\t1238536800000\r\n2\t63\t13\t-428720400000\r\n3\t52\t1\t7200000\r\n"
        "3\t99\t1\t100000000000\r\n"
    )
    artists = 'id\tname\turl\tpictureURL\n52\t"Weird Al\thttp://x\t\n63\tSigur Rós\thttp://y\tz\n'
    files = {"user_taggedartists-timestamps.dat": tags, "artists.dat": artists}
    dataset = parse("lastfm", files)
    assert histories(dataset) == {"2": ["63", "52"], "3": ["52", "99"]}
    assert texts(dataset) == {"52": '"Weird Al', "63": "Sigur Rós", "99": ""}
    bad = {**files, "user_taggedartists-timestamps.dat": tags.replace("7200000", "")}
    assert "line 5: 'timestamp' is '', not a time" in refused(parse, "lastfm", bad)
    bad = {**files, "artists.dat": artists.encode("latin-1")}
    assert "artists.dat, line 3: not UTF-8" in refused(parse, "lastfm", bad)


def test_gowalla(parse):
    rows = (
        "0\t2010-10-19T23:55:27Z\t30.2359091167\t-97.7951395833\t22847\n"
        "0\t2010-10-18T22:17:43Z\t30.2691029532\t-97.7493953705\t420315\n"
        "0\t2010-10-17T22:17:43Z\t30.2691029532\t-97.7493953705\t022847\n\n"
    )
    name = "loc-gowalla_totalCheckins.txt.gz"
    assert histories(parse("gowalla", {name: rows})) == {"0": ["022847", "420315", "22847"]}
    assert "line 5: 4 values where 5" in refused(
        parse, "gowalla", {name: rows + "0\t2010-10-18T22:17:43Z\t1.0\t2\n"}
    )
    message = refused(parse, "gowalla", {name: rows.replace("18T22:17:43Z", "18 22:17:43", 1)})
    assert "line 2: 'timestamp' is '2010-10-18 22:17:43', another kind of time" in message


def test_diginetica(parse):
    views = (
        "sessionId;userId;itemId;timeframe;eventdate\r\n1;NA;81766;526309;2016-05-09\r\n"
        "1;NA;31331;1031018;2016-05-09\r\n1;NA;31331;0;2016-05-09\r\n2;7;9654;243569;2016-05-09\r\n"
    )
    products = "itemId;pricelog2;product.name.tokens\n81766;10;4875,776\n31331;8;\n"
    files = {"train-item-views.csv": views, "products.csv": products}
    dataset = parse("diginetica", files)
    assert histories(dataset) == {"1": ["31331", "81766", "31331"], "2": ["9654"]}
    assert texts(dataset) == {"31331": "", "81766": "4875,776", "9654": ""}
    assert dataset.per_second == 1000
    bad = {**files, "train-item-views.csv": views.replace(";", ",")}
    assert "has no column 'sessionId'; its columns are sessionId,userId" in refused(
        parse, "diginetica", bad
    )


def test_counts_that_a_publisher_states_are_compared(parse):
    files = {"loc-gowalla_totalCheckins.txt.gz": "0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n"}
    for stated in (Counts(users=1, items=1, interactions=1), Counts(interactions=1)):
        found = parse("gowalla", files, published=stated).notes
        assert all("published" not in note.check for note in found)
    found = parse("gowalla", files, published=load_card("gowalla").published).notes
    (note,) = (note for note in found if "published" in note.check)
    assert note.level == "warning"
    assert note.text == (
        "the files hold 1 users, 1 items, 1 interactions, but 107,092 users, 1,280,969 items, "
        "6,442,892 interactions are published; is it another release?"
    )


@pytest.mark.parametrize("name", ["yelp", "diginetica"])
def test_what_needs_consent_is_explained_and_not_fetched(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    card = load_card(name)
    message = refused(fetch_card, card, Settings.from_environment())
    assert "asks for your consent, so no command can fetch it: " in message
    assert card.obtain in message
    assert str(tmp_path / name) in message
    assert all(file in message for file in card.forms[0].files.values())
