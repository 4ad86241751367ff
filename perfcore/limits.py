"""Which values each field of a record may take: the table behind what-ifs and their errors."""

from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from perfcore import records

POSITIVE: Final = 1e-12  # small enough for any share or ratio, and its inverse is finite
FINITE: Final = 1e300


class Limits(NamedTuple):
    """A dimension of `perfcore.units`, and the closed interval that a quantity must lie in.

    ``least`` is the smallest value besides ``low``: 0 means that a thing is not there, and what is
    there is not smaller than some amount.
    """

    dimension: str
    low: float
    high: float
    whole: bool = False
    least: float = 0.0

    def admits(self, value: float) -> bool:
        """Whether a value lies in the interval and is whole if it must be."""
        inside = self.low <= value <= self.high and (value == self.low or value >= self.least)
        return inside and not (self.whole and value != int(value))

    def __str__(self) -> str:
        if self.high == FINITE:
            return "finite"
        low = f"{self.low:g} or at least {self.least:g}" if self.least else f"at least {self.low:g}"
        return f"{'whole, ' if self.whole else ''}{low} and at most {self.high:g}"


FLAG = Limits("ratio", 0, 1, whole=True)
# Ranges hold everything that was ever built or asked for, with a factor of a thousand on either
# side where that is possible, and not more: the product of a dozen of them must be a number.
COUNT = Limits("count", 0, 1e15)  # weights of a class of operators
PER_TOKEN = Limits("count", 0, 1e11)  # elements or FLOP that one token adds; 2e7 in the largest
LAYERS = Limits("count", 0, 1e6)  # and operators; 500 in the deepest
HEADS = Limits("count", 0, 1e6, whole=True)  # and experts; 900 at most
AT_LEAST_ONE = Limits("count", 1, 1e9)
SHARE = Limits("fraction", 0, 1)
EFFICIENCY = Limits("fraction", 1e-6, 1)
LATENCY = Limits("time", 0, 3600)
MEMORY = Limits("bytes", 1, 1e18)
RESERVE = Limits("bytes", 0, 1e18)
BANDWIDTH = Limits("bandwidth", 1e3, 1e18)  # a modem; a million TB/s
COMPUTE = Limits("flops", 0, 1e21, least=1e6)  # as the first supercomputer; a million PFLOP/s
POWER = Limits("power", 1e-3, 1e6)  # a sensor; a building
BITS = Limits("ratio", 0.01, 64)

RECORDS: Final[dict[str, tuple[str, ...]]] = {
    "model": records.Model._fields,
    "device": records.Device._fields,
    "engine": records.Engine._fields,
    "weight_format": records.WeightFormat._fields,
    "kv_format": records.KVFormat._fields,
    "economics": records.Economics._fields,
}


# The first rule that fits a field decides; `*` stands for any text. A field without a rule is
# caught by tests/test_limits.py.
_RULES: Final[dict[str, dict[str, Limits]]] = {
    "model": {
        "layers": LAYERS._replace(low=1),
        "hidden_size": AT_LEAST_ONE,
        "kv_heads": HEADS._replace(low=1),
        "max_context": AT_LEAST_ONE,
        "window_chunked": FLAG,
        "latent_cache": FLAG,
        "experts_only": FLAG,
        "*_io_elements": PER_TOKEN,
        "*_kv_elements": PER_TOKEN,
        "index_elements": PER_TOKEN,
        "state_elements": PER_TOKEN,
        "lm_head_elements": COUNT._replace(low=1),  # without one there are no tokens
        "*_elements": COUNT,
        "*_operators": LAYERS,
        "*_flops": PER_TOKEN,
        "*_layers": LAYERS,
        "heads": HEADS,
        "experts_per_token": HEADS._replace(whole=False),
        "experts": HEADS,
        "window": Limits("count", 0, 1e9),
        "index_topk": Limits("count", 0, 1e9),
        "all_reduces": LAYERS,
    },
    "device": {
        "memory_bytes": MEMORY,
        "memory2_bandwidth": BANDWIDTH._replace(low=0, least=BANDWIDTH.low),
        "*_bandwidth": BANDWIDTH,
        "flops_*": COMPUTE,
        "board_power": POWER,
        "idle_power": POWER._replace(low=0),
        "scale_up_domain": AT_LEAST_ONE,
        "*price_per_hour": Limits("price", 0, 1e6),
        "purchase_price": Limits("money", 0, 1e10),
        "memory2_bytes": RESERVE,
        "spatial": FLAG,
        "layer_latency": LATENCY,
    },
    "weight_format": {
        "*bits": BITS,
        "activation_bytes": Limits("ratio", POSITIVE, 8),
        "kernel": Limits("ratio", records.KERNEL_16, records.KERNEL_4, whole=True),
        "arithmetic": Limits("ratio", records.MATH_FP32, records.MATH_FP4, whole=True),
        "experts_only": FLAG,
    },
    "kv_format": {"bits": BITS, "kernel": FLAG},
    "engine": {
        "residue": SHARE,
        "launch*": LATENCY,
        "spatial_latency": SHARE,
        "expert_imbalance": FLAG,
        "pads_heads": FLAG,
        "narrow_accumulation": FLAG,
        "interference": Limits("ratio", 0, 10),
        "queue_weight": Limits("ratio", 0, 10),
        "random_arrivals": FLAG,
        "prefill_chunk": Limits("count", 1, 1e9),
        "pipeline_chunk": Limits("count", 1, 1e9),
        "prefill_overlap": Limits("count", 1, 65_536),
        "prefill_pool_load": EFFICIENCY,
        "block_tokens": Limits("count", 1, 1e6),
        "max_sequences": Limits("count", 1, 1e9, whole=True),
        "draft_layers": Limits("count", 0, 1e4),
        "*_latency": LATENCY,
        "one_shot_hop": LATENCY,
        "host_memory_bytes": RESERVE,
        "host_memory_bandwidth": BANDWIDTH,
        "host_per_*": LATENCY,
        "server_per_*": LATENCY,
        "sampling_per_sequence": LATENCY,
        "length_spread": Limits("ratio", 1, 100),
        "routing_independence": SHARE,
        "memory_fraction": EFFICIENCY,
        "memory_reserve": RESERVE,
        "kv_group_penalty": SHARE,
        "*_efficiency*": EFFICIENCY,
        "power_*": SHARE,
        "low_*": EFFICIENCY,
        "high_*": Limits("ratio", 1, 1e3),
    },
    "economics": {
        "utilization": EFFICIENCY._replace(low=1e-3),  # used for a minute and a half a day
        "purchase": Limits("ratio", 0, 2, whole=True),
        "interest": SHARE,
        "lifetime": Limits("time", 3600, 1e10),
        "server_factor": Limits("ratio", 1, 100),
        "operations": SHARE,
        "electricity_price": Limits("price_per_energy", 0, 1),
        "token_price": Limits("price_per_mtok", 1e-6, 1e6),
        "price_multiplier": Limits("ratio", 0, 100),
        "pue": Limits("ratio", 1, 100),
        "node_overhead": Limits("ratio", 0, 100),
        "carbon_intensity": Limits("carbon_intensity", 0, 1e5),
    },
}

BOUNDS: Final[dict[str, dict[str, Limits]]] = {
    record: {
        field: next(bound for rule, bound in _RULES[record].items() if fnmatchcase(field, rule))
        for field in fields
        if any(fnmatchcase(field, rule) for rule in _RULES[record])
    }
    for record, fields in RECORDS.items()
}


# Pairs of fields of which the first is never more than the second.
TIES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "model": (
        ("moe_layers", "layers"),
        ("moe_layers", "all_reduces"),
        ("experts_per_token", "experts"),
    ),
    "device": (("idle_power", "board_power"),),
}


def broken_ties(record: str, values: Any) -> list[str]:  # noqa: ANN401 - any record
    """Return what contradicts itself in a record whose fields are valid one by one."""
    broken = [
        f"{record}.{less} = {getattr(values, less):g} exceeds {more} = {getattr(values, more):g}"
        for less, more in TIES.get(record, ())
        if getattr(values, less) > getattr(values, more)
    ]
    if record == "model" and values.experts > 0.0 == values.experts_per_token:
        broken.append(f"model.experts = {values.experts:g}, but experts_per_token is 0")
    return broken


def broken_bounds(record: str, values: Any) -> tuple[str, ...]:  # noqa: ANN401 - any record
    """Return the fields of a record that lie outside their bounds, e.g. after a what-if's scale."""
    return tuple(
        field for field, bound in BOUNDS[record].items() if not bound.admits(getattr(values, field))
    )


def check_bounds(record: str, values: Any) -> None:  # noqa: ANN401 - any record
    """Refuse a record that physics is not made for, with a ``ValueError`` that names each field."""
    broken = [
        f"{field} = {getattr(values, field):g} must be {BOUNDS[record][field]}"
        for field in broken_bounds(record, values)
    ]
    broken += broken_ties(record, values)
    if broken:
        raise ValueError("; ".join(broken))
