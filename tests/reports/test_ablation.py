"""The ablation table, against differences by hand."""

from made_up_store import make_experiment, save, tables_of

from bench.reports.tables.ablation import ablation_grid

HITS, MISS = 1, 99


def grid_of(root, titles=None, metrics=("HR@5",)):
    (table,) = tables_of(root, titles, metrics=metrics)
    return ablation_grid(table)


def texts(grid):
    return [[[entry.text for entry in row] for row in block] for block in grid.blocks]


def test_variants_stand_below_their_full_form_with_the_difference(tmp_path):
    full = save(
        tmp_path, make_experiment("iadsr", method_settings={"w": 1.0}), [HITS, HITS, HITS, MISS]
    )
    cut = make_experiment("iadsr:short", method_settings={"w": 0.0})
    save(tmp_path, cut, [HITS, MISS, MISS, MISS])
    save(tmp_path, make_experiment("iadsr:theta=2", method_settings={"w": 1.0}), [HITS] * 4)
    save(tmp_path, make_experiment(), [HITS])
    save(tmp_path, make_experiment("none:prefixes"), [HITS])
    grid = grid_of(tmp_path, {"iadsr:short": "Short"})
    assert texts(grid) == [
        [
            ["ml-100k", "sasrec", "iadsr", "", "1", "0.7500", ""],
            ["", "sasrec", "iadsr:theta=2", "", "1", "1.0000", "+0.2500"],
            ["", "sasrec", "Short", "w=0.0", "1", "0.2500", "-0.5000"],
        ]
    ]
    assert grid.sources[0][::2] == [[full.key], [cut.key]]


def test_a_variant_goes_to_the_full_form_it_differs_least_from(tmp_path):
    for rate in (0.1, 0.2):
        save(tmp_path, make_experiment("hsd", method_settings={"rate": rate, "w": 1}), [HITS])
    save(tmp_path, make_experiment("hsd:cut", method_settings={"rate": 0.2, "w": 0}), [MISS])
    (block,) = texts(grid_of(tmp_path))
    assert [row[4] for row in block] == ["", "w=0"], "rate=0.1 differs in two settings"
    assert block[0][3] == "method.rate=0.2", "which of the two full forms it is"


def test_a_variant_without_text_belongs_to_the_form_with_text(tmp_path):
    save(tmp_path, make_experiment("iadsr", encoder="tfidf", encoder_settings={"n": 2}), [HITS])
    save(tmp_path, make_experiment("iadsr:blind"), [MISS])
    save(tmp_path, make_experiment("iadsr:short", encoder="other"), [MISS])
    (block,) = texts(grid_of(tmp_path))
    assert [row[2] for row in block] == ["iadsr", "iadsr:blind"]


def test_families_are_told_apart_by_their_encoder(tmp_path):
    for encoder in ("tfidf", "random"):
        save(tmp_path, make_experiment("iadsr", encoder=encoder), [HITS])
        save(tmp_path, make_experiment("iadsr:short", encoder=encoder), [MISS])
    grid = grid_of(tmp_path)
    assert grid.labels == ["Data set", "Backbone", "Method", "Encoder", "Changed"]
    assert [[row[3] for row in block] for block in texts(grid)] == [["random"] * 2, ["tfidf"] * 2]


def test_without_a_full_form_there_is_no_table(tmp_path):
    save(tmp_path, make_experiment("iadsr:short"), [HITS])
    save(tmp_path, make_experiment("iadsr", backbone="caser"), [HITS])
    assert grid_of(tmp_path) is None


def test_two_metrics_are_shown_unless_others_are_named(tmp_path):
    save(tmp_path, make_experiment("hsd"), [HITS])
    save(tmp_path, make_experiment("hsd:cut", method_settings={"w": 0}), [HITS])
    heads = grid_of(tmp_path, metrics=None).figures
    assert heads == ["Seeds", "HR@10", "HR@10 diff.", "NDCG@10", "NDCG@10 diff."]
