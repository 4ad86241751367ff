"""Every error that perfcore raises on purpose names the place, the value and the remedy."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

MOST_FAULTS: Final = 1_000  # lines of one error; nobody mends more at a time
FURTHER: Final = f"further faults than {MOST_FAULTS:,} are left out; correct these first"
_LONGEST: Final = 4_000  # characters of a fault


class PerfcoreError(Exception):
    """Base of every error that perfcore raises on purpose."""


class InputError(PerfcoreError, ValueError):
    """What a user gave cannot be used. Carries every fault found, not only the first.

    Parameters
    ----------
    faults
        One line each, of the form ``place: what is wrong, with the value; the remedy``. What is
        not printable is escaped: files of strangers cannot move a terminal's cursor.
    """

    def __init__(self, faults: str | Iterable[str]) -> None:
        given = (faults,) if isinstance(faults, str) else faults
        lines = dict.fromkeys(_line(fault) for fault in given)
        self.faults: tuple[str, ...] = tuple(islice(lines, MOST_FAULTS))
        if len(lines) > MOST_FAULTS:
            self.faults += (FURTHER,)
        super().__init__("\n".join(self.faults))


class OutputError(PerfcoreError, OSError):
    """What was computed cannot be written: the directory, disk or file refuses."""


class VanishedError(OutputError):
    """A file that was being written is not there any more."""


def _in_python(name: str, value: object) -> str:
    return name if value is None else f"{name}={value!r}"


_spellings: Final[list[Callable[[str, object], str]]] = [_in_python]


def argument(name: str, value: object = None) -> str:
    """Return an argument of the library as its caller writes it, for the text of an error.

    From Python ``by``, and with a value ``tp=8``; the command line has its options named instead,
    by ``spelled``.
    """
    return _spellings[-1](name, value)


@contextmanager
def spelled(spelling: Callable[[str, object], str]) -> Iterator[None]:
    """Let ``argument`` return what ``spelling`` makes of name and value, in all threads."""
    _spellings.append(spelling)
    try:
        yield
    finally:
        _spellings.pop()


def reason(error: BaseException) -> str:
    """Return what the system says of an error, without what Arrow says around it."""
    text = getattr(error, "strerror", None) or str(error)
    matched = re.search(r"\[errno \d+\] (.+)", text)
    return (matched[1] if matched else text).rstrip(". ")


def show(value: object) -> str:
    """Return a value on one line and short enough for an error."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits; deep nesting
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 80 else f"{text[:60]} ... {text[-12:]}"


def _line(fault: str) -> str:
    if len(fault) > _LONGEST:
        fault = f"{fault[: _LONGEST // 2]} ... {fault[-_LONGEST // 2 :]}"
    if fault.isprintable():
        return fault
    return "".join(c if c.isprintable() else f"{c!r}"[1:-1] for c in fault)[: _LONGEST + 900]


class RenamedWarning(FutureWarning):
    """A name that is still understood, and the one that has taken its place."""


def renamed(old: str, new: str) -> None:
    """Warn that ``old`` is called ``new`` now."""
    warnings.warn(f"{old} is called {new} now", RenamedWarning, stacklevel=2)
