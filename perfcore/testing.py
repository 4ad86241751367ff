"""Hypothesis strategies for every record, and laws that any configuration must keep.

Both are for users as well: ``check_laws(Scenario(...))`` tests entries of their own catalogue.
Needs the package ``hypothesis`` (``pip install 'perfcore[test]'``).
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from hypothesis import strategies as st

from perfcore import catalog, records
from perfcore.catalog.model_entry import ModelEntry
from perfcore.errors import PerfcoreError
from perfcore.physics.memory import second_tier_bytes, usable_bytes
from perfcore.physics.roofline import reached_flops
from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.stages.point import Point, evaluate
from perfcore.physics.stages.replica import (
    CONTEXT_TOO_LONG,
    KV_DOES_NOT_FIT,
    OK,
    WEIGHTS_DO_NOT_FIT,
)
from perfcore.records import (
    OFFLOAD_KV,
    OFFLOAD_NONE,
    OFFLOAD_WEIGHTS,
    PURCHASE_ON_DEMAND,
    PURCHASE_OWNED,
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

ROUNDING: Final = 1e-9  # relative error that a law forgives

LATENCIES: Final = (
    "launch",
    "launch_fp8",
    "launch_fp8_block",
    "launch_attention",
    "launch_experts",
    "launch_experts_block",
    "launch_elementwise",
    "one_shot_latency",
    "one_shot_hop",
    "two_shot_latency",
    "network_latency",
    "dispatch_latency",
    "bulk_dispatch_latency",
    "hop_latency",
    "host_per_step",
    "host_per_sequence",
    "host_per_device",
    "host_per_prefill",
    "sampling_per_sequence",
    "server_per_step",
    "server_per_sequence",
)
COMPUTE_RATES: Final = (
    "flops_fp32",
    "flops_fp16",
    "flops_fp16_narrow",
    "flops_fp8",
    "flops_int8",
    "flops_fp4",
)
LINK_RATES: Final = ("link_bandwidth", "network_bandwidth")
SERVER_CONSTANTS: Final = {  # what only a server reads, and another value of each
    "interference": 0.5,
    "queue_weight": 0.5,
    "prefill_pool_load": 0.5,
    "block_tokens": 64.0,
    "max_sequences": 2.0,
    "server_per_step": 0.5,
    "server_per_sequence": 0.5,
    "length_spread": 3.0,
    "low_tpot_served": 0.05,
    "high_tpot_served": 20.0,
    "low_ttft_served": 0.05,
    "high_ttft_served": 20.0,
}
STEP_TIMES: Final = (  # what a decode step takes on top, in proportion
    "host_per_step",
    "host_per_sequence",
    "host_per_device",
    "server_per_step",
    "server_per_sequence",
    "sampling_per_sequence",
)


class LawBrokenError(PerfcoreError, AssertionError):
    """A configuration breaks a law of the physics; the text says which and by how much."""


class Scenario(NamedTuple):
    """A whole configuration, in the order in which ``stages.point.evaluate`` takes it."""

    model: Model
    device: Device
    engine: Engine
    weight_format: WeightFormat
    kv_format: KVFormat
    deployment: Deployment
    economics: Economics
    input_len: float
    output_len: float

    def evaluate(self) -> Point:
        """Return every metric."""
        return evaluate(*self)

    def with_device(self, **fields: float) -> "Scenario":
        """Return the same on a device with other data."""
        return self._replace(device=self.device._replace(**fields))

    def with_engine(self, **fields: float) -> "Scenario":
        """Return the same on an engine with other constants."""
        return self._replace(engine=self.engine._replace(**fields))

    def with_deployment(self, **fields: float) -> "Scenario":
        """Return the same deployed in another way."""
        return self._replace(deployment=self.deployment._replace(**fields))

    def with_economics(self, **fields: float) -> "Scenario":
        """Return the same in another facility."""
        return self._replace(economics=self.economics._replace(**fields))

    def with_rates(self, factor: float, *names: str) -> "Scenario":
        """Return the same with the device's named rates multiplied."""
        return self.with_device(**{name: factor * getattr(self.device, name) for name in names})

    def with_second_tier(self, factor: float) -> "Scenario":
        """Return the same with the rate of second memory tiers multiplied."""
        rate = factor * self.engine.host_memory_bandwidth
        own = factor * self.device.memory2_bandwidth
        return self.with_engine(host_memory_bandwidth=rate).with_device(memory2_bandwidth=own)

    def with_latencies(self, factor: float) -> "Scenario":
        """Return the same with every fixed time multiplied."""
        engine = {name: factor * getattr(self.engine, name) for name in LATENCIES}
        layer = factor * self.device.layer_latency
        return self.with_engine(**engine).with_device(layer_latency=layer)


# -------------------------------------------------------------------------------- strategies


@cache
def _reals(low: float, high: float) -> st.SearchStrategy[float]:
    """Real numbers, evenly on a logarithmic axis, both ends included."""
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


@cache
def _shares(low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def _architectures(draw: st.DrawFn, max_layers: int) -> ModelEntry:
    """Architectures of no published model: attention, window, latent, state, dense and MoE."""
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
    }
    mixer = draw(st.sampled_from(("F", "S", "SF", "SSSF", "A", "GF", "GGGF", "M", "MF")))
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
        if draw(st.booleans()):
            fields |= {"index_topk": 2_048, "index_n_heads": 64, "index_head_dim": 128}
    if "G" in unit:
        fields |= {
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
        }
    if "M" in unit:
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
    """Return architectures: published ones, and random ones of up to ``max_layers`` layers."""
    published = st.sampled_from(catalog.names("model")).map(catalog.load_model)
    return published | _architectures(max_layers)


@cache
def models(*, max_layers: int = 128) -> st.SearchStrategy[Model]:
    """Return records of models, as ``model_entries``."""
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
    """Return data sheets, of which narrower arithmetic is faster or missing, as on real devices.

    Parameters
    ----------
    min_memory_bandwidth, max_memory_bandwidth
        [bytes/s]
    min_memory_bytes, max_memory_bytes
        [bytes]
    spatial
        Whether weights stay in SRAM; None leaves it open.
    """
    side_by_side = draw(st.booleans()) if spatial is None else spatial
    fp16 = draw(_reals(1e11, 1e17))
    board_power = draw(_reals(5.0, 30_000.0))
    faster = st.just(0.0) | _reals(1.0, 2.0).map(lambda ratio: ratio * fp16)
    return Device(
        memory_capacity=draw(_reals(min_memory_bytes, max_memory_bytes)),
        memory_bandwidth=draw(_reals(min_memory_bandwidth, max_memory_bandwidth)),
        flops_fp32=draw(_reals(0.01, 1.0)) * fp16,
        flops_fp16=fp16,
        flops_fp16_narrow=draw(faster),
        flops_fp8=draw(faster),
        flops_int8=draw(faster),
        flops_fp4=2.0 * draw(faster),
        board_power=board_power,
        idle_power=board_power * draw(_shares()),
        link_bandwidth=draw(_reals(1e9, 1e13)),
        scale_up_domain=draw(st.sampled_from((1.0, 2.0, 4.0, 8.0, 72.0, 1024.0))),
        network_bandwidth=draw(_reals(1e8, 1e12)),
        price_per_hour=draw(st.just(0.0) | _reals(0.01, 1_000.0)),
        spot_price_per_hour=draw(st.just(0.0) | _reals(0.01, 1_000.0)),
        purchase_price=draw(_reals(10.0, 1e7)),
        memory2_capacity=draw(st.just(0.0) | _reals(1e8, 1e15)),
        memory2_bandwidth=draw(st.just(0.0) | _reals(1e8, 1e13)),
        spatial=float(side_by_side),
        layer_latency=draw(_reals(1e-7, 1e-3)) if side_by_side else 0.0,
    )


@cache
def _constant(name: str) -> st.SearchStrategy[float]:
    ranges = {
        "host_memory_bytes": st.just(0.0) | _reals(1e8, 1e13),
        "host_memory_bandwidth": _reals(1e8, 1e13),
        "length_spread": _reals(1.0, 4.0),
        "low_": _shares(0.1, 1.0),
        "high_": _reals(1.0, 10.0),
        "server_": st.just(0.0) | _reals(1e-7, 0.1),
        "host_": st.just(0.0) | _reals(1e-7, 0.1),
        "kv_group_penalty": _shares(0.0, 0.5),
        "memory_fraction": _shares(0.5, 1.0),
        "memory_reserve": st.just(0.0) | _reals(1e6, 1e10),
        "power_floor": _shares(0.05, 1.0),
        "expert_imbalance": st.sampled_from((0.0, 1.0)),
        "random_arrivals": st.sampled_from((0.0, 1.0)),
        "pads_heads": st.sampled_from((0.0, 1.0)),
        "narrow_accumulation": st.sampled_from((0.0, 1.0)),
        "prefill_chunk": st.sampled_from((1.0, 512.0, 2_048.0, 8_192.0, 65_536.0)),
        "pipeline_chunk": st.sampled_from((512.0, 8_192.0)),
        "prefill_overlap": st.sampled_from((1.0, 2.0, 16.0, 65_536.0)),
        "prefill_pool_load": _shares(0.05, 1.0),
        "block_tokens": st.sampled_from((1.0, 16.0, 128.0)),
        "max_sequences": st.sampled_from((1.0, 8.0, 256.0, 1e9)),
        "draft_layers": st.sampled_from((0.0, 1.0, 4.0)),
    }
    for prefix, values in ranges.items():
        if name.startswith(prefix):
            return values
    if name in LATENCIES:
        return st.just(0.0) | _reals(1e-8, 1e-3)
    return _shares(0.05, 1.0) if "efficiency" in name else _shares()


@cache
def engines(*, ideal: bool | None = None) -> st.SearchStrategy[Engine]:
    """Return engines' constants; ``ideal`` asks for the physical bound only, or for none of it."""
    drawn = st.fixed_dictionaries({name: _constant(name) for name in Engine._fields})
    real = drawn.map(lambda constants: Engine(**constants))
    if ideal is None:
        return real | real.map(ideal_engine)
    return real.map(ideal_engine) if ideal else real


@cache
def weight_formats(
    *, min_bits: float = 1.5, max_bits: float = 32.0
) -> st.SearchStrategy[WeightFormat]:
    """Return formats of weights: those of the catalogue, and their like at any width."""
    published = st.sampled_from(catalog.names("weight_format")).map(
        lambda name: catalog.load_weight_format(name).record()
    )
    made = st.builds(
        lambda form, bits: form._replace(bits=bits), published, _shares(min_bits, max_bits)
    )
    return made | published.filter(lambda form: min_bits <= form.bits <= max_bits)


@cache
def kv_formats(*, min_bits: float = 1.5, max_bits: float = 32.0) -> st.SearchStrategy[KVFormat]:
    """Return formats of the KV cache."""
    bits = st.sampled_from((4.5, 8.0, 16.0)).filter(lambda x: min_bits <= x <= max_bits)
    return st.builds(
        KVFormat, bits=bits | _shares(min_bits, max_bits), quantised=st.sampled_from((0.0, 1.0))
    )


@cache
def economics(*, max_pue: float = 3.0) -> st.SearchStrategy[Economics]:
    """Return facilities, and the ways to pay for devices."""
    return st.builds(
        Economics,
        utilization=_shares(0.01, 1.0),
        purchase=st.sampled_from((0.0, 1.0, 2.0)),
        price_multiplier=_shares(0.1, 2.0),
        interest=st.just(0.0) | _shares(1e-3, 0.5),
        lifetime=_reals(1e6, 1e9),
        server_factor=_shares(1.0, 3.0),
        operations=_shares(0.0, 0.5),
        electricity_price=_shares(0.0, 0.5),
        token_price=_reals(0.01, 100.0),
        pue=_shares(1.0, max_pue),
        node_overhead=_shares(0.0, 1.0),
        carbon_intensity=_shares(0.0, 1_200.0),
    )


@cache
def _whole(low: int, high: int) -> st.SearchStrategy[float]:
    """Whole numbers, evenly on a logarithmic axis."""
    return _reals(low, high).map(lambda x: float(min(max(round(x), low), high)))


@cache
def _degree(largest: int) -> st.SearchStrategy[float]:
    """Degrees of parallelism, more often than not powers of two."""
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
    """Return deployments of every scheduler, with and without speculation, cached prompts, offload.

    Parameters
    ----------
    experts
        Routed experts of a layer, which the expert-parallel degree then divides; it always
        divides tp dp.
    max_tp, max_pp, max_dp, max_batch
        Largest degrees and batch.
    """
    tp, dp = draw(_degree(max_tp)), draw(st.just(1.0) | _degree(max_dp))
    ranks = [float(n) for n in range(1, int(tp * dp) + 1) if tp * dp % n == 0 and experts % n == 0]
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
        offload=draw(st.sampled_from((OFFLOAD_NONE, OFFLOAD_WEIGHTS, OFFLOAD_KV))),
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
    """Return whole configurations; many of them do not fit, which their status says.

    Parameters
    ----------
    spatial
        Whether weights stay in SRAM; None leaves it open.
    ideal
        Whether the engine is the physical bound; None leaves it open.
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
        Input lengths, which are what the kernel's innermost loop runs over.
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
    axes["acceptance"] = [draw(st.sampled_from((0.0, 0.8)))]
    axes["offload"] = [draw(st.sampled_from(("none", "none", "weights", "kv")))]
    axes["batch"] = numbers(1, 2_048, 3)
    axes["input_len"] = numbers(1, 200_000, max_lengths, min_lengths)
    axes["output_len"] = numbers(1, 20_000, 3)
    sweep: dict[str, object] = {"name": "random", "axes": axes}
    if draw(st.booleans()):
        scale = draw(st.lists(_shares(0.5, 2.0), min_size=1, max_size=2, unique=True))
        sweep["what_if"] = {"device.memory_bandwidth": {"scale": scale}}
    sweep["output"] = {"columns": "all", "keep_infeasible": draw(st.booleans())}
    return sweep


# -------------------------------------------------------------------------------------- laws


def ideal_engine(engine: Engine) -> Engine:
    """Return the physical bound of an engine: perfect efficiencies, no fixed time, full overlap.

    Nobody waits for another's prefill, experts are even, drafting is free. What the engine says of
    memory, of power and of its requests stays.
    """
    changes = dict.fromkeys(LATENCIES, 0.0)
    changes |= {name: 1.0 for name in Engine._fields if "efficiency" in name}
    changes |= dict.fromkeys(
        (
            "residue",
            "kv_group_penalty",
            "spatial_latency",
            "expert_imbalance",
            "interference",
            "queue_weight",
            "random_arrivals",
            "draft_layers",
        ),
        0.0,
    )
    changes |= {name: 1.0 for name in Engine._fields if name.startswith(("low_", "high_"))}
    changes |= {
        "narrow_accumulation": 1.0,
        "prefill_chunk": 1.0,
        "pipeline_chunk": 1.0,
        "prefill_overlap": 65_536.0,
    }
    return engine._replace(**changes)


def _close(left: float, right: float, *, tolerance: float = ROUNDING) -> bool:
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=1e-290)


def _require(holds: bool, law: str, *values: float) -> None:
    if not holds:
        raise LawBrokenError(f"{law}: {', '.join(f'{value!r}' for value in values)}")


def _equal(left: float, right: float, law: str) -> None:
    _require(_close(left, right), law, left, right)


def _not_below(value: float, bound: float, law: str) -> None:
    _require(value >= bound * (1.0 - ROUNDING), law, value, bound)


def _alike(before: Point, after: Point) -> bool:
    """Whether as many requests run at once: with more, each is slower but fewer wait."""
    return before.running_batch == after.running_batch


def _step_s(point: Point) -> float:
    """Time of a decode step per output token, without other requests' prefill. [s]"""
    return point.tpot_s - point.prefill_s


def is_finite(scenario: Scenario) -> None:
    """Nothing that is computed is negative, infinite or not a number, fit or not."""
    for name, value in scenario.evaluate()._asdict().items():
        _require(math.isfinite(value) and value >= -1e-12, f"{name} is finite", value)


def grows_with_batch(scenario: Scenario) -> None:
    """Neither prefill nor a decode step gets faster with a larger batch.

    Two things do with pipeline stages, which are exempt where they play: chunks of a longer
    prefill fill them better, and a server's sequences spread over more of them. A server's queue
    may shorten where decode steps overflow into a second tier: it prefills a smaller share of its
    time.
    """
    deployment = scenario.deployment
    static = deployment.scheduler == SCHEDULER_STATIC
    staged = deployment.pp > 1.0 and scenario.device.spatial == 0.0
    spread = scenario.device.spatial == 1.0
    before = scenario.evaluate()
    for more in (deployment.batch + 1.0, 2.0 * deployment.batch):
        after = scenario.with_deployment(batch=more).evaluate()
        if static or not (staged or spread):
            _not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the batch")
            if (static or deployment.offload == OFFLOAD_NONE) and not staged:
                _not_below(after.ttft_s, before.ttft_s, "TTFT does not fall with the batch")
        else:
            _not_below(_step_s(after), _step_s(before), "a step does not get shorter")


def grows_with_context(scenario: Scenario) -> None:
    """Neither prefill nor a decode step gets faster with a longer prompt or a longer answer.

    Exempt are: TPOT of models with chunked windows, of which layers see a single token just after
    a chunk's end, and their TTFT if a share of the prompt is cached; the parts of servers in which
    fewer requests run as each takes more room; a longer answer on a continuous server, which has
    fewer prompts to prefill in between, and its queue, which is shorter while it prefills a
    smaller share of its time; TTFT through pipeline stages, that several chunks fill better.
    """
    before = scenario.evaluate()
    continuous = scenario.deployment.scheduler == SCHEDULER_CONTINUOUS
    staged = scenario.deployment.pp > 1.0 and scenario.device.spatial == 0.0
    chunked = scenario.model.window_chunked == 1.0
    hit = scenario.deployment.prefix_hit > 0.0
    longer = (
        scenario._replace(input_len=scenario.input_len + 1.0),
        scenario._replace(input_len=2.0 * scenario.input_len),
        scenario._replace(output_len=2.0 * scenario.output_len),
    )
    for change in longer:
        after = change.evaluate()
        if not _alike(before, after):
            continue
        if not (continuous or staged or (chunked and hit) or (chunked and after.status != OK)):
            waits = after.running_batch < scenario.deployment.batch
            if not (chunked and waits):
                _not_below(after.ttft_s, before.ttft_s, "TTFT does not fall with the context")
        if not chunked:
            _not_below(_step_s(after), _step_s(before), "a step does not fall with the context")
            if not continuous or (not staged and change.output_len == scenario.output_len):
                _not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the context")


def faster_hardware_is_no_slower(scenario: Scenario) -> None:
    """More bandwidth, arithmetic, link, network or second tier never slows prefill or decode.

    Exempt are a continuous server's TTFT, whose queue grows as decode steps take less of its time,
    and memory bandwidth under offload: what lies in the second tier is counted as read from memory,
    plus the difference of both times.
    """
    before = scenario.evaluate()
    changes = {
        "FLOP/s": scenario.with_rates(1.5, *COMPUTE_RATES),
        "the link": scenario.with_rates(1.5, "link_bandwidth"),
        "the network": scenario.with_rates(1.5, "network_bandwidth"),
        "the second tier": scenario.with_second_tier(1.5),
    }
    if scenario.deployment.offload == OFFLOAD_NONE:
        changes["bandwidth"] = scenario.with_rates(1.5, "memory_bandwidth")
    for name, change in changes.items():
        after = change.evaluate()
        _not_below(before.tpot_s, after.tpot_s, f"TPOT does not rise with {name}")
        if scenario.deployment.scheduler != SCHEDULER_CONTINUOUS:
            _not_below(before.ttft_s, after.ttft_s, f"TTFT does not rise with {name}")


def ideal_is_a_bound(scenario: Scenario) -> None:
    """No engine beats the ideal one, in the same deployment."""
    real = scenario.evaluate()
    bound = scenario._replace(engine=ideal_engine(scenario.engine)).evaluate()
    _not_below(real.tpot_s, bound.tpot_s, "TPOT is not below its bound")
    _not_below(real.ttft_s, bound.ttft_s, "TTFT is not below its bound")


def alone_means_no_network(scenario: Scenario) -> None:
    """One device has nobody to talk to."""
    alone = scenario.with_deployment(tp=1.0, pp=1.0, dp=1.0, ep=1.0, offload=OFFLOAD_NONE)
    point = alone.evaluate()
    _require(point.network_s == 0.0, "one device exchanges nothing", point.network_s)
    _require(point.elasticity_link == 0.0, "one device needs no link", point.elasticity_link)


def scales_with_all_rates(scenario: Scenario, factor: float = 3.0) -> None:
    """All rates times k and all fixed times over k: every time over k."""
    rates = ("memory_bandwidth", *COMPUTE_RATES, *LINK_RATES)
    before = scenario.evaluate()
    faster = scenario.with_rates(factor, *rates).with_second_tier(factor)
    after = faster.with_latencies(1.0 / factor).evaluate()
    for name in ("ttft_s", "tpot_s", "e2e_latency_s"):
        slow, fast = getattr(before, name), getattr(after, name)
        _equal(slow, factor * fast, f"{name} is homogeneous")
    for name in ("running_batch", "max_batch", "status"):
        _require(getattr(before, name) == getattr(after, name), f"{name} depends on no rate")


def parts_sum_up(scenario: Scenario) -> None:
    """Parts sum to TPOT, shares to 1; the largest part is the bound; latency is the sum."""
    point = scenario.evaluate()
    names = (
        "weights",
        "kv",
        "activations",
        "compute",
        "network",
        "latency",
        "prefill",
        "offload",
    )
    parts = [getattr(point, f"{name}_s") for name in names]
    shares = [getattr(point, f"{name}_share") for name in names]
    _equal(math.fsum(parts), point.tpot_s, "parts sum to TPOT")
    _equal(math.fsum(shares), 1.0, "shares sum to 1")
    for part, share in zip(parts, shares, strict=True):
        _require(_close(share * point.tpot_s, part), "a share is its part", part, share)
    _equal(parts[int(point.bound)], max(parts), "the bound is the largest part")
    steps = scenario.output_len - 1.0
    _equal(point.e2e_latency_s, point.ttft_s + steps * point.tpot_s, "latency is the sum")
    _equal(point.tokens_per_s_per_user * point.tpot_s, 1.0, "speed is 1 / TPOT")


def elasticities_sum_to_one(scenario: Scenario) -> None:
    """Time is homogeneous of degree one in its resources (Euler's theorem)."""
    point = scenario.evaluate()
    parts = (
        point.elasticity_bandwidth,
        point.elasticity_compute,
        point.elasticity_link,
        point.elasticity_latency,
    )
    _equal(math.fsum(parts), 1.0, "elasticities sum to 1")


def elasticities_are_derivatives(scenario: Scenario, step: float = 1e-5) -> None:
    """Each elasticity is what a slightly better device gains, other requests' prefill included.

    Where two times tie there is a kink, of which it lies between the slopes of both sides. The
    second memory tier counts as a link.
    """
    point = scenario.evaluate()
    changes: dict[tuple[str, ...], Callable[[float], Scenario]] = {
        ("elasticity_compute",): lambda k: scenario.with_rates(k, *COMPUTE_RATES),
        ("elasticity_latency",): lambda k: scenario.with_latencies(1.0 / k),
        ("elasticity_bandwidth",): lambda k: scenario.with_rates(k, "memory_bandwidth"),
        ("elasticity_link",): lambda k: scenario.with_rates(k, *LINK_RATES).with_second_tier(k),
    }
    for names, change in changes.items():
        worse = change(math.exp(-step)).evaluate().tpot_s
        better = change(math.exp(step)).evaluate().tpot_s
        slopes = (math.log(worse / point.tpot_s) / step, math.log(point.tpot_s / better) / step)
        value = math.fsum(getattr(point, name) for name in names)
        near = min(slopes) - 1e-6 <= value <= max(slopes) + 1e-6
        _require(near, f"{' + '.join(names)} is a derivative", value, *slopes)


def power_is_limited(scenario: Scenario) -> None:
    """No board draws more than its limit."""
    point = scenario.evaluate()
    limit = scenario.device.board_power
    _not_below(limit, point.decode_power_w, "decode power is within the limit")
    _not_below(limit, point.prefill_power_w, "prefill power is within the limit")
    _not_below(limit, point.power_w, "mean power is within the limit")


def energy_is_power_times_time(scenario: Scenario) -> None:
    """Energy follows from power and time, PUE counts once, and carbon from energy."""
    point, deployment, grid = scenario.evaluate(), scenario.deployment, scenario.economics
    devices = deployment.tp * deployment.pp * deployment.dp
    batch = point.running_batch
    output = devices * point.decode_power_w * _step_s(point) / batch
    prompt = point.energy_per_input_token_j * scenario.input_len
    _equal(point.energy_per_output_token_j, output, "energy per output token")
    request = prompt + (scenario.output_len - 1.0) * output
    _equal(point.energy_per_request_j, request, "energy per request")
    if deployment.scheduler == SCHEDULER_STATIC and deployment.offload == OFFLOAD_NONE:
        seconds = point.ttft_s - scenario.engine.host_per_prefill
        expected = devices * point.prefill_power_w * seconds / batch
        near = math.isclose(prompt, expected, rel_tol=1e-6, abs_tol=1e-9 * expected)
        if scenario.engine.host_per_prefill < 1e3 * seconds and scenario.device.spatial == 0.0:
            _require(near, "energy per input token", prompt, expected)
    facility = output * (1.0 + grid.node_overhead) * grid.pue
    _equal(point.facility_energy_per_output_token_j, facility, "PUE counts once")
    carbon = facility * 1e6 / 3.6e6 * grid.carbon_intensity
    _equal(point.carbon_per_mtok_output_g, carbon, "carbon per million tokens")


def utilisation_is_at_most_one(scenario: Scenario) -> None:
    """No more than the data sheet's bytes/s and FLOP/s are used.

    Weights whose arithmetic is slower than 16 bit, summed as the engine does, are exempt of the
    latter (fp32, and int8 on some devices): attention, in 16 bit, may exceed their rate.
    """
    point = scenario.evaluate()
    _equal(point.arithmetic_intensity * point.step_bytes, point.step_flops, "intensity")
    _not_below(1.0, point.mbu, "MBU is at most 1")
    device, engine = scenario.device, scenario.engine
    arithmetic = scenario.weight_format.arithmetic
    wide = reached_flops(device, engine, records.MATH_FP16)
    if arithmetic != records.MATH_FP32 and reached_flops(device, engine, arithmetic) >= wide:
        _not_below(1.0, point.mfu, "MFU is at most 1")


def bytes_add_up(scenario: Scenario) -> None:
    """Weights do not depend on the batch, the KV cache grows by as much with each sequence."""
    batch = max(scenario.deployment.batch, scenario.deployment.dp)  # a group holds one or more
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    once, twice, thrice = (
        static.with_deployment(batch=factor * batch).evaluate() for factor in (1.0, 2.0, 3.0)
    )
    both = once.weight_bytes_per_device + once.kv_bytes_per_device
    _equal(once.total_bytes_per_device, both, "weights and KV cache sum up")
    _equal(twice.weight_bytes_per_device, once.weight_bytes_per_device, "weights are kept once")
    middle = 0.5 * (once.kv_bytes_per_device + thrice.kv_bytes_per_device)
    _equal(twice.kv_bytes_per_device, middle, "sequences are alike")
    if scenario.deployment.prefix_hit == 0.0:
        _equal(twice.kv_bytes_per_device, 2.0 * once.kv_bytes_per_device, "nothing is shared")


def status_follows_from_bytes(scenario: Scenario) -> None:
    """What fits, fits: status, bytes, the largest batch and the memory say the same."""
    point, deployment = scenario.evaluate(), scenario.deployment
    room = usable_bytes(scenario.device, scenario.engine)
    if deployment.offload != OFFLOAD_NONE:
        room += second_tier_bytes(scenario.device, scenario.engine)
    more, less = room * (1.0 + ROUNDING), room * (1.0 - ROUNDING)
    total, weights = point.total_bytes_per_device, point.weight_bytes_per_device
    context = scenario.input_len + scenario.output_len
    if point.status == OK:
        _require(total <= more, "ok means that it fits", total, room)
        _require(point.running_batch <= point.max_batch, "ok is within the largest batch")
    if point.status == WEIGHTS_DO_NOT_FIT:
        _require(weights >= less, "weights exceed the memory", weights, room)
    if point.status == CONTEXT_TOO_LONG:
        _require(context > scenario.model.max_context, "the context is too long", context)
    if point.status == KV_DOES_NOT_FIT:
        _require(weights <= more, "weights fit", weights, room)
        _require(total >= less, "the KV cache does not fit", total, room)
        if deployment.scheduler == SCHEDULER_STATIC:
            _require(deployment.batch > point.max_batch, "the batch exceeds the largest")
        else:
            _require(point.max_batch < 1.0, "not one sequence fits", point.max_batch)


def requests_run_or_wait(scenario: Scenario) -> None:
    """A static batch runs whole; a server runs what fits, and those that wait only add to TTFT."""
    point, deployment = scenario.evaluate(), scenario.deployment
    if deployment.scheduler == SCHEDULER_STATIC:
        _require(point.running_batch == deployment.batch, "a static batch runs whole")
        return
    most = min(deployment.batch, scenario.engine.max_sequences * deployment.dp)
    _require(point.running_batch <= most, "no more run than the scheduler holds", most)
    if point.status == OK:
        _require(point.running_batch <= point.max_batch, "no more run than fit")
        if most > point.max_batch:
            _require(point.running_batch == point.max_batch, "as many run as fit")
    if point.running_batch < deployment.batch:
        longer = scenario.with_deployment(batch=2.0 * deployment.batch).evaluate()
        _equal(longer.tpot_s, point.tpot_s, "who waits slows nobody that runs")
        _not_below(longer.ttft_s, point.ttft_s, "who waits lowers no TTFT")


def static_batches_have_no_server(scenario: Scenario) -> None:
    """Constants of a server change nothing for a static batch."""
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    other = static.with_engine(**SERVER_CONSTANTS)
    _require(other.evaluate() == static.evaluate(), "a static batch has no server")


def disaggregation_only_decodes(scenario: Scenario) -> None:
    """A decode step that waits for no prefill is no slower than one that does."""
    together = scenario.with_deployment(scheduler=SCHEDULER_CONTINUOUS).evaluate()
    apart = scenario.with_deployment(scheduler=SCHEDULER_DISAGGREGATED).evaluate()
    _require(apart.prefill_s == 0.0, "others prefill", apart.prefill_s)
    _require(together.prefill_pool == 0.0, "no pool", together.prefill_pool)
    _not_below(together.tpot_s, apart.tpot_s, "disaggregation does not slow decode")
    _equal(_step_s(together), apart.tpot_s, "a step is a step")


def speculation_gains_at_most_its_tokens(scenario: Scenario) -> None:
    """Drafts that nobody accepts slow down; others speed up by at most the tokens they add.

    Prefill drafts nothing; what it reads of offloaded weights is estimated from a step's share.
    """
    draft_len = max(scenario.deployment.draft_len, 1.0)
    plain = scenario.with_deployment(draft_len=0.0).evaluate()
    drafted = scenario.with_deployment(draft_len=draft_len)
    refused = drafted.with_deployment(acceptance=0.0).evaluate()
    _not_below(refused.tpot_s, plain.tpot_s, "refused drafts do not speed up")
    tokens = accepted_tokens(draft_len, scenario.deployment.acceptance)
    some = drafted.evaluate()
    _not_below(_step_s(some) * tokens, _step_s(plain), "no more speed-up than tokens")
    _equal(_step_s(some) * tokens, _step_s(refused), "steps cost the same, whatever is accepted")
    all_of_them = drafted.with_deployment(acceptance=1.0).evaluate()
    _not_below(some.tpot_s, all_of_them.tpot_s, "more acceptance does not slow down")
    static = scenario.deployment.scheduler == SCHEDULER_STATIC
    if static and scenario.deployment.offload == OFFLOAD_NONE:
        _equal(some.ttft_s, plain.ttft_s, "nothing is drafted in prefill")


def offload_is_no_faster(scenario: Scenario) -> None:
    """A second memory tier makes room, not speed.

    As more requests find room, fewer wait: these are not compared, nor is a continuous server's
    queue, which is shorter where it prefills a smaller share of its time.
    """
    before = scenario.with_deployment(offload=OFFLOAD_NONE).evaluate()
    _require(before.offload_s == 0.0, "nothing is offloaded", before.offload_s)
    for kind in (OFFLOAD_WEIGHTS, OFFLOAD_KV):
        after = scenario.with_deployment(offload=kind).evaluate()
        _not_below(after.max_batch, before.max_batch, "a second tier makes room")
        if _alike(before, after):
            _not_below(after.tpot_s, before.tpot_s, "offload does not speed up decode")
            if scenario.deployment.scheduler != SCHEDULER_CONTINUOUS:
                _not_below(after.ttft_s, before.ttft_s, "offload does not speed up prefill")


def cached_prompts_are_no_slower(scenario: Scenario) -> None:
    """The more of a prompt is cached, the shorter is the time to its first token.

    Exempt are pipeline stages, which fewer chunks fill worse, and offload and other numbers of
    running requests, as windows hold the cached and the new tokens side by side.
    """
    staged = scenario.deployment.pp > 1.0 and scenario.device.spatial == 0.0
    if staged or scenario.deployment.offload != OFFLOAD_NONE:
        return
    before = scenario.evaluate()
    hit = 0.5 + 0.5 * scenario.deployment.prefix_hit
    after = scenario.with_deployment(prefix_hit=hit).evaluate()
    if _alike(before, after):
        _not_below(before.ttft_s, after.ttft_s, "a cached prompt is no slower")
        _not_below(before.tpot_s, after.tpot_s, "nor are those who wait for its prefill")


def cost_follows_price(scenario: Scenario) -> None:
    """Cost is proportional to the price, its multiplier, and the inverse of utilisation."""
    rented = scenario.with_economics(purchase=PURCHASE_ON_DEMAND)
    point = rented.evaluate()
    money = scenario.economics
    changes = (
        (2.0, rented.with_rates(2.0, "price_per_hour")),
        (3.0, rented.with_economics(price_multiplier=3.0 * money.price_multiplier)),
        (2.0, rented.with_economics(utilization=0.5 * money.utilization)),
        (1.0, rented.with_economics(pue=2.0 * money.pue)),
        (1.0, rented.with_rates(2.0, "spot_price_per_hour", "purchase_price")),
    )
    for factor, change in changes:
        after = change.evaluate()
        for name in ("output", "input", "cached_input"):
            column = f"cost_per_mtok_{name}_usd"
            _equal(getattr(after, column), factor * getattr(point, column), f"{column} follows")
    cost = money.token_price * point.break_even_utilization / money.utilization
    _equal(point.cost_per_mtok_output_usd, cost, "break-even is where cost is the price")


def owning_costs_interest(scenario: Scenario) -> None:
    """An owned device costs more with interest, a shorter life, dearer electricity, a worse PUE."""
    owned = scenario.with_economics(purchase=PURCHASE_OWNED)
    money = scenario.economics
    before = owned.evaluate().cost_per_mtok_output_usd
    dearer: tuple[dict[str, float], ...] = (
        {"interest": money.interest + 0.05},
        {"lifetime": 0.5 * money.lifetime},
        {"electricity_price": money.electricity_price + 0.1, "pue": money.pue + 0.5},
        {"operations": money.operations + 0.1},
        {"server_factor": money.server_factor + 0.5},
    )
    for change in dearer:
        after = owned.with_economics(**change).evaluate().cost_per_mtok_output_usd
        _require(after > before, f"an owned device costs more with {next(iter(change))}", after)


def tpot_excludes_ttft(scenario: Scenario) -> None:
    """What only prefill waits for is not in the time per output token."""
    before = scenario.evaluate()
    host = scenario.engine.host_per_prefill + before.ttft_s
    after = scenario.with_engine(host_per_prefill=host).evaluate()
    _require(after.tpot_s == before.tpot_s, "TPOT excludes TTFT", after.tpot_s, before.tpot_s)
    _equal(after.ttft_s, 2.0 * before.ttft_s, "TTFT includes the host")


def more_bits_are_no_faster(scenario: Scenario) -> None:
    """At the physical bound and with the same arithmetic, wider weights or caches cost time.

    A format of 6 bits and more quantises all matrices where one below quantises the routed
    experts only: widths on both sides of 6 are not compared. Nor are numbers of running requests:
    wider ones leave room for fewer, and each is faster.
    """
    ideal = scenario._replace(engine=ideal_engine(scenario.engine))
    before = ideal.evaluate()
    form, cache = ideal.weight_format, ideal.kv_format
    for bits in (form.bits + 0.5, 1.5 * form.bits):
        after = ideal._replace(weight_format=form._replace(bits=bits)).evaluate()
        if (form.bits < 6.0) == (bits < 6.0) and _alike(before, after):
            _not_below(after.tpot_s, before.tpot_s, "wider weights are no faster")
            _not_below(after.ttft_s, before.ttft_s, "wider weights are no faster in prefill")
    after = ideal._replace(kv_format=cache._replace(bits=1.5 * cache.bits)).evaluate()
    _not_below(before.max_batch, after.max_batch, "a wider cache holds no more sequences")
    if _alike(before, after):
        _not_below(after.tpot_s, before.tpot_s, "a wider cache is no faster")


def tensor_parallelism_shares_the_work(scenario: Scenario) -> None:
    """Twice the tensor-parallel devices: no operator takes longer, no device holds more.

    Exchanges and fixed times may eat the gain. Spatial machines, whose sequences then spread over
    more stages, are exempt.
    """
    if scenario.device.spatial == 1.0:
        return
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC)
    before = static.evaluate()
    after = static.with_deployment(tp=2.0 * scenario.deployment.tp).evaluate()
    names = ("weights_s", "kv_s", "activations_s", "compute_s")
    one, two = (math.fsum(getattr(point, name) for name in names) for point in (before, after))
    _not_below(one, two, "tensor parallelism divides the work")
    held, shared = before.weight_bytes_per_device, after.weight_bytes_per_device
    _not_below(held, shared, "tensor parallelism divides the weights")
    _not_below(before.kv_bytes_per_device, after.kv_bytes_per_device, "and the cache, if it can")


def pipelines_do_not_shorten_a_step(scenario: Scenario) -> None:
    """A static batch passes the stages one after the other (spatial machines aside).

    Its host drives more devices.
    """
    if scenario.device.spatial == 1.0:
        return
    static = scenario.with_deployment(scheduler=SCHEDULER_STATIC, offload=OFFLOAD_NONE)
    staged = static.evaluate()
    whole = static.with_deployment(pp=1.0).evaluate()
    _not_below(staged.tpot_s, whole.tpot_s, "a pipeline does not shorten a step")
    deployment = static.deployment
    driven = deployment.tp * (deployment.pp - 1.0) * static.engine.host_per_device
    driven /= accepted_tokens(deployment.draft_len, deployment.acceptance)
    _equal(
        staged.tpot_s - staged.network_s,
        whole.tpot_s - whole.network_s + driven,
        "a pipeline only adds hand-overs and what driving more devices takes",
    )


def intervals_enclose(scenario: Scenario) -> None:
    """What is predicted lies in its interval; that of a request is the sum of both phases'."""
    point = scenario.evaluate()
    pairs = {
        "ttft_s": (point.ttft_low_s, point.ttft_high_s),
        "tpot_s": (point.tpot_low_s, point.tpot_high_s),
        "e2e_latency_s": (point.e2e_latency_low_s, point.e2e_latency_high_s),
        "energy_per_output_token_j": (
            point.energy_per_output_token_low_j,
            point.energy_per_output_token_high_j,
        ),
        "power_w": (point.power_low_w, point.power_high_w),
    }
    for name, (low, high) in pairs.items():
        value = getattr(point, name)
        _not_below(value, low, f"{name} is not below its interval")
        _not_below(high, value, f"{name} is not above its interval")
    steps = scenario.output_len - 1.0
    low = point.ttft_low_s + steps * point.tpot_low_s
    high = point.ttft_high_s + steps * point.tpot_high_s
    _equal(point.e2e_latency_low_s, low, "the lowest latency is of both lowest")
    _equal(point.e2e_latency_high_s, high, "the highest latency is of both highest")


def intervals_change_nothing(scenario: Scenario) -> None:
    """No prediction depends on the width of its interval."""
    names = (name for name in Engine._fields if name.startswith(("low_", "high_")))
    exact = scenario.with_engine(**dict.fromkeys(names, 1.0))
    before, after = scenario.evaluate()._asdict(), exact.evaluate()._asdict()
    for name, value in before.items():
        if "_low_" not in name and "_high_" not in name:
            _require(after[name] == value, f"{name} has no interval in it", value, after[name])


def longer_answers_in_flight_are_no_faster(scenario: Scenario) -> None:
    """The more output lengths differ, the longer a server's steps; nothing else depends on it.

    Exempt of the former are chunked windows, of which layers see a single token just after a
    chunk's end.
    """
    before = scenario.evaluate()
    for factor in (1.5, 4.0):
        spread = factor * scenario.engine.length_spread
        after = scenario.with_engine(length_spread=spread).evaluate()
        if scenario.model.window_chunked == 0.0:
            _not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the spread")
            _not_below(after.step_bytes, before.step_bytes, "no fewer bytes with the spread")
        _equal(after.kv_bytes_per_device, before.kv_bytes_per_device, "the cache keeps its size")
        _require(after.max_batch == before.max_batch, "as many fit", after.max_batch)
        _equal(after.prefill_s, before.prefill_s, "prefill does not depend on the spread")
        if scenario.deployment.scheduler == SCHEDULER_STATIC:
            _require(after == before, "a static batch has one length")


def host_time_is_no_gain(scenario: Scenario) -> None:
    """The more time host, server and sampling take, the longer a step, by just that time."""
    before = scenario.evaluate()
    names = [name for name in STEP_TIMES if getattr(scenario.engine, name) > 0.0]
    for name in names:
        slower = scenario.with_engine(**{name: 2.0 * getattr(scenario.engine, name)}).evaluate()
        faster = scenario.with_engine(**{name: 0.0}).evaluate()
        _not_below(slower.tpot_s, before.tpot_s, f"TPOT does not fall with {name}")
        added, taken = slower.tpot_s - before.tpot_s, before.tpot_s - faster.tpot_s
        near = math.isclose(added, taken, rel_tol=1e-6, abs_tol=ROUNDING * slower.tpot_s)
        _require(near, f"TPOT is linear in {name}", added, taken)
    without = scenario.with_engine(host_per_device=0.0)
    if scenario.device.spatial == 1.0:
        _require(without.evaluate() == before, "a spatial machine's host drives no devices")
    alone = scenario.with_deployment(tp=1.0, pp=1.0, ep=1.0)
    other = alone.with_engine(host_per_device=0.0)
    _require(other.evaluate() == alone.evaluate(), "groups of one device have no further one")


def like_tokens_read_no_more(scenario: Scenario) -> None:
    """The less independently tokens choose their experts, the fewer experts are read."""
    before = scenario.evaluate()
    for share in (0.5 * scenario.engine.routing_independence, 0.0):
        after = scenario.with_engine(routing_independence=share).evaluate()
        _not_below(before.step_bytes, after.step_bytes, "tokens alike read no more")
        _not_below(before.tpot_s, after.tpot_s, "tokens alike are no slower")
        _require(after.step_flops == before.step_flops, "tokens alike compute as much")
        if scenario.model.experts == 0.0:
            _require(after == before, "a dense model has no experts to choose")


def narrow_sums_are_no_slower(scenario: Scenario) -> None:
    """Sums in fp16 slow nothing, and change nothing on devices that are not faster at them."""
    wide = scenario.with_engine(narrow_accumulation=0.0)
    narrow = scenario.with_engine(narrow_accumulation=1.0)
    before, after = wide.evaluate(), narrow.evaluate()
    _not_below(before.tpot_s, after.tpot_s, "sums in fp16 do not slow decode")
    if scenario.deployment.scheduler != SCHEDULER_CONTINUOUS:
        _not_below(before.ttft_s, after.ttft_s, "sums in fp16 do not slow prefill")
    same = narrow.with_device(flops_fp16_narrow=0.0).evaluate()
    _require(same == before, "a device without a faster rate for them has one rate")


LAWS: Final[tuple[Callable[[Scenario], None], ...]] = (
    is_finite,
    grows_with_batch,
    grows_with_context,
    faster_hardware_is_no_slower,
    ideal_is_a_bound,
    alone_means_no_network,
    scales_with_all_rates,
    parts_sum_up,
    elasticities_sum_to_one,
    elasticities_are_derivatives,
    power_is_limited,
    energy_is_power_times_time,
    utilisation_is_at_most_one,
    bytes_add_up,
    status_follows_from_bytes,
    requests_run_or_wait,
    static_batches_have_no_server,
    disaggregation_only_decodes,
    speculation_gains_at_most_its_tokens,
    offload_is_no_faster,
    cached_prompts_are_no_slower,
    cost_follows_price,
    owning_costs_interest,
    tpot_excludes_ttft,
    more_bits_are_no_faster,
    tensor_parallelism_shares_the_work,
    pipelines_do_not_shorten_a_step,
    intervals_enclose,
    intervals_change_nothing,
    longer_answers_in_flight_are_no_faster,
    host_time_is_no_gain,
    like_tokens_read_no_more,
    narrow_sums_are_no_slower,
)


def check_laws(scenario: Scenario) -> None:
    """Check every law on one configuration.

    Raises
    ------
    LawBrokenError
        Naming the law and the values that break it.
    """
    for law in LAWS:
        law(scenario)


__all__ = [
    "LAWS",
    "LawBrokenError",
    "Scenario",
    "alone_means_no_network",
    "bytes_add_up",
    "cached_prompts_are_no_slower",
    "check_laws",
    "cost_follows_price",
    "deployments",
    "devices",
    "disaggregation_only_decodes",
    "economics",
    "elasticities_are_derivatives",
    "elasticities_sum_to_one",
    "energy_is_power_times_time",
    "engines",
    "faster_hardware_is_no_slower",
    "grows_with_batch",
    "grows_with_context",
    "host_time_is_no_gain",
    "ideal_engine",
    "ideal_is_a_bound",
    "intervals_change_nothing",
    "intervals_enclose",
    "is_finite",
    "kv_formats",
    "like_tokens_read_no_more",
    "longer_answers_in_flight_are_no_faster",
    "model_entries",
    "models",
    "more_bits_are_no_faster",
    "narrow_sums_are_no_slower",
    "offload_is_no_faster",
    "owning_costs_interest",
    "parts_sum_up",
    "pipelines_do_not_shorten_a_step",
    "power_is_limited",
    "requests_run_or_wait",
    "scales_with_all_rates",
    "scenarios",
    "spaces",
    "speculation_gains_at_most_its_tokens",
    "static_batches_have_no_server",
    "status_follows_from_bytes",
    "tensor_parallelism_shares_the_work",
    "tpot_excludes_ttft",
    "utilisation_is_at_most_one",
    "weight_formats",
]
