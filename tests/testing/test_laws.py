"""Laws that hold for every configuration, and tests against mistakes of other models."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfcore import catalog, records
from perfcore.physics.prefill import prompts_of
from perfcore.physics.weights import parameters
from perfcore.testing import (
    LawBrokenError,
    Scenario,
    check_laws,
    deployments,
    ideal_engine,
    scenarios,
)

ALONE = records.Deployment(
    tp=1.0,
    pp=1.0,
    dp=1.0,
    ep=1.0,
    batch=1.0,
    scheduler=records.SCHEDULER_STATIC,
    prefix_hit=0.0,
    draft_len=0.0,
    acceptance=0.0,
    offload=records.OFFLOAD_NONE,
)


def made(
    model,
    device="h100-sxm",
    *,
    engine="default",
    weights="bf16",
    cache="bf16",
    deployment=ALONE,
    input_len=1_024.0,
    output_len=256.0,
    **changes,
):
    """Return a configuration of catalogue entries; ``changes`` are fields of the deployment."""
    sheet = catalog.load_device(device)
    return Scenario(
        catalog.load_model(model).record(),
        sheet.record(),
        catalog.load_engine(engine).record(sheet),
        catalog.load_weight_format(weights).record(),
        catalog.load_kv_format(cache).record(),
        deployment._replace(**changes),
        catalog.default_economics(),
        input_len,
        output_len,
    )


def ideal(model, **changes):
    """Return the physical bound of a model on one H100."""
    return made(model, engine="ideal", **changes).evaluate()


@given(scenario=scenarios())
@settings(max_examples=max(200, settings.default.max_examples))  # to draw takes longest
def test_every_law(scenario):
    check_laws(scenario)


@given(
    model=st.sampled_from(catalog.names("model")),
    device=st.sampled_from(catalog.names("device")),
    engine=st.sampled_from(catalog.names("engine")),
    weights=st.sampled_from(catalog.names("weight_format")),
    cache=st.sampled_from(catalog.names("kv_format")),
    deployment=deployments(),
    input_len=st.integers(1, 200_000).map(float),
    output_len=st.integers(1, 20_000).map(float),
)
def test_catalogue_keeps_every_law(
    model, device, engine, weights, cache, deployment, input_len, output_len
):
    check_laws(
        made(
            model,
            device,
            engine=engine,
            weights=weights,
            cache=cache,
            deployment=deployment,
            input_len=input_len,
            output_len=output_len,
        )
    )


@given(
    model=st.sampled_from(catalog.names("model")),
    device=st.sampled_from(catalog.names("device")),
    engine=st.sampled_from(catalog.names("engine")),
    weights=st.sampled_from(catalog.names("weight_format")),
    deployment=deployments(),
    input_len=st.integers(1, 20_000).map(float),
    output_len=st.integers(1, 2_000).map(float),
)
def test_no_engine_beats_the_ideal_one(
    model, device, engine, weights, deployment, input_len, output_len
):
    """With the same running requests: more may fit with the ideal engine, each then slower."""
    real, bound = (
        made(
            model,
            device,
            engine=name,
            weights=weights,
            deployment=deployment,
            input_len=input_len,
            output_len=output_len,
        ).evaluate()
        for name in (engine, "ideal")
    )

    if real.running_batch == bound.running_batch and deployment.offload == records.OFFLOAD_NONE:
        assert real.tpot_s >= bound.tpot_s * (1 - 1e-9)
        assert real.ttft_s >= bound.ttft_s * (1 - 1e-9)


@given(scenario=scenarios(spatial=False))
def test_one_tensor_parallel_device_has_no_exchange(scenario):
    """A static batch on pipeline stages of one device each only hands over."""
    pp = scenario.deployment.pp
    staged = scenario.with_deployment(
        tp=1.0, dp=1.0, ep=1.0, draft_len=0.0, scheduler=records.SCHEDULER_STATIC
    )
    size = scenario.model.hidden_size * scenario.weight_format.activation_bytes
    hand_over = size * scenario.deployment.batch / scenario.device.link_bandwidth
    hand_over += scenario.engine.hop_latency

    assert staged.evaluate().network_s == pytest.approx((pp - 1) * hand_over, rel=1e-9)


def test_broken_law_is_told():
    """Power above the limit breaks a law, which the error names."""
    broken = made("llama-3-8b", pp=8.0).with_device(idle_power=1e6)

    with pytest.raises(LawBrokenError, match="decode power is within the limit"):
        check_laws(broken)


@pytest.mark.parametrize("model", ["llama-3-8b", "mixtral-8x7b"])
def test_speculation_fades_with_the_batch(model):
    """Short contexts: a gain for one sequence, a loss if verification is compute-bound."""
    gains = []
    for batch in (16.0, 64.0, 256.0, 1_024.0, 4_096.0):
        plain = made(model, batch=batch, input_len=16.0, output_len=16.0)
        drafted = plain.with_deployment(draft_len=4.0, acceptance=0.8)
        gains.append(plain.evaluate().tpot_s / drafted.evaluate().tpot_s)

    assert gains[0] > 1.3
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] < 1.0


def test_ideal_engine_of_the_catalogue_is_as_ideal():
    """The catalogue's ``ideal`` engine equals ``ideal_engine`` of any other."""
    sheet = catalog.load_device("h100-sxm")
    named = catalog.load_engine("ideal").record(sheet)

    assert ideal_engine(named) == named


# ----------------------------------------------- mistakes found in other models, one test each


def test_kv_cache_is_read_once():
    point = ideal("llama-2-13b", batch=4.0, input_len=1_000.0, output_len=100.0)

    assert point.kv_s == pytest.approx(4 * 1_050 * 40 * 2 * 40 * 128 * 2 / 3.35e12, rel=1e-9)


def test_kv_cache_counts_kv_heads_not_query_heads():
    model = catalog.load_model("llama-3-70b").record()

    assert model.global_kv_elements == 80 * 2 * 8 * 128
    assert model.heads == 64


def test_explicit_head_dim_rules():
    """Qwen3-0.6B: 16 heads of 128, 2048 in total, at a hidden size of 1024."""
    entry = catalog.load_model("qwen3-0.6b")

    assert entry.head_dim * entry.num_attention_heads == 2 * entry.hidden_size
    assert entry.record().global_kv_elements == entry.num_hidden_layers * 2 * 8 * 128
    assert entry.record().attention_out_elements == entry.num_hidden_layers * 2_048 * 1_024


def test_lm_head_is_read_and_the_embedding_is_not():
    """Removing the embedding changes no time; removing the lm_head does."""
    whole = made("llama-3-8b", engine="ideal")
    lookup = whole._replace(model=whole.model._replace(embedding_elements=0.0))
    headless = whole._replace(model=whole.model._replace(lm_head_elements=0.0))

    assert lookup.evaluate().tpot_s == whole.evaluate().tpot_s
    saved = whole.evaluate().weights_s - headless.evaluate().weights_s
    assert saved == pytest.approx(128_256 * 4_096 * 2 / 3.35e12, rel=1e-9)


def test_tied_embedding_is_kept_once_and_read():
    model = catalog.load_model("gemma-2-2b").record()

    assert model.embedding_elements == 0.0
    assert model.lm_head_elements == 256_000 * 2_304


def test_causal_mask_halves_attention():
    """Prefill attention of twice the prompt: four times the pairs, half of the square."""
    model = catalog.load_model("llama-3-8b").record()
    work = prompts_of(model, 1.0, 4_096.0, 0.0)

    assert work.global_pairs == pytest.approx(4_096**2 / 2, rel=1e-3)


def test_scores_never_touch_memory():
    """Bytes of a prefill's attention are proportional to its tokens, not to their square."""
    model = catalog.load_model("llama-3-8b").record()
    deployment = made("llama-3-8b", engine="ideal")
    slow = deployment.with_device(
        memory_bandwidth=1.0, flops_fp16=1e30, flops_fp8=1e30, flops_fp32=1e30
    )
    one = slow._replace(input_len=1e6).evaluate().ttft_s
    two = slow._replace(input_len=2e6).evaluate().ttft_s
    three = slow._replace(input_len=3e6).evaluate().ttft_s

    assert three - two == pytest.approx(two - one, rel=1e-9)
    assert model.experts == 0.0


def test_peak_rates_are_dense():
    """Data sheets: H100 989, A100 312, B200 2250 TFLOP/s in bf16; with sparsity twice that."""
    for name, flops in (("h100-sxm", 989e12), ("a100-80gb", 312e12), ("b200", 2_250e12)):
        assert catalog.load_device(name).record().flops_fp16 == pytest.approx(flops, rel=0.01)


def test_gigabytes_are_not_gibibytes():
    """80 GB of an A100 are 80 GiB of HBM, its bandwidth is in powers of ten."""
    device = catalog.load_device("a100-80gb").record()

    assert device.memory_capacity == pytest.approx(80 * 2**30, rel=0.01)
    assert device.memory_bandwidth == pytest.approx(2.039e12, rel=0.01)


def test_windows_are_capped_in_memory_and_in_traffic():
    """Gemma-3-27B at 131,072 tokens: six times less than without windows."""
    windowed = made("gemma-3-27b", input_len=131_000.0, output_len=72.0)
    wide = windowed._replace(model=windowed.model._replace(window=1e9))

    saved = wide.evaluate().kv_bytes_per_device / windowed.evaluate().kv_bytes_per_device
    faster = wide.evaluate().kv_s / windowed.evaluate().kv_s
    assert saved == pytest.approx(5.96, rel=1e-2)
    assert faster > 5


def test_latent_cache_is_neither_doubled_nor_split():
    """DeepSeek-V3: 576 elements per token and layer, on each of 8 devices as on one."""
    one = made("deepseek-v3").evaluate()
    eight = made("deepseek-v3", tp=8.0).evaluate()

    assert one.kv_bytes_per_device == 61 * 576 * 2 * (1_024 + 256)
    assert eight.kv_bytes_per_device == one.kv_bytes_per_device


def test_kv_heads_are_copied_beyond_their_number():
    """Llama-3-70B has 8 KV heads: each of 16 devices holds as much as each of 8."""
    eight = made("llama-3-70b", tp=8.0).evaluate()
    more = made("llama-3-70b", tp=16.0).evaluate()

    assert more.kv_bytes_per_device == eight.kv_bytes_per_device


def test_all_experts_are_kept_and_the_distinct_ones_read():
    """Mixtral 8x7B, 2 of 8 experts: one sequence reads a quarter of them, 64 read all."""
    deployment = made("mixtral-8x7b", engine="ideal")
    model = deployment.model
    experts = 8 * model.expert_elements * 2
    one = deployment.with_deployment(batch=1.0).evaluate()
    many = deployment.with_deployment(batch=64.0).evaluate()

    assert one.weight_bytes_per_device == many.weight_bytes_per_device
    assert one.weight_bytes_per_device > experts
    assert many.weights_s - one.weights_s == pytest.approx(0.75 * experts / 3.35e12, rel=1e-6)


def test_multi_token_prediction_layers_are_left_out():
    """DeepSeek-V3 has 671B parameters without the 11.5B of its unused prediction layers."""
    record = catalog.load_model("deepseek-v3").record()

    assert parameters(record) == pytest.approx(671.0e9, rel=1e-3)


def test_prefill_is_not_sped_up_by_what_helps_decode_only():
    """Host time per sequence counts in decode steps only."""
    deployment = made("llama-3-8b")
    slow = deployment.with_engine(host_per_sequence=1.0)

    assert slow.evaluate().ttft_s == deployment.evaluate().ttft_s
    assert slow.evaluate().tpot_s > 1.0


@given(scenario=scenarios())
def test_energy_is_the_boards(scenario):
    """Board power is between 0 and its limit, and energy follows from it."""
    static = scenario.with_deployment(scheduler=records.SCHEDULER_STATIC)
    point = static.evaluate()
    deployment = static.deployment
    devices = deployment.tp * deployment.pp * deployment.dp
    watts = point.energy_per_request_j * point.requests_per_s / devices

    assert 0 <= watts <= scenario.device.board_power * (1 + 1e-9)
    assert watts == pytest.approx(point.power_w, rel=1e-9)


def test_kv_budget_is_what_weights_and_reserve_leave():
    """H100, Llama-3-8B, 0.9 of the memory less 1.5 GB less 16 GB of weights."""
    deployment = made("llama-3-8b").with_engine(memory_fraction=0.9, memory_reserve=1.5e9)
    point = deployment.evaluate()
    usable = deployment.device.memory_capacity * 0.9 - 1.5e9
    sequence = 32 * 2 * 8 * 128 * 2 * (1_024 + 256)

    assert point.max_batch == math.floor((usable - point.weight_bytes_per_device) / sequence)


def test_tpot_excludes_the_first_token():
    point = made("llama-3-8b", output_len=1.0).evaluate()

    assert point.e2e_latency_s == point.ttft_s


@pytest.mark.parametrize("device", ["a100-80gb", "tpu-v5e", "mi250x", "v100-sxm-32gb"])
@pytest.mark.parametrize("weights", ["fp8", "nvfp4", "mxfp4", "int8-w8a8"])
def test_device_without_the_format_computes_wider(device, weights):
    deployment = made("llama-3-8b", device, weights=weights)
    point = deployment.evaluate()

    assert point.status != 4
    assert math.isfinite(point.tpot_s)
