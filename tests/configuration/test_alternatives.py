"""Neighbours of a configuration, and what better hardware gains."""

import pytest

import perfcore
from configuration.cases import CASES, EIGHT_FP8, REFUSED, arguments, every_case, made, point
from perfcore.columns import STATUS
from perfcore.configuration.alternatives import LEVERS, alternatives, fitting, gains
from perfcore.configuration.configuration import Configuration
from perfcore.units import format_quantity

# Numbers


@every_case
def test_what_would_help_is_evaluated_and_agrees_with_the_elasticities(case):
    configuration = made(case)
    before = configuration.evaluate()
    found = gains(configuration)

    assert [gain.lever for gain in found] == list(LEVERS)
    for gain in found:
        factor, _, elasticity = LEVERS[gain.lever]
        saved = max(factor - 1.0, 0.0) / factor or 1.0 - factor
        assert gain.tpot_s <= 1e-12
        assert gain.ttft_s <= 1e-12
        assert -gain.tpot_s / before.tpot_s == pytest.approx(
            getattr(before, elasticity) * saved, rel=0.05, abs=1e-4
        )


def test_a_gain_is_what_a_what_if_gives():
    model, device, options = CASES["tensor parallel"]
    (bandwidth, *_) = gains(Configuration(model, device, **options))
    row = perfcore.evaluate(
        model, device, **options, overrides={"device.memory_bandwidth": {"scale": 1.1}}
    )

    assert bandwidth.after.tpot_s == pytest.approx(row["tpot_s"], rel=1e-12)
    assert f"{bandwidth.tpot_s * 1e3:+.3f} ms" in point(*EIGHT_FP8)


# Alternatives


@every_case
def test_alternatives_are_what_evaluating_them_gives(case):
    model, device, options = case
    found = alternatives(made(case))

    assert found
    for other in found:
        labels = other.configuration.labels
        changed = {
            name: labels[name] for name in ("weight_format", "kv_format", "tp", "pp", "dp", "ep")
        }
        row = perfcore.evaluate(model, device, **{**options, **changed})
        assert row["tpot_s"] == other.point.tpot_s
        assert row["status"] == STATUS[int(other.point.status)]
        assert row["cost_per_mtok_output_usd"] == other.point.cost_per_mtok_output_usd


def test_alternatives_of_eight_gpus():
    found = {a.difference: a for a in alternatives(made(CASES["tensor parallel"]))}
    text = point(*EIGHT_FP8)

    assert list(found) == [
        "weights int4-g128",
        "weights bf16",
        "KV cache fp8",
        "4 devices (tp 4)",
        "16 devices (tp 16)",
    ]
    for name, other in found.items():
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert format_quantity(other.point.tpot_s, "s") in line
        assert f"{other.point.cost_per_mtok_output_usd:.4g}" in line


@pytest.mark.parametrize(
    ("model", "device", "weights", "expected"),
    [
        ("llama-3-8b", "h100-sxm", "bf16", ["fp8"]),
        ("llama-3-8b", "a100-80gb-sxm", "bf16", ["int8-w8a8"]),  # it has no FP8 arithmetic
        ("llama-3-8b", "h100-sxm", "fp8", ["int4-g128", "bf16"]),  # nor FP4
        ("llama-3-8b", "b200", "fp8", ["mxfp4", "bf16"]),
        ("llama-3-8b", "m3-ultra", "q8_0", ["q6_k", "gguf-f16"]),
        ("llama-3-8b", "m3-ultra", "q4_0", ["iq3_m", "q5_0"]),
    ],
)
def test_next_weight_formats_are_ones_that_the_device_multiplies_in(
    model, device, weights, expected
):
    found = alternatives(Configuration(model, device, weight_format=weights))
    names = [a.configuration.labels["weight_format"] for a in found]

    assert [name for name in names if name != weights] == expected


def test_experts_on_all_devices_stay_on_all_devices():
    found = {a.difference for a in alternatives(made(CASES["server"]))}

    assert "8 devices (dp 8, ep 8)" in found
    assert "32 devices (tp 4, dp 8, ep 32)" in found


def test_an_alternative_that_cannot_run_says_why():
    text = point(*arguments(CASES["spatial"]))

    assert "288 devices (pp 288)" in text
    assert "does not run: weights do not fit" in text


# What cannot run


def test_fewest_devices_are_the_first_remedy():
    model, device, _ = REFUSED["weights do not fit"]
    (first, second, *_) = fitting(Configuration(model, device))

    assert first.difference == "2 devices (tp 2)"
    assert second.difference == "weights fp8"
    assert first.point.tpot_s == perfcore.evaluate(model, device, tp=2)["tpot_s"]


def test_fewest_devices_without_degrees_that_cannot_be():
    (only,) = fitting(Configuration("llama-3-8b", "h100-sxm", tp=3, dp=2, ep=2, batch=5000))
    alone = Configuration("llama-3-8b", "h100-sxm", devices="auto", batch=5000)

    assert only.difference == "16 devices (tp 8, pp 2)"
    assert only.configuration.device_count == alone.device_count
    assert only.point == alone.evaluate()
