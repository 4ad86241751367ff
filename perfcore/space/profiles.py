"""Ways to write Parquet, by what they are for; ``benchmarks/explore_parquet.py`` compares them."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Compression = Literal["zstd", "lz4", "snappy", "none"]

LEVELS: Final = MappingProxyType({"zstd": 1})  # of compression, where it takes one


@dataclass(frozen=True, slots=True)
class Profile:
    """How rows are encoded, and how many bits of a metric are worth it.

    ``split_bytes`` puts the first bytes of a page's numbers beside each other, then the second
    ones, and so on, so that signs, exponents and bits that are rounded away compress.
    """

    meaning: str
    compression: Compression
    level: int | None  # of compression, if it takes one
    split_bytes: bool
    significant_bits: int  # of a metric in 32 bits


PROFILES: Final = MappingProxyType(
    {
        "fast": Profile(
            meaning="writes fastest; metrics have five digits",
            compression="lz4",
            level=None,
            split_bytes=True,
            significant_bits=16,
        ),
        "small": Profile(
            meaning="smallest files; metrics have four digits",
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
