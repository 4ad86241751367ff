"""The fewest devices that hold a model and its batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore import catalog
from perfcore.api import sweep
from perfcore.configuration.configuration import Configuration
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS
from perfcore.limits import Limits
from perfcore.physics.operators import body_read_bytes
from perfcore.physics.parallelism import lay_out
from perfcore.physics.sizing import (
    LARGEST_DEGREE,
    fewest_devices,
    fits,
    held_bytes,
    of_prompts,
    read_shares,
    weight_bytes_per_device,
    with_degrees,
)
from perfcore.physics.weights import expert_bytes, weight_bytes
from perfcore.records import SCHEDULER_CONTINUOUS, SCHEDULER_STATIC, Deployment
from perfcore.space.spec import Spec
from physics.worked import BF16, DEEPSEEK, ENGINE, FP8, H100, KV16, LLAMA, deployed, digits


def test_weights_of_groups():
    """DeepSeek-V3 in 2 groups of 8: experts on 16 devices, everything else on 8 per group."""
    layout = lay_out(DEEPSEEK, H100, deployed(tp=8.0, dp=2.0))
    routed = expert_bytes(DEEPSEEK, FP8)
    rest = weight_bytes(DEEPSEEK, FP8) - routed

    assert routed == DEEPSEEK.experts * DEEPSEEK.expert_elements * FP8.bits / 8
    assert weight_bytes_per_device(DEEPSEEK, FP8, layout, 0.0) == digits(rest / 8 + routed / 16)


def test_shares_of_weights_that_a_pass_reads():
    """DeepSeek-V3 in 2 groups of 8: 2.2 of the 43 GB of a device are in every pass."""
    layout = lay_out(DEEPSEEK, H100, deployed(tp=8.0, dp=2.0))
    held = weight_bytes_per_device(DEEPSEEK, FP8, layout, 0.0)
    body, expert = read_shares(DEEPSEEK, FP8, layout)

    assert 256 * expert == digits(expert_bytes(DEEPSEEK, FP8) / 16 / held)
    assert body == digits(body_read_bytes(DEEPSEEK, FP8) / 8 / held)
    embedding = DEEPSEEK.embedding_elements * FP8.embedding_bits / 8 / 8 / held
    assert body + 256 * expert + embedding == digits(1.0)


def test_redundant_experts_are_held():
    """72 ranks hold 288 experts of DeepSeek-V3, 32 of them a second time."""
    layout = lay_out(DEEPSEEK, H100, deployed(dp=72.0, ep=72.0))
    redundant = expert_bytes(DEEPSEEK, FP8) * 32 / 256

    assert held_bytes(DEEPSEEK, FP8, layout) == digits(weight_bytes(DEEPSEEK, FP8) + redundant)


def test_fewest_devices():
    """Llama-3-70B in bf16 is 141 GB: too large for 1 H100 of 80 GB, and for 2 at 0.9 and 2 GB."""
    engine = ENGINE._replace(memory_fraction=0.9, memory_reserve=2e9)
    device = H100._replace(memory_capacity=80e9)
    empty = deployed(tp=0.0)
    known = (LLAMA, device, engine, BF16, KV16)

    chosen = fewest_devices(*known, empty, 4_096.0)

    assert chosen == with_degrees(empty, 4.0, 1.0)
    assert fits(*known, chosen, 4_096.0)
    assert not fits(*known, with_degrees(empty, 2.0, 1.0), 4_096.0)


MODELS = ("llama-3.1-8b", "llama-3-70b", "llama-3.1-405b", "deepseek-v3", "qwen3-next-80b-a3b")


def entries(model, device, weights):
    sheet = catalog.load_device(device)
    return (
        catalog.load_model(model).record(),
        sheet.record(),
        catalog.load_engine("default").record(sheet),
        catalog.load_weight_format(weights).record(),
        catalog.load_kv_format("bf16").record(),
    )


@given(
    model=st.sampled_from(MODELS),
    device=st.sampled_from(("h100-sxm", "rtx-4090", "b200", "tpu-v5e", "groq-lpu", "wse-3")),
    weights=st.sampled_from(("bf16", "fp8", "q4_0")),
    batch=st.sampled_from((1.0, 8.0, 64.0)),
    scheduler=st.sampled_from((SCHEDULER_STATIC, SCHEDULER_CONTINUOUS)),
    length=st.integers(128, 20_000).map(float),
)
def test_nothing_smaller_fits(model, device, weights, batch, scheduler, length):
    known = entries(model, device, weights)
    empty = Deployment(tp=0.0, pp=0.0, batch=batch, scheduler=scheduler)
    chosen = fewest_devices(*known, empty, length)
    spatial = known[1].spatial == 1.0

    assert chosen._replace(tp=0.0, pp=0.0) == empty
    if chosen.pp > 1.0:
        smaller = with_degrees(chosen, chosen.tp, chosen.pp - 1.0)
    else:
        smaller = with_degrees(chosen, chosen.tp / 2.0, 1.0)
    if chosen.tp * chosen.pp > 1.0:
        assert not fits(*known, smaller, length)
    if spatial or chosen.pp < known[0].layers:
        assert fits(*known, chosen, length * (1 - 1e-9)) or scheduler == SCHEDULER_CONTINUOUS


def test_every_model_of_the_catalogue_runs_somewhere():
    faults = [
        name
        for name in catalog.names("model")
        for point in [Configuration(name, "h200-sxm", devices="auto", input_len=256).evaluate()]
        if point.status not in (0.0, 6.0) or not 0.0 < point.tpot_s < 10.0
    ]

    assert faults == []


@pytest.mark.parametrize(
    ("device", "engine", "what_if"),
    [
        ("groq-lpu", "llamacpp", {}),  # keeps more memory in reserve than a chip has
        ("m2-max", "default", {"model.layers": {"scale": 1.01}}),  # 80.8 layers
        ("m2-max", "default", {"device.scale_up_domain": 1e9, "model.heads": 2**19}),
    ],
)
def test_chosen_degrees_are_among_those_that_axes_admit(device, engine, what_if):
    axes = {"model": "llama-3-70b", "device": device, "engine": engine, "input_len": 4_096}
    spec = {
        "axes": {**axes, "devices": "auto", "batch": 4_096},
        "what_if": what_if,
        "output": {"keep_infeasible": True},
    }
    (row,) = sweep(spec).to_pylist()
    one = Configuration(**axes, batch=4_096, devices="auto", overrides=what_if)
    limits = [AXIS_INPUTS[name].limits for name in ("tp", "pp")]

    assert {limit.high for limit in limits} == {LARGEST_DEGREE}
    assert (row["tp"], row["pp"]) == (one.numbers["tp"], one.numbers["pp"])
    assert (row["tp"], row["pp"]) == (one.records.deployment.tp, one.records.deployment.pp)
    assert all(map(Limits.admits, limits, (row["tp"], row["pp"])))
    assert row["status"] == one.to_dict()["status"]


def test_groq_needs_hundreds_of_chips():
    """Llama-3-70B in fp8 needs at least 338 LPUs of 230 MB: 70.6 GB and a tenth in reserve."""
    chosen = Configuration("llama-3-70b", "groq-lpu", weight_format="fp8", devices="auto")

    assert 338 <= chosen.device_count <= 360
    assert chosen.labels["pp"] == chosen.device_count


def test_a_sweep_says_what_it_chose():
    table = sweep(
        {
            "axes": {
                "model": ["llama-3.1-8b", "llama-3-70b", "llama-3.1-405b"],
                "device": ["h100-sxm", "groq-lpu"],
                "devices": "auto",
                "batch": [1, 32],
                "input_len": [512, 7000],
                "output_len": [64],
            },
            "output": {
                "columns": ["tpot_s", "status"],
                "keep_infeasible": True,
                "significant_bits": 24,
            },
        }
    )

    for row in table.to_pylist():
        one = Configuration(
            row["model"],
            row["device"],
            devices="auto",
            batch=row["batch"],
            input_len=row["input_len"],
            output_len=row["output_len"],
        )
        assert (row["tp"], row["pp"]) == (one.labels["tp"], one.labels["pp"])
        assert row["tpot_s"] == np.float32(one.evaluate().tpot_s)


@pytest.mark.parametrize(
    ("axes", "words"),
    [({"devices": 8}, "not 'auto'"), ({"devices": "auto", "tp": [8]}, "as well as devices")],
)
def test_faulty_devices(axes, words):
    with pytest.raises(InputError, match=words):
        Spec.from_dict({"axes": {"model": ["llama-3-8b"], "device": ["b200"], **axes}})


def test_faulty_devices_of_one_configuration():
    with pytest.raises(InputError, match="or 'auto'"):
        Configuration("llama-3-8b", "b200", devices="eight")
    with pytest.raises(InputError, match="multiple of dp"):
        Configuration("llama-3-8b", "b200", devices=8, dp=3)
    with pytest.raises(InputError, match="can be divided among"):
        Configuration("llama-3-8b", "b200", devices=640)
    with pytest.raises(InputError, match="leave out"):
        Configuration("llama-3-8b", "b200", devices="auto", tp=8)


def test_only_degrees_change():
    """``with_degrees`` relies on the order of a deployment's fields."""
    before = Deployment(*(float(n) for n in range(10, 10 + len(Deployment._fields))))

    assert with_degrees(before, 2.0, 3.0) == before._replace(tp=2.0, pp=3.0)


def test_prompts_have_their_own_degrees():
    """Those that are not given are those of decode; ``of_prompts`` relies on the order, too."""
    before = Deployment(*(float(n) for n in range(10, 10 + len(Deployment._fields))))
    alike = before._replace(prefill_tp=0.0, prefill_pp=0.0, prefill_dp=0.0, prefill_ep=0.0)
    own = {name: getattr(before, f"prefill_{name}") for name in ("tp", "pp", "dp", "ep")}

    assert of_prompts(alike) == alike
    assert of_prompts(before) == before._replace(**own)
