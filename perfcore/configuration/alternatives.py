"""Alternatives to a configuration: its nearest neighbours, and the gains of better hardware."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from perfcore.catalog import loader
from perfcore.catalog.schema import WeightFormatEntry
from perfcore.configuration.configuration import (
    ARITHMETIC_FIELD,
    Configuration,
    Records,
)
from perfcore.configuration.parameters import AUTO_DEVICES
from perfcore.inputs import AXIS_INPUTS, LIMITS
from perfcore.physics.stages.point import Point
from perfcore.physics.stages.point import evaluate as evaluate_point
from perfcore.physics.stages.replica import (
    EXPERTS_NOT_SPREAD,
    FEWER_LAYERS_THAN_STAGES,
    HEADS_NOT_DIVISIBLE,
    OK,
    PREFILL_POOL_FAILS,
)

_MORE: Final = 1.1
_LESS: Final = 0.9
_TIMES: Final = tuple(name for name, bound in LIMITS["engine"].items() if bound.dimension == "time")
_LINKS: Final = ("link_bandwidth", "network_bandwidth", "memory2_bandwidth")
# Factor, changed fields, and the elasticity, which describes the same for small changes.
LEVERS: Final[dict[str, tuple[float, dict[str, tuple[str, ...]], str]]] = {
    "+10 % memory bandwidth": (_MORE, {"device": ("memory_bandwidth",)}, "elasticity_bandwidth"),
    "+10 % FLOP/s": (
        _MORE,
        {"device": tuple(name for name in LIMITS["device"] if name.startswith("flops_"))},
        "elasticity_compute",
    ),
    "+10 % link bandwidth": (
        _MORE,
        {"device": _LINKS},
        "elasticity_link",
    ),
    "-10 % fixed latencies": (
        _LESS,
        {"device": ("layer_latency",), "engine": _TIMES},
        "elasticity_latency",
    ),
}
_FEWER_BITS: Final = 2.0 / 3.0  # at most, of the current bits, for the next narrower format
_FEWER_BITS_GGUF: Final = 0.85  # GGUF formats are closer together
_PUBLISHED_BITS: Final = 17.0  # formats this wide add bits beyond the trained 16-bit weights
_BLOCKS: Final = "-block"  # a format of single matrices, not of files


class Gain(NamedTuple):
    """Effect of a lever on a configuration."""

    lever: str
    before: Point
    after: Point

    @property
    def tpot_s(self) -> float:
        """Change of TPOT; below 0 is faster. [s]"""
        return self.after.tpot_s - self.before.tpot_s

    @property
    def ttft_s(self) -> float:
        """Change of TTFT. [s]"""
        return self.after.ttft_s - self.before.ttft_s


class Alternative(NamedTuple):
    """An alternative configuration, its difference and its result."""

    difference: str
    configuration: Configuration
    point: Point


class _Change(NamedTuple):
    difference: str
    fields: dict[str, Any]


def gains(configuration: Configuration) -> tuple[Gain, ...]:
    """Return the effect of each lever of ``LEVERS``, from a new evaluation."""
    before = configuration.evaluate()
    return tuple(
        Gain(name, before, evaluate_point(*_scaled(configuration.records, fields, factor)))
        for name, (factor, fields, _) in LEVERS.items()
    )


def _scaled(made: Records, fields: Mapping[str, tuple[str, ...]], factor: float) -> Records:
    def scaled(kind: str, record: Any) -> Any:  # noqa: ANN401 - any record
        names = fields.get(kind, ())
        return record._replace(**{name: getattr(record, name) * factor for name in names})

    changed = {kind: scaled(kind, getattr(made, kind)) for kind in fields}
    if made.prompts is not None:
        apart = made.prompts._asdict().items()
        changed["prompts"] = made.prompts._replace(
            **{kind: scaled(kind, one) for kind, one in apart}
        )
    return made._replace(**changed)


def alternatives(configuration: Configuration) -> tuple[Alternative, ...]:
    """Return the neighbours: the next weight formats, a narrower KV cache, other device counts.

    Weight formats are of the same family (GGUF or not), and the device has arithmetic for them. In
    GGUF it is the nearest format; otherwise the first of the next width in the catalogue, with
    preference for arithmetic faster than at 16 bit. Twice and half the devices change tp, or pp on
    a spatial machine and if only pp is above 1.
    """
    firsts = (_narrower_weights, _wider_weights, _narrower_caches, _half, _double)
    changes = (next(changed(configuration), None) for changed in firsts)
    return tuple(_alternative(configuration, change) for change in changes if change)


def fitting(configuration: Configuration) -> tuple[Alternative, ...]:
    """Return the nearest configurations that run: the first for each kind of change."""
    ways = (
        _enough_devices,
        _narrower_weights,
        _narrower_caches,
        _smaller_batch,
        _shorter,
        _offloaded,
        _lower_degree,
        _higher_tp,
        _wider_pool,
    )
    found = (_first_that_runs(configuration, way) for way in ways)
    return tuple(alternative for alternative in found if alternative)


_Changes = Iterator[_Change]


def _first_that_runs(
    configuration: Configuration, way: Callable[[Configuration], _Changes]
) -> Alternative | None:
    tried = (_alternative(configuration, change) for change in way(configuration))
    return next((other for other in tried if other.point.status == OK), None)


def _alternative(configuration: Configuration, change: _Change) -> Alternative:
    other = configuration.changed(**change.fields)
    if "devices" in change.fields:
        change = change._replace(difference=_counted(other))
    return Alternative(change.difference, other, other.evaluate())


# Formats


def _narrower_weights(configuration: Configuration) -> _Changes:
    entry = configuration.entries.weight_format
    share = _FEWER_BITS_GGUF if _is_gguf(entry) else _FEWER_BITS
    others = _runnable(configuration)
    limit = entry.bits * share
    while found := [other for other in others if other.bits <= limit]:
        width = int(max(other.bits for other in found))
        same = [other for other in found if int(other.bits) == width]
        chosen = (
            max(same, key=lambda other: other.bits)
            if _is_gguf(entry)
            else _usual(configuration, same)
        )
        yield _weights(chosen)
        limit = chosen.bits * share


def _wider_weights(configuration: Configuration) -> _Changes:
    entry = configuration.entries.weight_format
    share = _FEWER_BITS_GGUF if _is_gguf(entry) else _FEWER_BITS
    found = [
        other
        for other in _runnable(configuration)
        if other.bits * share >= entry.bits and other.bits < _PUBLISHED_BITS
    ]
    if not found:
        return
    if _is_gguf(entry):
        yield _weights(min(found, key=lambda other: other.bits))
        return
    width = int(min(other.bits for other in found))
    same = [other for other in found if int(other.bits) == width]
    yield _weights(_usual(configuration, same))


def _weights(entry: WeightFormatEntry) -> _Change:
    return _Change(f"weights {entry.name}", {"weight_format": entry})


def _usual(configuration: Configuration, entries: list[WeightFormatEntry]) -> WeightFormatEntry:
    """Return the first format in the catalogue, preferably with arithmetic faster than 16 bit."""
    device = configuration.records.device
    fast = [
        entry
        for entry in entries
        if getattr(device, ARITHMETIC_FIELD[entry.record().arithmetic]) > device.flops_fp16
    ]
    return (fast or entries)[0]


def _is_gguf(entry: WeightFormatEntry) -> bool:
    return entry.kernel == "gguf" or entry.name.startswith("gguf")


def _runnable(configuration: Configuration) -> list[WeightFormatEntry]:
    """Return formats of the same family that the device can multiply in; no block formats."""
    gguf = _is_gguf(configuration.entries.weight_format)
    found = []
    for name in loader.names("weight_format"):
        entry = loader.load_weight_format(name)
        if _is_gguf(entry) != gguf or name.endswith(_BLOCKS):
            continue
        if getattr(configuration.records.device, ARITHMETIC_FIELD[entry.record().arithmetic]) > 0.0:
            found.append(entry)
    return found


def _narrower_caches(configuration: Configuration) -> _Changes:
    bits = configuration.entries.kv_format.bits
    entries = [loader.load_kv_format(name) for name in loader.names("kv_format")]
    limit = bits * _FEWER_BITS
    while found := [entry for entry in entries if entry.bits <= limit]:
        width = int(max(entry.bits for entry in found))
        chosen = min((e for e in found if int(e.bits) == width), key=lambda entry: entry.bits)
        yield _Change(f"KV cache {chosen.name}", {"kv_format": chosen})
        limit = chosen.bits * _FEWER_BITS


# Devices


def _enough_devices(_: Configuration) -> _Changes:
    chosen = {"devices": AUTO_DEVICES, "tp": 1, "pp": 1}
    yield _Change("", chosen)
    yield _Change("", {**chosen, "dp": 1, "ep": 1})


def _half(configuration: Configuration) -> _Changes:
    name = _degree(configuration)
    degree = int(configuration.numbers[name])
    if degree % 2 == 0:
        yield _of_degree(configuration, name, degree // 2)


def _double(configuration: Configuration) -> _Changes:
    name = _degree(configuration)
    bound = AXIS_INPUTS[name].limits
    if bound and bound.admits(2 * configuration.numbers[name]):
        yield _of_degree(configuration, name, 2 * int(configuration.numbers[name]))


def _degree(configuration: Configuration) -> str:
    """Return the degree that changes the number of devices."""
    numbers = configuration.numbers
    staged = configuration.entries.device.spatial or (numbers["tp"] == 1 and numbers["pp"] > 1)
    return "pp" if staged else "tp"


def _of_degree(configuration: Configuration, name: str, degree: int) -> _Change:
    """Return a change of a degree; ep follows tp if experts are spread over all devices."""
    numbers = {key: int(configuration.numbers[key]) for key in ("tp", "pp", "dp", "ep")}
    everywhere = numbers["ep"] == numbers["tp"] * numbers["dp"]
    numbers[name] = degree
    joined = numbers["tp"] * numbers["dp"]
    if name != "ep" and numbers["ep"] > 1:
        numbers["ep"] = joined if everywhere else min(numbers["ep"], joined)
    other = configuration.changed(**numbers)
    return _Change(_counted(other), numbers)


def _counted(configuration: Configuration) -> str:
    numbers = configuration.numbers
    told = ", ".join(f"{n} {int(numbers[n])}" for n in ("tp", "pp", "dp", "ep") if numbers[n] > 1)
    count = configuration.device_count
    return f"{count} device{'s' if count > 1 else ''}" + (f" ({told})" if told else "")


def _lower_degree(configuration: Configuration) -> _Changes:
    """Yield smaller values of the invalid degree."""
    model, numbers = configuration.records.model, configuration.numbers
    limits = {
        HEADS_NOT_DIVISIBLE: ("tp", configuration.records.model.heads),
        FEWER_LAYERS_THAN_STAGES: ("pp", configuration.records.model.layers),
        EXPERTS_NOT_SPREAD: ("ep", numbers["tp"] * numbers["dp"] if model.experts else 0.0),
    }
    name, limit = limits.get(configuration.evaluate().status, ("", 0.0))
    if name:
        for degree in range(int(min(configuration.numbers[name] - 1, max(limit, 1.0))), 0, -1):
            yield _of_degree(configuration, name, degree)


def _higher_tp(configuration: Configuration) -> _Changes:
    if configuration.evaluate().status == HEADS_NOT_DIVISIBLE:
        for degree in range(
            int(configuration.numbers["tp"]) + 1, int(configuration.records.model.heads) + 1
        ):
            yield _of_degree(configuration, "tp", degree)


def _wider_pool(configuration: Configuration) -> _Changes:
    ahead = configuration.ahead
    if ahead is not None and configuration.evaluate().status == PREFILL_POOL_FAILS:
        degree = 2 * int(ahead.numbers["tp"])
        while degree <= ahead.records.device.scale_up_domain:
            yield _Change(f"prefill tp {degree}", {"prefill_tp": degree})
            degree *= 2


# Less work


def _smaller_batch(configuration: Configuration) -> _Changes:
    most = int(configuration.evaluate().max_batch)
    if 1 <= most < configuration.numbers["batch"]:
        yield _Change(f"batch {most:,}", {"batch": most})


def _shorter(configuration: Configuration) -> _Changes:
    """Yield the longest prompt that the model accepts, then ever shorter ones."""
    numbers = configuration.numbers
    longest = configuration.records.model.max_context - numbers["output_len"]
    length = int(min(numbers["input_len"], longest))
    while length >= 1:
        if length < numbers["input_len"]:
            yield _Change(f"{length:,} tokens in", {"input_len": length})
        length //= 2


def _offloaded(configuration: Configuration) -> _Changes:
    if configuration.offload == "none" and not configuration.of_pool:
        yield _Change("weights offloaded", {"offload": "weights"})
        yield _Change("KV cache offloaded", {"offload": "kv"})
        yield _Change("experts on the CPU", {"offload": "experts"})
