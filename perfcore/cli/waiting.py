"""A line on the terminal while a kernel is compiled, with the seconds so far."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from perfcore.kernel.compiling import COMPILATION

ERASE: Final = "\r\x1b[2K"  # the whole line
_FIRST_SECONDS: Final = 1.0  # small kernels are done before
_POLL_SECONDS: Final = 0.25


def compiling(seconds: float) -> str:
    """Return the message shown while waiting."""
    return f"compiling a kernel, kept for later: {seconds:.0f} s"


class Line:
    """Line on standard error, updated by a separate thread and erased at the end."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to show the seconds."""
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._show, daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Erase the line."""
        self.done.set()
        if self.thread is not None:
            self.thread.join()

    def _show(self) -> None:
        if self.done.wait(_FIRST_SECONDS):
            return
        while (seconds := COMPILATION.seconds) is not None:
            _write(ERASE + compiling(seconds))
            if self.done.wait(_POLL_SECONDS):
                break
        _write(ERASE)


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def compilation_shown() -> Iterator[None]:
    """Show on a terminal, while in the context, for how long a kernel has been compiled."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    COMPILATION.observer = Line()
    try:
        yield
    finally:
        COMPILATION.observer = None
