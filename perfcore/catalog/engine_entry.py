"""Catalogue entry of an engine: layered constants by device class, each with its basis."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from perfcore import records
from perfcore.catalog.schema import (
    Backend,
    DeviceClass,
    DeviceEntry,
    LinkKind,
    Sourced,
    Text,
    WeightFormatEntry,
)
from perfcore.catalog.sheet import quantity
from perfcore.inputs import LIMITS
from perfcore.limits import POSITIVE, Limits
from perfcore.reading.words import suggest

ENGINE_DIMENSIONS = {name: limits.dimension for name, limits in LIMITS["engine"].items()}
_FACTOR = quantity(Limits("ratio", POSITIVE, 1e6))


class Constant(BaseModel):
    """One constant of an engine: its value, its basis (fit or assumption) and its source."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    basis: Literal["fit", "assumption", "definition"] = "assumption"
    source: str = ""
    start: float | None = None  # of a fit: the prior's centre, where the fit started


Constants = dict[str, Constant]


def _constants(given: object) -> object:
    """Parse the values of a table of constants by their names; a bare value is an assumption."""
    return _table(given, _constant_value)


def _factors(given: object) -> object:
    """Parse a table of factors on constants, each above 0."""
    return _table(given, lambda _, value: _FACTOR(value))


def _table(given: object, parse: Callable[[str, object], float]) -> object:
    if not isinstance(given, dict):
        return given
    parsed = {}
    for name, constant in given.items():
        if name not in ENGINE_DIMENSIONS:
            raise ValueError(f"unknown key {name!r}{suggest(str(name), ENGINE_DIMENSIONS)}")
        if isinstance(constant, Constant):
            parsed[name] = constant
            continue
        table = constant if isinstance(constant, dict) else {"value": constant}
        if "value" not in table:
            raise ValueError(f"{name}: key 'value' is missing; add it")
        try:
            numbers = {
                key: parse(str(name), table[key]) for key in ("value", "start") if key in table
            }
            parsed[name] = Constant.model_validate({**table, **numbers})
        except ValueError as error:
            message = str(error)
            if hasattr(error, "errors"):
                message = "; ".join(str(detail["msg"]) for detail in error.errors())
            raise ValueError(f"{name}: {message}") from None
    return parsed


def _constant_value(name: str, given: object) -> float:
    return quantity(LIMITS["engine"][name])(given)


ConstantTable = Annotated[Constants, BeforeValidator(_constants)]
FactorTable = Annotated[Constants, BeforeValidator(_factors)]
Month = Annotated[str, Field(pattern=r"^(\d{4}-\d{2})?$")]
Version = Annotated[str, Field(pattern=r"^(b\d{1,9}|\d{1,9}(\.\d{1,9})*)?$")]


# Basis of a prediction: the engine was fitted on the device and with the format's kernel; in the
# device's class and of its vendor, but on other devices or with other kernels; on neither, or the
# engine is unknown; or only the vendor's claims are known.
Calibration = Literal["own", "class", "unseen", "claim"]
CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)


class FitErrors(BaseModel):
    """Errors of a fit on one metric of one source, as fractions; also on left-out groups."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: str
    metric: Text
    experts: bool = False  # errors on mixture-of-experts models, else on dense models
    rows: Annotated[int, Field(ge=1)]
    median_ape: float
    p90_ape: float
    left_out_models: float | None = None
    left_out_devices: float | None = None
    left_out_loads: float | None = None
    left_out_sources: float | None = None
    left_out_engines: float | None = None


class StrangerErrors(BaseModel):
    """Errors of a fit on rows of one metric and level that it has not seen, as fractions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    left_out: Text  # kind of group: sources, engines, or rows held out of every fit
    metric: Text
    level: Calibration | Literal["all"]
    rows: Annotated[int, Field(ge=1)]
    groups: Annotated[int, Field(ge=1)]
    median_ape: float
    p90_ape: float
    inside: float  # share of rows inside the 80 % interval


class FitEvidence(BaseModel):
    """Data to which an engine's constants were fitted, and the errors of the fit."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: tuple[str, ...]
    errors: tuple[FitErrors, ...]
    strangers: tuple[StrangerErrors, ...] = ()


Layouts = Literal["any", "tp-pp", "dp-single", "ep-all"]  # by code; a test holds both together


class Runs(BaseModel):
    """Capabilities of an engine; it can run whatever is not restricted here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layouts: Layouts = "any"
    kernels: tuple[str, ...] = ()  # of weight formats; all if empty
    source: Text

    @field_validator("kernels")
    @classmethod
    def _known(cls, kernels: tuple[str, ...]) -> tuple[str, ...]:
        known = LIMITS["weight_format"]["kernel"].choices
        unknown = [kernel for kernel in kernels if kernel not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a kernel; use some of {', '.join(known)}")
        return kernels


class EngineEntry(Sourced):
    """Constants of an inference engine, with overrides by device class, link and device.

    An engine with a ``base`` gives only its differences: ``factors`` scale the base's constants on
    every device, ``class_factors`` on the devices of a class. A value that the engine gives itself
    takes precedence over both. ``eager``, ``offline`` and ``backend`` hold for some runs only (see
    ``perfcore.catalog.stack``); an engine inherits those of its base.
    """

    kind: ClassVar[str] = "engine"

    base: str = ""
    release_of: str = ""  # the engine that this entry has older, or the newest, releases of
    until: Month = ""  # month of the last such release
    until_version: Version = ""  # the last such release: 0.7 includes 0.7.3
    since_version: Version = ""  # the first of the newest releases, which have no end
    graphs: bool = True  # False: all steps of these releases are eager
    years: tuple[Annotated[int, Field(ge=2000, le=2100)], ...] = ()  # of the releases it describes
    constants: ConstantTable = Field(default_factory=dict)
    factors: FactorTable = Field(default_factory=dict)
    class_factors: dict[DeviceClass, FactorTable] = Field(default_factory=dict)
    device_class: dict[DeviceClass, ConstantTable] = Field(default_factory=dict)
    link: dict[LinkKind, ConstantTable] = Field(default_factory=dict)
    device: dict[str, ConstantTable] = Field(default_factory=dict)
    eager: FactorTable = Field(default_factory=dict)  # without CUDA graphs
    offline: ConstantTable = Field(default_factory=dict)  # without a server
    # by back end, and by class of devices or device
    backend: dict[Backend, dict[str, FactorTable]] = Field(default_factory=dict)
    measured: dict[DeviceClass, tuple[str, ...]] = Field(default_factory=dict)  # device names
    kernels: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # measured, by device vendor
    intervals: dict[Calibration, ConstantTable] = Field(default_factory=dict)
    fit: FitEvidence | None = None
    remarks: dict[str, str] = Field(default_factory=dict)  # on runs in a weight format
    runs: Runs | None = None  # that of its base if None
    # published weight formats that its own model files hold in another one
    file_formats: dict[str, str] = Field(default_factory=dict)

    _parent: "EngineEntry | None" = PrivateAttr(default=None)
    _changes: tuple[tuple[Constants, Constants], ...] = PrivateAttr(default=())
    _peers: tuple["EngineEntry", ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.factors or self.class_factors) and not self.base:
            raise ValueError("factors: scale the constants of a base; add base = 'default'")
        if bool(self.release_of) != bool(self.until or self.since_version):
            raise ValueError(
                "release_of and until belong together; give both, like '2024-12', or since_version"
            )
        if self.until and self.since_version:
            raise ValueError("since_version: of releases that have no end; leave out until")
        if self.until_version and not self.release_of:
            raise ValueError("until_version: of an older release; add release_of and until")
        missing = [
            name
            for name in ENGINE_DIMENSIONS
            if name not in self.constants
            and not all(name in self.intervals.get(level, {}) for level in CALIBRATIONS)
        ]
        if missing and not self.base:
            raise ValueError(
                f"constants: {', '.join(missing)} missing; add them, or base = 'default'"
            )
        return self

    def over(self, base: "EngineEntry") -> "EngineEntry":
        """Return this engine on top of another, its base."""
        entry = self.model_copy()
        entry._parent = base  # noqa: SLF001 - its own class
        return entry

    def between(self, peers: Sequence["EngineEntry"]) -> "EngineEntry":
        """Return an engine of this name whose constants are the geometric means of its peers'.

        It stands for an engine that nobody measured: it was fitted on no device.
        """
        entry = self.model_copy(update={"measured": {}, "kernels": {}, "fit": None})
        entry._peers = tuple(peers)  # noqa: SLF001 - its own class
        return entry

    def changed(self, factors: Constants, constants: Constants) -> "EngineEntry":
        """Return this engine with factors on its constants, and constants in place of its own.

        They hold on every device.
        """
        entry = self.model_copy()
        entry._changes = (*self._changes, (factors, constants))  # noqa: SLF001 - its own class
        return entry

    @property
    def when_eager(self) -> Constants:
        """Factors on constants of steps that do not run as graphs."""
        return {**(self._parent.when_eager if self._parent else {}), **self.eager}

    @property
    def when_offline(self) -> Constants:
        """Constants of runs without a server."""
        return {**(self._parent.when_offline if self._parent else {}), **self.offline}

    def on_backend(self, backend: Backend, device: DeviceEntry) -> Constants:
        """Return factors on constants of a back end; none if it was not measured on the device."""
        inherited = self._parent.on_backend(backend, device) if self._parent else {}
        own = self.backend.get(backend, {})
        return {**inherited, **own.get(device.device_class, {}), **own.get(device.name, {})}

    def file_format(self, published: str) -> str:
        """Return the weight format in which this engine runs weights published in another."""
        if published in self.file_formats or self._parent is None:
            return self.file_formats.get(published, published)
        return self._parent.file_format(published)

    @property
    def can(self) -> Runs | None:
        """Capabilities of this engine; None if no restriction is known."""
        return self.runs or (self._parent.can if self._parent else None)

    @property
    def layouts(self) -> int:
        """Code of the layouts that this engine can run, as in a deployment."""
        return get_args(Layouts).index(self.can.layouts) if self.can else 0

    def multiplies(self, weight_format: WeightFormatEntry) -> bool:
        """Return whether this engine has a kernel for a weight format."""
        return not self.can or not self.can.kernels or weight_format.kernel in self.can.kernels

    @property
    def peers(self) -> tuple["EngineEntry", ...]:
        """Engines whose mean this one is; empty if it is not a mean."""
        return self._peers

    @property
    def bases(self) -> tuple["EngineEntry", ...]:
        """Base of this engine, the base of that one, and so on."""
        return () if self._parent is None else (self._parent, *self._parent.bases)

    def constants_for(
        self, device: DeviceEntry, weight_format: WeightFormatEntry | None = None
    ) -> Constants:
        """Return the constants that apply to a device, with the intervals for a weight format.

        The base's constants come first, scaled. The engine's own constants override them, in this
        order: for all devices, for the device class, for the link, for the device itself.
        """
        return {
            **self._interval(self.calibration(device, weight_format)),
            **self._constants_for(device),
        }

    def calibration(
        self, device: DeviceEntry, weight_format: WeightFormatEntry | None = None
    ) -> "Calibration":
        """Return the basis of predictions for a device and, if given, a weight format.

        The least known of engine, device, vendor and the format's kernel decides.
        """
        known = self.measured.get(device.device_class, ())
        if device.spatial and device.name not in known:
            return "claim"
        # an engine fitted by others may not state its kernels
        kernels = self.kernels.get(device.vendor, ()) if self.kernels else None
        if not known or kernels == ():
            return "unseen"
        distance = int(device.name not in known)
        if weight_format is not None and kernels is not None:
            distance += weight_format.kernel not in kernels
        return CALIBRATIONS[distance]

    def _interval(self, level: "Calibration") -> Constants:
        """Return the interval factors of a level: the bases' ones, overridden by its own."""
        own = self.intervals.get(level, {})
        return own if self._parent is None else {**self._parent._interval(level), **own}  # noqa: SLF001

    def _constants_for(self, device: DeviceEntry) -> Constants:
        found = self._catalogued(device)
        if not self.graphs and device.has_graphs:
            found = _scaled(found, self.when_eager)
        for factors, constants in self._changes:
            found = {**_scaled(found, factors), **constants}
        return found

    def _catalogued(self, device: DeviceEntry) -> Constants:
        """Return the constants as the catalogue has them, for steps as graphs."""
        if self._peers:
            return _means([peer._constants_for(device) for peer in self._peers])  # noqa: SLF001
        inherited: Constants = {}
        if self._parent is not None:
            inherited = self._parent._constants_for(device)  # noqa: SLF001
            for factors in (self.factors, self.class_factors.get(device.device_class, {})):
                inherited = _scaled(inherited, factors)
        return {
            **inherited,
            **self.constants,
            **self.device_class.get(device.device_class, {}),
            **self.link.get(device.link_kind, {}),
            **self.device.get(device.name, {}),
        }

    def before_fit(self) -> "EngineEntry":
        """Return this engine and its bases as they were before they were fitted."""
        entry = self.model_copy(
            update={
                "constants": _started(self.constants),
                "factors": _started(self.factors),
                "class_factors": {k: _started(v) for k, v in self.class_factors.items()},
                "device_class": {k: _started(v) for k, v in self.device_class.items()},
                "link": {k: _started(v) for k, v in self.link.items()},
                "device": {k: _started(v) for k, v in self.device.items()},
            }
        )
        entry._parent = self._parent.before_fit() if self._parent else None  # noqa: SLF001
        entry._peers = tuple(peer.before_fit() for peer in self._peers)  # noqa: SLF001
        return entry

    def record(
        self, device: DeviceEntry, weight_format: WeightFormatEntry | None = None
    ) -> records.Engine:
        """Return the constants that apply to a device, as the record that physics uses."""
        constants = self.constants_for(device, weight_format)
        return records.Engine(**{name: constant.value for name, constant in constants.items()})


def unknown_engine(
    default: EngineEntry, engines: Iterable[EngineEntry], year: int | None
) -> EngineEntry:
    """Return the mean of the default and the engines of a year, or of the nearest year with any.

    Without a year these are the newest engines. Engines that run on one vendor's devices only state
    no years and do not count. If no engine states its years, it is the default engine.
    """
    known = [engine for engine in engines if engine.years]
    years = sorted({one for engine in known for one in engine.years})
    if not years:
        return default
    nearest = years[-1] if year is None else min(years, key=lambda one: abs(one - year))
    return default.model_copy(update={"name": f"mean-{nearest}"}).between(
        [default, *(engine for engine in known if nearest in engine.years)]
    )


def _means(tables: Sequence[Constants]) -> Constants:
    """Return the geometric means of constants; 0 if one of them is, as for flags."""
    found = {}
    for name, first in tables[0].items():
        values = [table[name].value for table in tables]
        mean = 0.0
        if min(values) > 0.0:
            mean = math.exp(math.fsum(map(math.log, values)) / len(values))
        source = f"geometric mean of {len(values)} engines of the same year"
        found[name] = first.model_copy(
            update={
                "value": first.value if len(set(values)) == 1 else mean,
                "basis": "assumption",
                "source": source,
            }
        )
    return found


def _started(constants: Constants) -> Constants:
    """Return the constants at the values from which their fits started."""
    return {
        name: constant
        if constant.start is None
        else constant.model_copy(update={"value": constant.start})
        for name, constant in constants.items()
    }


def _scaled(constants: Constants, factors: Constants) -> Constants:
    """Return the constants times factors, within their bounds, with the sources of both."""
    found = dict(constants)
    for name, factor in factors.items():
        constant = constants[name]
        bound = LIMITS["engine"][name]
        value = min(max(constant.value * factor.value, bound.low), bound.high)
        source = f"{constant.source}; x {factor.value:g}: {factor.source}"
        basis = "fit" if factor.basis == "fit" else constant.basis
        found[name] = Constant(value=value, basis=basis, source=source)
    return found
