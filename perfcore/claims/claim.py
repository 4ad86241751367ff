"""Published claims about inference speed and price, read from a CSV file and checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, cast

from perfcore.catalog import loader
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry, WeightFormatEntry
from perfcore.errors import InputError, show
from perfcore.inputs import AXIS_INPUTS
from perfcore.limits import Limits
from perfcore.reading.csvfile import Form, read_rows
from perfcore.reading.files import read_text
from perfcore.reading.places import Place, number

LARGEST: Final = 1_000  # claims in a file

_DEVICES: Final = Limits("count", 1, 65_536, whole=True)
_POSITIVE: Final = Limits("ratio", 1e-9, 1e12)
_ENTRIES: Final = {"model": "", "device": "", "weight_format": "bf16"}  # the default, if any
_COUNTS: Final = {"devices": 1, "batch": 1, "input_len": 1024, "output_len": 256}
_FIGURES: Final = ("ms_per_token", "tokens_per_s", "usd_per_mtok")
_TEXTS: Final = ("claim", "source")
USER: Final = "user"
SYSTEM: Final = "system"
_SCOPES: Final = ("", USER, SYSTEM)
_REQUIRED: Final = tuple(name for name, default in _ENTRIES.items() if not default)

COLUMNS: Final = (
    "claim",
    "model",
    "device",
    "devices",
    "batch",
    "weight_format",
    "input_len",
    "output_len",
    *_FIGURES,
    "scope",
    "source",
)
_FORM: Final = Form(
    columns=COLUMNS, required=_REQUIRED, any_of=_FIGURES, noun="claims", largest=LARGEST
)


class Claim(NamedTuple):
    """A published claim about a model on a machine. Figures that are not claimed are None."""

    claim: str
    model: ModelEntry
    device: DeviceEntry
    weight_format: WeightFormatEntry
    devices: int
    batch: int
    input_len: int  # tokens
    output_len: int  # tokens
    ms_per_token: float | None  # of one sequence
    tokens_per_s: float | None  # of one sequence, or of the whole batch
    usd_per_mtok: float | None
    source: str
    scope: str = ""  # of tokens_per_s: "user", "system", or not stated
    batch_is_stated: bool = True

    @property
    def tpot_s(self) -> float | None:
        """Time per output token; tokens/s are those of the batch unless they are a user's. [s]"""
        if self.ms_per_token is not None:
            return self.ms_per_token / 1e3
        sequences = 1 if self.scope == USER else self.batch
        return None if self.tokens_per_s is None else sequences / self.tokens_per_s


def read_claims(path: str | Path) -> list[Claim]:
    """Return the claims of a CSV file in UTF-8 whose first line names columns of ``COLUMNS``.

    ``model``, ``device`` and one of the three figures are needed. Other cells may be empty; the
    defaults are one device, batch 1, bf16, 1,024 tokens in and 256 out. ``scope`` says whether
    tokens/s are those of one ``user`` or of a whole ``system``, whose batch may be left open.

    Raises
    ------
    InputError
        The file has faults; all of them are listed, each with its line.
    """
    faults: list[str] = []
    rows = read_rows(str(path), read_text(path, ".csv"), _FORM, faults)
    claims = [_claim(f"line {line}", cells, Place(str(path), "", faults)) for line, cells in rows]
    if faults:
        raise InputError(dict.fromkeys(faults))
    if not claims:
        raise InputError(f"{path}: has no claim; add a line below the header")
    return [claim for claim in claims if claim is not None]


def as_claims(given: Iterable[Claim | Mapping[str, object]]) -> list[Claim]:
    """Return claims, from claims or from mappings with the columns of a file.

    Raises
    ------
    InputError
        The mappings have faults; all of them are listed, each with the number of its claim.
    """
    faults: list[str] = []
    found: list[Claim | None] = []
    file = Place("claims", "", faults)
    for number_of, claim in enumerate(given, 1):
        if isinstance(claim, Claim):
            found.append(claim)
            continue
        name = f"claim {number_of}"
        for column in claim:
            if column not in COLUMNS:
                file._replace(key=name).unknown("column", column, COLUMNS)
        cells = {key: "" if value is None else str(value) for key, value in claim.items()}
        found.append(_claim(name, cells, file))
    if faults:
        raise InputError(dict.fromkeys(faults))
    return [claim for claim in found if claim is not None]


def _claim(name: str, cells: Mapping[str, str], file: Place) -> Claim | None:
    place = file._replace(key=name)
    before = len(place.faults)
    for column in _TEXTS:
        if not cells.get(column, "").isprintable():
            place.fault(
                f"{column} {show(cells[column])} has line breaks or control characters",
                "remove them",
            )
    entries = {
        kind: _entry(kind, cells.get(kind) or default, place) for kind, default in _ENTRIES.items()
    }
    counts = {
        name: _number(name, cells.get(name) or str(default), _bound(name), place)
        for name, default in _COUNTS.items()
    }
    figures = {
        name: _number(name, cells[name], _POSITIVE, place) if cells.get(name) else None
        for name in _FIGURES
    }
    if cells.get("scope", "") not in _SCOPES:
        place._replace(key=f"{place.key}: scope").unknown("value", cells["scope"], _SCOPES[1:])
    if not any(cells.get(name) for name in _FIGURES):
        place.fault("claims nothing", f"give one of {', '.join(_FIGURES)}")
    if len(place.faults) > before:
        return None
    model = cast("ModelEntry", entries["model"])
    device = cast("DeviceEntry", entries["device"])
    return Claim(
        claim=cells.get("claim") or name,
        model=model,
        device=device,
        weight_format=cast("WeightFormatEntry", entries["weight_format"]),
        devices=int(counts["devices"] or 0),
        batch=int(counts["batch"] or 0),
        input_len=int(counts["input_len"] or 0),
        output_len=int(counts["output_len"] or 0),
        ms_per_token=figures["ms_per_token"],
        tokens_per_s=figures["tokens_per_s"],
        usd_per_mtok=figures["usd_per_mtok"],
        source=cells.get("source", ""),
        scope=cells.get("scope", ""),
        batch_is_stated=bool(cells.get("batch")),
    )


def _bound(name: str) -> Limits:
    return (None if name == "devices" else AXIS_INPUTS[name].limits) or _DEVICES


def _entry(kind: str, name: str, place: Place) -> object:
    if not name:
        place.fault(f"{kind} is empty", "give its name")
        return None
    try:
        return loader.load(kind, name)
    except InputError as error:
        for fault in error.faults:
            place.relay(fault)
        return None


def _number(name: str, text: str, bound: Limits, place: Place) -> float | None:
    return number(text, bound, place._replace(key=f"{place.key}: {name}"))
