"""An engine's catalogue entry: constants by class of device, in layers, with what they rest on."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from perfcore import records
from perfcore.catalog.schema import DeviceClass, DeviceEntry, LinkKind, Sourced, Text
from perfcore.catalog.sheet import quantity
from perfcore.inputs import LIMITS
from perfcore.limits import POSITIVE, Limits
from perfcore.reading.words import suggest

ENGINE_DIMENSIONS = {name: limits.dimension for name, limits in LIMITS["engine"].items()}
_FACTOR = quantity(Limits("ratio", POSITIVE, 1e6))


class Constant(BaseModel):
    """One constant of an engine: its value, whether it was fitted or assumed, and from what."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    basis: Literal["fit", "assumption", "definition"] = "assumption"
    source: str = ""
    start: float | None = None  # of a fit: the value before, to which its prior holds it


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


# What a prediction for a device rests on: the engine was fitted on that device, on others of its
# class, on none of its class; or only the vendor's claims are known.
Calibration = Literal["own", "class", "unseen", "claim"]
CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)


class FitErrors(BaseModel):
    """Errors of a fit on one source's metric, as fractions: medians, and of left-out groups."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: str
    metric: Text
    experts: bool = False  # of mixtures of experts, or of dense models
    rows: Annotated[int, Field(ge=1)]
    median_ape: float
    p90_ape: float
    left_out_models: float | None = None
    left_out_devices: float | None = None


class FitEvidence(BaseModel):
    """What the constants of an engine were fitted to, and how well."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: tuple[str, ...]
    errors: tuple[FitErrors, ...]


class EngineEntry(Sourced):
    """The constants of an inference engine, with what differs by class, link and device.

    An engine with a ``base`` says only what differs from that: ``factors`` scale the base's
    constants on every device, ``class_factors`` on those of a class; what it gives as a value of
    its own wins.
    """

    kind: ClassVar[str] = "engine"

    base: str = ""
    release_of: str = ""  # the engine that people mean, of which this is an older release
    until: Month = ""  # of the last such release
    constants: ConstantTable = Field(default_factory=dict)
    factors: FactorTable = Field(default_factory=dict)
    class_factors: dict[DeviceClass, FactorTable] = Field(default_factory=dict)
    device_class: dict[DeviceClass, ConstantTable] = Field(default_factory=dict)
    link: dict[LinkKind, ConstantTable] = Field(default_factory=dict)
    device: dict[str, ConstantTable] = Field(default_factory=dict)
    measured: dict[DeviceClass, tuple[str, ...]] = Field(default_factory=dict)  # devices
    intervals: dict[Calibration, ConstantTable] = Field(default_factory=dict)
    fit: FitEvidence | None = None

    _parent: "EngineEntry | None" = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.factors or self.class_factors) and not self.base:
            raise ValueError("factors: scale the constants of a base; add base = 'default'")
        if bool(self.release_of) != bool(self.until):
            raise ValueError("release_of and until belong together; give both, like '2024-12'")
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
        """Return this engine standing on another."""
        entry = self.model_copy()
        entry._parent = base  # noqa: SLF001 - its own class
        return entry

    @property
    def bases(self) -> tuple["EngineEntry", ...]:
        """What this engine stands on, nearest first."""
        return () if self._parent is None else (self._parent, *self._parent.bases)

    def constants_for(self, device: DeviceEntry) -> Constants:
        """Return the constants that hold on a device.

        The base's, scaled; over them its own: of all devices, of the class, of the link, of the
        device itself.
        """
        return {
            **self._interval(self.calibration(device)),
            **self._constants_for(device),
        }

    def calibration(self, device: DeviceEntry) -> "Calibration":
        """Return what predictions for a device rest on."""
        known = self.measured.get(device.device_class, ())
        if device.name in known:
            return "own"
        if device.spatial:
            return "claim"
        return "class" if known else "unseen"

    def _interval(self, level: "Calibration") -> Constants:
        """Interval factors of a level: its own, over those of what it stands on."""
        own = self.intervals.get(level, {})
        return own if self._parent is None else {**self._parent._interval(level), **own}  # noqa: SLF001

    def _constants_for(self, device: DeviceEntry) -> Constants:
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
        """Return this engine and what it stands on as they were before they were fitted."""
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
        return entry

    def record(self, device: DeviceEntry) -> records.Engine:
        """Return the constants that hold on a device, as physics needs them."""
        values = {name: constant.value for name, constant in self.constants_for(device).items()}
        return records.Engine(**values)


def _started(constants: Constants) -> Constants:
    """Constants at the values where fits of them start."""
    return {
        name: constant
        if constant.start is None
        else constant.model_copy(update={"value": constant.start})
        for name, constant in constants.items()
    }


def _scaled(constants: Constants, factors: Constants) -> Constants:
    """Constants times factors, within their bounds; what they rest on is that of both."""
    found = dict(constants)
    for name, factor in factors.items():
        constant = constants[name]
        bound = LIMITS["engine"][name]
        value = min(max(constant.value * factor.value, bound.low), bound.high)
        source = f"{constant.source}; x {factor.value:g}: {factor.source}"
        basis = "fit" if factor.basis == "fit" else constant.basis
        found[name] = Constant(value=value, basis=basis, source=source)
    return found
