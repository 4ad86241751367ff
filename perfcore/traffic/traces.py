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
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from itertools import islice
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
_PRIORITY: Final = Limits("ratio", -1e9, 1e9, whole=True, least=-1e9)
_HEAD: Final = 1 << 16  # bytes by which a format is recognised
_LONGEST: Final = 1 << 22  # bytes of a line
_REQUIRED: Final = ("arrival_s", "input_len", "output_len")
_OPTIONAL: Final = ("session", "prefix", "prefix_len", "priority")
_MEASURED: Final = (  # columns of results, which are no input
    *("ttft_s", "tpot_s", "itl_s", "e2e_s", "queued_s", "first_token_s", "finished_s"),
    *("replica", "cached_tokens", "preemptions"),
)
_AZURE: Final = ("timestamp", "contexttokens", "generatedtokens")
_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_CHUNK: Final = 1 << 14  # rows that are checked at once
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
    priority: Integers  # lower first
    hashes: tuple[Integers, Integers] | None = None  # offsets and ids, as Mooncake records them


class _Row(NamedTuple):
    """One request as text or numbers, not yet checked."""

    line: int
    arrival_s: object  # whole seconds and the rest, if it is a time of day
    input_len: object
    output_len: object
    session: object = ""
    prefix: object = ""
    prefix_len: object = ""
    priority: object = ""
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
        priority=trace.priority[:rows],
        hashes=None if offsets is None or ids is None else (offsets[: rows + 1], ids),
    )


def replayed(trace: Trace, repeat: int = 1, speed: float = 1.0) -> Requests:
    """Return the requests of a trace, repeated and accelerated.

    A repetition starts one mean gap after the last arrival of the previous one. Its sessions and
    prompts are new, so no cache has them.
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
        requests = gathered(arrival_s, input_len, output_len, session, shared=shared)
        return requests._replace(priority=np.tile(trace.priority, repeat))
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
    return "arrival_s,input_len,output_len[,session][,prefix,prefix_len][,priority]"


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


def _line(path: str, line: int) -> Place:
    return Place(path, f"line {line}", [])


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
            line = reader.line_num
            if len(cells) != len(header):
                problem = f"{len(cells)} cells for {len(header)} columns; is it cut off?"
                _refuse(_line(path, line), problem)
            cells.append("")
            arrival, prompt, answer, session, prefix, *rest = [cells[one] for one in places]
            given = _seconds(_line(path, line), arrival.strip()) if azure else arrival
            yield _Row(line, given, prompt, answer, session.strip(), prefix.strip(), *rest)
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


def _records(path: str, lines: Iterator[str]) -> Iterator[tuple[int, Place, Mapping[str, object]]]:
    for count, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = _line(path, count)
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            _refuse(place, "is not one JSON object; is it cut off?")
        if not isinstance(record, dict):
            _refuse(place, f"has a {type(record).__name__} in place of a request")
        yield count, place, record


def _mooncake(path: str, lines: Iterator[str]) -> Iterator[_Row]:
    for line, place, record in _records(path, lines):
        hashes = record.get("hash_ids", [])
        if not isinstance(hashes, list):
            _refuse(place.at("hash_ids"), f"{show(hashes)} is not a list")
        arrival = record.get("timestamp")
        if isinstance(arrival, int | float) and not isinstance(arrival, bool):
            with suppress(OverflowError):  # then it is out of bounds in any unit
                arrival *= _MS
        yield _Row(
            line,
            arrival,
            record.get("input_length"),
            record.get("output_length"),
            hashes=hashes,
        )


def _aiperf(path: str, lines: Iterator[str]) -> Iterator[_Row]:
    """Yield the requests that were answered, in the order in which they ended."""
    for line, place, record in _records(path, lines):
        told, metrics = record.get("metadata"), record.get("metrics")
        if not isinstance(told, dict) or not isinstance(metrics, dict):
            _refuse(place, "has no metadata or metrics; give AIPerf's profile_export.jsonl")
        if record.get("error") or told.get("benchmark_phase", "profiling") != "profiling":
            continue
        start = told.get("request_start_ns")
        if not isinstance(start, int) or isinstance(start, bool) or not 0 <= start < 2**63:
            _refuse(place.at("request_start_ns"), f"{show(start)} is not a time in nanoseconds")
        arrival = (start // 1_000_000_000, start % 1_000_000_000 * _NS)
        session = told.get("x_correlation_id")
        yield _Row(
            line,
            arrival,
            _value(metrics, "input_sequence_length"),
            _value(metrics, "output_sequence_length"),
            session=session if isinstance(session, str) else "",
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
            yield _Row(index + 1, arrival, prompt, answer)


def _refuse(place: Place, problem: str) -> NoReturn:
    place.relay(problem)
    raise InputError(place.faults)


class _Names:
    """Numbering of names in the order of their first appearance."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def numbers(self, names: Sequence[object]) -> Reals:
        """Return the numbers of names, -1 for none."""
        known = self._known
        return np.array(
            [known.setdefault(name, len(known)) if name else -1 for name in names],
            np.float64,
        )


def _collected(
    path: str, rows: Iterator[_Row], *, ordered: bool = True, hashed: bool = False
) -> Trace:
    """Return checked requests; those of a file without an order are sorted by arrival."""
    found = _Columns(path, _ARRIVAL if ordered else _CLOCK)
    while chunk := list(islice(rows, _CHUNK)):
        if found.count + len(chunk) > MOST_REQUESTS:
            raise InputError(f"{path}: has more than {MOST_REQUESTS:,} requests; cut out a part")
        found.add(chunk, ordered=ordered, hashed=hashed)
    if not found.count:
        raise InputError(f"{path}: has no request; a trace has the columns {_columns()}")
    trace = found.trace(hashed=hashed)
    if not ordered:
        trace = _sorted(trace)
    return trace._replace(arrival_s=trace.arrival_s - trace.arrival_s[0])


class _Columns:
    """Columns of a trace, which grow by checked rows."""

    def __init__(self, path: str, arrival: Limits) -> None:
        self.path = path
        self.arrival = arrival
        self.count = 0
        self._parts: list[tuple[Reals, ...]] = []
        self._sessions, self._prefixes = _Names(), _Names()
        self._chains: dict[tuple[int, object], int] = {}
        self._ids, self._offsets = array("q"), array("q", [0])
        self._base: int | None = None
        self._last = 0.0

    def add(self, rows: list[_Row], *, ordered: bool, hashed: bool) -> None:
        """Append rows, after checks of all their values."""
        lines, arrivals, prompts, answers, sessions, prefixes, shared, priorities, _ = zip(
            *rows, strict=True
        )
        arrival_s = self._numbers(lines, self._clock(arrivals), self.arrival, "arrival_s")
        if ordered:
            self._check_order(lines, arrival_s)
        input_len = self._numbers(lines, prompts, LENGTH, "input_len")
        output_len = self._numbers(lines, answers, LENGTH, "output_len")
        prefix = self._prefixes.numbers(prefixes)
        tokens = [one or "0" for one in shared]
        prefix_len = self._numbers(lines, tokens, _PREFIX_LEN, "prefix_len")
        for place in np.flatnonzero(prefix_len > input_len)[:1]:
            problem = f"prefix_len {prefix_len[place]:g} exceeds input_len {input_len[place]:g}"
            _refuse(_line(self.path, lines[place]), f"{problem}; shorten it")
        prefix_len[prefix < 0] = 0.0
        session = self._sessions.numbers(sessions)
        ranks = [one or "0" for one in priorities]
        priority = self._numbers(lines, ranks, _PRIORITY, "priority")
        columns = (arrival_s, input_len, output_len, session, prefix, prefix_len, priority)
        self._parts.append(columns)
        self.count += len(rows)
        if hashed:
            self._add_hashes(rows, input_len)

    def trace(self, *, hashed: bool) -> Trace:
        """Return the trace."""
        columns = [np.concatenate(part) for part in zip(*self._parts, strict=True)]
        lengths, answers, sessions, prefixes, shared, priorities = (
            column.astype(np.int64) for column in columns[1:]
        )
        hashes = np.array(self._offsets, np.int64), np.array(self._ids, np.int64)
        return Trace(
            self.path,
            columns[0],
            lengths,
            answers,
            sessions,
            Shared(prefixes, shared),
            priorities,
            hashes if hashed else None,
        )

    def _clock(self, arrivals: Sequence[object]) -> Sequence[object]:
        """Return times of day as seconds since the whole second of the first one."""
        if not isinstance(arrivals[0], tuple):
            return arrivals
        if self._base is None:
            self._base = arrivals[0][0]
        base = self._base
        return [one[0] - base + one[1] if isinstance(one, tuple) else one for one in arrivals]

    def _numbers(
        self, lines: Sequence[int], values: Sequence[object], limits: Limits, name: str
    ) -> Reals:
        """Return numbers within limits: all at once if they are plain, or else one by one."""
        if all(type(value) is str for value in values):
            with suppress(ValueError):
                found = np.array(values, np.float64)
                inside = (found >= limits.low) & (found <= limits.high)
                if inside.all() and not (limits.whole and (found != np.floor(found)).any()):
                    return found
        return np.array(
            [
                _checked(value, limits, _line(self.path, line), name)
                for line, value in zip(lines, values, strict=True)
            ],
            np.float64,
        )

    def _check_order(self, lines: Sequence[int], arrival_s: Reals) -> None:
        before = np.concatenate([[self._last], arrival_s[:-1]])
        for place in np.flatnonzero(arrival_s < before)[:1]:
            problem = f"arrives at {arrival_s[place]:g} s, before the request above it "
            problem += f"({before[place]:g} s); sort the trace by arrival"
            _refuse(_line(self.path, lines[place]), problem)
        self._last = float(arrival_s[-1])

    def _add_hashes(self, rows: list[_Row], input_len: Reals) -> None:
        """Append the ids of whole blocks; blocks are equal only if their prefixes are, too."""
        for row, length in zip(rows, input_len, strict=True):
            previous = -1
            for name in row.hashes[: int(length) // MOONCAKE_BLOCK]:
                if not isinstance(name, int | str):
                    problem = f"{show(name)} is not the id of a block"
                    _refuse(_line(self.path, row.line).at("hash_ids"), problem)
                previous = self._chains.setdefault((previous, name), len(self._chains))
                self._ids.append(previous)
            self._offsets.append(len(self._ids))
        if len(self._ids) > MOST_HASHES:
            raise InputError(f"{self.path}: has more than {MOST_HASHES:,} hashes; cut out a part")


def _checked(value: object, limits: Limits, place: Place, name: str) -> float:
    """Return a number within limits."""
    plain = value.strip() if isinstance(value, str) else value
    with suppress(ValueError):
        plain = float(plain) if isinstance(plain, str) else plain
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    spot = place.at(name)
    found = number(plain, limits, spot)
    if found is None:
        raise InputError(spot.faults)
    return found


def _sorted(trace: Trace) -> Trace:
    """Return a trace in order of arrival, without sessions that have a single request."""
    order = np.argsort(trace.arrival_s, kind="stable")
    several = len(np.unique(trace.session)) < len(order)
    return trace._replace(
        arrival_s=trace.arrival_s[order],
        input_len=trace.input_len[order],
        output_len=trace.output_len[order],
        session=trace.session[order] if several else np.full_like(order, -1),
        shared=Shared(trace.shared.prefix[order], trace.shared.tokens[order]),
        priority=trace.priority[order],
    )
