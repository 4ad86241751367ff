"""Untrusted JSON read within bounds, and its fields, with all faults reported at once."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Final

from perfcore.errors import InputError, show
from perfcore.reading.files import read_text

LARGEST: Final = 4 * 2**20  # bytes: long lists of unquantised layers stay below 1 MiB
MOST_LAYERS: Final = 10_000
_MOST: Final = 10**9  # of any count
_SHOWN: Final = 20  # faults of one kind

SIZE: Final = ("hidden_size", "num_hidden_layers", "vocab_size")
REMEDY: Final = "write the model as TOML (`perfcore models add` a similar one, then edit its file)"


def read_json(path: str | Path) -> dict[str, object]:
    """Return the object of a JSON file.

    ``NaN`` and infinities are accepted, since some published files have them in unused fields.

    Raises
    ------
    InputError
        The file cannot be read, is too large, is nested too deeply, is not a JSON object, or has a
        duplicate key.
    """
    _check_size(path)
    text = read_text(path, ".json")
    twice: dict[str, None] = {}

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) < len(items):
            counted = Counter(key for key, _ in items)
            twice.update((key, None) for key, count in counted.items() if count > 1)
        return found

    try:
        document = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON: line {error.lineno}: {error.msg}; download the file again"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: not valid JSON: nested too deeply; flatten it") from None
    except ValueError:
        raise InputError(f"{path}: has a number of more than 4300 digits; remove it") from None
    if twice:
        shown = islice(twice, _SHOWN)
        raise InputError(f"{path}: key {show(key)} appears twice; remove one" for key in shown)
    if not isinstance(document, dict):
        raise InputError(f"{path}: is not an object in {{ }}; give the config.json of a model")
    return document


def _check_size(path: str | Path) -> None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return  # reading it reports what is wrong
    if not S_ISREG(status.st_mode):  # a pipe has no end
        raise InputError(f"{path}: is not a file; give the path of a .json file")
    if status.st_size > LARGEST:
        raise InputError(f"{path}: is larger than {LARGEST >> 20} MiB; this is not a config.json")


class NotModelledError(InputError):
    """A model that cannot be read; one of its size may be in the catalogue.

    Parameters
    ----------
    faults
        As of ``InputError``.
    config
        Fields of the text model.
    """

    def __init__(self, faults: str | Iterable[str], config: Mapping[str, object]) -> None:
        super().__init__(faults)
        self.size = tuple(config.get(key) for key in SIZE)


class Fields:
    """Fields of a JSON object; ``null`` counts as absent.

    Parameters
    ----------
    values
        The object.
    place
        Prefix of error messages.
    defaults
        Values of keys that the object may omit.
    faults, missing
        Lists that collect faults and absent keys; shared with objects inside this one.
    """

    def __init__(
        self,
        values: Mapping[str, object],
        place: str,
        defaults: Mapping[str, object] | None = None,
        *,
        faults: list[str] | None = None,
        missing: list[str] | None = None,
    ) -> None:
        self.values = values
        self.place = place
        self.faults: list[str] = [] if faults is None else faults
        self.missing: list[str] = [] if missing is None else missing
        self.defaulted: dict[str, object] = {}
        self.absent: dict[str, None] = {}  # keys that may be absent, and are
        self.read: set[str] = set()
        self.inners: dict[str, Fields] = {}  # objects inside that were read, by their key
        self._defaults = defaults or {}

    def fault(self, key: str, problem: str, remedy: str) -> None:
        """Record a fault, unless it is recorded already."""
        fault = f"{self.place}: {key}: {problem}; {remedy}"
        if fault not in self.faults and len(self.faults) < _SHOWN:
            self.faults.append(fault)

    def _find(self, keys: Sequence[str]) -> tuple[str, object]:
        """Return the first key that has a value, and the value, or ``None``."""
        self.read.update(keys)
        for key in keys:
            if self.values.get(key) is not None:
                return key, self.values[key]
        for key in keys:
            if key in self._defaults:
                self.defaulted[key] = self._defaults[key]
                return key, self._defaults[key]
        self.absent[keys[0]] = None
        return keys[0], None

    def has(self, *keys: str) -> bool:
        """Return whether one of the keys has a value or a default."""
        return self._find(keys)[1] is not None

    def raw(self, *keys: str) -> object:
        """Return the value of the first key that has one."""
        return self._find(keys)[1]

    def whole(self, *keys: str, default: int = 0) -> int:
        """Return a whole number from 0 to 1e9."""
        key, value = self._find(keys)
        return default if value is None else self._whole(key, value, default)

    def need(self, *keys: str) -> int:
        """Return a whole number from 1 to 1e9, or record that it is missing."""
        key, value = self._find(keys)
        if value is None:
            if key not in self.missing:
                self.missing.append(key)
            return 1
        number = self._whole(key, value, 1)
        if number < 1:
            self.fault(key, f"{show(value)} must be at least 1", "correct it")
        return max(number, 1)

    def _whole(self, key: str, value: object, default: int) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            quoted = isinstance(value, str) and value.strip().isdigit()
            remedy = "remove the quotes" if quoted else "correct it"
            self.fault(key, f"{show(value)} must be a whole number", remedy)
            return default
        if not 0 <= value <= _MOST:
            self.fault(key, f"{show(value)} must be from 0 to 1e9", "correct it")
            return default
        return value

    def flag(self, *keys: str, default: bool = False) -> bool:
        """Return a true-or-false value."""
        key, value = self._find(keys)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.fault(key, f"{show(value)} must be true or false", "correct it")
        return default

    def text(self, *keys: str) -> str:
        """Return a text, empty if there is none."""
        key, value = self._find(keys)
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        self.fault(key, f"{show(value)} must be a text", "correct it")
        return ""

    def items(self, *keys: str) -> list[object]:
        """Return a list of at most one item per layer, empty if there is none."""
        key, value = self._find(keys)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.fault(key, f"{show(value)} must be a list in [ ]", "correct it")
            return []
        if len(value) > MOST_LAYERS:
            self.fault(key, f"has {len(value):,} items", f"give at most {MOST_LAYERS:,}")
            return []
        return list(value)

    def wholes(self, *keys: str) -> list[int]:
        """Return a list of whole numbers, empty if there is none."""
        return [self._whole(keys[0], item, 0) for item in self.items(*keys)]

    def same(self, *keys: str, default: int = 0) -> int:
        """Return a number, or the common value of a list of equal numbers."""
        key, value = self._find(keys)
        if not isinstance(value, list | tuple):
            return self.whole(*keys, default=default)
        numbers = set(self.wholes(*keys))
        if len(numbers) > 1:
            self.fault(key, f"{show(value)} differs between layers", REMEDY)
        return max(numbers, default=default)

    def inner(self, key: str) -> "Fields":
        """Return the fields of an object inside this one, empty if there is none."""
        self.read.add(key)
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            self.fault(key, f"{show(value)} must be an object in {{ }}", "correct it")
        if value is None:
            self.absent[key] = None
        if key not in self.inners:
            self.inners[key] = Fields(
                value if isinstance(value, dict) else {},
                f"{self.place}: {key}",
                faults=self.faults,
                missing=self.missing,
            )
        return self.inners[key]
