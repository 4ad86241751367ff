"""Files that commands write: checked before the work, and there whole or not at all."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from perfcore.errors import InputError


def check_output(option: str, output: str, inputs: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written, or that is read by the same command.

    ``InputError`` names the option, the file and what to do.
    """
    path = Path(output)
    if path.is_dir():
        raise InputError(f"{option}: {output!r} is a directory; name a file")
    if not path.parent.is_dir():
        raise InputError(f"{option}: {str(path.parent)!r} is not a directory; make it first")
    if path.exists() and not path.is_file():
        raise InputError(f"{option}: {output!r} is not a regular file; name another")
    if any(Path(name).exists() and path.exists() and path.samefile(name) for name in inputs):
        raise InputError(f"{option}: {output!r} is one of the files to read; name another")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{option}: {str(path.parent)!r} may not be written; name another place")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write beside ``path``, which replaces it once it is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        error.filename = str(path)  # what the user asked for
        raise
    finally:
        part.unlink(missing_ok=True)
