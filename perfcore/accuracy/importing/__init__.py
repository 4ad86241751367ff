"""Import of benchmark tools' results as rows of the table of measurements."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from perfcore.accuracy.importing import aiperf, llamacpp, trtllm, vllm
from perfcore.accuracy.importing.documents import Record, read_records
from perfcore.accuracy.importing.fields import SETTABLE, Reading, Run, Skip, settings
from perfcore.accuracy.importing.names import Names
from perfcore.accuracy.importing.rows import measurements
from perfcore.accuracy.table import Measurement
from perfcore.errors import InputError
from perfcore.reading.places import Place

__all__ = ["SETTABLE", "Imported", "Skip", "read_results", "settings"]


class _Tool(NamedTuple):
    matches: Callable[[Record], bool]
    read: Callable[[Record, Reading], Iterator[Run | str]]


_TOOLS: Final = tuple(
    _Tool(module.matches, module.read) for module in (vllm, llamacpp, trtllm, aiperf)
)


class Imported(NamedTuple):
    """Contents of files of results."""

    rows: list[Measurement]
    skipped: list[Skip]
    notes: list[str]  # settings that differ from what a file states
    assumed: list[str]  # defaults, e.g. tp=1, of columns that no file or setting gives


def read_results(paths: Sequence[str], given: Mapping[str, object] | None = None) -> Imported:
    """Return the measurements of files of results.

    Parameters
    ----------
    paths
        Files of vLLM, SGLang, llama.cpp, TensorRT-LLM, genai-perf or AIPerf, recognised by their
        contents.
    given
        Values by column, from ``settings``; they take precedence over those of the files.

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
            records = read_records(path)
        except InputError as error:
            faults += error.faults
            continue
        for index, record in enumerate(records):
            place = Place(path, f"result {index + 1}" if len(records) > 1 else "", faults)
            reading = Reading(place, given or {}, names, notes, assumed)
            for outcome in _outcomes(record, reading):
                if isinstance(outcome, str):
                    found.skipped.append(Skip(path, outcome))
                else:
                    found.rows.extend(measurements(outcome, reading))
    if faults:
        raise InputError(dict.fromkeys(faults))
    if not found.rows:
        raise InputError(
            dict.fromkeys(
                f"{skip.file}: nothing to import: {skip.reason}" for skip in found.skipped
            )
        )
    found.notes.extend(notes)
    found.assumed.extend(assumed)
    return found


def _outcomes(record: Record, reading: Reading) -> Iterator[Run | str]:
    tool = next((tool for tool in _TOOLS if tool.matches(record)), None)
    if tool is not None:
        return tool.read(record, reading)
    reading.place._replace(key="").fault(
        "is not a result of a known tool",
        "give a summary that vLLM, SGLang, llama-bench, trtllm-bench, genai-perf or AIPerf saved",
    )
    return iter(())
