"""Fixtures of all tests and doctests."""

import gc
import os
import random
import sys
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing
from hypothesis import settings
from sqlalchemy import event
from sqlalchemy.engine import Engine

# Each process of pytest-xdist computes on one thread; torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine must not fail a test: no verdict hangs on wall-clock time.
settings.register_profile("bench", deadline=None, max_examples=25)
settings.load_profile("bench")


def pytest_collection_finish():
    """Let the garbage collector skip what the imports have created."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """No test loses power: neither files nor databases need to reach the disk."""

    def relax(connection, _):
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        event.listen(Engine, "connect", relax)
        yield
        event.remove(Engine, "connect", relax)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """No test reads or writes the user's own cache; processes of pytest-xdist share one."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE_DIR", str(folder))
        patch.setenv("BENCH_TRACK", "0")  # tests of tracking turn it on
        yield folder


@pytest.fixture(scope="session", autouse=True)
def one_tree_of_commands():
    """Build the tree of the commands once, as each process of ``bench`` does."""
    with pytest.MonkeyPatch.context() as patch:
        once = cache(typer.main.get_command)
        patch.setattr(typer.main, "get_command", once)
        patch.setattr(typer.testing, "_get_command", once)
        yield


@pytest.fixture(autouse=True)
def same_draws():
    """A test draws the same numbers whichever tests ran before it in its process."""
    random.seed(0)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        # Without a GPU, torch.manual_seed formats the stack each time, for a GPU begun later: 2 ms.
        gpu = torch.cuda.is_available()
        (torch.manual_seed if gpu else torch.default_generator.manual_seed)(0)


@pytest.fixture(autouse=True)
def no_plugins():
    """No test sees the plug-ins that another one has put to use."""
    yield
    if "bench.plugins" in sys.modules:
        sys.modules["bench.plugins"].forget_plugins()


@pytest.fixture(scope="session")
def real_data_dir():
    """Folder of the four real data sets, or skip."""
    value = os.environ.get("BENCH_DATA_DIR", "").strip()
    if not value:
        pytest.skip("BENCH_DATA_DIR is not set")
    folder = Path(value).expanduser()
    if not (folder / "beauty" / "user_sequence.txt").is_file():
        pytest.skip(f"BENCH_DATA_DIR = {folder} lacks beauty/user_sequence.txt")
    return folder
