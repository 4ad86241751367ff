"""Interface of the readers of results: their input, their output, and the columns users may set."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from perfcore.accuracy.importing.documents import Printed, Record
from perfcore.accuracy.importing.names import Names
from perfcore.accuracy.table import CHOICES, COLUMNS, MODES, OPTIONAL
from perfcore.catalog import loader
from perfcore.errors import InputError, argument, show
from perfcore.limits import Limits
from perfcore.reading.csvfile import formula
from perfcore.reading.places import Place, number

# Output tokens per second over all devices; their number is known only with all columns.
OUTPUT_TOKENS_PER_S: Final = "output_tokens_per_s"

ENTRIES: Final = {  # columns that name a catalogue entry, and its kind
    "model": "model",
    "hardware": "device",
    "engine": "engine",
    "weight_format": "weight_format",
    "kv_format": "kv_format",
    "host": "host",
}
DEGREE: Final = Limits("count", 1, 65_536, whole=True)
SHORT_PROMPT: Final = 64.0  # tokens, below which the rate of a prompt is that of its overheads
MEAN: Final = "mean"  # setting of concurrency: the mean in flight that a result states
_NUMBERS: Final = {
    **dict.fromkeys(("tp", "pp", "ep", "dp"), DEGREE),
    **OPTIONAL,
    "output_len": Limits("ratio", 1, 1e9),
}
_CHOICES: Final = {"mode": MODES, **CHOICES}
_POSITIVE: Final = Limits("ratio", 1e-12, 1e12)
_LONGEST: Final = 500  # characters of a cell

_MEASURED: Final = ("row_id", "devices", "metric", "value", "unit")
SETTABLE: Final = tuple(column for column in COLUMNS if column not in _MEASURED)


class Run(NamedTuple):
    """One run in a file: its configuration by column, and its measured values."""

    stated: Mapping[str, object]  # None or "" if the file does not say
    values: Mapping[str, float | None]  # by metric, SI units; None after a fault
    assumed: Mapping[str, str] = {}  # defaults by column, if neither the file nor the caller says
    doubts: Mapping[str, str] = {}  # by column: why no default may be assumed
    in_flight: float | None = None  # mean sequences in flight, if the load was a rate
    note: str = ""  # what the tool states that has no column, for ``task_note``
    spreads: Mapping[str, str] = {}  # percentiles by metric, for ``task_note``
    requests: float | None = None  # requests of the run, if the tool says how many


class Tool(NamedTuple):
    """Reader of one tool's results, with a declaration of their contents."""

    name: str
    files: str  # forms that are read
    rows: str  # metrics and modes
    states: str  # columns that the results fill
    lacks: str  # columns that are set by the user
    matches: Callable[[Record], bool]
    read: "Callable[[Record, Reading], Iterator[Run | str]]"
    printed: Printed | None = None  # parser of the tool's printed text


class Skip(NamedTuple):
    """A result that the table cannot express, and the reason."""

    file: str
    reason: str


class Reading(NamedTuple):
    """Context of reading a record: its place, the caller's settings, and collected notes."""

    place: Place
    given: Mapping[str, object]  # by the caller
    names: Names
    notes: dict[str, None]
    assumed: dict[str, None]
    keep_suspect: bool = False  # whether means of a cold start are imported


def settings(texts: tuple[str, ...]) -> dict[str, object]:
    """Return the columns and values in texts like ``hardware=h100-sxm``.

    Raises
    ------
    InputError
        The texts have faults, all of which are listed: unknown columns, names that are not in the
        catalogue, numbers out of bounds, text that a cell cannot hold.
    """
    faults: list[str] = []
    found: dict[str, object] = {}
    for text in texts:
        column, equals, value = (part.strip() for part in text.partition("="))
        place = Place(argument("given"), text if text.isprintable() else show(text), faults)
        if not column or not equals or not value:
            place.fault("not KEY=VALUE", "write it like hardware=h100-sxm")
        elif column == "devices":
            place.fault("devices are tp x pp x dp", "set those instead")
        elif column not in SETTABLE:
            place.unknown("column", column, SETTABLE)
        elif column in found:
            place.fault(f"{column} is set twice", "remove one")
        else:
            found[column] = _given(column, value, place)
    if faults:
        raise InputError(faults)
    return found


def _given(column: str, text: str, place: Place) -> object:
    if (column, text) == ("concurrency", MEAN):
        return MEAN
    if column in ENTRIES:
        try:
            loader.load(ENTRIES[column], text)
        except InputError as error:
            for fault in error.faults:
                place.relay(fault)
    return checked(column, text, place)


def checked(column: str, value: object, place: Place) -> object:
    """Return the value of a cell, a number or harmless text; None after a fault."""
    if column in _NUMBERS:
        return number(value, _NUMBERS[column], place)
    text = str(value).strip()
    if text not in _CHOICES.get(column, (text,)):
        place.unknown(column, text, _CHOICES[column])
    return text if harmless(text, place) else None


def harmless(text: str, place: Place) -> bool:
    """Return whether a text may go into a cell; record a fault if not.

    Control characters are refused. So is text that starts like a formula: a spreadsheet would run
    it, and quoting would change the name.
    """
    before = len(place.faults)
    if not text.isprintable():
        place.fault(f"{show(text)} has line breaks or control characters", "remove them")
    elif formula(text):
        place.fault(f"{show(text)} starts like a spreadsheet formula", "give it another name")
    elif len(text) > _LONGEST:
        place.fault(f"{show(text)} has more than {_LONGEST} characters", "shorten it")
    return len(place.faults) == before


def measured(record: Record, key: str, place: Place, scale: float = 1.0) -> float | None:
    """Return a positive number of a record times ``scale``; None after a fault."""
    value = record.get(key)
    spot = place.at(key)
    if value is None:
        spot.fault("is missing", "run the benchmark again")
        return None
    if isinstance(value, str):
        spot.fault(f"{show(value)} is text", "give a number")
        return None
    found = number(value, _POSITIVE, spot)
    return None if found is None else found * scale


def count(record: Record, key: str) -> float:
    """Return a number, or 0 if it is missing or not a number."""
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and 0 < value < 1e15 else 0.0


def text_of(record: Record, key: str) -> str:
    """Return the text of a record, or ``""``."""
    value = record.get(key)
    return value.strip() if isinstance(value, str) else ""


def percentiles(record: Record, keys: Mapping[str, str], scale: float = 1.0) -> str:
    """Return percentiles as text, e.g. ``p50 0.0123, p99 0.05``, by their names in a record."""
    found = ((name, count(record, key) * scale) for name, key in keys.items())
    return ", ".join(f"{name} {value:.6g}" for name, value in found if value)


def first_text(record: Record, *keys: str) -> str:
    """Return the first text of a record under one of several keys, or ``""``."""
    return next(filter(None, (text_of(record, key) for key in keys)), "")


def section(record: Record, *keys: str) -> Record:
    """Return the object at a path of keys, empty if there is none."""
    for key in keys:
        inner = record.get(key)
        record = inner if isinstance(inner, dict) else {}
    return record
