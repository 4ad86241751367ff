"""Answers to "is this what I should expect?" for measured numbers.

Each number is set beside the bound that no engine can beat, the prediction and its 80 % interval.
Changes of one column each, predicted in the same way, say what would explain a difference: a format
narrower than assumed comes first, before anyone is accused.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from perfcore.accuracy.prediction import (
    Batch,
    Floats,
    Question,
    batch_of,
    engine_table,
    evaluate_points,
    interval,
    predicted,
    questions,
)
from perfcore.accuracy.sanity import BEATS, bound_of, check_rows, other_unit, place_of
from perfcore.accuracy.table import Measurement
from perfcore.catalog import loader
from perfcore.columns import BOUND, STATUS
from perfcore.errors import InputError
from perfcore.physics.stages.point import Point
from perfcore.units import significant

RATES: Final = ("prefill_tokens_per_s", "output_tokens_per_s_per_device")
_FIELD: Final = {name: index for index, name in enumerate(Point._fields)}
_SHARES: Final = {
    "weights_share": "weights",
    "kv_share": "KV cache",
    "activations_share": "activations",
    "compute_share": "compute",
    "network_share": "network",
    "latency_share": "launches and host",
    "prefill_share": "prefill of other requests",
}
_NARROWER: Final = ("fp8", "int4-g128-awq", "nvfp4", "mxfp4")
_NARROWER_GGUF: Final = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "mxfp4")
_GGUF_ENGINES: Final = ("llamacpp", "llamacpp-2024")
_CLOSE: Final = 0.2  # logarithm of a ratio up to which a change explains a number
_BETTER: Final = 0.6  # of the difference that is left by a change worth a mention
_GAIN: Final = 1.1  # speed-up of a narrower format that is worth a mention
_MOST: Final = 4  # explanations of a number
_DRAFTED: Final = (1.2, 4.0)  # speed-ups that speculative decoding has
_ALL_CACHED: Final = 0.02  # of a time to the first token, below which no cache explains it
_USERS: Final = 2.0  # sequences of a device, from which a rate may be that of one user
_LOOSE: Final = 0.4  # as _CLOSE, for what nothing else explains
_BATCHES: Final = (0.25, 0.5, 2.0, 4.0)  # factors on the sequences in flight
_POWER: Final = 0.6  # of the rated power, a usual limit


class Explanation(NamedTuple):
    """Change of a stated setting, and the prediction with it."""

    change: str
    predicted: float


class Finding(NamedTuple):
    """Measured number with its bound and its prediction."""

    question: Question
    bound: float
    predicted: float
    low: float
    high: float
    status: str
    binds: str  # the largest part of the time
    shares: dict[str, float]  # of a step, largest first
    verdict: str
    suspect: str  # why the number looks wrong; or empty
    explanations: tuple[Explanation, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the finding by name, for JSON."""
        row = self.question.measurement
        return {
            "model": self.question.model.name,
            "hardware": self.question.device.name,
            "engine": self.question.engine.name,
            **{
                name: getattr(row, name)
                for name in (
                    *("mode", "weight_format", "kv_format", "tp", "pp", "ep", "dp", "devices"),
                    *("concurrency", "input_len", "output_len", "metric", "value", "unit"),
                )
            },
            "bound": _finite(self.bound),
            "predicted": _finite(self.predicted),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "status": self.status,
            "binds": self.binds,
            "shares": self.shares,
            "verdict": self.verdict,
            "suspect": self.suspect,
            "explanations": [one._asdict() for one in self.explanations],
            "assumed": self.question.assumed,
        }


def check(rows: Sequence[Measurement]) -> list[Finding]:
    """Return a finding for each measurement.

    Raises
    ------
    InputError
        A measurement cannot be evaluated.
    """
    asked, skipped = questions(rows)
    if skipped:
        raise InputError(
            dict.fromkeys(f"{place_of(one.measurement)}: {one.reason}; state it" for one in skipped)
        )
    suspects = {one.measurement: one.reason for one in check_rows(asked).suspects}
    batch = batch_of(asked)
    points = evaluate_points(batch, engine_table(batch))
    values, bounds = predicted(batch, points), bound_of(batch, points)
    low, high = interval(batch, points)
    explained = _explanations(batch, values)
    findings = []
    for index, question in enumerate(asked):
        point = points[:, index]
        reason = suspects.get(question.measurement, "")
        numbers = (float(low[index]), float(high[index]), float(bounds[index]))
        verdict = verdict_of(question.measurement, *numbers, reason)
        shares = _shares(point)
        findings.append(
            Finding(
                question=question,
                bound=numbers[2],
                predicted=float(values[index]),
                low=numbers[0],
                high=numbers[1],
                status=STATUS[int(point[_FIELD["status"]])],
                binds=_binds(question, point, shares),
                shares=shares,
                verdict=verdict,
                suspect=reason,
                explanations=() if verdict == "as expected" else explained[index],
            )
        )
    return findings


def verdict_of(row: Measurement, low: float, high: float, bound: float, suspect: str) -> str:
    """Return the verdict on a value: as expected, faster, slower, impossible, suspect, ..."""
    if suspect:
        unfit = "cannot run" in suspect or "do not fit" in suspect
        kind = "impossible" if BEATS in suspect else "suspect"
        return "cannot run" if unfit else kind
    if low <= row.value <= high:
        return "as expected"
    if row.metric in ("power_w_per_device", "energy_j_per_output_token"):
        return "more than expected" if row.value > high else "less than expected"
    better = row.metric in RATES
    if row.value > bound if better else row.value < bound:
        return "faster than the bound, within its uncertainty"
    faster = row.value > high if better else row.value < low
    return "faster than expected" if faster else "slower than expected"


def _shares(point: Floats) -> dict[str, float]:
    found = {name: float(point[_FIELD[key]]) for key, name in _SHARES.items()}
    known = {name: share for name, share in found.items() if math.isfinite(share) and share > 0.0}
    return dict(sorted(known.items(), key=lambda pair: -pair[1]))


def _binds(question: Question, point: Floats, shares: dict[str, float]) -> str:
    """Return the bottleneck of the time that a metric measures."""
    if question.measurement.metric in ("ttft_s", "prefill_tokens_per_s"):
        return "prefill" if question.measurement.mode == "static" else "prefill and the queue"
    if not shares:
        return BOUND[int(point[_FIELD["bound"]])]
    return next(iter(shares))


def _explanations(batch: Batch, values: Floats) -> list[tuple[Explanation, ...]]:
    """Return the changes that would explain each measurement, the best first."""
    changes = [
        (index, text, row)
        for index, question in enumerate(batch.questions)
        for text, row in _changes(question, float(values[index]))
    ]
    asked, _ = questions([row for _, _, row in changes])
    by_row = {question.measurement: question for question in asked}
    kept = [(index, text, by_row[row]) for index, text, row in changes if row in by_row]
    found: list[list[tuple[float, Explanation]]] = [[] for _ in batch.questions]
    if kept:
        others = batch_of([question for _, _, question in kept])
        points = evaluate_points(others, engine_table(others))
        statuses, bounds = points[_FIELD["status"]], bound_of(others, points)
        for (index, text, _), value, bound, status in zip(
            kept, predicted(others, points), bounds, statuses, strict=True
        ):
            row = batch.questions[index].measurement
            left = _worth(row, float(values[index]), float(value))
            if left is None and text.startswith("weight_format"):
                left = _allowed(row, float(values[index]), float(value), float(bound))
            if left is not None and STATUS[int(status)] == "ok":
                found[index].append((left, Explanation(text, float(value))))
    return [
        (
            *_of_values(question.measurement, float(value)),
            *(one for _, one in sorted(listed, key=lambda pair: pair[0])[:_MOST]),
        )
        for question, value, listed in zip(batch.questions, values, found, strict=True)
    ]


def _worth(row: Measurement, before: float, after: float) -> float | None:
    """Return the difference that a change leaves, None if it explains too little."""
    if not (math.isfinite(after) and after > 0.0 and before > 0.0):
        return None
    difference, left = abs(math.log(row.value / before)), abs(math.log(row.value / after))
    return left if left < max(_CLOSE, _BETTER * difference) and left < difference else None


def _allowed(row: Measurement, before: float, after: float, bound: float) -> float | None:
    """Return the difference that a narrower format leaves if its bound admits the value."""
    better = row.metric in RATES
    gain = after / before if better else before / after
    admitted = row.value <= bound if better else row.value >= bound
    return abs(math.log(row.value / after)) if gain > _GAIN and admitted else None


def _of_values(row: Measurement, expected: float) -> Iterator[Explanation]:
    """Yield explanations by the meaning of the number instead of the configuration."""
    ratio = row.value / expected
    unit = other_unit(row, expected)
    if unit == "a rate":
        yield Explanation("the value is a rate, the inverse of a time", expected)
    elif unit:
        yield Explanation(f"the value is in {unit}", expected)
    if row.metric == "output_tokens_per_s_per_device":
        yield from _of_throughput(row, expected)
    if row.metric == "tpot_s" and _DRAFTED[0] < 1.0 / ratio < _DRAFTED[1]:
        yield Explanation(
            f"speculative decoding that accepts {significant(1.0 / ratio)} tokens a step", row.value
        )
    if row.metric == "ttft_s" and _ALL_CACHED < ratio < 1.0 / _DRAFTED[0]:
        yield Explanation("prompts that are in the prefix cache", row.value)


def _of_throughput(row: Measurement, expected: float) -> Iterator[Explanation]:
    """Yield explanations of whose tokens a throughput may count."""
    ratio = row.value / expected
    if row.devices > 1 and abs(math.log(ratio / row.devices)) < _CLOSE:
        yield Explanation(f"the value is of all {row.devices} devices together", expected)
    users = (row.concurrency or 0.0) / row.devices
    if users >= _USERS and abs(math.log(ratio * users)) < _LOOSE:
        yield Explanation("the value is of one user, not of a device", expected)
    if row.input_len and row.output_len:
        counted = (row.input_len + row.output_len) / row.output_len
        if abs(math.log(ratio / counted)) < _CLOSE < math.log(counted):
            yield Explanation("the value counts prompt tokens, too", expected * counted)


def _changes(question: Question, expected: float) -> Iterator[tuple[str, Measurement]]:
    """Yield a measurement's row with one column changed, and words for the change."""
    row = question.measurement
    faster = (row.value > expected) == (row.metric in RATES)
    used = question.weight_format.name
    gguf = question.engine.name in _GGUF_ENGINES
    bits = question.record.bits
    for name in (*(_NARROWER_GGUF if gguf else _NARROWER), "bf16"):
        entry = loader.load_weight_format(name)
        if name != used and (entry.record().bits < bits) == faster:
            yield f"weight_format {name}", row._replace(weight_format=name, weight_bits=None)
    yield from _of_deployment(question, faster=faster)
    if row.mode == "closed_loop":
        yield "a static batch, without prefill of other requests", row._replace(mode="static")
    if row.mode == "static" and (row.concurrency or 1.0) > 1.0:
        yield "a server, where prefill interrupts decode", row._replace(mode="closed_loop")
    if faster:
        yield "kv_format fp8", row._replace(kv_format="fp8")
        if row.runner != "offline":
            yield "no HTTP server (runner=offline)", row._replace(runner="offline")
        return
    if row.eager != "true":
        yield "no CUDA graphs (eager=true)", row._replace(eager="true")
    watts = round(_POWER * question.device_record.board_power)
    if row.power_limit is None and watts:
        yield f"a power limit of {watts} W", row._replace(power_limit=float(watts))


def _of_deployment(question: Question, *, faster: bool) -> Iterator[tuple[str, Measurement]]:
    row = question.measurement
    for tp in (row.tp * 2, row.tp // 2) if not row.tp % 2 else (row.tp * 2,):
        if (tp > row.tp) == faster:
            yield f"tp {tp}", row._replace(tp=tp, devices=tp * row.pp * row.dp)
    for factor in _BATCHES:
        batch = round((row.concurrency or 0.0) * factor)
        if batch >= 1:
            yield f"{batch} sequences in flight", row._replace(concurrency=float(batch))
    family = question.device.name.partition("-")[0]
    for name in loader.names("device") if any(map(str.isdigit, family)) else ():
        if name != question.device.name and name.partition("-")[0] == family:
            yield f"hardware {name}", row._replace(hardware=name)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
