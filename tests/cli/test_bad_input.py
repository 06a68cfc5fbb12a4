"""Bad input at the command line: one sentence, code 2 or a recorded failure, no traceback."""

import json
import subprocess

import pytest
from command import called, refused, write_spec


@pytest.fixture
def spec(tmp_path):
    text = "datasets: [./card.yaml]\nbackbones: [sasrec]\ntraining: {epochs: 1}\nseeds: [1, 2]\n"
    return write_spec(tmp_path, text)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run --dataset beuaty", "unknown data set 'beuaty'; did you mean 'beauty'?"),
        ("run --method iadsrr none", "unknown method 'iadsrr'"),
        ("run --backbone sasrek", "unknown backbone 'sasrek'; did you mean 'sasrec'?"),
        ("run --encoder lama", "unknown encoder 'lama'"),
        ("run --seeds 1 1", "1 is listed twice; remove one"),
        ("run --seeds -1", "'seeds.0' = -1"),
        ("run --set epoch=3", "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("run --set epochs", "--set 'epochs' is not key=value"),
        ("run --set epochs=x", "key 'epochs' = 'x'"),
        ("run plantd", "did you mean 'planted'?"),
        ("run absent.yaml", "absent.yaml does not exist"),
        ("run planted --device abacus", "--device abacus is not a device"),
        ("run --jobs 0", "Invalid value for '--jobs'"),
        ("run --sets epochs=3", "No such option"),
        ("rnu", "No such command 'rnu'"),
        ("validate absent.yaml", "absent.yaml does not exist"),
        ("validate .", "is a folder"),
        (f"validate {300 * 'x'}.yaml", "cannot read"),
        (f"validate {300 * 'x'}", "File name too long; check the path"),
        ("data stats ~nosuchuser/x.yaml", "no home folder is known for its '~'"),
        ("run planted --set epochs=2024-13-01", "'2024-13-01': input should be a valid integer"),
        ("run planted --set epochs=yes", "a number is expected, not true or false"),
        ("run --method iadsr:theta=2024-13-01", "'2024-13-01': input should be a valid number"),
        ("ls metods", "did you mean 'methods'?"),
        ("validate planted+random:010", "planted+random:010', random: '010' begins with a zero"),
        ("run --plan planted+random:[", "random: expected the node content"),
        ("run --plan planted+random:0.2:seed=[", "expected the node content"),
        ("run planted --split temporal:test_from=[", "expected the node content"),
    ],
)
def test_usage(words, sentence, tmp_path):
    done = called(*words.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert sentence.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("datasets: [planted]\nmethod: [none]\n", "unknown key 'method'; did you mean 'methods'?"),
        ("datasets: [planted]\nbackbones: []\n", "method 'none' needs a backbone"),
        ("datasets: []\n", "the list is empty"),
        ("datasets: [planted\n", "line 2"),
        ("datasets: [planted]\nseeds: [1]\nseeds: [2]\n", "line 3: key 'seeds' appears twice"),
        ("name: x\nforms: []\n", "is the card of a data set; give it with --dataset"),
        ("", "'key: value'"),
        ("datasets: [planted]\nbackbones: [sasrec]\ntraining: {loss: hinge}\n", "'training.loss'"),
    ],
)
def test_specifications(text, sentence, tmp_path):
    (tmp_path / "s.yaml").write_text(text)
    assert sentence in refused("validate", "s.yaml", cwd=tmp_path)
    assert sentence in refused("run", "s.yaml", cwd=tmp_path)


def test_a_specification_in_latin_1(tmp_path):
    (tmp_path / "s.yaml").write_bytes("name: café\n".encode("latin-1"))
    assert "is not UTF-8; save the file as UTF-8" in refused("validate", "s.yaml", cwd=tmp_path)


def test_no_network_says_what_works_without(tmp_path):
    assert "bench run planted" in refused("run", cwd=tmp_path)


def test_a_file_in_place_of_the_store(spec, tmp_path):
    (tmp_path / "taken").touch()
    message = refused("run", str(spec), "--store", "taken", cwd=tmp_path)
    assert "cannot write the store" in message
    assert "choose another folder with --store or BENCH_STORE" in message


def test_a_store_where_nothing_can_be_made(spec, tmp_path):
    assert "cannot write the store" in refused(
        "run", str(spec), cwd=tmp_path, BENCH_STORE="/proc/x"
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB; skips where mounting one is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(spec, small_disk, tmp_path):
    words = ("run", str(spec), "--jobs", "1")
    done = called(*words, "--store", str(small_disk), cwd=tmp_path)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert done.stderr.rstrip().endswith("then run the same command again to continue")
    assert done.stderr.count("begins") == 1  # nothing that follows could be kept either
    assert list((small_disk / "experiments").iterdir()) == []
    assert list((small_disk / "failures").iterdir()) == []
    after = called(*words, cwd=tmp_path)  # elsewhere the same command succeeds
    assert after.returncode == 0, after.stderr


def test_a_loss_that_is_no_number_fails_its_cell_and_only_that(spec, tmp_path):
    words = ("run", str(spec), "--backbone", "sasrec", "gru4rec", "--seeds", "1", "--jobs", "1")
    done = called(*words, "--set", "learning_rate=1e30", "epochs=3", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert failed
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs/failures").glob("*.json")]
    assert {f"failed: {r['label']}: {r['cause']}" for r in records} == set(failed)
    again = called(*words, "--set", "learning_rate=1e30", "epochs=3", cwd=tmp_path)
    assert again.returncode == 1  # tried again, failed again
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs/failures").glob("*.json")]
    assert {record["attempts"] for record in records} == {2}
