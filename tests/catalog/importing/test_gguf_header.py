"""Hostile headers of GGUF files."""

import os
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

import perfcore
from catalog.importing.configs import IDENTITY, assert_model_or_faults
from catalog.importing.gguf_files import (
    SMALL,
    START,
    gguf_bytes,
    gguf_text,
    gguf_value,
    gpt_2,
    header,
)
from perfcore.catalog.importing.gguf import from_gguf
from perfcore.errors import InputError

HUGE = 2**63


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a GGUF file"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (START + struct.pack("<QQ", HUGE, 0), "tensors are too many"),
        (START + struct.pack("<qq", -1, 0), "tensors are too many"),
        (START + struct.pack("<QQ", 0, HUGE), "metadata keys are too many"),
        (START + struct.pack("<QQQ", 0, 1, HUGE), "bytes of a name are too many"),
        (START + struct.pack("<QQq", 0, 1, -5), "bytes of a name are too many"),
        (START + struct.pack("<QQQ", 0, 1, 3) + b"\xff\xff\xff", "not UTF-8"),
        (START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<I", 99), "type 99"),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 9, 1),
            "list of unknown type 9",
        ),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 8, HUGE),
            "texts in a list are too many",
        ),
        (
            START
            + struct.pack("<QQ", 0, 1)
            + gguf_text("a")
            + struct.pack("<IIQ", 9, 8, 4 * 10**6),
            "cut off",
        ),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 4, HUGE),
            "items in a list are too many",
        ),
        (
            START + struct.pack("<QQ", 0, 1) + gguf_text("a") + struct.pack("<IQ", 8, HUGE),
            "bytes of a text are too many",
        ),
        (
            START + struct.pack("<QQ", 1, 0) + gguf_text("t") + struct.pack("<I", 10**9),
            "dimensions",
        ),
        (gguf_bytes({}, {"t": ((HUGE, 4), 0)}), "elements"),
        (gguf_bytes({}, {"t": ((0, 4), 0)}), "elements"),
        (gguf_bytes({}, {}), "lacks general.architecture"),
        (gguf_bytes({"general.architecture": 7}, {}), "lacks general.architecture"),
        (gguf_bytes({"general.architecture": "llama"}, {}), "lacks the tensor token_embd.weight"),
        (
            gguf_bytes(
                {"general.architecture": "llama", "llama.block_count": 10**9},
                {"token_embd.weight": ((8, 8), 0)},
            ),
            "no tensor of layer 0",
        ),
        (gguf_bytes(*gpt_2())[:-3], "cut off"),
        (gguf_bytes(*gpt_2())[:200], "cut off"),
    ],
)
def test_hostile_headers_cost_nothing(tmp_path, data, match):
    path = header(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=match):
            perfcore.load_model(str(path))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_keys_and_tensors_that_are_there_twice(tmp_path):
    pair = gguf_text("a") + gguf_value(1)
    with pytest.raises(InputError, match="the key 'a' twice"):
        perfcore.load_model(str(header(tmp_path, START + struct.pack("<QQ", 0, 2) + 2 * pair)))
    tensor = gguf_text("t") + struct.pack("<IQIQ", 1, 4, 0, 0)
    with pytest.raises(InputError, match="the tensor 't' twice"):
        perfcore.load_model(str(header(tmp_path, START + struct.pack("<QQ", 2, 0) + 2 * tensor)))


@given(st.data())
def test_mutated_headers_are_models_or_input_errors(tmp_path_factory, data):
    raw = bytearray(gguf_bytes(*SMALL))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        patch = data.draw(
            st.binary(min_size=1, max_size=2)
            | st.sampled_from([b"\xff" * 8, bytes(8), b"\x00\x00\x00\x80", struct.pack("<q", -1)])
        )
        raw[place : place + len(patch)] = patch
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    path.write_bytes(bytes(raw[:cut]))

    assert_model_or_faults(lambda: from_gguf(path, IDENTITY), str(path))


@given(
    st.dictionaries(
        st.sampled_from([key for key in SMALL[0] if "llama" in key]),
        st.integers(0, 2**32 - 1) | st.integers(0, 9) | st.just("x") | st.booleans() | st.just([]),
        min_size=1,
    )
)
def test_strange_metadata_is_a_model_or_an_input_error(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "strange.gguf"
    path.write_bytes(gguf_bytes(SMALL[0] | changes, SMALL[1]))

    assert_model_or_faults(lambda: from_gguf(path, IDENTITY), str(path))


@pytest.mark.parametrize("name", ["pipe.gguf", "pipe.json"])
def test_pipes_are_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)

    with pytest.raises(InputError, match="is not a file"):
        perfcore.load_model(str(tmp_path / name))


def test_lists_of_all_keys_together_are_bounded(tmp_path):
    """A thousand lists that are each short enough to keep."""
    many = {f"x.{number}": [1] * 5000 for number in range(1000)}
    path = header(tmp_path, gguf_bytes(SMALL[0] | many, SMALL[1]))
    tracemalloc.start()
    try:
        assert perfcore.load_model(str(path)).num_hidden_layers == 2
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
