"""Readers of traces: CSV, Azure's and Mooncake's files, per-request exports of vLLM and AIPerf.

Sources of the foreign formats: Azure/AzurePublicDataset (AzureLLMInferenceDataset2023 and 2024),
kvcache-ai/Mooncake (FAST25-release/traces), vllm/benchmarks/serve.py of vllm-project/vllm
(``--save-detailed``), docs/tutorials/working-with-profile-exports.md of ai-dynamo/aiperf
(``profile_export.jsonl``).

A trace ends at its first faulty line: one clear fault, whatever the size of the file.
"""

import csv
import json
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, NoReturn

import numpy as np

from perfcore.errors import InputError, show
from perfcore.kernel.layout import Integers, Reals
from perfcore.limits import Limits
from perfcore.reading.files import read_text
from perfcore.reading.places import Place, number
from perfcore.traffic.lengths import LENGTH
from perfcore.traffic.requests import MOST_REQUESTS, Requests, Shared, gathered

LARGEST: Final = 4 << 30  # bytes of a trace
LARGEST_DOCUMENT: Final = 1 << 30  # bytes of a single JSON document, which is held in memory
MOST_HASHES: Final = 100_000_000  # of all prompts
MOONCAKE_BLOCK: Final = 512  # tokens that one hash of Mooncake's stands for

_ARRIVAL: Final = Limits("time", 0.0, 1e10)
_CLOCK: Final = Limits("time", -1e10, 1e10, least=-1e10)  # from the first in the file
_PREFIX_LEN: Final = Limits("count", 0, 1e8, whole=True)
_HEAD: Final = 1 << 16  # bytes by which a format is recognised
_LONGEST: Final = 1 << 22  # bytes of a line
_REQUIRED: Final = ("arrival_s", "input_len", "output_len")
_OPTIONAL: Final = ("session", "prefix", "prefix_len")
_MEASURED: Final = (  # columns of results, which are no input
    *("ttft_s", "tpot_s", "itl_s", "e2e_s", "queued_s", "first_token_s", "finished_s"),
    *("replica", "cached_tokens", "preemptions"),
)
_AZURE: Final = ("timestamp", "contexttokens", "generatedtokens")
_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_MS: Final = 1e-3
_NS: Final = 1e-9


class Trace(NamedTuple):
    """Recorded requests, in order of arrival; the first arrives at 0."""

    path: str
    arrival_s: Reals
    input_len: Integers
    output_len: Integers
    session: Integers  # -1: none
    shared: Shared
    hashes: tuple[Integers, Integers] | None = None  # offsets and ids, as Mooncake records them


class _Row(NamedTuple):
    """One request as text or numbers, not yet checked."""

    place: Place
    arrival_s: object
    input_len: object
    output_len: object
    session: object = None
    prefix: object = None
    prefix_len: object = 0
    hashes: Sequence[object] = ()


def read_trace(path: str | Path) -> Trace:
    """Return the requests of a file, whose format is recognised by its contents.

    Raises
    ------
    InputError
        The file cannot be read, is too large, is of no known format, has no request, or has a
        faulty one: unsorted, negative, not finite, not a number.
    """
    path = str(path)
    with _opened(path) as file:
        head = file.read(_HEAD)
        file.seek(0)
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start:
            raise InputError(f"{path}: is empty; the first line names the columns: {_columns()}")
        if start[:1] not in (b"{", b"["):
            return _collected(path, _csv(path, _lines(path, file)))
        first = _first_record(start)
        if first is not None and {"timestamp", "input_length"} & first.keys():
            return _collected(path, _mooncake(path, _lines(path, file)), hashed=True)
        if first is not None and "metrics" in first:
            return _collected(path, _aiperf(path, _lines(path, file)), ordered=False)
    return _collected(path, _vllm(path), ordered=False)


def first_rows(trace: Trace, rows: int) -> Trace:
    """Return the first requests of a trace."""
    offsets, ids = trace.hashes or (None, None)
    return trace._replace(
        arrival_s=trace.arrival_s[:rows],
        input_len=trace.input_len[:rows],
        output_len=trace.output_len[:rows],
        session=trace.session[:rows],
        shared=Shared(trace.shared.prefix[:rows], trace.shared.tokens[:rows]),
        hashes=None if offsets is None or ids is None else (offsets[: rows + 1], ids),
    )


def replayed(trace: Trace, repeat: int = 1, speed: float = 1.0) -> Requests:
    """Return the requests of a trace, repeated and accelerated.

    A repetition starts one mean gap after the last arrival of the one before. It brings new
    sessions and new prompts: nothing of it is in a cache.
    """
    rows = len(trace.arrival_s)
    if rows * repeat > MOST_REQUESTS:
        raise InputError(
            f"{trace.path}: {rows:,} requests {repeat:,} times are more than {MOST_REQUESTS:,}; "
            "repeat fewer times"
        )
    span = float(trace.arrival_s[-1]) * (rows + 1) / rows
    times = np.repeat(np.arange(repeat), rows)
    arrival_s = (np.tile(trace.arrival_s, repeat) + times * span) / speed
    input_len, output_len = np.tile(trace.input_len, repeat), np.tile(trace.output_len, repeat)
    session = _renamed(trace.session, repeat)
    if trace.hashes is None:
        shared = Shared(trace.shared.prefix, trace.shared.tokens)
        shared = Shared(_renamed(shared.prefix, repeat), np.tile(shared.tokens, repeat))
        return gathered(arrival_s, input_len, output_len, session, shared=shared)
    offsets, ids = trace.hashes
    ids = ids[: offsets[-1]]
    requests = gathered(arrival_s, input_len, output_len, session, block_tokens=MOONCAKE_BLOCK)
    counts = np.tile(np.diff(offsets), repeat)
    return requests._replace(
        first_block=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        block_hash=_renamed(ids, repeat),
    )


def _renamed(names: Integers, repeat: int) -> Integers:
    """Return numbers repeated, with new ones each time; -1 stays."""
    count = int(names.max(initial=-1)) + 1
    times = np.repeat(np.arange(repeat), len(names))
    tiled = np.tile(names, repeat)
    return np.where(tiled >= 0, tiled + times * count, -1)


def _columns() -> str:
    return f"{','.join(_REQUIRED)}[,{']['.join(',' + name for name in _OPTIONAL)[1:]}]"


def _opened(path: str) -> BinaryIO:
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - the caller closes it
        size = Path(path).stat().st_size
    except (OSError, ValueError):
        read_text(path, ".csv", 1)  # says what is wrong
        raise
    if size > LARGEST:
        file.close()
        raise InputError(
            f"{path}: is larger than {LARGEST >> 30} GiB, more than {MOST_REQUESTS:,} requests; "
            "cut out a part"
        )
    return file


def _lines(path: str, file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file; a line without an end is refused, not read into memory."""
    count = 0
    while line := file.readline(_LONGEST + 1):
        count += 1
        if len(line) > _LONGEST:
            raise InputError(
                f"{path}: line {count}: is longer than {_LONGEST >> 20} MiB; is this a trace?"
            )
        try:
            yield line.decode("utf-8-sig" if count == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: line {count}: is not UTF-8 text; save it as UTF-8") from None


def _first_record(head: bytes) -> Mapping[str, object] | None:
    """Return the object in the first line, None if the line has no whole object."""
    try:
        record = json.loads(head.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _csv(path: str, lines: Iterator[str]) -> Iterator[_Row]:
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader)]
        azure = _checked_header(path, header)
        where = {name: place for place, name in enumerate(header)}
        names = (*(_AZURE if azure else _REQUIRED), *_OPTIONAL)
        places = [where.get(name, -1) for name in names]
        for cells in reader:
            if not any(cells):
                continue
            place = Place(path, f"line {reader.line_num}", [])
            if len(cells) != len(header):
                _refuse(place, f"{len(cells)} cells for {len(header)} columns; is it cut off?")
            arrival, prompt, answer, session, prefix, prefix_len = (
                cells[index].strip() if index >= 0 else "" for index in places
            )
            given = _seconds(place, arrival) if azure else arrival
            yield _Row(place, given, prompt, answer, session, prefix, prefix_len)
    except csv.Error as error:
        line = reader.line_num
        raise InputError(f"{path}: line {line}: not valid CSV: {error}; check its quotes") from None


def _checked_header(path: str, header: list[str]) -> bool:
    """Return whether the columns are Azure's; refuse those of no format."""
    if {*_AZURE} <= {*header}:
        return True
    faults: list[str] = []
    place = Place(path, "line 1", faults)
    known = (*_REQUIRED, *_OPTIONAL, *_MEASURED)
    for name in header:
        if name not in known:
            place.unknown("column", name, known)
    if not faults:
        faults += [
            f"{path}: line 1: column {name!r} is missing; a trace has the columns {_columns()}"
            for name in _REQUIRED
            if name not in header
        ]
    if len({*header}) < len(header):
        place.fault("a column appears twice", "remove one")
    if faults:
        raise InputError(faults[0])
    return False


@lru_cache(maxsize=4)
def _whole_seconds(text: str, zone: str) -> int:
    zone = "+00:00" if zone in ("", "Z") else zone
    return int(datetime.fromisoformat(text + zone).timestamp())


def _seconds(place: Place, text: str) -> tuple[int, float]:
    """Return a time stamp as seconds since 1970: whole ones, and the rest."""
    found = _TIMESTAMP.fullmatch(text)
    try:
        if found is not None:
            return _whole_seconds(found[1], found[3] or ""), float(found[2] or 0.0)
    except ValueError:
        pass
    return _refuse(place.at("timestamp"), f"{show(text)} is not a time like 2023-11-16 18:17:03.97")


def _records(path: str, lines: Iterator[str]) -> Iterator[tuple[Place, Mapping[str, object]]]:
    for count, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = Place(path, f"line {count}", [])
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            _refuse(place, "is not one JSON object; is it cut off?")
        if not isinstance(record, dict):
            _refuse(place, f"has a {type(record).__name__} in place of a request")
        yield place, record


def _mooncake(path: str, lines: Iterator[str]) -> Iterator[_Row]:
    for place, record in _records(path, lines):
        hashes = record.get("hash_ids", [])
        if not isinstance(hashes, list):
            _refuse(place.at("hash_ids"), f"{show(hashes)} is not a list")
        arrival = record.get("timestamp")
        if isinstance(arrival, int | float) and not isinstance(arrival, bool):
            arrival *= _MS
        yield _Row(
            place,
            arrival,
            record.get("input_length"),
            record.get("output_length"),
            hashes=hashes,
        )


def _aiperf(path: str, lines: Iterator[str]) -> Iterator[_Row]:
    """Yield the requests that were answered, in the order in which they ended."""
    for place, record in _records(path, lines):
        told, metrics = record.get("metadata"), record.get("metrics")
        if not isinstance(told, dict) or not isinstance(metrics, dict):
            _refuse(place, "has no metadata or metrics; give AIPerf's profile_export.jsonl")
        if record.get("error") or told.get("benchmark_phase", "profiling") != "profiling":
            continue
        start = told.get("request_start_ns")
        if not isinstance(start, int) or isinstance(start, bool):
            _refuse(place.at("request_start_ns"), f"{show(start)} is not a number")
        arrival = (start // 1_000_000_000, start % 1_000_000_000 * _NS)
        yield _Row(
            place,
            arrival,
            _value(metrics, "input_sequence_length"),
            _value(metrics, "output_sequence_length"),
            session=told.get("x_correlation_id"),
        )


def _value(metrics: Mapping[str, object], name: str) -> object:
    metric = metrics.get(name)
    return metric.get("value") if isinstance(metric, dict) else None


def _vllm(path: str) -> Iterator[_Row]:
    text = read_text(path, ".json", LARGEST_DOCUMENT)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is neither CSV, JSON lines nor one JSON document") from None
    if not isinstance(record, dict) or "input_lens" not in record:
        raise InputError(
            f"{path}: has no requests; save them with vllm bench serve's option save-detailed"
        )
    columns = [record.get(key) for key in ("start_times", "input_lens", "output_lens")]
    if columns[0] is None:
        raise InputError(
            f"{path}: has no start_times; measure with a newer vLLM, which writes them"
        )
    lists = [column for column in columns if isinstance(column, list)]
    if len(lists) < len(columns) or len({len(column) for column in lists}) > 1:
        raise InputError(f"{path}: start_times, input_lens and output_lens differ in length")
    errors = record.get("errors")
    failed = (
        errors
        if isinstance(errors, list) and len(errors) == len(lists[0])
        else [""] * len(lists[0])
    )
    for index, (arrival, prompt, answer, error) in enumerate(zip(*lists, failed, strict=True)):
        if not error:
            yield _Row(Place(path, f"request {index + 1}", []), arrival, prompt, answer)


def _refuse(place: Place, problem: str) -> NoReturn:
    place.relay(problem)
    raise InputError(place.faults)


class _Names:
    """Numbers of names, in the order of their first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}

    def number(self, name: object) -> int:
        """Return the number of a name, -1 for none."""
        if name in (None, ""):
            return -1
        return self._numbers.setdefault(name, len(self._numbers))


def _collected(
    path: str, rows: Iterator[_Row], *, ordered: bool = True, hashed: bool = False
) -> Trace:
    """Return checked requests; those of a file without an order are sorted by arrival."""
    arrivals, lengths, answers = array("d"), array("q"), array("q")
    sessions, prefixes, shared = array("q"), array("q"), array("q")
    offsets, ids = array("q", [0]), array("q")
    session_names, prefix_names = _Names(), _Names()
    chains: dict[tuple[int, object], int] = {}
    base: int | None = None
    last = 0.0
    for row in rows:
        if len(arrivals) == MOST_REQUESTS:
            raise InputError(f"{path}: has more than {MOST_REQUESTS:,} requests; cut out a part")
        given = row.arrival_s
        if isinstance(given, tuple):
            base = given[0] if base is None else base
            given = given[0] - base + given[1]
        arrival = _checked(given, _ARRIVAL if ordered else _CLOCK, row.place, "arrival_s")
        if ordered and arrival < last:
            _refuse(
                row.place,
                f"arrives at {arrival:g} s, before the request above it ({last:g} s); "
                "sort the trace by arrival",
            )
        last = arrival
        arrivals.append(arrival)
        length = int(_checked(row.input_len, LENGTH, row.place, "input_len"))
        lengths.append(length)
        answers.append(int(_checked(row.output_len, LENGTH, row.place, "output_len")))
        sessions.append(session_names.number(row.session))
        prefix = prefix_names.number(row.prefix)
        prefixes.append(prefix)
        tokens = _checked(row.prefix_len or 0, _PREFIX_LEN, row.place, "prefix_len")
        if tokens > length:
            _refuse(row.place, f"prefix_len {tokens:g} exceeds input_len {length}; shorten it")
        shared.append(int(tokens) if prefix >= 0 else 0)
        if hashed:
            _chain(row, length, chains, ids)
            offsets.append(len(ids))
            if len(ids) > MOST_HASHES:
                raise InputError(f"{path}: has more than {MOST_HASHES:,} hashes; cut out a part")
    if not arrivals:
        raise InputError(f"{path}: has no request; a trace has the columns {_columns()}")
    trace = Trace(
        path,
        np.array(arrivals),
        np.array(lengths, np.int64),
        np.array(answers, np.int64),
        np.array(sessions, np.int64),
        Shared(np.array(prefixes, np.int64), np.array(shared, np.int64)),
        (np.array(offsets, np.int64), np.array(ids, np.int64)) if hashed else None,
    )
    if not ordered:
        trace = _sorted(trace)
    return trace._replace(arrival_s=trace.arrival_s - trace.arrival_s[0])


def _checked(value: object, limits: Limits, place: Place, name: str) -> float:
    """Return a number within limits; text is read by ``float`` if it is plain, which is fast."""
    plain: object = value
    if isinstance(value, str):
        try:
            plain = float(value)
        except ValueError:
            plain = value
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if type(plain) in (int, float) and limits.admits(plain):  # type: ignore[arg-type]
        return plain  # type: ignore[return-value]
    spot = place.at(name)
    found = number(plain if isinstance(plain, float) else value, limits, spot)
    if found is None:
        raise InputError(spot.faults)
    return found


def _chain(
    row: _Row, length: int, chains: dict[tuple[int, object], int], ids: "array[int]"
) -> None:
    """Append the ids of a prompt's whole blocks: a block is the same only after the same prefix."""
    previous = -1
    for name in row.hashes[: length // MOONCAKE_BLOCK]:
        if not isinstance(name, int | str):
            _refuse(row.place.at("hash_ids"), f"{show(name)} is not the id of a block")
        previous = chains.setdefault((previous, name), len(chains))
        ids.append(previous)


def _sorted(trace: Trace) -> Trace:
    """Return a trace in order of arrival."""
    order = np.argsort(trace.arrival_s, kind="stable")
    return trace._replace(
        arrival_s=trace.arrival_s[order],
        input_len=trace.input_len[order],
        output_len=trace.output_len[order],
        session=trace.session[order],
        shared=Shared(trace.shared.prefix[order], trace.shared.tokens[order]),
    )
