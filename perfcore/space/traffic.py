"""Section [traffic] of a sweep file: requests over time, whose servers are simulated row by row.

Its keys are axes of the sweep, except ``slo``. Values that are numbers make numeric axes; text that
is not a number (a distribution, stages of a rate, a file) makes an axis of text.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perfcore.errors import InputError, show
from perfcore.inputs import TRAFFIC_INPUTS, TrafficInput
from perfcore.reading.places import Place
from perfcore.reading.ranges import expand
from perfcore.space.axes import Axis
from perfcore.space.overrides import OF_TRACE
from perfcore.space.sizes import MAX_ENTRIES
from perfcore.traffic.slo import objectives

SLO: Final = "slo"  # key of the objectives
SOURCES: Final = ("request_rate", "clients", "trace")
FIELDS: Final = {"request_rate": "rate"}  # of ``perfcore.Traffic``, where the name differs
LENGTHS: Final = ("input_len", "output_len")
WITHOUT_EFFECT: Final = (
    "batch",
    "prefix_hit",
    "offload",
    "gpu_layers",
    "cpu_moe_layers",
)  # axes that traffic replaces
SIMULATED_SCHEDULER: Final = "continuous"
ROWS_PER_SHARD: Final = 512  # a row takes a thousand times as long as one in closed form


@dataclass(frozen=True)
class TraceFile:
    """File of recorded requests: its text in the sweep file, its path, the hash of its contents."""

    label: str
    path: str
    sha256: str


@dataclass(frozen=True)
class TrafficSection:
    """Traffic of a sweep, apart from its axes: objectives in seconds by name, and files."""

    objectives: tuple[tuple[str, float], ...] = ()
    traces: tuple[TraceFile, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the canonical form, without the places of files."""
        return {
            SLO: dict(self.objectives),
            "traces": {trace.label: trace.sha256 for trace in self.traces},
        }

    def path_of(self, label: str) -> str:
        """Return the path of a trace."""
        return next(trace.path for trace in self.traces if trace.label == label)

    def check_traces(self) -> None:
        """Refuse to simulate traces that have changed since the sweep was read.

        Raises
        ------
        InputError
            A file has changed, or cannot be read here.
        """
        for trace in self.traces:
            if _sha256(trace.path) != trace.sha256:
                raise InputError(
                    f"{trace.path}: is not the trace that the sweep was started with; "
                    "give all workers the same file, and start again"
                )


def parse_traffic(
    table: object, place: Place, zipped: Container[str]
) -> tuple[TrafficSection, dict[str, Axis]]:
    """Return the traffic of a sweep and its axes by name, those without faults."""
    if not isinstance(table, Mapping):
        place.fault(
            f"{show(table)} is not a table", "write [traffic] and below it request_rate = 5"
        )
        return TrafficSection(), {}
    for key in table:
        if key not in TRAFFIC_INPUTS and key != SLO:
            place.unknown("key", str(key), [*TRAFFIC_INPUTS, SLO])
    _check_source(table, place)
    traces: dict[str, TraceFile] = {}
    axes = {}
    for rule in TRAFFIC_INPUTS.values():
        if rule.name in table or rule.name == "replicas":
            given = table.get(rule.name, 1)
            spot = place.at(rule.name)
            axis = _axis(rule, given, spot, traces, repeats=rule.name in zipped)
            if axis is not None:
                axes[rule.name] = axis
    _check_together(axes, place)
    return TrafficSection(_objectives(table.get(SLO, ()), place), tuple(traces.values())), axes


def _check_together(axes: Mapping[str, Axis], place: Place) -> None:
    """Record faults of axes that exclude each other."""
    rate, daily = axes.get("request_rate"), axes.get("daily")
    if rate and daily and rate.kind == "categorical" and max(map(float, daily.values)) > 1.0:
        place.at("daily").fault("beside stages of request_rate", "leave out one of them")
    cache, tiers = axes.get("prefix_cache"), axes.get("kv_tiers")
    if cache and tiers and "off" in cache.values and set(tiers.values) != {"none"}:
        place.at("kv_tiers").fault("has no effect with prefix_cache off", "leave out one of them")


def _check_source(table: Mapping[str, object], place: Place) -> None:
    """Record faults of the source of arrivals, and of keys that have no effect with it."""
    sources = [name for name in SOURCES if name in table]
    if len(sources) != 1:
        remedy = "leave out all but one" if sources else "add one"
        place.fault(f"one of {', '.join(SOURCES)} says when requests arrive", remedy)
        return
    from perfcore.traffic.synthetic import UNUSED  # noqa: PLC0415 - NumPy is slow to import

    (source,) = sources
    for name in UNUSED[FIELDS.get(source, source)]:
        if name in table:
            place.at(name).fault(f"has no effect beside {source}", "leave it out")


def _objectives(given: object, place: Place) -> tuple[tuple[str, float], ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        place.at(SLO).fault(f"{show(given)} is not a list of texts", 'write ["ttft_p99_s<=1s"]')
        return ()
    try:
        return tuple(objectives(texts).items())
    except InputError as error:
        for fault in error.faults:
            place.relay(fault)
        return ()


def _axis(
    rule: TrafficInput,
    given: object,
    place: Place,
    traces: dict[str, TraceFile],
    *,
    repeats: bool,
) -> Axis | None:
    items = list(given) if isinstance(given, list | tuple) else [given]
    if rule.limits is not None and not any(_is_text(item, rule) for item in items):
        values = expand(given, rule.limits, place, repeats=repeats)
        return None if values is None else Axis(rule.name, values, rule.kind)
    if not items or len(items) > MAX_ENTRIES:
        place.fault(f"{len(items)} values", f"list at least one and at most {MAX_ENTRIES}")
        return None
    before = len(place.faults)
    labels: list[str] = []
    for index, item in enumerate(items):
        spot = place.item(index) if isinstance(given, list | tuple) else place
        label = ("off", "on")[item] if isinstance(item, bool) and "on" in rule.choices else item
        if isinstance(label, bool) or not isinstance(label, str | int | float):
            spot.fault(f"{show(item)} is not text", "write words in quotes")
            continue
        label = str(label)
        if label in labels and not repeats:
            spot.fault(f"{show(item)} is a duplicate", "list it once")
        _check_text(rule, label, spot, traces)
        labels.append(label)
    return None if len(place.faults) > before else Axis(rule.name, tuple(labels), "categorical")


def _is_text(item: object, rule: TrafficInput) -> bool:
    """Return whether an item is text that is not a number of the axis."""
    if not rule.form or not isinstance(item, str) or rule.limits is None:
        return False
    return any(sign in item for sign in ":@,")


def _check_text(rule: TrafficInput, label: str, place: Place, traces: dict[str, TraceFile]) -> None:
    """Record the faults of one text of an axis, and the file that it names."""
    from perfcore.traffic.arrivals import parse_stages  # noqa: PLC0415 - NumPy is slow to import
    from perfcore.traffic.lengths import parse_lengths  # noqa: PLC0415
    from perfcore.traffic.tiers import parse_tiers  # noqa: PLC0415
    from perfcore.traffic.traces import read_trace  # noqa: PLC0415

    if rule.choices:
        if label not in rule.choices:
            place.unknown(f"value of {rule.name}", label, rule.choices)
    elif rule.form == "stages":
        parse_stages(label, place)
    elif rule.form == "tiers":
        parse_tiers(label, place)
    elif rule.form == "file" or label.startswith(OF_TRACE):
        file = label.removeprefix(OF_TRACE)
        path = place.folder / Path(file)
        try:
            read_trace(path)
            traces[file] = TraceFile(file, str(path), _sha256(str(path)))
        except InputError as error:
            for fault in error.faults:
                place.relay(fault)
    else:
        parse_lengths(label, place)


def _sha256(path: str) -> str:
    """Return the hash of a trace's contents."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); every worker needs it"
        ) from None


def replace_axes(
    axes: Mapping[str, Axis], traffic: Mapping[str, Axis], given: Iterable[object], place: Place
) -> dict[str, Axis]:
    """Return the axes of a sweep with traffic: without those that have no effect.

    Parameters
    ----------
    given
        Keys of [axes], which are faults if traffic replaces them.
    """
    replaced = {*WITHOUT_EFFECT, *(LENGTHS if "trace" in traffic else ())}
    for name in given:
        if name == "devices":
            place.at("devices").fault("is not chosen with [traffic]", "list values of tp and pp")
        elif name in replaced:
            place.at(str(name)).fault("has no effect with [traffic]", "leave it out")
        elif name in traffic:
            place.at(str(name)).fault("is given in [traffic], too", "keep one of the two")
    kept = {name: axis for name, axis in axes.items() if name not in replaced}
    scheduler = kept.get("scheduler")
    if "scheduler" not in given:
        kept["scheduler"] = Axis("scheduler", (SIMULATED_SCHEDULER,), "categorical")
    elif scheduler is not None and set(scheduler.values) != {SIMULATED_SCHEDULER}:
        place.at("scheduler").fault(
            f"only {SIMULATED_SCHEDULER!r} is simulated", "leave scheduler out"
        )
    return kept | dict(traffic)
