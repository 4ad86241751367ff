"""Output files: checked before the work starts, and written whole or not at all."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from perfcore.errors import InputError

_IN_USE: Final = (5, 32)  # Windows: access denied, sharing violation
_ATTEMPTS: Final = 20
_PAUSE: Final = 0.05  # s


def check_output(option: str, output: str, inputs: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written, or that is one of the inputs.

    Raises
    ------
    InputError
        With the option, the file and the remedy.
    """
    path = Path(output)
    if path.is_dir():
        raise InputError(f"{option}: {output!r} is a directory; name a file")
    if not path.parent.is_dir():
        raise InputError(f"{option}: {str(path.parent)!r} is not a directory; make it first")
    if path.exists() and not path.is_file():
        raise InputError(f"{option}: {output!r} is not a regular file; name another")
    if any(Path(name).exists() and path.exists() and path.samefile(name) for name in inputs):
        raise InputError(f"{option}: {output!r} is also an input file; name another")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{option}: {str(path.parent)!r} is not writable; name another directory")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path``, which replaces it once it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        replace(part, path)
    except OSError as error:
        error.filename = str(path)  # the file that the user named
        raise
    finally:
        part.unlink(missing_ok=True)


def replace(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, which may exist.

    Windows replaces no file that another process has open, e.g. a reader or a virus scanner: this
    waits up to a second for them.
    """
    for _ in range(_ATTEMPTS):
        try:
            source.replace(target)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE:
                raise
            time.sleep(_PAUSE)
        else:
            return
    source.replace(target)
