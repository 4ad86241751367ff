"""Header of a GGUF file: metadata and the shapes of its tensors, read within strict bounds.

The weights themselves are not read, so a file may end after its header. The format is magic,
version, counts, key-value pairs and tensor infos, little-endian
(ggml-org/ggml, docs/gguf.md, versions 2 and 3).
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final, NamedTuple

from perfcore.errors import InputError, show

MOST_KEYS: Final = 2000  # models have fewer than 100
MOST_TENSORS: Final = 100_000
MOST_TEXTS: Final = 4_000_000  # in all lists; vocabulary and merges together have about a million
MOST_KEPT: Final = 200_000  # numbers kept of all lists; one per layer is enough
LONGEST_NAME: Final = 1024  # bytes; llama.cpp allows 64 for tensors
LONGEST_KEPT: Final = 4096  # bytes; longer texts, e.g. chat templates, are dropped
_MOST_DIMENSIONS: Final = 4
_LARGEST: Final = 2**62  # elements of a tensor

_NUMBERS: Final = {  # type -> format and bytes
    0: ("<B", 1),
    1: ("<b", 1),
    2: ("<H", 2),
    3: ("<h", 2),
    4: ("<I", 4),
    5: ("<i", 4),
    6: ("<f", 4),
    7: ("<?", 1),
    10: ("<Q", 8),
    11: ("<q", 8),
    12: ("<d", 8),
}
_TEXT, _LIST = 8, 9

# type of a tensor -> its name, elements per block, bytes per block
TYPES: Final = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
}


class Tensor(NamedTuple):
    """Shape and type of a tensor; the first dimension is contiguous."""

    shape: tuple[int, ...]
    type: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def type_name(self) -> str:
        """Name of the type in llama.cpp."""
        return TYPES[self.type][0] if self.type in TYPES else f"type {self.type}"

    @property
    def bytes(self) -> float:
        """Size in the file, 0 if the type is unknown. [bytes]"""
        _, block, size = TYPES.get(self.type, ("", 1, 0))
        return self.elements / block * size


@dataclass(frozen=True)
class Header:
    """Metadata by key and tensors by name. Long texts and lists in the metadata are ``None``."""

    metadata: dict[str, object]
    tensors: dict[str, Tensor]


class _Cursor:
    """Forward reader of a file that never reads past its end."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.file = file
        self.path = path
        self.size = size
        self.at = 0
        self.texts = self.kept = 0  # list items so far

    def fault(self, problem: str) -> InputError:
        return InputError(
            f"{self.path}: {problem} (byte {self.at:,} of {self.size:,}); download the file again"
        )

    def take(self, count: int) -> bytes:
        data = self.file.read(count) if self.at + count <= self.size else b""
        if len(data) < count:
            raise self.fault("cut off inside of its header")
        self.at += count
        return data

    def skip(self, count: int) -> None:
        if self.at + count > self.size:
            raise self.fault("cut off inside of its header")
        self.file.seek(count, 1)
        self.at += count

    def number(self, kind: int) -> int | float | bool:
        form, size = _NUMBERS[kind]
        value: int | float | bool = struct.unpack(form, self.take(size))[0]
        return value

    def count(self, most: int, noun: str) -> int:
        """Return an unsigned count; a negative number reads as a huge one and is refused."""
        value = int.from_bytes(self.take(8), "little")
        if value > most:
            raise self.fault(f"{value:,} {noun} are too many, at most {most:,} are allowed")
        return value

    def text(self, most: int) -> str:
        length = self.count(most, "bytes of a name")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise self.fault("has a name that is not UTF-8") from None

    def value(self, kind: int) -> object:
        if kind in _NUMBERS:
            return self.number(kind)
        if kind == _TEXT:
            return self._long_text()
        if kind == _LIST:
            return self._items()
        raise self.fault(f"has a value of unknown type {kind}")

    def _long_text(self) -> str | None:
        length = self.count(self.size, "bytes of a text")
        if length > LONGEST_KEPT:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def _items(self) -> list[int | float | bool] | None:
        kind = int.from_bytes(self.take(4), "little")
        if kind == _TEXT:
            texts = self.count(MOST_TEXTS - self.texts, "texts in a list")
            self.texts += texts
            for _ in range(texts):
                self.skip(int.from_bytes(self.take(8), "little"))
            return None
        if kind not in _NUMBERS:
            raise self.fault(f"has a list of unknown type {kind}")
        count = self.count(self.size, "items in a list")
        if count > MOST_KEPT - self.kept:
            self.skip(count * _NUMBERS[kind][1])
            return None
        self.kept += count
        form, size = _NUMBERS[kind]
        return list(struct.unpack(f"<{count}{form[1:]}", self.take(count * size)))


def read_header(path: Path) -> Header:
    """Return the metadata and tensors of a GGUF file.

    Raises
    ------
    InputError
        The file cannot be read, is not a little-endian GGUF file of version 2 or 3, is cut off
        inside its header, or claims more than a model has.
    """
    try:
        status = path.stat()
        if S_ISREG(status.st_mode):
            with path.open("rb") as file:
                return _read(_Cursor(file, path, status.st_size))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read; check its permissions") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}; check the path") from None
    # a pipe may never end, and a directory has no content
    raise InputError(f"{path}: is not a file; give the path of a .gguf file")


def _read(cursor: _Cursor) -> Header:
    if cursor.size < 24 or cursor.take(4) != b"GGUF":
        raise InputError(f"{cursor.path}: is not a GGUF file; check what was downloaded")
    version = int.from_bytes(cursor.take(4), "little")
    if version not in (2, 3):
        swapped = version >> 24 in (2, 3) and not version & 0xFFFFFF
        what = "is big-endian" if swapped else f"has GGUF version {version}"
        raise InputError(
            f"{cursor.path}: {what}; convert it again with a recent llama.cpp (version 3)"
        )
    tensor_count = cursor.count(MOST_TENSORS, "tensors")
    key_count = cursor.count(MOST_KEYS, "metadata keys")
    metadata: dict[str, object] = {}
    for _ in range(key_count):
        key = cursor.text(LONGEST_NAME)
        value = cursor.value(int.from_bytes(cursor.take(4), "little"))
        if key in metadata:
            raise cursor.fault(f"has the key {show(key)} twice")
        metadata[key] = value
    tensors: dict[str, Tensor] = {}
    for _ in range(tensor_count):
        name = cursor.text(LONGEST_NAME)
        if name in tensors:
            raise cursor.fault(f"has the tensor {show(name)} twice")
        tensors[name] = _tensor(cursor, name)
    return Header(metadata, tensors)


def _tensor(cursor: _Cursor, name: str) -> Tensor:
    dimensions = int.from_bytes(cursor.take(4), "little")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise cursor.fault(f"tensor {show(name)} has {dimensions:,} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
    kind = int.from_bytes(cursor.take(4), "little")
    cursor.skip(8)  # where its data begins
    tensor = Tensor(shape, kind)
    if not 0 < tensor.elements <= _LARGEST:
        raise cursor.fault(f"tensor {show(name)} has {tensor.elements:,} elements")
    return tensor


def _reason(error: OSError | ValueError) -> str:
    """Return why a file cannot be read, without its name."""
    return str(error.strerror if isinstance(error, OSError) else error)
