"""Profiles for writing Parquet; ``benchmarks/explore_parquet.py`` compares them."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Compression = Literal["zstd", "lz4", "snappy", "none"]

LEVELS: Final = MappingProxyType(
    {"zstd": 1}
)  # default compression level of codecs that have levels


@dataclass(frozen=True, slots=True)
class Profile:
    """Encoding of rows, and the number of bits of a metric that are kept.

    ``split_bytes`` is Parquet's byte-stream split: it stores the first bytes of all numbers of a
    page, then the second bytes, and so on, so that signs, exponents and rounded bits compress well.
    """

    meaning: str
    compression: Compression
    level: int | None  # of compression; None if the codec has no levels
    split_bytes: bool
    significant_bits: int  # of a float32 metric


PROFILES: Final = MappingProxyType(
    {
        "fast": Profile(
            meaning="fastest to write; metrics keep five digits",
            compression="lz4",
            level=None,
            split_bytes=True,
            significant_bits=16,
        ),
        "small": Profile(
            meaning="smallest files; metrics keep four digits",
            compression="zstd",
            level=3,
            split_bytes=True,
            significant_bits=12,
        ),
        "compatible": Profile(
            meaning="for readers without byte-stream split or lz4; metrics keep all bits",
            compression="snappy",
            level=None,
            split_bytes=False,
            significant_bits=24,
        ),
    }
)
