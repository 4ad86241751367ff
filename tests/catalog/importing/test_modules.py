"""Patterns of modules that stay at 16 bits."""

import time

import pytest

from catalog.importing.configs import LLAMA, changed, read
from perfcore.catalog.importing.modules import Patterns

NAME = "model.layers.3.self_attn.q_proj"


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("self_attn", True),
        ("q_proj", True),
        ("layers.3", True),
        ("model.layers.3", True),
        (NAME, True),
        ("layers.1", False),
        ("layers.33", False),
        ("attn", False),
        ("*self_attn*", True),
        ("model.layers.*.self_attn", True),
        ("model.layers.3*", True),
        ("*.mlp.*", False),
        ("*.self_attn.*", True),
        ("model.layers.*.self_attn.*", True),
        (".*self_attn.*", True),
        ("re:.*self_attn.*", True),
        ("re:.*layers\\.(2|3)\\..*", True),
        ("re:.*mlp.gate$", False),
        ("Linear", False),
    ],
)
def test_patterns_are_read_as_loaders_read_them(pattern, matches):
    patterns = Patterns([pattern], "it")

    assert patterns.match(NAME) is matches
    assert patterns.unread == []


@pytest.mark.parametrize(
    "pattern",
    ["re:(a+)+$", "re:([a-z.]+)*x", "re:(", "re:.*.*.*.*.*.*x", f"re:{'a' * 400}", "a*b*c*d*e*f"],
)
def test_patterns_that_could_take_for_ever_are_named(pattern):
    started = time.monotonic()
    entry = read(
        changed(
            LLAMA, quantization_config={"quant_method": "fp8", "modules_to_not_convert": [pattern]}
        )
    )

    assert time.monotonic() - started < 2.0
    assert "not understood, of the modules that stay at 16 bits" in entry.notes
    assert entry.wide_attention == 0.0


def test_a_long_list_of_names_is_quick():
    names = [f"model.layers.{n}.self_attn.{m}_proj" for n in range(126) for m in "qkvo"]
    quantised = {"quant_method": "fbgemm_fp8", "modules_to_not_convert": names}
    started = time.monotonic()
    entry = read(changed(LLAMA, num_hidden_layers=126, quantization_config=quantised))

    assert time.monotonic() - started < 5.0
    assert (entry.wide_attention, entry.wide_ffn) == (1.0, 0.0)
