"""Decisions of a file: what applies where, and one sentence for what does not fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import build_backbone, build_method
from toys import toy, training_data

from bench.components import BACKBONES
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import ConfigError, DataError
from bench.methods.decisions.config import DecisionsConfig
from bench.methods.decisions.read import read_slots
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import histories, windows
from bench.plan.grid import GridPoint, freeze
from bench.plan.spec import Spec
from bench.testing import example

LENGTH = 20
USERS, ITEMS = ["ann", "bob"], ["a", "b", "c", "d", "e"]
TRAIN = Sequences.from_lists([[1, 2, 3, 2, 4], [5, 1]])


def data_of(train=TRAIN, users=USERS, items=ITEMS, seed=3):
    sizes = Sizes(len(train), len(items), LENGTH)
    return training_data(sizes, train, seed, user_ids=users, item_ids=items)


def built(name, data, backbone="gru4rec", **settings):
    torch.manual_seed(0)
    attached = build_backbone(backbone, data.sizes, embedding_size=6, dropout=0.0)
    return build_method(name, data, attached, **settings).eval()


def write(folder, rows, name="decisions.csv"):
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def slots(file, data=None, **settings):
    return read_slots(DecisionsConfig(file=file, **settings), data or data_of())


def test_rows_by_position_and_by_occurrence_are_the_same(tmp_path):
    by_position = [
        "user,position,item,keep,score,replacement",
        "ann,1,b,true,0.25,",
        "ann,3,b,false,0.5,",
        "ann,2,c,False,0.75,e",
        "bob,0,e,0,1,",
        "ann,5,,1,0.1,",  # the item after the training interactions is held out
    ]
    by_item = [
        "user,item,occurrence,keep,score,replacement",
        "ann,b,0,true,0.25,",
        "ann,b,1,false,0.5,",
        "ann,c,0,False,0.75,e",
        "bob,e,0,0,1,",
    ]
    found = slots(write(tmp_path, [line for line in by_position if not line.startswith("ann,5")]))
    other = slots(write(tmp_path, by_item, "by_item.csv"))
    for name in ("item", "keep", "score", "replacement"):
        assert np.array_equal(getattr(found, name), getattr(other, name)), name
    assert found.item.tolist() == [1, 2, 3, 2, 4, 0, 5, 1, 0]
    assert found.keep.tolist() == [True, True, True, False, True, True, False, True, True]
    assert found.score.tolist() == [0, 0.25, 0.75, 0.5, 0, 0, 1, 0, 0]
    assert found.replacement.tolist() == [0, 0, 5, 0, 0, 0, 0, 0, 0]
    frame = pd.read_csv(tmp_path / "by_item.csv")
    frame.to_parquet(tmp_path / "by_item.parquet")
    again = slots(str(tmp_path / "by_item.parquet"))
    assert np.array_equal(again.keep, other.keep)
    assert np.array_equal(again.replacement, other.replacement)


def test_whole_numbers_may_be_written_as_in_the_files_of_the_data_set(tmp_path):
    # pandas writes such replacements where some are missing, and such ids as users and items.
    train = Sequences.from_lists([[1, 2, 3], [3, 4, 5]])
    data = data_of(train, ["1", "20"], ["1", "2", "3", "4", "5"])
    rows = ["user,position,item,replacement", "1.0,0,1.0,4.0", "1.0,1,2.0,", "20.0,2, 5.0,3.0"]
    assert slots(write(tmp_path, rows), data).replacement.tolist() == [4, 0, 0, 0, 0, 0, 3, 0]


def test_a_threshold_is_a_quantile_of_the_training_interactions(tmp_path):
    rows = ["user,position,score", "ann,0,4", "ann,1,3", "ann,2,2", "bob,0,1", "bob,2,9"]
    file = write(tmp_path, rows)
    with pytest.raises(DataError, match="has scores and no column 'keep'"):
        slots(file)
    # Half of the four scores are at most 2; the held-out item's own is above that too.
    found = slots(file, threshold=0.5)
    assert found.keep.tolist() == [False, False, True, True, True, True, True, True, False]
    assert slots(file, threshold=1).keep.tolist() == [True] * 8 + [False]


WRONG = {
    "an unknown user": (["user,position,keep", "ann,0,1", "eve,0,1"], "line 3: .* no user 'eve'"),
    "an unknown item": (["user,item,keep", "ann,z,1", "bob,e,1"], "line 2: .* no item 'z'"),
    "an unknown replacement": (
        ["user,position,replacement", "ann,0,z", "bob,0,"],
        "line 2: .* no item 'z'",
    ),
    "a missing user": (["user,position,keep", "ann,0,1"], r"lacks 1 of 2 users \(first: 'bob'\)"),
    "one position twice": (
        ["user,position,keep", "ann,0,1", "bob,0,1", "ann,0,0"],
        "line 4: the same interaction as .* line 2; remove one",
    ),
    "one item twice": (
        ["user,item,keep", "ann,a,1", "bob,e,1", "ann,a,0"],
        "line 4: the same interaction as .* line 2; remove one",
    ),
    "an item that was met again": (
        ["user,item,keep", "ann,b,1", "bob,e,1"],
        "line 2: user 'ann' has met item 'b' 2 times .* in a column 'occurrence'",
    ),
    "an item that was never met": (
        ["user,item,keep", "ann,a,1", "bob,b,1"],
        "line 3: user 'bob' has met item 'b' never .*; remove the row",
    ),
    "the test target": (
        ["user,position,keep", "ann,6,1", "bob,0,1"],
        "line 2: position 6 of user 'ann' is not before the test target: the last .* is 5",
    ),
    "another item at a position": (
        ["user,position,item,keep", "ann,0,b,1", "bob,0,e,1"],
        "line 2: the item at position 0 of user 'ann' is 'a', not 'b'",
    ),
    "a word for a flag": (["user,position,keep", "ann,0,maybe", "bob,0,1"], "line 2: 'keep' is"),
    "a word for a score": (
        ["user,position,keep,score", "ann,0,1,x", "bob,0,1,1"],
        "line 2: 'score' is 'x', not a finite number",
    ),
    "a fraction for a position": (["user,position,keep", "ann,0.5,1"], "not a whole number from 0"),
    "no position": (["user,keep", "ann,1", "bob,1"], "has no column 'position'"),
    "no decision": (["user,position", "ann,1", "bob,1"], "has no column 'keep'"),
    "no user": (["position,keep", "1,1"], "has no column 'user'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_one_sentence(tmp_path, what):
    rows, message = WRONG[what]
    with pytest.raises(DataError, match=message) as found:
        slots(write(tmp_path, rows))
    assert "\n" not in str(found.value)


def test_users_may_be_unlisted_where_that_is_said(tmp_path):
    file = write(tmp_path, ["user,position,keep", "ann,0,false"])
    found = slots(file, unlisted="keep")
    assert (~found.keep).sum() == 1


def test_the_content_of_the_file_is_in_the_key(tmp_path):
    def key():
        spec = Spec(datasets=("planted",)).with_changes(
            {"method_settings": {"decisions": {"file": file}}}, "test"
        )
        data = type("Data", (), {"name": "planted", "fingerprint": "f", "max_length": 20})
        return freeze(GridPoint("planted", "sasrec", "decisions", None, 1), spec, data)

    file = write(tmp_path, ["user,position,keep", "ann,0,false", "bob,0,true"])
    before = key()
    assert key().key == before.key
    config = DecisionsConfig.parse(before.method_settings, "test")
    read_slots(config, data_of())
    write(tmp_path, ["user,position,keep", "ann,0,true", "bob,0,true"])
    assert key().key != before.key
    with pytest.raises(DataError, match="has changed since the experiment was planned"):
        read_slots(config, data_of())
    with pytest.raises(ConfigError, match=r"cannot read decisions.file = .*none.csv: No such file"):
        DecisionsConfig(file=str(tmp_path / "none.csv")).resolved()
    with pytest.raises(ConfigError, match=r"needs a file; add --set decisions\.file"):
        DecisionsConfig().resolved()


def test_a_file_is_checked_when_its_experiments_are_planned(tmp_path):
    def plan(*rows):
        file = write(tmp_path, ["user,position,keep", *rows])
        changes = {"method_settings": {"decisions": {"file": file}}}
        spec = Spec(datasets=("toy",)).with_changes(changes, "test")
        return freeze(GridPoint("toy", "sasrec", "decisions", None, 1), spec, toy())

    assert plan("a,0,false", "b,0,true", "c,0,true").method == "decisions"
    with pytest.raises(DataError, match="line 3: the data set has no user 'nobody'"):
        plan("a,0,false", "nobody,0,true", "c,0,true")


def everything(train):
    data = SequenceData(train)
    return data.gather(histories(data, LENGTH))


def test_items_are_replaced_and_what_is_dropped_is_no_target(tmp_path):
    rows = [
        "user,position,keep,replacement",
        "ann,1,false,",
        "ann,2,false,e",
        "ann,5,true,d",
        "bob,1,true,",
    ]
    data = data_of()
    method = built("decisions", data, file=write(tmp_path, rows))
    batch = SequenceData(data.train).gather(
        windows(SequenceData(data.train), LENGTH, torch.Generator().manual_seed(0), last_only=False)
    )
    # ann: a b c b d, without b and with e in place of c; each position's next item is its target.
    edited = method._edited(batch)
    assert edited.items.tolist() == [[1, 2, 5, 2], [5, 0, 0, 0]]
    assert edited.targets.tolist() == [[0, 5, 2, 4], [1, 0, 0, 0]]
    decided = method.denoise(everything(TRAIN))
    assert decided.keep.tolist() == [[True, False, False, True, True], [True, True] + [False] * 3]
    # At test time the held-out validation item is the last of the history: c becomes d.
    test = everything(Sequences.from_lists([[1, 2, 3, 2, 4, 3], [5, 1, 2]]))
    bare = built("none", data)
    bare.backbone.load_state_dict(method.backbone.state_dict())
    meant = everything(Sequences.from_lists([[1, 5, 2, 4, 4], [5, 1, 2]]))
    torch.testing.assert_close(method.user_vectors(test), bare.user_vectors(meant))
    keeps = built("decisions", data, file=write(tmp_path, rows), targets="all")
    assert keeps._edited(batch).targets.tolist() == batch.targets.tolist()


def test_a_decision_applies_to_its_own_interaction_alone(tmp_path):
    """Not to what another variant of the data has at the same position."""
    method = built(
        "decisions",
        data_of(),
        file=write(tmp_path, ["user,position,keep", "ann,1,false", "bob,1,false"]),
    )
    other = everything(Sequences.from_lists([[1, 3, 2, 4], [5, 1]]))
    assert method.denoise(other).keep.tolist() == [[True] * 4, [True, False, False, False]]


@pytest.mark.parametrize("backbone", [b for b in BACKBONES.names() if BACKBONES.get(b).causal])
def test_training_on_what_is_left_equals_training_on_data_without_the_rest(tmp_path, backbone):
    """The bare backbone on a data set that lacks the dropped interactions has the same loss."""
    split = Split.of(example.dataset())
    users, items = list(example.dataset().user_ids), list(example.dataset().item_ids)
    generator, rows, left = np.random.default_rng(0), ["user,position,keep"], []
    for user, history in zip(users, split.train, strict=True):
        keep = generator.random(len(history)) < 0.7
        keep[0] = True  # a user without any would keep the least noisy as an input
        rows += [f"{user},{place},{kept}" for place, kept in enumerate(keep)]
        left.append(history[keep].tolist())
    data = data_of(split.train, users, items)
    method = built("decisions", data, backbone, file=write(tmp_path, rows))
    cleaned = Sequences.from_lists(left)
    bare = built("none", data_of(cleaned, users, items), backbone)
    bare.backbone.load_state_dict(method.backbone.state_dict())

    def loss(model, train):
        whole = SequenceData(train)
        drawn = windows(whole, LENGTH, torch.Generator().manual_seed(0), last_only=False)
        return model.losses(whole.gather(drawn))["next_item"]

    torch.testing.assert_close(loss(method, split.train), loss(bare, cleaned))
    # And so do a control's decisions that were written down, where its targets stay.
    control = built("random-drop", data, backbone, rate=0.4)
    control.backbone.load_state_dict(method.backbone.state_dict())
    batch = everything(split.train)
    drop, score = control._decide_batch(batch)
    told = ["user,position,keep,score"]
    for row, slot in torch.nonzero(batch.valid).tolist():
        place = int(batch.first[row]) + slot
        kept = not bool(drop[row, slot])
        told.append(f"{users[batch.users[row]]},{place},{kept},{score[row, slot].item()!r}")
    copy = built(
        "decisions", data, backbone, file=write(tmp_path, told), targets="all", unlisted="keep"
    )
    copy.backbone.load_state_dict(method.backbone.state_dict())
    torch.testing.assert_close(loss(copy, split.train), loss(control, split.train))


def test_a_batch_without_targets_has_no_loss(tmp_path):
    data = data_of()
    rows = [f"ann,{place},false" for place in range(5)] + ["bob,0,true", "bob,1,false"]
    method = built("decisions", data, file=write(tmp_path, ["user,position,keep", *rows]))
    whole = SequenceData(data.train)
    drawn = windows(whole, LENGTH, torch.Generator().manual_seed(0), last_only=False)
    batch = whole.gather(drawn)
    assert isinstance(batch, Batch)
    loss = method.losses(batch)["next_item"]
    assert loss.item() == 0
    loss.backward()
