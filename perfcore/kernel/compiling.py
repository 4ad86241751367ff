"""Notification of kernel compilation, for code that waits for it. Imports no compiler."""

import time
from typing import Protocol


class Observer(Protocol):
    """Observer of the compiler, called by the thread that compiles."""

    def begin(self) -> None:
        """Note that the compiler begins."""

    def end(self) -> None:
        """Note that the compiler has finished."""


class Compilation:
    """State of compilation in this process: its start, and the observers to notify."""

    def __init__(self) -> None:
        self.begun: float | None = None
        self.observer: Observer | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds since the compiler began; None if it has nothing to do."""
        begun = self.begun
        return None if begun is None else time.perf_counter() - begun

    def begin(self) -> None:
        """Note that the compiler begins."""
        self.begun = time.perf_counter()
        if self.observer is not None:
            self.observer.begin()

    def end(self) -> None:
        """Note that the compiler has finished."""
        self.begun = None
        if self.observer is not None:
            self.observer.end()


COMPILATION = Compilation()
