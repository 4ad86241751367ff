"""Hypothesis strategies for all records, scenarios and sweeps."""

import math
from functools import cache

from hypothesis import strategies as st

from perfcore import catalog
from perfcore.catalog.model_entry import ModelEntry
from perfcore.inputs import LIMITS
from perfcore.limits import Limits
from perfcore.records import (
    OFFLOAD_EXPERTS,
    OFFLOAD_KV,
    OFFLOAD_NONE,
    OFFLOAD_WEIGHTS,
    SCHEDULER_CONTINUOUS,
    SCHEDULER_DISAGGREGATED,
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    WeightFormat,
)
from perfcore.testing.scenario import LATENCIES, Scenario, ideal_engine

_ALL_LAYERS = Deployment().gpu_layers


@cache
def _reals(low: float, high: float) -> st.SearchStrategy[float]:
    """Real numbers, uniform on a logarithmic scale, including both ends."""
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


@cache
def _shares(low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@cache
def within(limits: Limits) -> st.SearchStrategy[float]:
    """Return values within the limits of a field: codes, counts, or logarithmically uniform."""
    if limits.whole and limits.high <= 64:
        return st.integers(int(limits.low), int(limits.high)).map(float)
    least = max(limits.low, limits.least, 1e-9)
    values = _reals(least, limits.high)
    if limits.whole:
        values = values.map(math.floor).map(float)
    return st.just(0.0) | values if limits.low == 0.0 else values


@cache
def _other_fields(record: str, drawn: frozenset[str]) -> st.SearchStrategy[dict[str, float]]:
    """Return values of the fields for which a strategy has no narrower range of its own."""
    fields = LIMITS[record].items()
    return st.fixed_dictionaries(
        {name: within(limits) for name, limits in fields if name not in drawn}
    )


@st.composite
def _architectures(draw: st.DrawFn, max_layers: int) -> ModelEntry:
    """Random architectures: global, window, latent, indexed, linear attention, states, MoE."""
    head_dim = draw(st.sampled_from((32, 64, 80, 128, 256)))
    kv_heads = draw(st.sampled_from((1, 2, 4, 8, 16)))
    group = draw(st.sampled_from((1, 2, 4, 7, 8, 16)))
    layers = draw(st.integers(1, max_layers))
    fields: dict[str, object] = {
        "name": "random",
        "source": "perfcore.testing",
        "hypothetical": True,
        "hidden_size": 64 * draw(st.integers(1, 256)),
        "num_hidden_layers": layers,
        "vocab_size": draw(st.integers(1_000, 300_000)),
        "tie_word_embeddings": draw(st.booleans()),
        "parallel_block": draw(st.booleans()),
        "norm": draw(st.sampled_from(("scale", "scale-and-bias", "none"))),
        "max_position_embeddings": draw(st.sampled_from((0, 4_096, 131_072))),
        "native_dtype": draw(st.sampled_from(("bf16", "mxfp4 experts"))),
        "num_attention_heads": kv_heads * group,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "gated_mlp": draw(st.booleans()),
        "intermediate_size": 64 * draw(st.integers(1, 512)),
        "ngram_table_parameters": draw(st.sampled_from((0, 0, 0, 0, 10**8, 10**10))),
    }
    mixer = draw(
        st.sampled_from(
            (
                *("F", "S", "SF", "SSSF", "A", "GF", "GGGF", "M", "MF", "LLF", "GGGQ", "QS", "GA"),
                *("SFsf", "Ff", "P"),
            )
        )
    )
    unit = mixer[:layers]
    fields["layer_types"] = unit
    if "S" in unit:
        kind = draw(st.sampled_from(("sliding_window", "attention_chunk_size")))
        fields[kind] = draw(st.sampled_from((128, 1_000, 4_096, 8_192)))
    if "A" in unit:
        fields |= {
            "kv_lora_rank": draw(st.sampled_from((128, 512))),
            "q_lora_rank": draw(st.sampled_from((0, 1_536))),
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
        }
    if "Q" in unit or ("A" in unit and draw(st.booleans())):
        fields |= {
            "index_topk": 2_048,
            "index_n_heads": 64,
            "index_head_dim": 128,
            "index_kpool": draw(st.sampled_from((1, 4))),
        }
    if "G" in unit:
        fields |= {
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
        }
    if "L" in unit:
        fields["conv_kernel"] = 3
    if "f" in unit:
        fields |= {
            "vocab_size_per_layer_input": 10_000,
            "hidden_size_per_layer_input": 64,
            "altup_num_inputs": draw(st.sampled_from((0, 1, 4))),
            "laurel_rank": draw(st.sampled_from((0, 64))),
            "swa_num_attention_heads": draw(st.sampled_from((0, 3 * kv_heads))),
        }
    fields["attn_head_gate"] = draw(st.booleans())
    if "P" in unit:
        fields["mamba_norm"] = draw(st.booleans())
    if "M" in unit or "P" in unit:
        fields |= {
            "mamba_num_heads": 64,
            "mamba_head_dim": 64,
            "n_groups": 8,
            "ssm_state_size": 128,
            "conv_kernel": 4,
        }
    if draw(st.booleans()):
        experts = draw(st.integers(2, 512))
        fields |= {
            "num_experts": experts,
            "num_experts_per_tok": draw(st.integers(1, min(experts, 16))),
            "moe_intermediate_size": 64 * draw(st.integers(1, 64)),
            "shared_expert_intermediate_size": draw(st.sampled_from((0, 2_048))),
            "first_k_dense_replace": draw(st.integers(0, min(3, layers))),
            "router_bias": draw(st.booleans()),
        }
    return ModelEntry.model_validate(fields)


@cache
def model_entries(*, max_layers: int = 128) -> st.SearchStrategy[ModelEntry]:
    """Return published architectures, and random ones of up to ``max_layers`` layers."""
    published = st.sampled_from(catalog.names("model")).map(catalog.load_model)
    return published | _architectures(max_layers)


@cache
def models(*, max_layers: int = 128) -> st.SearchStrategy[Model]:
    """Return the records of ``model_entries``."""
    return model_entries(max_layers=max_layers).map(ModelEntry.record)


@st.composite
def devices(
    draw: st.DrawFn,
    *,
    min_memory_bandwidth: float = 1e10,
    max_memory_bandwidth: float = 1e14,
    min_memory_bytes: float = 1e8,
    max_memory_bytes: float = 1e13,
    spatial: bool | None = None,
) -> Device:
    """Return data sheets, on which narrower arithmetic is faster or absent, as on real devices.

    Parameters
    ----------
    min_memory_bandwidth, max_memory_bandwidth
        [bytes/s]
    min_memory_bytes, max_memory_bytes
        [bytes]
    spatial
        Whether weights stay in SRAM; None for either.
    """
    side_by_side = draw(st.booleans()) if spatial is None else spatial
    fp16 = draw(_reals(1e11, 1e17))
    board_power = draw(_reals(5.0, 30_000.0))
    faster = st.just(0.0) | _reals(1.0, 2.0).map(lambda ratio: ratio * fp16)
    drawn = {
        "memory_capacity": draw(_reals(min_memory_bytes, max_memory_bytes)),
        "memory_bandwidth": draw(_reals(min_memory_bandwidth, max_memory_bandwidth)),
        "flops_fp32": draw(_reals(0.01, 1.0)) * fp16,
        "flops_fp16": fp16,
        "flops_fp16_narrow": draw(faster),
        "flops_fp8": draw(faster),
        "flops_int8": draw(faster),
        "flops_fp4": 2.0 * draw(faster),
        "board_power": board_power,
        "idle_power": board_power * draw(_shares()),
        "link_bandwidth": draw(_reals(1e9, 1e13)),
        "scale_up_domain": draw(st.sampled_from((1.0, 2.0, 4.0, 8.0, 72.0, 1024.0))),
        "network_bandwidth": draw(_reals(1e8, 1e12)),
        "price_per_hour": draw(st.just(0.0) | _reals(0.01, 1_000.0)),
        "spot_price_per_hour": draw(st.just(0.0) | _reals(0.01, 1_000.0)),
        "purchase_price": draw(_reals(10.0, 1e7)),
        "memory2_capacity": draw(st.just(0.0) | _reals(1e8, 1e15)),
        "memory2_bandwidth": draw(_reals(1e8, 1e13)),
        "host_memory_capacity": draw(st.just(0.0) | _reals(1e8, 1e15)),
        "host_memory_bandwidth": draw(_reals(1e8, 1e13)),
        "host_flops": draw(_reals(1e9, 1e15)),
        "spatial": float(side_by_side),
        "layer_latency": draw(_reals(1e-7, 1e-3)) if side_by_side else 0.0,
        "rated_power": board_power,
        "energy_per_bit": draw(_reals(1e-14, 1e-9)),
        "energy_per_flop": draw(_reals(1e-15, 1e-9)),
    }
    others = draw(_other_fields("device", frozenset(drawn)))
    return Device(**drawn, **others)


@cache
def _constant(name: str) -> st.SearchStrategy[float]:
    ranges = {
        "host_memory_bytes": st.just(0.0) | _reals(1e8, 1e13),
        "length_spread": _reals(1.0, 4.0),
        "low_": _shares(0.1, 1.0),
        "high_": _reals(1.0, 10.0),
        "server_": st.just(0.0) | _reals(1e-7, 0.1),
        "host_": st.just(0.0) | _reals(1e-7, 0.1),
        "kv_group_penalty": _shares(0.0, 0.5),
        "memory_fraction": _shares(0.5, 1.0),
        "memory_reserve": st.just(0.0) | _reals(1e6, 1e10),
        "memory_driver_share": st.just(0.0) | _shares(0.001, 0.1),
        "communicator_memory": st.just(0.0) | _reals(1e6, 1e9),
        "activation_width": st.sampled_from((0.0, 1.0, 2.0)),
        "activation_tokens": st.sampled_from((0.0, 512.0, 8_192.0)),
        "sampled_sequences": st.sampled_from((0.0, 8.0, 256.0)),
        "sampler_width": st.just(0.0) | _reals(1.0, 100.0),
        "power_floor": _shares(0.05, 1.0),
        "memory_energy_": st.just(0.0) | _reals(0.01, 100.0),
        "compute_energy_": st.just(0.0) | _reals(0.01, 100.0),
        "expert_imbalance": st.sampled_from((0.0, 1.0)),
        "random_arrivals": st.sampled_from((0.0, 1.0)),
        "scheduled_ahead": st.sampled_from((0.0, 1.0)),
        "reserves_output": st.sampled_from((0.0, 1.0)),
        "expert_half_width": st.just(0.0) | _reals(1.0, 1e4),
        "dense_experts": st.sampled_from((0.0, 1.0)),
        "pads_heads": st.sampled_from((0.0, 1.0)),
        "narrow_accumulation": st.sampled_from((0.0, 1.0)),
        "prefill_chunk": st.sampled_from((1.0, 512.0, 2_048.0, 8_192.0, 65_536.0)),
        "pipeline_chunk": st.sampled_from((512.0, 8_192.0)),
        "prefill_overlap": st.sampled_from((1.0, 2.0, 16.0, 65_536.0)),
        "prefill_pool_load": _shares(0.05, 1.0),
        "block_tokens": st.sampled_from((1.0, 16.0, 128.0)),
        "max_sequences": st.sampled_from((1.0, 8.0, 256.0, 1e9)),
        "draft_layers": st.sampled_from((0.0, 1.0, 4.0)),
        "cpu_stream_tokens": st.sampled_from((0.0, 32.0, 1e9)),
    }
    for prefix, values in ranges.items():
        if name.startswith(prefix):
            return values
    if name in LATENCIES:
        return st.just(0.0) | _reals(1e-8, 1e-3)
    if "efficiency" in name:
        return _shares(0.05, 1.0)
    limits = LIMITS["engine"][name]
    return _shares() if limits.low == 0.0 and limits.high >= 1.0 else within(limits)


@cache
def engines(*, ideal: bool | None = None) -> st.SearchStrategy[Engine]:
    """Return engines; ``ideal`` restricts them to physical bounds (True) or others (False)."""
    drawn = st.fixed_dictionaries({name: _constant(name) for name in Engine._fields})
    real = drawn.map(lambda constants: Engine(**constants))
    if ideal is None:
        return real | real.map(ideal_engine)
    return real.map(ideal_engine) if ideal else real


@cache
def weight_formats(
    *, min_bits: float = 1.5, max_bits: float = 32.0
) -> st.SearchStrategy[WeightFormat]:
    """Return weight formats: those of the catalogue, and variants with other widths."""
    published = st.sampled_from(catalog.names("weight_format")).map(
        lambda name: catalog.load_weight_format(name).record()
    )
    made = st.builds(
        lambda form, bits: form._replace(bits=bits), published, _shares(min_bits, max_bits)
    )
    return made | published.filter(lambda form: min_bits <= form.bits <= max_bits)


@cache
def kv_formats(*, min_bits: float = 1.5, max_bits: float = 32.0) -> st.SearchStrategy[KVFormat]:
    """Return KV-cache formats."""
    bits = st.sampled_from((4.5, 8.0, 16.0)).filter(lambda x: min_bits <= x <= max_bits)
    return st.builds(
        KVFormat, bits=bits | _shares(min_bits, max_bits), quantised=st.sampled_from((0.0, 1.0))
    )


@cache
def economics(*, max_pue: float = 3.0) -> st.SearchStrategy[Economics]:
    """Return facilities, and ways to pay for devices."""
    drawn = {
        "utilization": _shares(0.01, 1.0),
        "purchase": st.sampled_from((0.0, 1.0, 2.0)),
        "price_multiplier": _shares(0.1, 2.0),
        "interest": st.just(0.0) | _shares(1e-3, 0.5),
        "lifetime": _reals(1e6, 1e9),
        "server_factor": _shares(1.0, 3.0),
        "operations": _shares(0.0, 0.5),
        "electricity_price": _shares(0.0, 0.5),
        "token_price": st.just(0.0) | _reals(0.01, 100.0),
        "pue": _shares(1.0, max_pue),
        "node_overhead": _shares(0.0, 1.0),
        "carbon_intensity": _shares(0.0, 1_200.0),
    }
    others = _other_fields("economics", frozenset(drawn))
    return st.builds(
        lambda one, more: Economics(**one, **more), st.fixed_dictionaries(drawn), others
    )


@cache
def _whole(low: int, high: int) -> st.SearchStrategy[float]:
    """Whole numbers, uniform on a logarithmic scale."""
    return _reals(low, high).map(lambda x: float(min(max(round(x), low), high)))


@cache
def _degree(largest: int) -> st.SearchStrategy[float]:
    """Degrees of parallelism, mostly powers of two."""
    powers = [float(2**n) for n in range(largest.bit_length()) if 2**n <= largest]
    return st.sampled_from(powers) | st.integers(1, largest).map(float)


@st.composite
def deployments(
    draw: st.DrawFn,
    *,
    experts: float = 0.0,
    max_tp: int = 64,
    max_pp: int = 16,
    max_dp: int = 16,
    max_batch: int = 4_096,
) -> Deployment:
    """Return deployments of all schedulers, with and without speculation, prefix cache and offload.

    Parameters
    ----------
    experts
        Routed experts per layer. The expert-parallel degree divides tp x dp; it is 1 for 0
        experts.
    max_tp, max_pp, max_dp, max_batch
        Largest degrees and batch.
    """
    tp, dp = draw(_degree(max_tp)), draw(st.just(1.0) | _degree(max_dp))
    ranks = [float(n) for n in range(1, int(tp * dp) + 1) if tp * dp % n == 0]
    return Deployment(
        tp=tp,
        pp=draw(_degree(max_pp)),
        dp=dp,
        ep=draw(st.sampled_from(ranks)) if experts else 1.0,
        batch=draw(_whole(1, max_batch)),
        scheduler=draw(
            st.sampled_from((SCHEDULER_STATIC, SCHEDULER_CONTINUOUS, SCHEDULER_DISAGGREGATED))
        ),
        prefix_hit=draw(st.just(0.0) | _shares(0.0, 0.99)),
        draft_len=draw(st.just(0.0) | st.integers(1, 16).map(float)),
        acceptance=draw(st.sampled_from((0.0, 0.8, 1.0)) | _shares()),
        acceptance_decay=draw(st.sampled_from((0.0, 0.95, 1.0)) | _shares()),
        offload=draw(st.sampled_from((OFFLOAD_NONE, OFFLOAD_WEIGHTS, OFFLOAD_KV, OFFLOAD_EXPERTS))),
        gpu_layers=draw(st.just(_ALL_LAYERS) | st.integers(1, 80).map(float)),
        cpu_moe_layers=draw(st.just(_ALL_LAYERS) | st.integers(0, 80).map(float)),
    )


@st.composite
def scenarios(
    draw: st.DrawFn,
    *,
    spatial: bool | None = None,
    ideal: bool | None = None,
    min_input_len: int = 1,
    max_input_len: int = 200_000,
    min_output_len: int = 1,
    max_output_len: int = 20_000,
) -> Scenario:
    """Return complete configurations. Many of them do not fit, as their status shows.

    Parameters
    ----------
    spatial
        Whether weights stay in SRAM; None for either.
    ideal
        Whether the engine is a physical bound; None for either.
    min_input_len, max_input_len, min_output_len, max_output_len
        [tokens]
    """
    model = draw(models())
    return Scenario(
        model=model,
        device=draw(devices(spatial=spatial)),
        engine=draw(engines(ideal=ideal)),
        weight_format=draw(weight_formats()),
        kv_format=draw(kv_formats()),
        deployment=draw(deployments(experts=model.experts)),
        economics=draw(economics()),
        input_len=draw(_whole(min_input_len, max_input_len)),
        output_len=draw(_whole(min_output_len, max_output_len)),
    )


@st.composite
def spaces(draw: st.DrawFn, *, min_lengths: int = 1, max_lengths: int = 40) -> dict[str, object]:
    """Return small sweeps over the catalogue, as mappings laid out like a sweep file.

    Parameters
    ----------
    min_lengths, max_lengths
        Number of input lengths, over which the kernel's innermost loop runs.
    """

    def some(kind: str, most: int) -> list[str]:
        names = st.sampled_from(catalog.names(kind))
        return draw(st.lists(names, min_size=1, max_size=most, unique=True))

    def numbers(low: int, high: int, most: int, least: int = 1) -> list[int]:
        whole = st.integers(low, high)
        return sorted(draw(st.lists(whole, min_size=least, max_size=most, unique=True)))

    axes: dict[str, object] = {kind: some(kind, 2) for kind in ("model", "device", "weight_format")}
    axes |= {kind: some(kind, 1) for kind in ("engine", "kv_format")}
    axes["tp"] = sorted(draw(st.sets(st.sampled_from((1, 2, 3, 8, 64)), min_size=1, max_size=2)))
    axes["pp"] = [draw(st.sampled_from((1, 2, 5)))]
    axes["dp"] = [draw(st.sampled_from((1, 1, 2, 8)))]
    axes["ep"] = [draw(st.sampled_from((1, 1, 2, 8)))]
    schedulers = st.sampled_from(("static", "continuous", "disaggregated"))
    axes["scheduler"] = draw(st.lists(schedulers, min_size=1, max_size=2, unique=True))
    axes["prefix_hit"] = [draw(st.sampled_from((0.0, 0.3, 0.9)))]
    axes["draft_len"] = [draw(st.sampled_from((0, 0, 1, 4)))]
    axes["acceptance"] = [draw(st.sampled_from((0.5, 0.8)))]
    axes["offload"] = [draw(st.sampled_from(("none", "none", "weights", "kv", "experts")))]
    axes["gpu_layers"] = [draw(st.sampled_from((1_000_000, 1_000_000, 20)))]
    axes["batch"] = numbers(1, 2_048, 3)
    axes["input_len"] = numbers(1, 200_000, max_lengths, min_lengths)
    axes["output_len"] = numbers(1, 20_000, 3)
    sweep: dict[str, object] = {"name": "random", "axes": axes}
    if draw(st.booleans()):
        scale = draw(st.lists(_shares(0.5, 2.0), min_size=1, max_size=2, unique=True))
        sweep["what_if"] = {"device.memory_bandwidth": {"scale": scale}}
    sweep["output"] = {"columns": "all", "keep_infeasible": draw(st.booleans())}
    return sweep
