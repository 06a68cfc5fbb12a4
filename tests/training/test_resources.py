"""Idle memory goes back to the system, and only when there is much of it."""

import pytest

from bench.training import resources
from bench.training.resources import IDLE_BYTES, IdleMemory, Meter

MEBIBYTE = 2**20


@pytest.fixture
def watched(monkeypatch):
    """An :class:`IdleMemory` whose process is as large as the test says; counts releases."""
    size, released = [100 * MEBIBYTE], []
    monkeypatch.setattr(IdleMemory, "_resident", lambda self: size[0])
    monkeypatch.setattr(resources, "_trim", lambda: released.append)
    return IdleMemory(), size, released


def test_what_a_step_leaves_for_the_next_one_stays(watched):
    idle, size, released = watched
    size[0] = 1000 * MEBIBYTE
    idle.check()
    size[0] += IDLE_BYTES
    idle.check()
    assert not released


def test_what_piles_up_beyond_it_is_released(watched):
    idle, size, released = watched
    size[0] = 1000 * MEBIBYTE
    idle.check()
    size[0] += IDLE_BYTES + 1
    idle.check()
    assert released == [0]
    # The next step is the measure again, but a small one takes nothing back.
    size[0] += MEBIBYTE
    idle.check()
    size[0] += 899 * MEBIBYTE
    idle.check()
    assert released == [0]


def test_a_stage_ends_with_a_release(watched):
    _, _, released = watched
    meter = Meter({}, {})
    with meter.stage("test"):
        assert not released
    assert released == [0]


def test_systems_without_such_an_allocator_go_on(monkeypatch):
    asked = []
    monkeypatch.setattr(resources, "_trim", lambda: asked.append("for a trim"))
    IdleMemory().release()
    assert asked


def test_holes_are_given_back_on_this_system():
    if resources._trim.__wrapped__() is None:
        pytest.skip("the allocator is not glibc's")
    idle = IdleMemory()
    # Every other page-sized piece survives, so that nothing but a trim can free the holes.
    pieces = [bytearray(20_000) for _ in range(4000)]
    full = idle._resident()
    for place in range(0, len(pieces), 2):
        pieces[place] = bytearray(0)
    idle.release()
    assert full - idle._resident() > 20 * MEBIBYTE
