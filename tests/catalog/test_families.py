"""Models of any size, against the real models that they stand for."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfcore.catalog.families import LARGEST, SMALLEST, dense_model, moe_model
from perfcore.catalog.loader import load_model
from perfcore.catalog.parameters import active_parameter_count, parameter_count
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError

sizes = st.floats(8, 13).map(lambda power: min(max(10**power, SMALLEST), LARGEST))
grid = [10 ** (8 + 5 * step / 59) for step in range(60)]


def near(value, reference):
    return value == pytest.approx(reference, rel=0.1)


@given(sizes)
@settings(deadline=None)
def test_dense_models_have_the_size_asked_for(params):
    entry = dense_model(params)

    assert parameter_count(entry) == pytest.approx(params, rel=0.03)
    assert entry == dense_model(params)
    assert entry.hidden_size % 128 == 0
    assert entry.num_attention_heads % 8 == 0
    assert entry.hypothetical


@given(sizes)
@settings(deadline=None)
def test_mixtures_have_the_size_asked_for(params):
    entry = moe_model(params)

    assert parameter_count(entry) == pytest.approx(params, rel=0.03)
    assert entry.hidden_size % 128 == 0
    assert entry.num_experts > entry.num_experts_per_tok


@given(st.floats(9, 13), st.floats(-1.5, -0.3))
@settings(deadline=None)
def test_mixtures_have_the_active_size_asked_for(power, share):
    params = min(10**power, LARGEST)
    active = params * 10**share
    entry = moe_model(params, active)

    assert parameter_count(entry) == pytest.approx(params, rel=0.03)
    assert active_parameter_count(entry) == pytest.approx(active, rel=0.1)


@pytest.mark.parametrize("name", ["llama-3-8b", "llama-3.1-70b", "llama-3.1-405b"])
def test_dense_family_is_llama_3_at_its_sizes(name):
    real = load_model(name)
    made = dense_model(parameter_count(real))
    record, reference = made.record(), real.record()

    assert near(record.global_kv_elements, reference.global_kv_elements)
    assert near(active_parameter_count(made), active_parameter_count(real))
    assert near(record.layers, reference.layers)
    assert near(record.hidden_size, reference.hidden_size)
    assert near(record.global_score_flops, reference.global_score_flops)
    assert near(record.ffn_in_elements, reference.ffn_in_elements)
    assert record.all_reduces == reference.all_reduces


@pytest.mark.parametrize("name", ["llama-3.2-1b", "llama-3.2-3b"])
def test_dense_family_has_the_cache_and_weights_of_small_llamas(name):
    real = load_model(name)
    made = dense_model(parameter_count(real))

    assert near(made.record().global_kv_elements, real.record().global_kv_elements)
    assert near(active_parameter_count(made), active_parameter_count(real))


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("mistral-7b-v0.3", 0.12),
        ("mistral-nemo-12b", 0.12),
        ("mistral-large-123b", 0.12),
        ("qwen3-8b", 0.12),
        ("qwen3-14b", 0.12),
        ("qwen3-32b", 0.12),
        ("qwen2.5-32b", 0.12),
        ("qwen2.5-72b", 0.12),
    ],
)
def test_dense_family_is_close_to_other_families(name, tolerance):
    real = load_model(name)
    made = dense_model(parameter_count(real))

    assert made.record().global_kv_elements == pytest.approx(
        real.record().global_kv_elements, rel=tolerance
    )
    assert active_parameter_count(made) == pytest.approx(
        active_parameter_count(real), rel=tolerance
    )


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "qwen3-235b-a22b"])
def test_mixtures_are_qwen3_at_its_sizes(name):
    real = load_model(name)
    made = moe_model(parameter_count(real))
    record, reference = made.record(), real.record()

    assert near(record.global_kv_elements, reference.global_kv_elements)
    assert near(active_parameter_count(made), active_parameter_count(real))
    assert near(record.expert_elements, reference.expert_elements)
    assert near(record.experts, reference.experts)
    assert near(record.hidden_size, reference.hidden_size)


def test_larger_models_are_deeper_and_larger():
    entries = [dense_model(params) for params in grid]

    counts = [parameter_count(entry) for entry in entries]
    assert counts == sorted(counts)
    depths = [entry.num_hidden_layers for entry in entries]
    assert depths == sorted(depths)


def test_larger_mixtures_are_deeper_and_larger():
    entries = [moe_model(params) for params in grid]

    counts = [parameter_count(entry) for entry in entries]
    assert counts == sorted(counts)
    depths = [entry.num_hidden_layers for entry in entries]
    assert depths == sorted(depths)


def test_sixty_sizes_take_less_than_a_second():
    start = time.process_time()  # others may use the processors, too
    for params in grid:
        dense_model(params)
        moe_model(params)

    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("params", "name"), [(70e9, "dense-70B"), (1.5e12, "dense-1.5T"), (150e6, "dense-150M")]
)
def test_names(params, name):
    assert dense_model(params).name == name


def test_names_of_mixtures():
    assert moe_model(235e9, 22e9).name == "moe-235B-A22B"


@pytest.mark.parametrize("params", [9e7, 2e13, math.inf, math.nan, -1])
def test_sizes_out_of_range_are_refused(params):
    with pytest.raises(InputError, match=r"dense: params = .* is out of range"):
        dense_model(params)
    with pytest.raises(InputError, match=r"moe: params = .* is out of range"):
        moe_model(params)


def test_active_sizes_out_of_range_are_refused():
    with pytest.raises(InputError, match="1 % to 60 % of params"):
        moe_model(1e10, 9e9)
    with pytest.raises(InputError, match=r"nearest: .*give another active size"):
        moe_model(1.4e8, 2e6)


@pytest.mark.parametrize(
    "name",
    ["llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"],
)
def test_dense_family_takes_as_long_as_the_model_of_its_size(name):
    real = load_model(name)
    made = dense_model(parameter_count(real))
    times = [
        Configuration(model, "h200-sxm", tp=8, batch=4, input_len=2048).evaluate().tpot_s
        for model in (real, made)
    ]

    assert times[1] == pytest.approx(times[0], rel=0.1)


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "qwen3-235b-a22b"])
def test_moe_family_takes_as_long_as_the_model_of_its_size(name):
    real = load_model(name)
    made = moe_model(parameter_count(real), active_parameter_count(real))
    times = [
        Configuration(model, "h200-sxm", tp=4, batch=4, input_len=2048).evaluate().tpot_s
        for model in (real, made)
    ]

    assert times[1] == pytest.approx(times[0], rel=0.1)
