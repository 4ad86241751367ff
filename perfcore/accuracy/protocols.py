"""Load protocols of benchmarks: conditions that rows do not state, and the constants they set."""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from perfcore.accuracy.table import Measurement
from perfcore.errors import InputError
from perfcore.units import parse

UNSTATED_INPUT: Final = 512.0  # tokens, if not stated: a question with some context
UNLIMITED: Final = 1e9

_RANDOM_LENGTHS: Final = re.compile(r"random lengths ([0-9.]+)-([0-9.]+) of nominal")
_TASK: Final = re.compile(r"\btask=([\w-]+)")


class Workload(NamedTuple):
    """Shape of the requests in a measurement."""

    input_len: float  # tokens, mean
    output_len: float
    name: str = ""  # name of the load in ``protocols.toml``
    constants: tuple[tuple[str, float], ...] = ()  # engine constants that the load sets
    factors: tuple[tuple[str, float], ...] = ()  # factors on engine constants

    @property
    def load(self) -> "Workload":
        """The workload without lengths, which identifies a set of engine constants."""
        return self._replace(input_len=0.0, output_len=0.0)


class _Load(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = ""  # rows are identified by a task in the note,
    note: str = ""  # a text in the note,
    sources: tuple[str, ...] = ()  # or where they come from
    input_len: float | None = None
    length_spread: float = 1.0
    sampling_per_sequence: Annotated[float, BeforeValidator(lambda text: parse(text, "time"))] = 0.0
    routing_independence: float = 1.0
    queue_factor: float = 1.0
    prefill_factor: float = 1.0
    source: str = Field(min_length=1)

    def is_of(self, row: Measurement, task: str) -> bool:
        """Return whether a row was measured under this load."""
        return (
            bool(self.task and self.task == task)
            or bool(self.note and self.note in row.task_note)
            or row.source in self.sources
        )


class _KVFormats(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...]
    weight_formats: tuple[str, ...]
    kv_format: str
    source: str = Field(min_length=1)


class _Artefact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    engine_version: str = ""
    note: str = ""
    metric: str = ""
    reason: str = Field(min_length=1)

    def is_of(self, row: Measurement) -> bool:
        """Return whether a row is an artefact of the measurement."""
        return (
            row.source == self.source
            and self.engine_version in ("", row.engine_version)
            and self.note in row.task_note
            and self.metric in ("", row.metric)
        )


class _Weight(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    engine: str = ""
    note: str = ""
    metric: str = ""
    weight: float = Field(ge=0.0, le=1.0)
    reason: str = Field(min_length=1)

    def is_of(self, row: Measurement) -> bool:
        """Return whether the weight applies to a row."""
        return (
            row.source == self.source
            and self.engine in ("", row.engine)
            and self.note in row.task_note
            and self.metric in ("", row.metric)
        )


class _Protocols(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    loads: dict[str, _Load]
    kv_formats: tuple[_KVFormats, ...]
    artefacts: tuple[_Artefact, ...]
    weights: tuple[_Weight, ...]


@cache
def _protocols() -> _Protocols:
    text = (resources.files("perfcore.accuracy") / "protocols.toml").read_text("utf-8")
    return _Protocols.model_validate(tomllib.loads(text))


def artefact(row: Measurement) -> str:
    """Return why a row looks like an artefact of its measurement; empty if it does not."""
    return next((rule.reason for rule in _protocols().artefacts if rule.is_of(row)), "")


def weight_of(row: Measurement) -> float:
    """Return the weight of a row in a fit by its kind of measurement; 0 for artefacts."""
    rules = _protocols().weights
    return 0.0 if artefact(row) else min((r.weight for r in rules if r.is_of(row)), default=1.0)


def unstated_kv_format(row: Measurement, weight_format: str) -> str:
    """Return the KV-cache format of a row that states none: 16 bit, or the source's default."""
    for rule in _protocols().kv_formats:
        if row.source in rule.sources and weight_format in rule.weight_formats:
            return rule.kv_format
    return "bf16"


def workload_of(row: Measurement) -> Workload:
    """Return the workload of a row.

    Raises
    ------
    InputError
        The row does not state its output length.
    """
    found = _TASK.search(row.task_note)
    task = found[1] if found else ""
    name, load = next(
        ((name, load) for name, load in _protocols().loads.items() if load.is_of(row, task)),
        ("", _Load(source="none")),
    )
    random = _RANDOM_LENGTHS.search(row.task_note)
    scale = 0.5 * (float(random[1]) + float(random[2])) if random else 1.0
    input_len = row.input_len
    if input_len is None:
        input_len = load.input_len or UNSTATED_INPUT
    output_len = row.output_len
    if output_len is None:
        if row.metric not in ("ttft_s", "prefill_tokens_per_s"):
            raise InputError("output_len is not stated")
        output_len = 1.0
    constants = {
        constant: value
        for constant, value, default in (
            ("length_spread", load.length_spread, 1.0),
            ("sampling_per_sequence", load.sampling_per_sequence, 0.0),
            ("routing_independence", load.routing_independence, 1.0),
        )
        if value != default
    }
    if row.concurrency is not None:  # in flight regardless of the engine's default
        constants["max_sequences"] = UNLIMITED
    factors = {
        constant: factor
        for constant, factor in (
            ("queue_weight", load.queue_factor),
            ("host_per_prefill", load.prefill_factor),
        )
        if factor != 1.0
    }
    return Workload(
        input_len=max(input_len * scale, 1.0),
        output_len=max(output_len * scale, 1.0),
        name=name,
        constants=tuple(constants.items()),
        factors=tuple(factors.items()),
    )
