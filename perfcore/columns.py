"""Every axis and every output column, declared once: name, unit, type, meaning.

The kernel's output, the Arrow schema, the CLI and the tables of the documentation read this
declaration. The metrics stand in the order of ``perfcore.physics.stages.point.Point``, which a test
holds.
"""

from dataclasses import dataclass
from typing import Literal

from perfcore.inputs import AXIS_INPUTS, AxisInput
from perfcore.records import Request

Kind = Literal["axis", "code", "count", "metric"]
Better = Literal["least", "most"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the output.

    ``kind`` is ``axis`` (a coordinate of the space), ``code`` (one of ``categories``), ``count``
    (a whole number) or ``metric`` (a real number). ``unit`` is SI, ``1`` for a pure number and
    empty for text. ``better`` is said of what people choose by: its best rows are sought.
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
        """Whether readers see strings."""
        return bool(self.categories) or (self.kind == "axis" and self.unit == "")


STATUS = (
    "ok",
    "heads not divisible by tp",
    "fewer layers than pp",
    "experts not divisible by ep",
    "no compute path",
    "weights do not fit",
    "context above the model's maximum",
    "kv cache does not fit",
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
    return "tokens" if axis.name in Request._fields else "1"


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
    Column("status", "", "code", "ok, or why it cannot run", True, STATUS),
    Column("bound", "", "code", "what most of TPOT waits for", True, BOUND),
    _default("ttft_s", "s", "time to first token: of a static batch, or with queueing", "least"),
    _default("tpot_s", "s", "time per output token, mean after the first", "least"),
    _metric("e2e_latency_s", "s", "ttft_s + (output_len - 1) tpot_s", "least"),
    _metric(
        "tokens_per_s_per_user",
        "1/s",
        "output tokens of one sequence per second: 1 / tpot_s",
        "most",
    ),
    _default(
        "tokens_per_s_per_device", "1/s", "output tokens of the batch per second and device", "most"
    ),
    _metric("requests_per_s", "1/s", "requests that a replica finishes per second", "most"),
    _count("running_batch", "sequences that run at once; the others wait", better="most"),
    _metric("prefill_pool", "1", "prefill replicas per decode replica, if disaggregated"),
    _metric("weight_bytes_per_device", "bytes", "weights on the fullest device"),
    _metric("kv_bytes_per_device", "bytes", "KV cache and states of the batch at full length"),
    _default("total_bytes_per_device", "bytes", "weights and KV cache on the fullest device"),
    _metric("offloaded_bytes_per_device", "bytes", "the part of them in the second memory tier"),
    _count(
        "max_batch", "largest batch whose KV cache fits; at most 2^24", default=True, better="most"
    ),
    _count(
        "devices_needed",
        "devices whose memory holds the weights and the batch's KV cache, split evenly",
    ),
    _metric("step_bytes", "bytes", "bytes read and written in one decode step, all devices"),
    _metric("step_flops", "FLOP", "arithmetic of one decode step, all devices"),
    _metric("arithmetic_intensity", "FLOP/byte", "step_flops / step_bytes"),
    _default("mbu", "1", "share of peak memory bandwidth used in decode", "most"),
    _metric("mfu", "1", "share of peak FLOP/s used in decode", "most"),
    _metric("ridge_batch", "tokens", "tokens per weight read from which on compute binds"),
    _default("weights_s", "s", "part of tpot_s: reading weights"),
    _default("kv_s", "s", "part of tpot_s: reading the KV cache and states"),
    _metric("activations_s", "s", "part of tpot_s: moving activations"),
    _default("compute_s", "s", "part of tpot_s: arithmetic"),
    _default("network_s", "s", "part of tpot_s: exchange between devices"),
    _default("latency_s", "s", "part of tpot_s: start-up of operators, and the host"),
    _default("prefill_s", "s", "part of tpot_s: other requests' prefill"),
    _metric("offload_s", "s", "part of tpot_s: reading the second memory tier"),
    _metric("weights_share", "1", "weights_s / tpot_s"),
    _metric("kv_share", "1", "kv_s / tpot_s"),
    _metric("activations_share", "1", "activations_s / tpot_s"),
    _metric("compute_share", "1", "compute_s / tpot_s"),
    _metric("network_share", "1", "network_s / tpot_s"),
    _metric("latency_share", "1", "latency_s / tpot_s"),
    _metric("prefill_share", "1", "prefill_s / tpot_s"),
    _metric("offload_share", "1", "offload_s / tpot_s"),
    _metric("elasticity_bandwidth", "1", "% that TPOT falls per % of memory bandwidth"),
    _metric("elasticity_compute", "1", "% that TPOT falls per % of FLOP/s"),
    _metric("elasticity_link", "1", "% that TPOT falls per % of link and second-tier bandwidth"),
    _metric("elasticity_latency", "1", "% that TPOT falls per % off every fixed latency"),
    _default("decode_power_w", "W", "mean power of one board in decode"),
    _metric("prefill_power_w", "W", "mean power of one board in prefill"),
    _metric("power_w", "W", "mean power of one board over both phases"),
    _default("energy_per_output_token_j", "J", "energy of all boards per output token", "least"),
    _metric("energy_per_input_token_j", "J", "energy of all boards per input token", "least"),
    _metric("energy_per_request_j", "J", "energy of all boards per request, both phases", "least"),
    _metric(
        "facility_energy_per_output_token_j", "J", "the same at the grid: hosts, fans, PUE", "least"
    ),
    _default("cost_per_mtok_output_usd", "USD", "price of a million output tokens", "least"),
    _default("cost_per_mtok_input_usd", "USD", "price of a million input tokens", "least"),
    _metric(
        "cost_per_mtok_cached_input_usd", "USD", "price of a million cached input tokens", "least"
    ),
    _metric(
        "break_even_utilization",
        "1",
        "utilisation at which output pays at the token price",
        "least",
    ),
    _metric("carbon_per_mtok_output_g", "g", "CO2 equivalent of a million output tokens", "least"),
    _metric("carbon_per_mtok_input_g", "g", "CO2 equivalent of a million input tokens", "least"),
    _metric("ttft_low_s", "s", "four measurements in five lie between this ..."),
    _metric("ttft_high_s", "s", "... and this"),
    _default("tpot_low_s", "s", "four measurements in five lie between this ..."),
    _default("tpot_high_s", "s", "... and this"),
    _metric("e2e_latency_low_s", "s", "ttft_low_s and tpot_low_s together"),
    _metric("e2e_latency_high_s", "s", "ttft_high_s and tpot_high_s together"),
    _metric("energy_per_output_token_low_j", "J", "four measurements in five lie between this ..."),
    _metric("energy_per_output_token_high_j", "J", "... and this"),
    _metric("power_low_w", "W", "four measurements in five lie between this ..."),
    _metric("power_high_w", "W", "... and this"),
)

COLUMNS: tuple[Column, ...] = AXES + METRICS
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
DEFAULT_METRICS: tuple[str, ...] = tuple(column.name for column in METRICS if column.default)
SOUGHT: tuple[str, ...] = tuple(column.name for column in METRICS if column.better)
