"""Output: JSON as text; files, checked before the work starts and written whole or not at all."""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from perfcore.errors import InputError

MANIFEST: Final = "manifest.json"  # of a run
DATA: Final = "data"  # folder of a run's Parquet files, and of nothing else
RECEIPTS: Final = "shards"  # folder of its receipts, and of files being written
_IN_USE: Final = (5, 32)  # Windows: access denied, sharing violation
_ATTEMPTS: Final = 20
_PAUSE: Final = 0.05  # s


def json_text(value: object, indent: int) -> str:
    """Return a value as JSON with letters as they are, and unprintable characters escaped.

    Numbers that are not finite become null, as JSON has none.
    """
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def enclosing_run(path: Path) -> Path | None:
    """Return the run that contains a path; None if there is none."""
    for folder in (path.absolute(), *path.absolute().parents):
        if folder.name in {DATA, RECEIPTS} and (folder.parent / MANIFEST).exists():
            return folder.parent
    return None


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
        raise InputError(f"{option}: {str(path.parent)!r} is not a directory; create it first")
    if path.exists() and not path.is_file():
        raise InputError(f"{option}: {output!r} is not a regular file; name another")
    if run := enclosing_run(path):
        raise InputError(f"{option}: {output!r} is among the files of the run {run}; name another")
    if any(Path(name).exists() and path.exists() and path.samefile(name) for name in inputs):
        raise InputError(f"{option}: {output!r} is also an input file; name another")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{option}: {str(path.parent)!r} is not writable; name another directory")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to ``path``, which replaces it once it is complete."""
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
