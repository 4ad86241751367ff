"""Progress bar of a run in a terminal, with rows/s and the remaining time."""

import threading
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from perfcore.cli.text import quantity
from perfcore.cli.waiting import compiling
from perfcore.kernel.compiling import COMPILATION
from perfcore.runs.shards import ProgressDisplay
from perfcore.runs.workers import Progress

_POLL_SECONDS: Final = 0.25


class Display(ProgressDisplay):
    """Progress bar, updated by a separate thread so that no worker waits for the terminal."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bar = Bar(
            TextColumn("{task.percentage:3.0f} %"),
            BarColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
            transient=True,
        )
        self.task = self.bar.add_task(
            "", total=max(progress.points, 1), completed=progress.done_points, rows=""
        )
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._poll, daemon=True)
        self.observer = COMPILATION.observer

    def __enter__(self) -> Self:
        COMPILATION.observer = None  # the bar shows it
        self.bar.start()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop polling, and remove the bar from the terminal."""
        self.done.set()
        self.thread.join()
        self._update()
        self.bar.stop()
        COMPILATION.observer = self.observer

    def _poll(self) -> None:
        while not self.done.wait(_POLL_SECONDS):
            self._update()

    def _update(self) -> None:
        progress = self.progress
        rate = quantity(progress.rows / max(progress.seconds, 1e-9), digits=3)
        rows = f"{progress.rows:,} rows, {rate} rows/s"
        seconds = COMPILATION.seconds
        if seconds is not None:
            rows = compiling(seconds)
        self.bar.update(self.task, completed=progress.done_points, rows=rows)
