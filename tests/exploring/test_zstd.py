"""Zstandard on the page: what the library packs is read, and damage is reported."""

import base64
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import perfcore.exploring
from exploring.node import Node, needs_node

pytestmark = needs_node
ROOM = Path(perfcore.exploring.__file__).parent
ANSWER = """
function answer({ packed, size }) {
  try {
    const found = zstd(new Uint8Array(Buffer.from(packed, "base64")), new Uint8Array(size));
    return Buffer.from(found).toString("base64");
  } catch (error) {
    return { error: error instanceof RangeError ? "is damaged" : error.message };
  }
}
"""
LEVELS = [-5, 1, 9, 19]
SKIPPED = bytes.fromhex("502a4d18 03000000 010203")  # a frame to skip, RFC 8878, 3.1.2
# A plain block, a repeated byte, a compressed block whose literals are a repeated byte, a checksum.
BY_HAND = bytes.fromhex("28b52ffd 2418 180000 616263 820000 61 1d0000 297a00 00000000")


def kinds():
    """Yield names of data, and data, that together use every part of the format."""
    rng = np.random.default_rng(7)
    rows = range(12_000)
    yield "empty", b""
    yield "one byte", b"x"
    yield "equal bytes", bytes(300_000)
    yield "noise", rng.bytes(20_000)
    yield "lines", b"".join(b"%d,%d,%.4g\n" % (row % 37, row // 37, 1 / (1 + row)) for row in rows)
    yield "letters of many frequencies", bytes(rng.zipf(1.3, 140_000).clip(0, 255).astype("u1"))
    yield "few letters", bytes(rng.geometric(0.4, 300).astype("u1"))
    yield "half noise", b"".join(rng.bytes(50) + b"equal in all" * 5 for _ in range(3_000))
    yield "places", np.repeat(np.arange(90, dtype="<u4"), rng.integers(1, 400, 90)).tobytes()
    split = np.linspace(1, 2, 40_000, dtype="<f4").view("u1").reshape(-1, 4).T
    yield "floats, byte by byte", split.tobytes()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    script = (ROOM / "zstd.js").read_text("utf-8") + (ROOM / "reading.js").read_text("utf-8")
    with Node(tmp_path_factory.mktemp("zstd"), script + ANSWER) as opened:
        yield opened


def unpacked(node, packed, size):
    found = node.answer({"packed": base64.b64encode(packed).decode(), "size": size})
    return found["error"] if isinstance(found, dict) else base64.b64decode(found)


def test_bytes_are_those_that_were_packed(node):
    for name, data in kinds():
        for level in LEVELS:
            codec = pa.Codec("zstd", level)
            packed = codec.compress(data, asbytes=True)
            assert unpacked(node, packed, len(data)) == data, (name, level)


def test_frames_follow_each_other_and_some_are_skipped(node):
    packed = pa.Codec("zstd", 3).compress(b"abc" * 99, asbytes=True)

    assert unpacked(node, packed + SKIPPED + packed, 2 * 297) == b"abc" * 198
    assert unpacked(node, BY_HAND, 24) == b"abc" + b"a" * 16 + b"z" * 5


def test_damage_is_reported(node):
    data = b"".join(b"row %d of many" % (row % 37) for row in range(500))
    packed = pa.Codec("zstd", 9).compress(data, asbytes=True)
    rng = np.random.default_rng(5)
    for _ in range(200):
        wrong = bytearray(packed)
        wrong[rng.integers(len(wrong))] ^= 1 << rng.integers(8)
        found = unpacked(node, bytes(wrong), len(data))
        assert isinstance(found, bytes) or found.startswith("is "), found
    for end in range(len(packed)):
        assert unpacked(node, packed[:end], len(data)) == "is damaged" or end == 0
    assert unpacked(node, packed, len(data) - 1) == "is damaged"
    assert unpacked(node, packed, len(data) + 1) == "is damaged"
    named = bytes.fromhex("28b52ffd 21 07 01 010000")  # a dictionary of the number 7
    assert "a dictionary of zstd" in unpacked(node, named, 0)
