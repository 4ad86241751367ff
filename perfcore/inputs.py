"""Inputs of the physics: every field of every record, as declared in ``perfcore.records``."""

import re
from typing import Any, Final, Literal, NamedTuple, get_type_hints

from perfcore import records
from perfcore.limits import POSITIVE, SHARE, TOKENS, Absent, Cited, Former, Label, Limits


class Input(NamedTuple):
    """A field of a record."""

    record: str
    name: str
    limits: Limits
    meaning: str
    label: str  # for the command line; the name unless a shorter label is declared
    absent: Absent | None  # value if an entry leaves it out; None: required
    former: tuple[str, ...]
    cited_as: tuple[str, ...]


PREFILL: Final = "prefill_"  # before the names of axes of the prefill pool
EXPERT: Final = "expert_"  # of experts on devices of their own
DRAFT: Final = "draft_"  # of a draft model on devices of its own
_OF_OTHERS: Final = re.compile(rf"^(?:{PREFILL}|{EXPERT}|{DRAFT}(?!len))")  # other machines


class AxisInput(NamedTuple):
    """An axis of a sweep, required if it has no default."""

    name: str
    meaning: str
    default: str | int | float | None
    limits: Limits | None = None  # None: categorical
    choices: tuple[str, ...] = ()  # by code; if empty, catalogue entries of the kind `entry`

    @property
    def entry(self) -> str:
        """Kind of the entries that are the axis' values, if they are entries."""
        return _OF_OTHERS.sub("", self.name, count=1)

    @property
    def kind(self) -> Literal["categorical", "integer", "real"]:
        """Kind of the axis' values."""
        if self.limits is None:
            return "categorical"
        return "integer" if self.limits.whole else "real"


def _declared(record: str, kind: type) -> dict[str, Input]:
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        limits, meaning, *extras = hint.__metadata__

        def extra(kind: type, otherwise: Any, extras: list[Any] = extras) -> Any:  # noqa: ANN401
            return next((one for one in extras if isinstance(one, kind)), otherwise)

        found[name] = Input(
            record,
            name,
            limits,
            meaning,
            extra(Label, name),
            extra(Absent, None),
            extra(Former, ()),
            extra(Cited, ()),
        )
    return found


# Records built from catalogue entries, by kind of entry. What-ifs change their fields.
RECORDS: Final[dict[str, type[Any]]] = {
    "model": records.Model,
    "device": records.Device,
    "engine": records.Engine,
    "weight_format": records.WeightFormat,
    "kv_format": records.KVFormat,
    "economics": records.Economics,
}
INPUTS: Final = {record: _declared(record, kind) for record, kind in RECORDS.items()}
LIMITS: Final = {
    record: {name: one.limits for name, one in fields.items()} for record, fields in INPUTS.items()
}
FORMER: Final = {
    record: {old: one.name for one in fields.values() for old in one.former}
    for record, fields in INPUTS.items()
}


def _axes_of(kind: type[Any]) -> tuple[AxisInput, ...]:
    found = []
    for name, one in _declared("deployment", kind).items():
        default = kind._field_defaults[name]
        choices = one.limits.choices
        if choices:
            found.append(AxisInput(name, one.meaning, choices[int(default)], choices=choices))
        else:
            value = int(default) if one.limits.whole else default
            found.append(AxisInput(name, one.meaning, value, one.limits))
    return tuple(found)


# In canonical order, outermost first. What-ifs come between entries and deployment.
ENTRY_AXES: Final = (
    AxisInput("model", "model: a catalogue name, an entry in a file, or a family and size", None),
    AxisInput("device", "accelerator, card or socket", None),
    AxisInput("engine", "inference engine; `ideal` is the physical bound", "default"),
    AxisInput("weight_format", "format of the weights", "bf16"),
    AxisInput("kv_format", "format of the KV cache", "bf16"),
    AxisInput("economics", "facility and prices", "default"),
)
_OF_ENGINE: Final = ("layouts", "barred")  # in a deployment, but no axes: of the engine's entry
_ORDERED: Final = tuple(
    axis
    for axis in (*_axes_of(records.Deployment), *_axes_of(records.Request))
    if axis.name not in _OF_ENGINE
)
DEPLOYMENT_AXES: Final = tuple(axis for axis in _ORDERED if not _OF_OTHERS.match(axis.name))
AXIS_INPUTS: Final = {axis.name: axis for axis in (*ENTRY_AXES, *DEPLOYMENT_AXES)}


def _axes_of_others(prefix: str, *entries: AxisInput) -> dict[str, AxisInput]:
    """Return the axes of other machines, which a sweep has only if it names them."""
    numbers = (axis for axis in _ORDERED if _OF_OTHERS.match(axis.name))
    own = (axis._replace(default=None) for axis in numbers if axis.name.startswith(prefix))
    return {axis.name: axis for axis in (*entries, *own)}


PREFILL_AXES: Final = _axes_of_others(  # of a disaggregated server
    PREFILL,
    AxisInput("prefill_device", "device of the prefill pool; default: the decode device", None),
    AxisInput("prefill_engine", "engine of the prefill pool; default: the decode engine", None),
)
EXPERT_AXES: Final = _axes_of_others(
    EXPERT,
    AxisInput("expert_device", "device of the routed experts, if it is a separate one", None),
)
DRAFT_AXES: Final = _axes_of_others(
    DRAFT,
    AxisInput("draft_model", "draft model that runs on separate devices", None),
    AxisInput("draft_device", "device of the draft model", None),
)
NEEDED: Final = {"expert": ("expert_device",), "draft": ("draft_model", "draft_device")}
PAIR_AXES: Final = {**PREFILL_AXES, **EXPERT_AXES, **DRAFT_AXES}
ORDER: Final = tuple(axis.name for axis in _ORDERED)  # of axes after entries and what-ifs


class TrafficInput(NamedTuple):
    """An axis of a sweep's traffic: numbers, names, or text that ``perfcore.traffic`` reads."""

    name: str
    meaning: str
    unit: str = ""
    limits: Limits | None = None  # None: no numbers
    choices: tuple[str, ...] = ()
    form: Literal["", "stages", "lengths", "file", "tiers"] = ""  # of text

    @property
    def kind(self) -> Literal["categorical", "integer", "real"]:
        """Kind of the axis' numbers."""
        if self.limits is None:
            return "categorical"
        return "integer" if self.limits.whole else "real"


_MOST: Final = 2**31 - 1  # of whole numbers in an axis' column
_COUNT: Final = Limits("count", 1, _MOST, whole=True)
_TIME: Final = Limits("time", 0.0, 1e9)

# In canonical order, after the deployment's. Lengths are those of a request, or distributions.
TRAFFIC_INPUTS: Final = {
    axis.name: axis
    for axis in (
        TrafficInput(
            "input_len", "tokens that a turn adds to the context", "tokens", TOKENS, form="lengths"
        ),
        TrafficInput("output_len", "tokens of an answer", "tokens", TOKENS, form="lengths"),
        TrafficInput("replicas", "identical servers", "1", Limits("count", 1, 10_000, whole=True)),
        TrafficInput(
            "prefill_replicas",
            "identical prefill servers, which send the KV cache to the replicas; 0: none",
            "1",
            Limits("count", 0, 10_000, whole=True),
        ),
        TrafficInput(
            "routing",
            "rule that assigns requests to replicas",
            choices=("round-robin", "least-loaded", "prefix-aware"),
        ),
        TrafficInput(
            "admission",
            "KV cache: taken on demand, or reserved on admission",
            choices=("on-demand", "reserved"),
        ),
        TrafficInput("order", "order of the queue", choices=("fcfs", "priority")),
        TrafficInput(
            "budget",
            "token budget of a pass, i.e. an attention group and micro-batch",
            "tokens",
            _COUNT,
        ),
        TrafficInput(
            "max_sequences", "maximum running requests of an attention group", "1", _COUNT
        ),
        TrafficInput("chunked", "whether prompts are prefilled in chunks", choices=("on", "off")),
        TrafficInput("block_tokens", "tokens per KV-cache block", "tokens", _COUNT),
        TrafficInput(
            "kv_tokens", "capacity of the KV cache of one attention group", "tokens", _COUNT
        ),
        TrafficInput(
            "watermark",
            "share of the KV cache that an admission leaves free",
            "1",
            Limits("fraction", 0.0, 0.99),
        ),
        TrafficInput(
            "prefix_cache",
            "whether blocks of prompts are kept for other requests",
            choices=("on", "off"),
        ),
        TrafficInput(
            "kv_tiers",
            "lower memory tiers of each device (DRAM, NVMe), for evicted blocks of prompts",
            form="tiers",
        ),
        TrafficInput("trace", "file with recorded requests", form="file"),
        TrafficInput(
            "repeat", "repetitions of the trace", "1", Limits("count", 1, 1e6, whole=True)
        ),
        TrafficInput("speed", "factor on the trace's rate", "1", Limits("ratio", 1e-6, 1e6)),
        TrafficInput(
            "clients", "clients of a closed loop", "1", Limits("count", 1, 1e6, whole=True)
        ),
        TrafficInput(
            "request_rate",
            "sessions that arrive per second, each with one request unless turns is given",
            "1/s",
            Limits("ratio", POSITIVE, 1e6),
            form="stages",
        ),
        TrafficInput("requests", "requests", "1", Limits("count", 1, 5e6, whole=True)),
        TrafficInput("duration", "time span in which sessions arrive", "s", _TIME),
        TrafficInput(
            "cv",
            "coefficient of variation of the gaps between arrivals; 1: Poisson",
            "1",
            Limits("ratio", 0.0, 30.0),
        ),
        TrafficInput(
            "daily",
            "rate of the busiest hour, relative to the daily mean",
            "1",
            Limits("ratio", 1.0, 2.0),
        ),
        TrafficInput(
            "turns",
            "requests per session",
            "1",
            Limits("count", 1, 1e6, whole=True),
            form="lengths",
        ),
        TrafficInput(
            "think_time",
            "mean pause between an answer and the next turn, or a client's next session",
            "s",
            _TIME,
        ),
        TrafficInput("tool_share", "share of the pauses that are tool calls", "1", SHARE),
        TrafficInput("tool_time", "mean pause for a tool call", "s", _TIME),
        TrafficInput(
            "system_prompt",
            "tokens of the system prompt with which prompts begin",
            "tokens",
            Limits("count", 0, 1e8, whole=True),
        ),
        TrafficInput(
            "prompts",
            "number of different system prompts",
            "1",
            Limits("count", 1, 1e6, whole=True),
        ),
        TrafficInput(
            "seed", "seed of the random numbers", "1", Limits("count", 0, _MOST, whole=True)
        ),
    )
}

PURCHASES: Final = LIMITS["economics"]["purchase"].choices  # by code


# Pairs of fields: the first must not exceed the second.
TIES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "model": (
        ("moe_layers", "layers"),
        ("moe_layers", "all_reduces"),
        ("experts_per_token", "experts"),
    ),
    "device": (("idle_power", "board_power"),),
}


def broken_ties(record: str, values: Any) -> list[str]:  # noqa: ANN401 - any record
    """Return the contradictions in a record whose fields are valid individually."""
    broken = [
        f"{record}.{less} = {getattr(values, less):g} exceeds {more} = {getattr(values, more):g}"
        for less, more in TIES.get(record, ())
        if getattr(values, less) > getattr(values, more)
    ]
    if record == "model" and values.experts > 0.0 == values.experts_per_token:
        broken.append(f"model.experts = {values.experts:g}, but experts_per_token is 0")
    return broken


def broken_limits(record: str, values: Any) -> tuple[str, ...]:  # noqa: ANN401 - any record
    """Return the fields of a record that are outside their limits, e.g. scaled by a what-if."""
    return tuple(
        name for name, limits in LIMITS[record].items() if not limits.admits(getattr(values, name))
    )


def check_limits(record: str, values: Any) -> None:  # noqa: ANN401 - any record
    """Check the limits of a record's fields.

    Raises
    ------
    ValueError
        Fields are out of bounds or contradict each other. The message names each of them.
    """
    broken = [
        f"{name} = {getattr(values, name):g} must be {LIMITS[record][name]}"
        for name in broken_limits(record, values)
    ]
    broken += broken_ties(record, values)
    if broken:
        raise ValueError("; ".join(broken))
