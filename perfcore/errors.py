"""Errors that perfcore raises deliberately. Each names the place, the value and the remedy."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

MOST_FAULTS: Final = 1_000  # lines of one error; more are of no use at once
FURTHER: Final = f"only the first {MOST_FAULTS:,} faults are shown; correct these first"
_LONGEST: Final = 4_000  # characters of a fault


class PerfcoreError(Exception):
    """Base class of all errors that perfcore raises deliberately.

    Unprintable characters of the message are escaped, so that untrusted files cannot send control
    sequences to a terminal.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class InputError(PerfcoreError, ValueError):
    """Unusable input from a user, with every fault found, not only the first.

    Parameters
    ----------
    faults
        One line each, of the form ``place: what is wrong, with the value; the remedy``.
    """

    def __init__(self, faults: str | Iterable[str]) -> None:
        given = (faults,) if isinstance(faults, str) else faults
        lines = dict.fromkeys(_line(fault) for fault in given)
        self.faults: tuple[str, ...] = tuple(islice(lines, MOST_FAULTS))
        if len(lines) > MOST_FAULTS:
            self.faults += (FURTHER,)
        super().__init__("\n".join(self.faults))

    def __str__(self) -> str:
        return "\n".join(self.faults)


class OutputError(PerfcoreError, OSError):
    """Failure to write a result to a directory, disk or file."""


class VanishedError(OutputError):
    """A file that was being written is not there any more."""


def _in_python(name: str, value: object) -> str:
    return name if value is None else f"{name}={value!r}"


_spellings: Final[list[Callable[[str, object], str]]] = [_in_python]


def argument(name: str, value: object = None) -> str:
    """Return an argument of the library as the caller writes it, for error messages.

    In Python this is ``by``, or ``tp=8`` with a value. The command line uses ``spelled`` to name
    its options instead.
    """
    return _spellings[-1](name, value)


@contextmanager
def spelled(spelling: Callable[[str, object], str]) -> Iterator[None]:
    """Let ``argument`` return ``spelling(name, value)``, in all threads."""
    _spellings.append(spelling)
    try:
        yield
    finally:
        _spellings.pop()


def reason(error: BaseException) -> str:
    """Return the operating system's message of an error, without the text that Arrow adds."""
    text = getattr(error, "strerror", None) or str(error)
    matched = re.search(r"\[errno \d+\] (.+)", text)
    return (matched[1] if matched else text).rstrip(". ")


def show(value: object) -> str:
    """Return a value as one short line for an error message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits; deep nesting
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 80 else f"{text[:60]} ... {text[-12:]}"


def visible(text: str) -> str:
    r"""Return text with unprintable characters escaped as in ``repr``: ``\x1b``, ``\u202e``.

    These are the characters that a terminal acts on or does not show, from escape sequences and
    line ends to marks that reverse the direction of text, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"{c!r}"[1:-1] for c in text)


def one_line(text: str) -> str:
    """Return text in one line: line ends and tabs as blanks, the rest as in ``visible``."""
    return visible(re.sub(r"[\n\t]", " ", text.rstrip("\n")))


def _line(fault: str) -> str:
    if len(fault) > _LONGEST:
        fault = f"{fault[: _LONGEST // 2]} ... {fault[-_LONGEST // 2 :]}"
    return visible(fault)[: _LONGEST + 900]


class RenamedWarning(FutureWarning):
    """Warning that a name is deprecated, with the name that replaces it."""


def renamed(old: str, new: str) -> None:
    """Warn that ``old`` has been renamed to ``new``."""
    warnings.warn(f"{old} has been renamed to {new}", RenamedWarning, stacklevel=2)
