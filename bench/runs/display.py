"""Progress of a run: its experiments on a terminal or in a log."""

from __future__ import annotations

from collections import defaultdict

from bench.display import Lines
from bench.plan.progress import Progress, counted, duration

_WHOLE = "experiments"


class RunDisplay:
    """Shows each running experiment and the whole run; a :class:`bench.plan.progress.Reporter`."""

    def __init__(self, display: Lines, experiments: int) -> None:
        self._display = display
        self._experiments = experiments
        self._ended = 0
        self._latest: dict[str, Progress] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        display.start(_WHOLE, experiments)

    def started(self, label: str) -> None:
        """Show that an experiment begins."""
        self._display.start(label)
        self._display.update(label, 0, None, "begins")

    def advanced(self, progress: Progress, seconds_left: float) -> None:
        """Show what an epoch brought."""
        epoch = f"epoch {progress.epoch}/{progress.epochs}"
        figure = f"validation NDCG@10 {progress.metric:.4f}"
        self._latest[progress.label] = progress
        self._seconds[progress.label] += progress.seconds
        line = (
            f"{epoch}, loss {progress.loss:.4f}, {figure} (best {progress.best:.4f}), "
            f"{progress.seconds:.1f} s; {_left(seconds_left)}"
        )
        note = f"{epoch}, {figure}"  # all that a bar has room for
        self._display.update(progress.label, progress.epoch, progress.epochs, note, line)
        self._update_whole(seconds_left)

    def ended(self, label: str, note: str, seconds_left: float) -> None:
        """Show how an experiment ended."""
        self._ended += 1
        self._display.stop(label)
        count = f"[{self._ended}/{self._experiments}]"
        if note == "reused":
            self._display.say(f"{count} {label}: already in the store")
        else:
            result = self._result(label) if note == "finished" else ""
            self._display.say(f"{count} {label}: {note}{result}; {_left(seconds_left)}")
        self._update_whole(seconds_left)

    def _result(self, label: str) -> str:
        if label not in self._latest:
            return ""
        last = self._latest[label]
        epochs = counted(last.epoch, "epoch")
        took = duration(self._seconds[label])
        return f" after {epochs}, best validation NDCG@10 {last.best:.4f}, {took}"

    def _update_whole(self, seconds_left: float) -> None:
        note = f"{self._ended}/{self._experiments}, {_left(seconds_left)}"
        self._display.update(_WHOLE, self._ended, self._experiments, note, line="")


def _left(seconds: float) -> str:
    return f"about {duration(seconds)} left"
