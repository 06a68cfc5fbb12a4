"""Progress of a run in a log and on a terminal."""

import io

from bench.display import display_for
from bench.plan.progress import Progress
from bench.runs.display import RunDisplay

LABEL = "toy/sasrec/none/seed 1"
EPOCH = Progress(LABEL, epoch=2, epochs=9, loss=0.5, metric=0.125, best=0.25, seconds=1.26)


def shown(stream):
    with display_for(stream) as lines:
        display = RunDisplay(lines, 2)
        display.started(LABEL)
        display.advanced(EPOCH, 75.0)
        display.ended(LABEL, "finished", 12.0)
        display.ended("toy/sasrec/none/seed 2", "reused", 0.0)
    return stream.getvalue()


def test_lines_say_what_a_log_needs():
    figures = "loss 0.5000, validation NDCG@10 0.1250 (best 0.2500), 1.3 s"
    result = "after 2 epochs, best validation NDCG@10 0.2500, 1 s"
    assert shown(io.StringIO()).splitlines() == [
        f"{LABEL}: begins",
        f"{LABEL}: epoch 2/9, {figures}; about 1 min 15 s left",
        f"[1/2] {LABEL}: finished {result}; about 12 s left",
        "[2/2] toy/sasrec/none/seed 2: already in the store",
    ]


def test_bars_on_a_terminal_end_with_all_experiments_counted():
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    text = shown(terminal)
    assert f"{LABEL}: finished" in text
    assert "toy/sasrec/none/seed 2: already in the store" in text
    assert "2/2, about 0 s left" in text
