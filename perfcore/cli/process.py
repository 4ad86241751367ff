"""Process of the command line: its standard streams and its signals."""

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn, TextIO

from perfcore.cli.waiting import ERASE

INTERRUPTED: Final = 130
TERMINATED: Final = 143
_CODES: Final = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGBREAK"):  # Ctrl-Break on Windows
    _CODES[signal.SIGBREAK] = TERMINATED
_PATIENCE: Final = 3.0  # s from a signal to the end of the process


class Terminated(KeyboardInterrupt):
    """SIGTERM or Ctrl-Break, handled like Ctrl-C but with its own exit code."""


def open_streams() -> None:
    """Open the standard streams that the parent process closed.

    Otherwise the next file that is opened would become standard output or standard error. A closed
    standard output refuses what is written, a closed standard error discards it.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(_opened(0, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = os.fdopen(_opened(1, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(_opened(2, os.O_WRONLY), "w")


def _opened(number: int, flags: int) -> int:
    null = os.open(os.devnull, flags)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    return number


def discard(stream: TextIO) -> None:
    """Discard what Python flushes to a stream at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def handle_signals() -> None:
    """Raise ``KeyboardInterrupt`` on Ctrl-C and ``Terminated`` on SIGTERM, and exit soon after.

    Python raises them only between two instructions of the main thread, which may be in a call of
    LLVM or of Arrow for long. A process that has not ended by itself in time is therefore ended by
    a thread. A run then leaves what it leaves when it is killed: complete shards and removable
    drafts.
    """
    signals, sender = socket.socketpair()
    sender.setblocking(False)
    threading.Thread(target=_end_after_signal, args=(signals,), daemon=True).start()
    signal.set_wakeup_fd(sender.detach())
    for number in _CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    if _compiling(frame):
        _end(number)
    for handled in _CODES:
        if signal.getsignal(handled) is _raise:
            signal.signal(handled, signal.SIG_IGN)  # the clean-up is not interrupted
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _compiling(frame: FrameType | None) -> bool:
    """Return whether a thread is in Numba: an exception in LLVM's callers may crash the process."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(("numba.", "llvmlite.")):
            return True
        frame = frame.f_back
    return False


def _end_after_signal(signals: socket.socket) -> None:
    number = signals.recv(1)[0]
    time.sleep(_PATIENCE)
    _end(number)


def _end(number: int) -> NoReturn:
    """End the process at once, without what Python does at exit."""
    with suppress(OSError):
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - few need it

            Console(stderr=True).show_cursor()  # hidden by a progress bar
            os.write(2, ERASE.encode())  # what a kernel was waited for with
        os.write(2, b"error: interrupted\n")
    os._exit(_CODES[signal.Signals(number)])
