"""Import of benchmark tools' results as rows of the table of measurements."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from perfcore.accuracy.importing import (
    aiperf,
    batched_bench,
    guidellm,
    inference_perf,
    inferencex,
    llama_server,
    llamacpp,
    llmperf,
    lmdeploy,
    mlenergy,
    mlperf,
    mlx,
    ollama,
    sglang_batch,
    tgi,
    trtllm,
    vllm,
)
from perfcore.accuracy.importing.documents import Record, read_records
from perfcore.accuracy.importing.fields import SETTABLE, Reading, Run, Skip, Tool, settings
from perfcore.accuracy.importing.names import Names
from perfcore.accuracy.importing.rows import measurements
from perfcore.accuracy.importing.saturation import judged
from perfcore.accuracy.table import Measurement
from perfcore.errors import InputError
from perfcore.reading.places import Place

__all__ = ["SETTABLE", "TOOLS", "Imported", "Skip", "Tool", "read_results", "settings"]

TOOLS: Final[tuple[Tool, ...]] = tuple(
    module.TOOL
    for module in (
        lmdeploy,  # before vllm, whose keys its CSV has, too
        vllm,
        sglang_batch,
        trtllm,
        llamacpp,
        batched_bench,
        llama_server,
        ollama,
        mlx,
        aiperf,
        guidellm,
        inference_perf,
        inferencex,
        llmperf,
        mlenergy,
        mlperf,
        tgi,
    )
)
_PRINTED: Final = tuple(tool.printed for tool in TOOLS if tool.printed is not None)
_DIFFERENT: Final = 1.3  # ratio of values of one configuration, from which they are not repetitions


class Imported(NamedTuple):
    """Contents of files of results."""

    rows: list[Measurement]
    skipped: list[Skip]
    notes: list[str]  # settings that differ from what a file states
    assumed: list[str]  # defaults, e.g. tp=1, of columns that no file or setting gives


def read_results(
    paths: Sequence[str],
    given: Mapping[str, object] | None = None,
    *,
    keep_suspect: bool = False,
) -> Imported:
    """Return the measurements of files of results.

    Parameters
    ----------
    paths
        Files of one of ``TOOLS``, recognised by their contents.
    given
        Values by column, from ``settings``; they take precedence over those of the files.
    keep_suspect
        Whether times to the first token are imported that the run makes meaningless: of a cold
        start, of requests that wait for a place, of sessions whose prompts may be cached.

    Raises
    ------
    InputError
        Files have faults, all of which are listed; or no file has a result that the table can
        express.
    """
    faults: list[str] = []
    found = Imported([], [], [], [])
    notes: dict[str, None] = {}
    assumed: dict[str, None] = {}
    names = Names()
    for path in paths:
        try:
            records, remarks = read_records(path, _PRINTED)
        except InputError as error:
            faults += error.faults
            continue
        notes.update(dict.fromkeys(remarks))
        for index, record in enumerate(records):
            place = Place(path, f"result {index + 1}" if len(records) > 1 else "", faults)
            reading = Reading(place, given or {}, names, notes, assumed, keep_suspect)
            for outcome in _outcomes(record, reading):
                if isinstance(outcome, str):
                    found.skipped.append(Skip(path, outcome))
                else:
                    rows, reason = judged(list(measurements(outcome, reading)), outcome)
                    found.rows.extend(rows)
                    if reason:
                        notes[f"{path}: {reason}"] = None
    if faults:
        raise InputError(dict.fromkeys(faults))
    if not found.rows:
        raise InputError(
            dict.fromkeys(
                f"{skip.file}: nothing to import: {skip.reason}" for skip in found.skipped
            )
        )
    found.notes.extend([*notes, *_different(found.rows)])
    found.assumed.extend(assumed)
    return found


def _outcomes(record: Record, reading: Reading) -> Iterator[Run | str]:
    tool = next((tool for tool in TOOLS if tool.matches(record)), None)
    if tool is not None:
        return tool.read(record, reading)
    reading.place._replace(key="").fault(
        "is not a result of a known tool",
        "`perfcore measurements` lists those; type others into the table that "
        "`perfcore measurements template` writes",
    )
    return iter(())


def _different(rows: Sequence[Measurement]) -> Iterator[str]:
    """Yield a remark on values of one configuration that differ too much to be repetitions."""
    groups: dict[Measurement, list[float]] = {}
    for row in rows:
        same = row._replace(row_id="", source_ref="", date="", task_note="", backend="", value=0.0)
        groups.setdefault(same, []).append(row.value)
    for row, values in groups.items():
        low, high = min(values), max(values)
        if high > _DIFFERENT * low:
            yield (
                f"{row.model} on {row.hardware}: {row.metric} at input_len {row.input_len:g} is "
                f"from {low:.4g} to {high:.4g}; backend and task_note tell such rows apart, and "
                "`perfcore validate` can group them by note"
                if row.input_len is not None
                else f"{row.model} on {row.hardware}: {row.metric} is from {low:.4g} to {high:.4g}"
            )
