"""Every axis and every output column, declared once: name, unit, type, meaning.

The kernel's output, the Arrow schema, the CLI and the tables in the documentation use these
declarations. Metrics are in the order of ``perfcore.physics.stages.point.Point``; a test checks it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from perfcore.inputs import AXIS_INPUTS, PAIR_AXES, TRAFFIC_INPUTS, AxisInput
from perfcore.records import Request

Kind = Literal["axis", "code", "count", "metric"]
Better = Literal["least", "most"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the output.

    ``kind`` is ``axis`` (a coordinate of the space), ``code`` (one of ``categories``), ``count``
    (a whole number) or ``metric`` (a real number). ``unit`` is SI, ``1`` for a pure number and
    empty for text. ``better`` is set for metrics by which people choose configurations.
    """

    name: str
    unit: str
    kind: Kind
    meaning: str
    default: bool = False
    categories: tuple[str, ...] = ()
    better: Better | None = None

    @property
    def text(self) -> bool:
        """Whether the column appears as strings to readers."""
        return bool(self.categories) or (self.kind == "axis" and self.unit == "")


STATUS = (
    "ok",
    "heads not divisible by tp",
    "fewer layers than pp",
    "experts cannot be spread over ep",
    "no compute path",
    "weights do not fit",
    "context above the model's maximum",
    "kv cache does not fit",
    "host memory too small",
    "prefill pool cannot run",
    "draft cannot run",
    "experts do not fit",
    "engine cannot run it",
)
BOUND = (
    "weights",
    "kv_cache",
    "activations",
    "compute",
    "network",
    "latency",
    "prefill",
    "offload",
)


def _unit(axis: AxisInput) -> str:
    if axis.limits is None:
        return ""
    if axis.name in Request._fields:
        return "tokens"
    return "bytes/s" if axis.limits.dimension == "bandwidth" else "1"


def _count(
    name: str, meaning: str, *, default: bool = False, better: Better | None = None
) -> Column:
    return Column(name, "1", "count", meaning, default, better=better)


def _metric(name: str, unit: str, meaning: str, better: Better | None = None) -> Column:
    return Column(name, unit, "metric", meaning, better=better)


def _default(name: str, unit: str, meaning: str, better: Better | None = None) -> Column:
    return Column(name, unit, "metric", meaning, default=True, better=better)


AXES: tuple[Column, ...] = tuple(
    Column(axis.name, _unit(axis), "axis", axis.meaning, default=True)
    for axis in AXIS_INPUTS.values()
)

METRICS: tuple[Column, ...] = (
    Column(
        "status", "", "code", "ok, or the reason why the configuration cannot run", True, STATUS
    ),
    Column("bound", "", "code", "bottleneck: the largest part of tpot_s", True, BOUND),
    _default("ttft_s", "s", "time to first token (TTFT), including queueing on a server", "least"),
    _default("tpot_s", "s", "mean time per output token after the first (TPOT)", "least"),
    _metric(
        "e2e_latency_s", "s", "end-to-end latency: ttft_s + (output_len - 1) x tpot_s", "least"
    ),
    _metric(
        "tokens_per_s_per_user",
        "1/s",
        "output tokens per second of one sequence: 1 / tpot_s",
        "most",
    ),
    _default(
        "tokens_per_s_per_device",
        "1/s",
        "output tokens per second and device over whole requests, including prefill",
        "most",
    ),
    _metric("requests_per_s", "1/s", "requests that a replica finishes per second", "most"),
    _count(
        "running_batch", "requests that run at once; the others wait", default=True, better="most"
    ),
    _metric(
        "prefill_pool",
        "1",
        "prefill replicas per decode replica with a disaggregated scheduler, else 0",
    ),
    _metric("weight_bytes_per_device", "bytes", "weights on the fullest device"),
    _metric(
        "kv_bytes_per_device",
        "bytes",
        "KV cache and states of the running requests, on the fullest device",
    ),
    _default("total_bytes_per_device", "bytes", "weights and KV cache on the fullest device"),
    _metric(
        "offloaded_bytes_per_device",
        "bytes",
        "part of total_bytes_per_device in the second memory tier or host memory",
    ),
    _count(
        "max_batch", "largest batch whose KV cache fits; at most 2^24", default=True, better="most"
    ),
    _count(
        "devices_needed",
        "fewest devices that hold the weights and the batch's KV cache, split evenly",
    ),
    _metric("step_bytes", "bytes", "bytes read and written in one decode step, all devices"),
    _metric("step_flops", "FLOP", "FLOP of one decode step, all devices"),
    _metric("arithmetic_intensity", "FLOP/byte", "step_flops / step_bytes"),
    _default("mbu", "1", "memory-bandwidth utilisation (MBU) in decode: share of the peak", "most"),
    _metric("mfu", "1", "model FLOP/s utilisation (MFU) in decode: share of the peak", "most"),
    _metric(
        "ridge_batch", "tokens", "tokens per weight read above which compute is the bottleneck"
    ),
    _default("weights_s", "s", "part of tpot_s: reading weights"),
    _default("kv_s", "s", "part of tpot_s: reading the KV cache and states"),
    _metric("activations_s", "s", "part of tpot_s: moving activations"),
    _default("compute_s", "s", "part of tpot_s: arithmetic"),
    _default("network_s", "s", "part of tpot_s: communication between devices"),
    _default("latency_s", "s", "part of tpot_s: operator start-up, sampling and host time"),
    _default("prefill_s", "s", "part of tpot_s: other requests' prefill"),
    _metric(
        "offload_s",
        "s",
        "part of tpot_s: reading the second memory tier, or waiting for the CPU, for experts or a "
        "draft on other devices",
    ),
    _metric("weights_share", "1", "weights_s / tpot_s"),
    _metric("kv_share", "1", "kv_s / tpot_s"),
    _metric("activations_share", "1", "activations_s / tpot_s"),
    _metric("compute_share", "1", "compute_s / tpot_s"),
    _metric("network_share", "1", "network_s / tpot_s"),
    _metric("latency_share", "1", "latency_s / tpot_s"),
    _metric("prefill_share", "1", "prefill_s / tpot_s"),
    _metric("offload_share", "1", "offload_s / tpot_s"),
    _metric("elasticity_bandwidth", "1", "% decrease in tpot_s per % more memory bandwidth"),
    _metric("elasticity_compute", "1", "% decrease in tpot_s per % more FLOP/s"),
    _metric(
        "elasticity_link",
        "1",
        "% decrease in tpot_s per % more link, network and second-tier bandwidth",
    ),
    _metric("elasticity_latency", "1", "% decrease in tpot_s per % less of every fixed latency"),
    _default("decode_power_w", "W", "mean power of one board in decode"),
    _metric("prefill_power_w", "W", "mean power of one board in prefill"),
    _metric("power_w", "W", "mean power of one board over the time of a request"),
    _default(
        "energy_per_output_token_j",
        "J",
        "energy of all boards in decode steps, per output token; without prefill",
        "least",
    ),
    _metric(
        "energy_per_input_token_j",
        "J",
        "energy of all boards per input token: the rest of the request's energy",
        "least",
    ),
    _metric(
        "energy_per_request_j",
        "J",
        "energy of all boards per request, prompt and answer",
        "least",
    ),
    _metric(
        "facility_energy_per_output_token_j",
        "J",
        "energy from the grid in decode steps, per output token: boards, hosts, fans, PUE",
        "least",
    ),
    _metric(
        "tokens_per_s_per_mw",
        "1/s",
        "output tokens per second from a megawatt of the grid, over whole requests",
        "most",
    ),
    _default(
        "cost_per_mtok_output_usd",
        "USD",
        "cost of a million output tokens after the first",
        "least",
    ),
    _default("cost_per_mtok_input_usd", "USD", "cost of a million input tokens", "least"),
    _metric(
        "cost_per_mtok_cached_input_usd", "USD", "cost of a million cached input tokens", "least"
    ),
    _metric("cost_per_request_usd", "USD", "cost of a request, prompt and answer", "least"),
    _metric(
        "cost_per_mtok_blended_usd",
        "USD",
        "cost of a million tokens, input and output in the ratio of input_len and output_len",
        "least",
    ),
    _metric(
        "break_even_utilization",
        "1",
        "utilisation at which the token price covers the cost of output tokens",
        "least",
    ),
    _metric(
        "margin",
        "1",
        "share of the token price that the cost of output tokens leaves; negative: a loss",
        "most",
    ),
    _metric(
        "carbon_per_mtok_output_g",
        "g",
        "CO2-equivalent emissions of a million output tokens",
        "least",
    ),
    _metric(
        "carbon_per_mtok_input_g",
        "g",
        "CO2-equivalent emissions of a million input tokens",
        "least",
    ),
    _metric("ttft_low_s", "s", "lower end of the 80 % interval of ttft_s"),
    _metric("ttft_high_s", "s", "upper end of the 80 % interval of ttft_s"),
    _default("tpot_low_s", "s", "lower end of the 80 % interval of tpot_s"),
    _default("tpot_high_s", "s", "upper end of the 80 % interval of tpot_s"),
    _metric("e2e_latency_low_s", "s", "ttft_low_s + (output_len - 1) x tpot_low_s"),
    _metric("e2e_latency_high_s", "s", "ttft_high_s + (output_len - 1) x tpot_high_s"),
    _metric(
        "energy_per_output_token_low_j",
        "J",
        "lower end of the 80 % interval of energy_per_output_token_j",
    ),
    _metric(
        "energy_per_output_token_high_j",
        "J",
        "upper end of the 80 % interval of energy_per_output_token_j",
    ),
    _metric("power_low_w", "W", "lower end of the 80 % interval of power_w"),
    _metric("power_high_w", "W", "upper end of the 80 % interval of power_w"),
    _metric(
        "perplexity_increase",
        "1",
        "quality loss of weight_format: perplexity increase of Llama 3 8B on wikitext-2, "
        "as a fraction; NaN if not measured",
    ),
)

# Of a prefill pool, of experts and of a draft on devices of their own, in sweeps that name them.
PAIRS: tuple[Column, ...] = tuple(
    Column(axis.name, _unit(axis), "axis", axis.meaning, default=True)
    for axis in PAIR_AXES.values()
)

# Of traffic. Lengths are declared above.
TRAFFIC_AXES: tuple[Column, ...] = tuple(
    Column(axis.name, axis.unit, "axis", axis.meaning, default=True)
    for axis in TRAFFIC_INPUTS.values()
    if axis.name not in AXIS_INPUTS
)

SIMULATED_STATUS = (*STATUS, "overloaded", "rejected")
SLO = ("missed", "met")
_STATISTICS = {
    "mean": "mean",
    "p50": "median",
    "p90": "90th percentile",
    "p95": "95th percentile",
    "p99": "99th percentile",
}
_LATENCIES = {
    "ttft": "the time from arrival to the first token (TTFT)",
    "tpot": "a request's mean time per output token after the first (TPOT)",
    "itl": "the time between two tokens of a request (ITL)",
    "e2e": "the time from arrival to the last token",
}
_ENDS = {"low": "lower", "high": "upper"}
_DEFAULT_LATENCIES = ("ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "tpot_p95_s", "e2e_p99_s")

# Results of simulated rows, which sweeps with traffic have in place of ``METRICS``.
SIMULATED: tuple[Column, ...] = (
    Column(
        "status",
        "",
        "code",
        "ok, overloaded (the queue grows), or the reason why nothing can run",
        True,
        SIMULATED_STATUS,
    ),
    Column("slo", "", "code", "whether all objectives are met", True, SLO),
    _count("requests_offered", "requests that arrive"),
    _count("sessions", "sessions with a completed request; 0 without sessions"),
    _count("completed", "completed requests"),
    _count("rejected", "requests that can never fit the context or the KV cache", default=True),
    _count("preemptions", "number of times that a request lost its KV cache", better="least"),
    _count("devices", "devices of all replicas", default=True, better="least"),
    *(
        Column(
            f"{latency}_{statistic}_s",
            "s",
            "metric",
            f"{word} of {meaning}",
            f"{latency}_{statistic}_s" in _DEFAULT_LATENCIES,
            better="least",
        )
        for latency, meaning in _LATENCIES.items()
        for statistic, word in _STATISTICS.items()
    ),
    *(
        _metric(
            f"{latency}_{statistic}_{end}_s",
            "s",
            f"{side} end of the 80 % interval of {latency}_{statistic}_s",
        )
        for latency in _LATENCIES
        for statistic in _STATISTICS
        for end, side in _ENDS.items()
    ),
    _metric("queued_mean_s", "s", "mean time until a request first runs", "least"),
    _default("good_share", "1", "share of requests that meet all objectives individually", "most"),
    _default(
        "goodput_requests_per_s",
        "1/s",
        "requests per second that meet all objectives individually",
        "most",
    ),
    _metric("makespan_s", "s", "time from the first arrival to the last end"),
    _metric("steps", "1", "engine steps of all replicas"),
    _metric("requests_per_s", "1/s", "completed requests per second", "most"),
    _metric("input_tokens_per_s", "1/s", "prompt tokens per second, including cached ones", "most"),
    _default("output_tokens_per_s", "1/s", "output tokens per second of all replicas", "most"),
    _metric("output_tokens_per_s_per_device", "1/s", "output tokens per second and device", "most"),
    _default("batch_mean", "1", "running requests of all replicas, mean over time"),
    _metric("queue_mean", "1", "waiting requests of all replicas, mean over time", "least"),
    _metric("queue_growth_per_s", "1/s", "growth of the queue over the second half of arrivals"),
    _metric("kv_capacity_tokens", "tokens", "capacity of one replica's KV cache"),
    _metric("kv_use_mean", "1", "share of the KV cache in use, mean over time"),
    _default("kv_use_max", "1", "maximum share of the KV cache in use, on the fullest replica"),
    _metric("prefix_hit_rate", "1", "share of prompt tokens found in the prefix cache", "most"),
    _metric("prefix_hit_rate_hbm", "1", "share of prompt tokens found in the devices' own memory"),
    _metric("prefix_hit_rate_dram", "1", "share of prompt tokens found in DRAM"),
    _metric("prefix_hit_rate_nvme", "1", "share of prompt tokens found on NVMe"),
    _metric("kv_load_share", "1", "share of time by which loads from lower tiers lengthen steps"),
    _default("busy_share", "1", "share of time in which a replica runs steps"),
    _metric("power_w", "W", "mean power of one board, including idle time", "least"),
    _metric(
        "energy_j", "J", "energy of all boards over the makespan, including idle time", "least"
    ),
    _metric("energy_per_request_j", "J", "energy_j per completed request", "least"),
    _default("energy_per_output_token_j", "J", "energy_j per output token", "least"),
    *(
        _metric(
            f"energy_per_output_token_{end}_j",
            "J",
            f"{side} end of the 80 % interval of energy_per_output_token_j",
        )
        for end, side in _ENDS.items()
    ),
    _metric("energy_per_session_j", "J", "energy_j per session; NaN without sessions", "least"),
    _metric(
        "cost_usd", "USD", "cost of all devices over the makespan, including idle time", "least"
    ),
    _metric("cost_per_request_usd", "USD", "cost_usd per completed request", "least"),
    _metric("cost_per_session_usd", "USD", "cost_usd per session; NaN without sessions", "least"),
    _default("cost_per_mtok_output_usd", "USD", "cost_usd per million output tokens", "least"),
    _default("cost_per_month_usd", "USD", "cost of all devices per month", "least"),
)

COLUMNS: tuple[Column, ...] = AXES + METRICS
BY_NAME: dict[str, Column] = {
    **{column.name: column for column in (*PAIRS, *TRAFFIC_AXES, *SIMULATED)},
    **{column.name: column for column in COLUMNS},  # of two results, that without traffic
}
# Words that people use for columns, of rows in closed form and of simulated ones.
_USUAL = {
    "cost": ("cost_per_mtok_output_usd",),
    "price": ("cost_per_mtok_output_usd",),
    "latency": ("e2e_latency_s", "e2e_p95_s"),
    "speed": ("tpot_s", "tpot_p95_s"),
    "ttft": ("ttft_s", "ttft_p95_s"),
    "tpot": ("tpot_s", "tpot_p95_s"),
    "throughput": ("tokens_per_s_per_device", "output_tokens_per_s"),
    "tokens_per_s": ("tokens_per_s_per_device", "output_tokens_per_s"),
    "energy": ("energy_per_output_token_j",),
    "power": ("power_w",),
    "memory": ("total_bytes_per_device", "kv_use_max"),
    "carbon": ("carbon_per_mtok_output_g",),
    "quality": ("perplexity_increase",),
}


def usual(word: str, known: Collection[str]) -> str:
    """Return the column that people mean by a word, empty if there is none."""
    meant = _USUAL.get(word.strip().lower().replace("-", "_"), ())
    return next((name for name in meant if name in known), "")


DEFAULT_METRICS: tuple[str, ...] = tuple(column.name for column in METRICS if column.default)
SOUGHT: tuple[str, ...] = tuple(column.name for column in METRICS if column.better)


def results_of(*, simulated: bool) -> tuple[Column, ...]:
    """Return the results of a sweep's rows, with or without traffic."""
    return SIMULATED if simulated else METRICS
