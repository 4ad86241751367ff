"""Errors that users see: one line a fault, naming the place, the value and the remedy."""

import re
from collections.abc import Iterable


class PerfcoreError(Exception):
    """Base of every error that perfcore raises on purpose."""


class InputError(PerfcoreError, ValueError):
    """What a user gave cannot be used. Carries every fault found, not only the first.

    Parameters
    ----------
    faults
        One line each, of the form ``place: what is wrong, with the value; the remedy``.
    """

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class OutputError(PerfcoreError, OSError):
    """What was computed cannot be written: the directory, disk or file refuses."""


def reason(error: BaseException) -> str:
    """Return what the system says of an error, without what Arrow says around it."""
    text = getattr(error, "strerror", None) or str(error)
    matched = re.search(r"\[errno \d+\] (.+)", text)
    return (matched[1] if matched else text).rstrip(". ")
