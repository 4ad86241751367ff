"""Hypothesis strategies for every record, and laws that any configuration must keep.

Both are for users as well: ``check_laws(Deployment(...))`` tests entries of their own catalogue.
Needs the package ``hypothesis`` (``pip install 'perfcore[test]'``).
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from hypothesis import strategies as st

from perfcore import catalog, records
from perfcore.catalog.architecture import ModelEntry
from perfcore.errors import PerfcoreError
from perfcore.physics.memory import usable_bytes
from perfcore.physics.point import (
    CONTEXT_TOO_LONG,
    KV_DOES_NOT_FIT,
    OK,
    WEIGHTS_DO_NOT_FIT,
    Point,
    evaluate,
)
from perfcore.physics.roofline import peak_flops
from perfcore.records import (
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    Parallelism,
    WeightFormat,
    Workload,
)

ROUNDING: Final = 1e-9  # relative error that a law forgives

LATENCIES: Final = (
    "launch",
    "launch_fp8",
    "launch_attention",
    "launch_experts",
    "launch_elementwise",
    "one_shot_latency",
    "one_shot_hop",
    "two_shot_latency",
    "network_latency",
    "hop_latency",
    "host_per_step",
    "host_per_sequence",
    "host_per_prefill",
)
COMPUTE_RATES: Final = ("flops_fp32", "flops_fp16", "flops_fp8", "flops_int8", "flops_fp4")
LINK_RATES: Final = ("link_bandwidth", "network_bandwidth")


class LawBrokenError(PerfcoreError, AssertionError):
    """A configuration breaks a law of the physics; the text says which and by how much."""


class Deployment(NamedTuple):
    """A whole configuration, in the order in which ``perfcore.physics.point.evaluate`` takes it."""

    model: Model
    device: Device
    engine: Engine
    weight_format: WeightFormat
    kv_format: KVFormat
    parallelism: Parallelism
    workload: Workload
    economics: Economics

    def evaluate(self) -> Point:
        """Return every metric."""
        return evaluate(*self)

    def with_device(self, **fields: float) -> "Deployment":
        """Return the same on a device with other data."""
        return self._replace(device=self.device._replace(**fields))

    def with_engine(self, **fields: float) -> "Deployment":
        """Return the same on an engine with other constants."""
        return self._replace(engine=self.engine._replace(**fields))

    def with_workload(self, **fields: float) -> "Deployment":
        """Return the same under another workload."""
        return self._replace(workload=self.workload._replace(**fields))

    def with_economics(self, **fields: float) -> "Deployment":
        """Return the same in another facility."""
        return self._replace(economics=self.economics._replace(**fields))

    def with_rates(self, factor: float, *names: str) -> "Deployment":
        """Return the same with the device's named rates multiplied."""
        return self.with_device(**{name: factor * getattr(self.device, name) for name in names})

    def with_latencies(self, factor: float) -> "Deployment":
        """Return the same with every fixed time multiplied."""
        engine = {name: factor * getattr(self.engine, name) for name in LATENCIES}
        layer = factor * self.device.layer_latency
        return self.with_engine(**engine).with_device(layer_latency=layer)


# -------------------------------------------------------------------------------- strategies


def _reals(low: float, high: float) -> st.SearchStrategy[float]:
    """Real numbers, evenly on a logarithmic axis, both ends included."""
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


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


def model_entries(*, max_layers: int = 128) -> st.SearchStrategy[ModelEntry]:
    """Return architectures: published ones, and random ones of up to ``max_layers`` layers."""
    published = st.sampled_from(catalog.names("model")).map(catalog.load_model)
    return published | _architectures(max_layers)


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
        memory_bytes=draw(_reals(min_memory_bytes, max_memory_bytes)),
        memory_bandwidth=draw(_reals(min_memory_bandwidth, max_memory_bandwidth)),
        flops_fp32=draw(_reals(0.01, 1.0)) * fp16,
        flops_fp16=fp16,
        flops_fp8=draw(faster),
        flops_int8=draw(faster),
        flops_fp4=2.0 * draw(faster),
        board_power=board_power,
        idle_power=board_power * draw(_shares()),
        link_bandwidth=draw(_reals(1e9, 1e13)),
        scale_up_domain=draw(st.sampled_from((1.0, 2.0, 4.0, 8.0, 72.0, 1024.0))),
        network_bandwidth=draw(_reals(1e8, 1e12)),
        price_per_hour=draw(st.just(0.0) | _reals(0.01, 1_000.0)),
        spatial=float(side_by_side),
        layer_latency=draw(_reals(1e-7, 1e-3)) if side_by_side else 0.0,
    )


def _constant(name: str) -> st.SearchStrategy[float]:
    ranges = {
        "host_": st.just(0.0) | _reals(1e-7, 0.1),
        "kv_group_penalty": _shares(0.0, 0.5),
        "memory_fraction": _shares(0.5, 1.0),
        "memory_reserve": st.just(0.0) | _reals(1e6, 1e10),
        "power_floor": _shares(0.05, 1.0),
    }
    for prefix, values in ranges.items():
        if name.startswith(prefix):
            return values
    if name in LATENCIES:
        return st.just(0.0) | _reals(1e-8, 1e-3)
    return _shares(0.05, 1.0) if "efficiency" in name else _shares()


def engines(*, ideal: bool | None = None) -> st.SearchStrategy[Engine]:
    """Return engines' constants; ``ideal`` asks for the physical bound only, or for none of it."""
    drawn = st.fixed_dictionaries({name: _constant(name) for name in Engine._fields})
    real = drawn.map(lambda constants: Engine(**constants))
    if ideal is None:
        return real | real.map(ideal_engine)
    return real.map(ideal_engine) if ideal else real


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


def kv_formats(*, min_bits: float = 1.5, max_bits: float = 32.0) -> st.SearchStrategy[KVFormat]:
    """Return formats of the KV cache."""
    bits = st.sampled_from((4.5, 8.0, 16.0)).filter(lambda x: min_bits <= x <= max_bits)
    return st.builds(
        KVFormat, bits=bits | _shares(min_bits, max_bits), kernel=st.sampled_from((0.0, 1.0))
    )


def economics(*, max_pue: float = 3.0) -> st.SearchStrategy[Economics]:
    """Return facilities."""
    return st.builds(
        Economics,
        utilization=_shares(0.01, 1.0),
        price_multiplier=_shares(0.1, 2.0),
        pue=_shares(1.0, max_pue),
        node_overhead=_shares(0.0, 1.0),
        carbon_intensity=_shares(0.0, 1_200.0),
    )


def parallelisms(*, max_tp: int = 64, max_pp: int = 16) -> st.SearchStrategy[Parallelism]:
    """Return layouts, more often than not powers of two."""

    def degree(largest: int) -> st.SearchStrategy[float]:
        powers = [float(2**n) for n in range(largest.bit_length()) if 2**n <= largest]
        return st.sampled_from(powers) | st.integers(1, largest).map(float)

    return st.builds(Parallelism, tp=degree(max_tp), pp=degree(max_pp))


def workloads(
    *,
    min_batch: int = 1,
    max_batch: int = 4_096,
    min_input_len: int = 1,
    max_input_len: int = 200_000,
    min_output_len: int = 1,
    max_output_len: int = 20_000,
) -> st.SearchStrategy[Workload]:
    """Return batches and lengths, evenly on logarithmic axes."""

    def whole(low: int, high: int) -> st.SearchStrategy[float]:
        return _reals(low, high).map(lambda x: float(min(max(round(x), low), high)))

    return st.builds(
        Workload,
        batch=whole(min_batch, max_batch),
        input_len=whole(min_input_len, max_input_len),
        output_len=whole(min_output_len, max_output_len),
    )


def deployments(
    *, spatial: bool | None = None, ideal: bool | None = None
) -> st.SearchStrategy[Deployment]:
    """Return whole configurations; many of them do not fit, which their status says."""
    return st.builds(
        Deployment,
        model=models(),
        device=devices(spatial=spatial),
        engine=engines(ideal=ideal),
        weight_format=weight_formats(),
        kv_format=kv_formats(),
        parallelism=parallelisms(),
        workload=workloads(),
        economics=economics(),
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

    What it says of memory and of power stays.
    """
    changes = dict.fromkeys(LATENCIES, 0.0)
    changes |= {name: 1.0 for name in Engine._fields if "efficiency" in name}
    changes |= {"residue": 0.0, "kv_group_penalty": 0.0, "spatial_latency": 0.0}
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


def is_finite(deployment: Deployment) -> None:
    """Nothing that is computed is negative, infinite or not a number, fit or not."""
    for name, value in deployment.evaluate()._asdict().items():
        _require(math.isfinite(value) and value >= -1e-12, f"{name} is finite", value)


def grows_with_batch(deployment: Deployment) -> None:
    """Neither prefill nor a decode step gets faster with a larger batch."""
    before = deployment.evaluate()
    for more in (deployment.workload.batch + 1.0, 2.0 * deployment.workload.batch):
        after = deployment.with_workload(batch=more).evaluate()
        _not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the batch")
        _not_below(after.ttft_s, before.ttft_s, "TTFT does not fall with the batch")


def grows_with_context(deployment: Deployment) -> None:
    """Neither prefill nor a decode step gets faster with a longer prompt or a longer answer.

    TPOT of models with chunked windows is exempt: just after a chunk's end its layers see a
    single token.
    """
    before = deployment.evaluate()
    workload = deployment.workload
    longer = (
        deployment.with_workload(input_len=workload.input_len + 1.0),
        deployment.with_workload(input_len=2.0 * workload.input_len),
        deployment.with_workload(output_len=2.0 * workload.output_len),
    )
    for change in longer:
        after = change.evaluate()
        _not_below(after.ttft_s, before.ttft_s, "TTFT does not fall with the context")
        if deployment.model.window_chunked == 0.0:
            _not_below(after.tpot_s, before.tpot_s, "TPOT does not fall with the context")


def faster_hardware_is_no_slower(deployment: Deployment) -> None:
    """More bandwidth, arithmetic, link or network never slows prefill or decode."""
    before = deployment.evaluate()
    groups = (("memory_bandwidth",), COMPUTE_RATES, ("link_bandwidth",), ("network_bandwidth",))
    for names in groups:
        after = deployment.with_rates(1.5, *names).evaluate()
        _not_below(before.tpot_s, after.tpot_s, f"TPOT does not rise with {names[0]}")
        _not_below(before.ttft_s, after.ttft_s, f"TTFT does not rise with {names[0]}")


def ideal_is_a_bound(deployment: Deployment) -> None:
    """No engine beats the ideal one, in the same configuration."""
    real = deployment.evaluate()
    bound = deployment._replace(engine=ideal_engine(deployment.engine)).evaluate()
    _not_below(real.tpot_s, bound.tpot_s, "TPOT is not below its bound")
    _not_below(real.ttft_s, bound.ttft_s, "TTFT is not below its bound")


def alone_means_no_network(deployment: Deployment) -> None:
    """One device has nobody to talk to, and a spatial machine's layers hold what it says."""
    alone = deployment._replace(parallelism=Parallelism(1.0, 1.0)).evaluate()
    _require(alone.network_s == 0.0, "one device exchanges nothing", alone.network_s)
    _require(alone.elasticity_link == 0.0, "one device needs no link", alone.elasticity_link)


def scales_with_all_rates(deployment: Deployment, factor: float = 3.0) -> None:
    """All rates times k and all fixed times over k: every time over k."""
    rates = ("memory_bandwidth", *COMPUTE_RATES, *LINK_RATES)
    before = deployment.evaluate()
    after = deployment.with_rates(factor, *rates).with_latencies(1.0 / factor).evaluate()
    for name in ("ttft_s", "tpot_s", "e2e_latency_s"):
        slow, fast = getattr(before, name), getattr(after, name)
        _equal(slow, factor * fast, f"{name} is homogeneous")


def parts_sum_up(deployment: Deployment) -> None:
    """Parts sum to TPOT, shares to 1; the largest part is the bound; latency is the sum."""
    point = deployment.evaluate()
    names = ("weights", "kv", "activations", "compute", "network", "latency")
    parts = [getattr(point, f"{name}_s") for name in names]
    shares = [getattr(point, f"{name}_share") for name in names]
    _equal(math.fsum(parts), point.tpot_s, "parts sum to TPOT")
    _equal(math.fsum(shares), 1.0, "shares sum to 1")
    for part, share in zip(parts, shares, strict=True):
        _require(_close(share * point.tpot_s, part), "a share is its part", part, share)
    _equal(parts[int(point.bound)], max(parts), "the bound is the largest part")
    steps = deployment.workload.output_len - 1.0
    _equal(point.e2e_latency_s, point.ttft_s + steps * point.tpot_s, "latency is the sum")
    _equal(point.tokens_per_s_per_user * point.tpot_s, 1.0, "speed is 1 / TPOT")


def elasticities_sum_to_one(deployment: Deployment) -> None:
    """Time is homogeneous of degree one in its resources (Euler's theorem)."""
    point = deployment.evaluate()
    parts = (
        point.elasticity_bandwidth,
        point.elasticity_compute,
        point.elasticity_link,
        point.elasticity_latency,
    )
    _equal(math.fsum(parts), 1.0, "elasticities sum to 1")


def elasticities_are_derivatives(deployment: Deployment, step: float = 1e-5) -> None:
    """Each elasticity is what a slightly better device gains.

    Where two times tie there is a kink, of which it lies between the slopes of both sides.
    """
    point = deployment.evaluate()
    changes: dict[str, Callable[[float], Deployment]] = {
        "elasticity_bandwidth": lambda k: deployment.with_rates(k, "memory_bandwidth"),
        "elasticity_compute": lambda k: deployment.with_rates(k, *COMPUTE_RATES),
        "elasticity_link": lambda k: deployment.with_rates(k, *LINK_RATES),
        "elasticity_latency": lambda k: deployment.with_latencies(1.0 / k),
    }
    for name, change in changes.items():
        worse = change(math.exp(-step)).evaluate().tpot_s
        better = change(math.exp(step)).evaluate().tpot_s
        slopes = (math.log(worse / point.tpot_s) / step, math.log(point.tpot_s / better) / step)
        value = getattr(point, name)
        near = min(slopes) - 1e-6 <= value <= max(slopes) + 1e-6
        _require(near, f"{name} is a derivative", value, *slopes)


def power_is_limited(deployment: Deployment) -> None:
    """No board draws more than its limit."""
    point = deployment.evaluate()
    limit = deployment.device.board_power
    _not_below(limit, point.decode_power_w, "decode power is within the limit")
    _not_below(limit, point.prefill_power_w, "prefill power is within the limit")


def energy_is_power_times_time(deployment: Deployment) -> None:
    """Energy follows from power and time, PUE counts once, and carbon from energy."""
    point, workload, grid = deployment.evaluate(), deployment.workload, deployment.economics
    devices = deployment.parallelism.tp * deployment.parallelism.pp
    output = devices * point.decode_power_w * point.tpot_s / workload.batch
    prompts = devices * point.prefill_power_w * point.ttft_s / workload.batch
    _equal(point.energy_per_output_token_j, output, "energy per output token")
    _equal(point.energy_per_input_token_j * workload.input_len, prompts, "energy per input token")
    _equal(
        point.energy_per_request_j,
        prompts + (workload.output_len - 1.0) * output,
        "energy per request",
    )
    facility = output * (1.0 + grid.node_overhead) * grid.pue
    _equal(point.facility_energy_per_output_token_j, facility, "PUE counts once")
    carbon = facility * 1e6 / 3.6e6 * grid.carbon_intensity
    _equal(point.carbon_per_mtok_output_g, carbon, "carbon per million tokens")


def utilisation_is_at_most_one(deployment: Deployment) -> None:
    """No more than the data sheet's bytes/s and FLOP/s are used.

    Weights whose arithmetic is slower than 16 bit are exempt of the latter (fp32, and int8 on some
    devices): attention, in 16 bit, may exceed their rate.
    """
    point = deployment.evaluate()
    _not_below(1.0, point.mbu, "MBU is at most 1")
    device, arithmetic = deployment.device, deployment.weight_format.arithmetic
    wide = peak_flops(device, records.MATH_FP16)
    if arithmetic != records.MATH_FP32 and peak_flops(device, arithmetic) >= wide:
        _not_below(1.0, point.mfu, "MFU is at most 1")
    _equal(point.arithmetic_intensity * point.step_bytes, point.step_flops, "intensity")


def bytes_add_up(deployment: Deployment) -> None:
    """Weights do not depend on the batch, the KV cache is proportional to it."""
    point = deployment.evaluate()
    batch = deployment.workload.batch
    twice = deployment.with_workload(batch=2.0 * batch).evaluate()
    both = point.weight_bytes_per_device + point.kv_bytes_per_device
    _equal(point.total_bytes_per_device, both, "weights and KV cache sum up")
    _equal(twice.weight_bytes_per_device, point.weight_bytes_per_device, "weights are kept once")
    _equal(twice.kv_bytes_per_device, 2.0 * point.kv_bytes_per_device, "sequences are alike")


def status_follows_from_bytes(deployment: Deployment) -> None:
    """What fits, fits: status, bytes, the largest batch and the memory say the same."""
    point, workload = deployment.evaluate(), deployment.workload
    usable = usable_bytes(deployment.device, deployment.engine)
    more, less = usable * (1.0 + ROUNDING), usable * (1.0 - ROUNDING)
    total, weights = point.total_bytes_per_device, point.weight_bytes_per_device
    context = workload.input_len + workload.output_len
    if point.status == OK:
        _require(total <= more, "ok means that it fits", total, usable)
        _require(workload.batch <= point.max_batch, "ok is within the largest batch")
    if point.status == WEIGHTS_DO_NOT_FIT:
        _require(weights >= less, "weights exceed the memory", weights, usable)
    if point.status == CONTEXT_TOO_LONG:
        _require(context > deployment.model.max_context, "the context is too long", context)
    if point.status == KV_DOES_NOT_FIT:
        _require(weights <= more, "weights fit", weights, usable)
        _require(total >= less, "the KV cache does not fit", total, usable)
        _require(workload.batch > point.max_batch, "the batch exceeds the largest")


def cost_follows_price(deployment: Deployment) -> None:
    """Cost is proportional to the price, its multiplier, and the inverse of utilisation."""
    point = deployment.evaluate()
    money = deployment.economics
    changes = (
        (2.0, deployment.with_rates(2.0, "price_per_hour")),
        (3.0, deployment.with_economics(price_multiplier=3.0 * money.price_multiplier)),
        (2.0, deployment.with_economics(utilization=0.5 * money.utilization)),
        (1.0, deployment.with_economics(pue=2.0 * money.pue)),
    )
    for factor, change in changes:
        after = change.evaluate()
        for name in ("cost_per_mtok_output_usd", "cost_per_mtok_input_usd"):
            _equal(getattr(after, name), factor * getattr(point, name), f"{name} follows the price")


def tpot_excludes_ttft(deployment: Deployment) -> None:
    """What only prefill waits for is not in the time per output token."""
    before = deployment.evaluate()
    host = deployment.engine.host_per_prefill + before.ttft_s
    after = deployment.with_engine(host_per_prefill=host).evaluate()
    _require(after.tpot_s == before.tpot_s, "TPOT excludes TTFT", after.tpot_s, before.tpot_s)
    _equal(after.ttft_s, 2.0 * before.ttft_s, "TTFT includes the host")


def more_bits_are_no_faster(deployment: Deployment) -> None:
    """At the physical bound and with the same arithmetic, wider weights or caches cost time.

    A format of 6 bits and more quantises all matrices where one below quantises the routed
    experts only: widths on both sides of 6 are not compared.
    """
    ideal = deployment._replace(engine=ideal_engine(deployment.engine))
    before = ideal.evaluate()
    form, cache = ideal.weight_format, ideal.kv_format
    for bits in (form.bits + 0.5, 1.5 * form.bits):
        if (form.bits < 6.0) == (bits < 6.0):
            after = ideal._replace(weight_format=form._replace(bits=bits)).evaluate()
            _not_below(after.tpot_s, before.tpot_s, "wider weights are no faster")
            _not_below(after.ttft_s, before.ttft_s, "wider weights are no faster in prefill")
    after = ideal._replace(kv_format=cache._replace(bits=1.5 * cache.bits)).evaluate()
    _not_below(after.tpot_s, before.tpot_s, "a wider cache is no faster")
    _not_below(before.max_batch, after.max_batch, "a wider cache holds no more sequences")


def pipelines_do_not_shorten_a_step(deployment: Deployment) -> None:
    """A static batch passes the stages one after the other (spatial machines aside)."""
    if deployment.device.spatial == 1.0:
        return
    tp, pp = deployment.parallelism
    staged = deployment._replace(parallelism=Parallelism(tp, pp)).evaluate()
    whole = deployment._replace(parallelism=Parallelism(tp, 1.0)).evaluate()
    _not_below(staged.tpot_s, whole.tpot_s, "a pipeline does not shorten a step")
    _equal(
        staged.tpot_s - staged.network_s,
        whole.tpot_s - whole.network_s,
        "a pipeline only adds hand-overs",
    )


LAWS: Final[tuple[Callable[[Deployment], None], ...]] = (
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
    cost_follows_price,
    tpot_excludes_ttft,
    more_bits_are_no_faster,
    pipelines_do_not_shorten_a_step,
)


def check_laws(deployment: Deployment) -> None:
    """Check every law on one configuration.

    Raises
    ------
    LawBrokenError
        Naming the law and the values that break it.
    """
    for law in LAWS:
        law(deployment)


__all__ = [
    "LAWS",
    "Deployment",
    "LawBrokenError",
    "alone_means_no_network",
    "bytes_add_up",
    "check_laws",
    "cost_follows_price",
    "deployments",
    "devices",
    "economics",
    "elasticities_are_derivatives",
    "elasticities_sum_to_one",
    "energy_is_power_times_time",
    "engines",
    "faster_hardware_is_no_slower",
    "grows_with_batch",
    "grows_with_context",
    "ideal_engine",
    "ideal_is_a_bound",
    "is_finite",
    "kv_formats",
    "model_entries",
    "models",
    "more_bits_are_no_faster",
    "parallelisms",
    "parts_sum_up",
    "pipelines_do_not_shorten_a_step",
    "power_is_limited",
    "scales_with_all_rates",
    "spaces",
    "status_follows_from_bytes",
    "tpot_excludes_ttft",
    "utilisation_is_at_most_one",
    "weight_formats",
    "workloads",
]
