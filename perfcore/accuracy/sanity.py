"""Rows of measurements that look wrong, found before anything is fitted to them.

A row is suspect if its configuration cannot run, if its value beats the physical bound or is far
from any prediction, if rows of one configuration contradict each other, or if what its note says of
the run makes its value meaningless. Suspect rows are named with their reason and left out of scores
and fits, unless the caller keeps them.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from perfcore.accuracy.baselines import ROOFLINE, baselines
from perfcore.accuracy.prediction import (
    RAN_ANYWAY,
    Batch,
    Floats,
    Question,
    batch_of,
    engine_table,
    evaluate_points,
    predicted,
)
from perfcore.accuracy.protocols import artefact
from perfcore.accuracy.table import Measurement
from perfcore.columns import STATUS
from perfcore.physics.memory import usable_bytes
from perfcore.physics.parallelism import lay_out
from perfcore.physics.stages.point import Point
from perfcore.units import significant

BEATS: Final = "faster than the physical bound"  # words of reasons
EXAMPLE_NOTE: Final = "example values: replace them"  # of rows in a template

_RATES: Final = ("prefill_tokens_per_s", "output_tokens_per_s_per_device")
# Ratios of the bound to a measured time above which no error of measurement explains the row. The
# bound of a saturated server depends on its batch; that of a batch on a mixture of experts on how
# many experts it chooses, which equal prompts make fewer.
_BEATS: Final = 1.1
_BEATS_UNSURE: Final = 1.3
_BEATS_ROUTED: Final = 2.0
_OVERFULL: Final = 1.1  # weights over memory; pipeline stages need not be equal
_OVER_POWER: Final = 1.15  # mean power of a board over its limit
# Ratios of measured to predicted values, up or down, beyond which the value is of another kind: the
# largest of 3,500 published rows are 10, 44 (TTFT of a batch) and 105 (TTFT of a full server).
_FAR: Final = 50.0
_FAR_FIRST: Final = 100.0
_FAR_QUEUED: Final = 300.0
_FITS: Final = 3.0  # ratio up to which the inverse of a value is near its prediction
_THOUSAND: Final = (200.0, 5000.0)
_OTHER_UNITS: Final = {  # factors of units that values are left in, by the unit of the table
    "s": ((1e3, "milliseconds"), (1e6, "microseconds")),
    "J/token": ((1e3, "millijoules"), (1e-3, "kilojoules")),
    "W": ((1e3, "milliwatts"), (1e-3, "kilowatts")),
}
# Ratios of values of one configuration above which they are no repetitions. Published sources run a
# configuration again with settings that they do not state.
_REPEATED: Final = 1.3
_REPEATED_PUBLISHED: Final = 2.0
_OWN: Final = ("", "own")
_COLD: Final = 3.0  # mean over median
_MOST: Final = 0.5  # share of rows beyond the bound that makes the others of their kind doubtful
_SEVERAL: Final = 2
_MEDIAN: Final = re.compile(r"\b(?:median|p50) ([0-9.e+-]+)")
_STATISTIC: Final = re.compile(r"(?:^|[;,] *)(?:median|p\d+) [0-9.e+-]+")


class Suspect(NamedTuple):
    """A measurement that looks wrong, and why."""

    measurement: Measurement
    reason: str

    @property
    def place(self) -> str:
        """Line of the table, or the identifier of a row that has none."""
        return place_of(self.measurement)


class Checked(NamedTuple):
    """Questions divided into those that may be fitted and those whose rows look wrong."""

    sound: list[Question]
    suspects: list[Suspect]


def place_of(row: Measurement) -> str:
    """Return the line of a row in its table, or the identifier of a row that has none."""
    return f"line {row.line}" if row.line else row.row_id or row.metric


def check_rows(asked: Sequence[Question], *, keep: bool = False) -> Checked:
    """Return the questions whose rows may be fitted, and the rows that look wrong.

    Parameters
    ----------
    keep
        Whether suspect rows are used all the same; they are still named.
    """
    if not asked:
        return Checked([], [])
    batch = batch_of(asked)
    points = evaluate_points(batch, engine_table(batch))
    reasons = [
        first(
            _example(question),
            _cannot_run(question, points[:, row]),
            _cold_start(question.measurement),
            *beyond,
            _unsaturated(question, points[:, row]),
        )
        for row, (question, beyond) in enumerate(
            zip(asked, _beyond_physics(batch, points), strict=True)
        )
    ]
    for found in (_repeated(asked), _contradictions(asked, reasons), _company(asked, reasons)):
        for row, reason in list(found):
            reasons[row] = reasons[row] or reason
    suspects = [
        Suspect(question.measurement, reason)
        for question, reason in zip(asked, reasons, strict=True)
        if reason
    ]
    sound = [
        question for question, reason in zip(asked, reasons, strict=True) if keep or not reason
    ]
    return Checked(sound, suspects)


def summary(suspects: Sequence[Suspect]) -> list[str]:
    """Return one line for each suspect row."""
    return [f"{suspect.place}: {suspect.reason}" for suspect in suspects]


def warnings(asked: Sequence[Question]) -> list[str]:
    """Return remarks on rows that agree in every column, and differ in their notes and values."""
    found = []
    for rows in _groups(asked, with_note=False).values():
        values = [asked[row].measurement.value for row in rows]
        notes = {asked[row].measurement.task_note for row in rows}
        if len(notes) > 1 and max(values) > _REPEATED * min(values):
            row = asked[rows[0]].measurement
            found.append(
                f"{row.model} on {row.hardware}: {len(rows)} rows of {row.metric} agree in every "
                f"column and are from {significant(min(values))} to {significant(max(values))} "
                f"{row.unit}: they differ in something that only task_note says, and a fit is a "
                "compromise between them"
            )
    return found


def first(*reasons: str) -> str:
    """Return the first reason that is not empty, or ``""``."""
    return next(filter(None, reasons), "")


def bound_of(batch: Batch, points: Floats) -> Floats:
    """Return the physical bound of each question's metric: (rows,)."""
    return baselines(batch, points[Point._fields.index("running_batch")])[ROOFLINE]


def _example(question: Question) -> str:
    if question.measurement.task_note != EXAMPLE_NOTE:
        return ""
    return "an example of the template; replace its value and its task_note"


def _cannot_run(question: Question, point: Floats) -> str:
    """Return why a configuration cannot run, or that not even its weights fit."""
    status = STATUS[int(point[Point._fields.index("status")])]
    if status not in RAN_ANYWAY:
        return f"cannot run: {status}; check tp, pp, ep and model"
    weights, cache = (
        float(point[Point._fields.index(f"{what}_bytes_per_device")]) for what in ("weight", "kv")
    )
    away = float(point[Point._fields.index("offloaded_bytes_per_device")])
    weights = max(weights - away, 0.0)  # the device's part
    device = question.device_record
    room = _OVERFULL * device.memory_capacity  # an engine's margins may be narrower
    static = question.measurement.mode == "static"  # other requests of a server wait
    if weights <= room and not (static and weights + cache > room):
        return ""
    engine = question.engine.record(question.device, question.weight_format)
    layout = lay_out(question.model.record(), device, question.deployment)
    usable = usable_bytes(question.model.record(), device, engine, layout)
    if weights > room:
        return (
            f"weights do not fit: {weights / 1e9:.0f} GB of {usable / 1e9:.0f} GB; "
            "check model, weight_format, tp and hardware"
        )
    return (
        f"kv cache does not fit: {cache / 1e9:.0f} GB besides {weights / 1e9:.0f} GB of weights in "
        f"{usable / 1e9:.0f} GB; check concurrency, lengths, kv_format and tp"
    )


def _cold_start(row: Measurement) -> str:
    found = _MEDIAN.search(row.task_note)
    median = float(found[1]) if found else 0.0
    if row.metric != "ttft_s" or not median or row.value <= _COLD * median:
        return ""
    return (
        f"the mean of {row.value:.4g} s is {row.value / median:.0f} times the median of "
        f"{median:.4g} s: a cold start; warm up and measure again"
    )


def _beyond_physics(batch: Batch, points: Floats) -> Iterator[tuple[str, str]]:
    """Yield reasons for each row: it beats the bound, or is far from its prediction."""
    expected, bounds = predicted(batch, points), bound_of(batch, points)
    for question, value, bound in zip(batch.questions, expected, bounds, strict=True):
        row = question.measurement
        far = _far(row, float(value))
        if far and (other_unit(row, float(value)) or "thousand" in far):
            yield far, ""
        elif row.metric == "power_w_per_device":
            limit = question.device_record.board_power
            yield (_over_power(row, limit), far)
        else:
            yield (_beats(question, float(bound)), far)


def _beats(question: Question, bound: float) -> str:
    row = question.measurement
    if row.metric == "energy_j_per_output_token" or not math.isfinite(bound) or artefact(row):
        return ""
    ratio = row.value / bound if row.metric in _RATES else bound / row.value
    experts = question.model.record().experts > 0.0
    most = _BEATS_UNSURE if experts or row.mode == "saturation" else _BEATS
    if experts and row.concurrency != 1.0:
        most = _BEATS_ROUTED
    if ratio <= most:
        return ""
    return (
        f"{row.metric} {row.value:.4g} {row.unit} is {ratio:.3g} times {BEATS} "
        f"of {bound:.4g} {row.unit}; check weight_format ({question.weight_format.name}), "
        "devices, lengths and the unit"
    )


def _over_power(row: Measurement, limit: float) -> str:
    if row.value <= _OVER_POWER * limit:
        return ""
    return f"{row.value:.0f} W exceed the {limit:.0f} W of a board; are they of several boards?"


def _far(row: Measurement, expected: float) -> str:
    if not (math.isfinite(expected) and expected > 0.0):
        return ""
    ratio = row.value / expected
    apart = max(ratio, 1.0 / ratio)
    far = _FAR
    if row.metric == "ttft_s":
        far = _FAR_FIRST if row.mode == "static" else _FAR_QUEUED
    if apart <= (min(far, _THOUSAND[0])):
        return ""
    shown = (
        f"{row.metric} {row.value:.4g} {row.unit} is {significant(ratio)} times the prediction of "
        f"{expected:.4g} {row.unit}"
    )
    guess = other_unit(row, expected)
    if guess == "a rate":
        return (
            f"{shown}, and its inverse is near that: probably a rate; give {row.metric} as "
            f"{1.0 / row.value:.4g}"
        )
    if guess:
        many = "a million" if guess.startswith("micro") else "a thousand"
        divisor = 1_000_000 if guess.startswith("micro") else 1000
        remedy = "multiply" if ratio < 1.0 else "divide"
        return f"{shown}, about {many} times, so probably {guess}; {remedy} the values by {divisor}"
    if _THOUSAND[0] <= apart <= _THOUSAND[1]:
        seconds = row.unit == "s" and ratio < 1.0
        asked = "were seconds taken for ms" if seconds else f"is the value in {row.unit}"
        return f"{shown}, about a {'thousandth' if ratio < 1.0 else 'thousand times'}; {asked}?"
    return shown if apart > far else ""


_RARE: Final = math.log(2.0)  # a rate in place of a time is rarer than another unit


def other_unit(row: Measurement, expected: float) -> str:
    """Return the unit that a value is probably in, if it is not its own; ``""`` if nothing fits.

    A time may also be a rate, whose inverse is near the prediction. What is nearest is taken.
    """
    if not (math.isfinite(expected) and expected > 0.0):
        return ""
    ratio = row.value / expected
    guesses = [
        (abs(math.log(ratio / factor)), unit)
        for factor, unit in _OTHER_UNITS.get(row.unit, ())
        if _THOUSAND[0] / 1e3 <= ratio / factor <= _THOUSAND[1] / 1e3
    ]
    inverse = abs(math.log(row.value * expected))
    if row.unit == "s" and ratio > _FAR and inverse < math.log(_FITS):
        guesses.append((inverse + _RARE, "a rate"))
    return min(guesses, default=(0.0, ""))[1]


def _unsaturated(question: Question, point: Floats) -> str:
    row = question.measurement
    if row.mode != "saturation" or row.concurrency is None:
        return ""
    fit = float(point[Point._fields.index("max_batch")])
    if row.concurrency >= fit:
        return ""
    return (
        f"{row.concurrency:g} requests are fewer than the {fit:g} that fit at once: not saturated; "
        "the mode is static or closed_loop"
    )


def _groups(asked: Sequence[Question], *, with_note: bool) -> dict[Measurement, list[int]]:
    """Return the rows of each configuration and metric."""
    found: dict[Measurement, list[int]] = {}
    for index, question in enumerate(asked):
        row = question.measurement
        note = _STATISTIC.sub("", row.task_note).strip("; ") if with_note else ""
        same = row._replace(
            row_id="", set="", source_ref="", licence="", date="", task_note=note, value=0.0, line=0
        )
        found.setdefault(same, []).append(index)
    return found


def _repeated(asked: Sequence[Question]) -> Iterator[tuple[int, str]]:
    """Yield rows of the user's own that are copies of an earlier one, which would count twice."""
    seen: dict[Measurement, str] = {}
    for index, question in enumerate(asked):
        row = question.measurement
        if row.source not in _OWN:
            continue
        same = row._replace(row_id="", set="", line=0)
        if same in seen:
            yield index, f"repeats {seen[same]}, which counts once"
        seen.setdefault(same, place_of(row))


def _company(asked: Sequence[Question], known: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the user's own rows whose model, device and format most other rows make impossible.

    What is wrong with those, such as the format or the device, is wrong with these as well.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, question in enumerate(asked):
        row = question.measurement
        if row.source in _OWN:
            shared = (row.source_ref, row.engine, row.hardware, row.model, row.weight_format)
            groups.setdefault((*shared, row.devices), []).append(index)
    for rows in groups.values():
        beyond = sum(BEATS in known[index] for index in rows)
        if beyond < _MOST * len(rows) or beyond < _SEVERAL:
            continue
        for index in rows:
            row = asked[index].measurement
            reason = (
                f"{beyond} of {len(rows)} rows of {row.model} ({row.weight_format}) on "
                f"{row.hardware} beat the bound: a setting that they share is wrong here, too"
            )
            yield index, reason


def _contradictions(asked: Sequence[Question], known: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield rows that contradict others of their configuration, and how."""
    groups = {
        row: [index for index in rows if not known[index]]
        for row, rows in _groups(asked, with_note=True).items()
    }
    for row, rows in groups.items():
        values = [asked[index].measurement.value for index in rows]
        most = _REPEATED if row.source in _OWN else _REPEATED_PUBLISHED
        if len(values) > 1 and max(values) > most * min(values):
            lines = ", ".join(f"{value:.4g}" for value in values[:4])
            for index in rows:
                reason = (
                    f"rows of this configuration contradict each other: {row.metric} is {lines} "
                    f"{row.unit}; the difference is in no column"
                )
                yield index, reason
    yield from _sums(asked, groups)


def _sums(
    asked: Sequence[Question], groups: dict[Measurement, list[int]]
) -> Iterator[tuple[int, str]]:
    """Yield rows whose whole time is not that of their parts."""
    parts: dict[Measurement, dict[str, int]] = {}
    for row, rows in groups.items():
        if rows and row.source in _OWN:
            parts.setdefault(row._replace(metric="", unit=""), {})[row.metric] = rows[0]
    for row, found in parts.items():
        value = {metric: asked[index].measurement.value for metric, index in found.items()}
        if not {"ttft_s", "tpot_s", "e2e_latency_s"} <= value.keys() or not row.output_len:
            continue
        whole = value["ttft_s"] + (row.output_len - 1.0) * value["tpot_s"]
        ratio = value["e2e_latency_s"] / whole
        if not 1.0 / _REPEATED <= ratio <= _REPEATED:
            reason = (
                f"e2e_latency_s {value['e2e_latency_s']:.4g} s contradicts ttft_s and tpot_s of "
                f"the same configuration, which make {whole:.4g} s"
            )
            for index in found.values():
                yield index, reason
