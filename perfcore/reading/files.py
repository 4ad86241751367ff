"""Readers of text and TOML files, with errors of one line."""

import tomllib
from pathlib import Path
from typing import Final

from perfcore.errors import InputError
from perfcore.reading.words import suggest

LARGEST: Final = 64 * 2**20  # bytes of a text file

LARGEST_TOML: Final = 16 * 2**20  # bytes: a million values take about 8 MiB


def read_toml(path: str | Path) -> dict[str, object]:
    """Return the tables of a TOML file.

    Raises
    ------
    InputError
        The file is missing, unreadable, a directory, not UTF-8 or not TOML.
    """
    text = read_text(path, ".toml", LARGEST_TOML)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and integers of more than 4300 digits
        raise InputError(f"{path}: not valid TOML: {first_lower(str(error))}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: nested too deeply; flatten it") from None


def read_text(path: str | Path, suffix: str, largest: int = LARGEST) -> str:
    """Return the text of a UTF-8 file, without a byte-order mark.

    Parameters
    ----------
    suffix
        Expected suffix of the file, for error messages.
    largest
        Size above which the file is refused. [bytes]

    Raises
    ------
    InputError
        The file is missing, unreadable, a directory, too large or not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(largest + 1)  # a device file has no size, and may have no end
        text = data.decode("utf-8-sig") if len(data) <= largest else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path{_neighbour(Path(path))}") from None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: is not a file; give the path of a {suffix} file") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read; check its permissions") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be read: {reason}; check the path") from None
    if text is None:
        raise InputError(f"{path}: is larger than {largest >> 20} MiB; split or shorten it")
    return text


def _neighbour(path: Path) -> str:
    try:
        return suggest(path.name, (other.name for other in path.parent.iterdir()))
    except OSError:
        return ""


def first_lower(text: str) -> str:
    """Return a text with its first letter in lower case, for use after a colon."""
    return text[:1].lower() + text[1:]
