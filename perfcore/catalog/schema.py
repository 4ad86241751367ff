"""Catalogue entries: what a TOML table may say, in human units, and the record it becomes."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from perfcore import records, units
from perfcore.bounds import BOUNDS, POSITIVE
from perfcore.catalog.entry import Entry
from perfcore.validation import suggest

DeviceClass = Literal[
    "datacentre-gpu-older",
    "datacentre-gpu-ampere",
    "datacentre-gpu-hopper",
    "datacentre-gpu-blackwell",
    "datacentre-gpu-amd",
    "datacentre-gpu-intel",
    "workstation-gpu",
    "consumer-gpu",
    "apu",
    "apple-silicon",
    "tpu",
    "asic",
    "sram",
    "cpu",
]
LinkKind = Literal[
    "nvlink",
    "infinity-fabric",
    "ualink",
    "ici",
    "neuronlink",
    "ethernet",
    "pcie",
    "socket",
    "fabric",
    "none",
]
# Where a device lists no price of its own, medians of those that do; tests/test_catalog.py holds
# them to the catalogue.
SPOT_SHARE = 0.35  # of the on-demand price
HOURS_TO_BUY = 8200.0  # of the on-demand price
SERVER_SHARE = 1.3  # price of a whole system by that of its boards, as in economics.toml

_FALLBACKS = {
    "price_spot": f"{SPOT_SHARE:g} x price_per_hour: median of the 9 devices that list both",
    "price_list": f"{HOURS_TO_BUY:g} h x price_per_hour: median of the 13 devices that list both",
}

PURCHASES = ("on-demand", "spot", "owned")  # by code
Status = Literal["available", "announced", "internal", "hypothetical"]


def _quantity(
    dimension: str, low: float = 0.0, high: float | None = None, *, open_low: bool = True
) -> Callable[[object], float]:
    def validate(value: object) -> float:
        number = units.parse(value, dimension)  # type: ignore[arg-type]  # refuses what it must
        if number < low or (open_low and number == low):
            raise ValueError(f"{value!r} must be {'above' if open_low else 'at least'} {low:g}")
        if high is not None and number > high:
            raise ValueError(f"{value!r} must be at most {high:g}")
        return number

    return validate


Bytes = Annotated[float, BeforeValidator(_quantity("bytes"))]
Bandwidth = Annotated[float, BeforeValidator(_quantity("bandwidth"))]
Flops = Annotated[float, BeforeValidator(_quantity("flops", open_low=False))]
Seconds = Annotated[float, BeforeValidator(_quantity("time", open_low=False))]
Watts = Annotated[float, BeforeValidator(_quantity("power"))]
Price = Annotated[float, BeforeValidator(_quantity("price", open_low=False))]
Money = Annotated[float, BeforeValidator(_quantity("money"))]
Count = Annotated[float, BeforeValidator(_quantity("count", low=1.0, open_low=False))]
Bits = Annotated[float, Field(gt=0, le=64)]
Share = Annotated[float, BeforeValidator(_quantity("fraction", high=1.0))]
Text = Annotated[str, Field(min_length=1)]


class _Sourced(Entry):
    """An entry whose source may not be left empty."""

    source: Text


class DeviceEntry(_Sourced):
    """The data sheet of one schedulable accelerator, card or socket."""

    kind: ClassVar[str] = "device"

    vendor: Text
    year: Annotated[int, Field(ge=2000, le=2100)]
    status: Status = "available"
    device_class: DeviceClass
    process_nm: Annotated[float, Field(gt=0)] | None = None

    memory_kind: Text
    memory_capacity: Bytes
    memory_bandwidth: Bandwidth
    on_chip_memory: Bytes | None = None
    on_chip_bandwidth: Bandwidth | None = None
    memory2_kind: str = ""
    memory2_capacity: Bytes | None = None
    memory2_bandwidth: Bandwidth | None = None

    flops_fp32: Flops = 0.0
    flops_fp16: Flops = 0.0
    flops_fp16_narrow: Flops = 0.0  # with fp16 accumulation, where that is faster
    flops_fp8: Flops = 0.0
    flops_int8: Flops = 0.0
    flops_fp4: Flops = 0.0

    board_power: Watts
    idle_power: Watts

    link_kind: LinkKind = "pcie"
    link_bandwidth: Bandwidth
    link_latency: Seconds | None = None
    scale_up_domain: Count
    network_bandwidth: Bandwidth

    price_per_hour: Price
    price_basis: str = ""
    price_date: str = ""
    price_spot: Price | None = None
    price_spot_basis: str = ""
    price_list: Money | None = None
    price_list_basis: str = ""
    price_list_whole: bool = False  # of a complete system, or a device's share of it

    spatial: bool = False
    layer_latency: Seconds = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        fields = type(self).model_fields
        for field in self.estimated:
            if field not in fields:
                raise ValueError(f"estimated: unknown key {field!r}{suggest(field, fields)}")
        if max(self.flops_fp32, self.flops_fp16, self.flops_fp8, self.flops_int8) <= 0:
            raise ValueError(
                "no arithmetic rate is given; add at least flops_fp16 = '… TFLOP/s' (dense)"
            )
        if self.idle_power > self.board_power:
            raise ValueError(
                f"idle_power {units.format_quantity(self.idle_power, 'W')} must not exceed "
                f"board_power {units.format_quantity(self.board_power, 'W')}"
            )
        if self.spatial and not self.layer_latency:
            raise ValueError("a spatial device needs layer_latency, like '20 us'")
        if (self.status == "hypothetical") != self.hypothetical:
            raise ValueError("status = 'hypothetical' and hypothetical = true belong together")
        return self

    @property
    def fallbacks(self) -> dict[str, str]:
        """Prices that the device does not list, and what stands for them."""
        return {name: why for name, why in _FALLBACKS.items() if getattr(self, name) is None}

    @property
    def spot_price(self) -> float:
        """Price of an hour that may be taken back. [USD/h]"""
        return self.price_per_hour * SPOT_SHARE if self.price_spot is None else self.price_spot

    @property
    def purchase_price(self) -> float:
        """Price of the device without its share of a server. [USD]"""
        if self.price_list is None:
            return self.price_per_hour * HOURS_TO_BUY
        return self.price_list / SERVER_SHARE if self.price_list_whole else self.price_list

    def record(self) -> records.Device:
        """Return what physics needs of the data sheet."""
        return records.Device(
            memory_bytes=self.memory_capacity,
            memory_bandwidth=self.memory_bandwidth,
            flops_fp32=self.flops_fp32,
            flops_fp16=self.flops_fp16,
            flops_fp16_narrow=self.flops_fp16_narrow,
            flops_fp8=self.flops_fp8,
            flops_int8=self.flops_int8,
            flops_fp4=self.flops_fp4,
            board_power=self.board_power,
            idle_power=self.idle_power,
            link_bandwidth=self.link_bandwidth,
            scale_up_domain=self.scale_up_domain,
            network_bandwidth=self.network_bandwidth,
            price_per_hour=self.price_per_hour,
            spot_price_per_hour=self.spot_price,
            purchase_price=self.purchase_price,
            memory2_bytes=self.memory2_capacity or 0.0,
            memory2_bandwidth=self.memory2_bandwidth or 0.0,
            spatial=float(self.spatial),
            layer_latency=self.layer_latency,
        )


class Quality(BaseModel):
    """An open measurement of what a format costs in quality. It does not carry over to sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: Text
    metric: Text
    value: float
    reference: float | None = None  # the same metric at 16 bit
    source: Text


_KERNELS = {
    "16": records.KERNEL_16,
    "8": records.KERNEL_8,
    "8-block": records.KERNEL_8_BLOCK,
    "8-weight-only": records.KERNEL_8_WEIGHT_ONLY,
    "4-weight-only": records.KERNEL_4_WEIGHT_ONLY,
    "gguf": records.KERNEL_GGUF,
    "4": records.KERNEL_4,
}
_ARITHMETIC = {
    "fp32": records.MATH_FP32,
    "fp16": records.MATH_FP16,
    "fp8": records.MATH_FP8,
    "int8": records.MATH_INT8,
    "fp4": records.MATH_FP4,
}


class WeightFormatEntry(_Sourced):
    """How weights are stored, and which arithmetic they are multiplied with."""

    kind: ClassVar[str] = "weight_format"

    bits: Bits
    layout: Text
    embedding_bits: Bits
    activation_bytes: Annotated[float, Field(gt=0, le=8)] = 2.0
    kernel: Literal["16", "8", "8-block", "8-weight-only", "4-weight-only", "gguf", "4"]
    arithmetic: Literal["fp32", "fp16", "fp8", "int8", "fp4"]
    experts_only: bool = False
    body_bits: Bits = 16.0
    dequantisation: str = ""
    quality: tuple[Quality, ...] = ()

    def record(self) -> records.WeightFormat:
        """Return what physics needs of the format."""
        return records.WeightFormat(
            bits=self.bits,
            embedding_bits=self.embedding_bits,
            activation_bytes=self.activation_bytes,
            kernel=_KERNELS[self.kernel],
            arithmetic=_ARITHMETIC[self.arithmetic],
            experts_only=float(self.experts_only),
            body_bits=self.body_bits,
        )


class KVFormatEntry(_Sourced):
    """How the KV cache is stored."""

    kind: ClassVar[str] = "kv_format"

    bits: Bits
    layout: Text
    quantised: bool

    def record(self) -> records.KVFormat:
        """Return what physics needs of the format."""
        return records.KVFormat(bits=self.bits, kernel=float(self.quantised))


ENGINE_DIMENSIONS = {name: bound.dimension for name, bound in BOUNDS["engine"].items()}


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
    return _table(given, lambda _, value: _quantity("ratio")(value))


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
    bound = BOUNDS["engine"][name]
    positive = bound.low == POSITIVE
    low = 0.0 if positive else bound.low
    value = _quantity(bound.dimension, low=low, high=bound.high, open_low=positive)(given)
    if not bound.admits(value):
        raise ValueError(f"{given!r} must be {bound}")
    return value


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


class EngineEntry(_Sourced):
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
        value = min(constant.value * factor.value, BOUNDS["engine"][name].high)
        source = f"{constant.source}; x {factor.value:g}: {factor.source}"
        basis = "fit" if factor.basis == "fit" else constant.basis
        found[name] = Constant(value=value, basis=basis, source=source)
    return found


class EconomicsEntry(_Sourced):
    """Facility and money.

    A table may leave out what the entry named by ``base`` has.
    """

    kind: ClassVar[str] = "economics"

    base: str = ""
    utilization: Share
    purchase: Literal["on-demand", "spot", "owned"] = "on-demand"
    price_multiplier: Annotated[float, BeforeValidator(_quantity("ratio"))]
    pue: Annotated[float, BeforeValidator(_quantity("ratio", low=1.0, open_low=False))]
    node_overhead: Annotated[float, BeforeValidator(_quantity("ratio", open_low=False))]
    carbon_intensity: Annotated[
        float, BeforeValidator(_quantity("carbon_intensity", open_low=False))
    ]
    interest: Annotated[float, BeforeValidator(_quantity("fraction", open_low=False))]
    lifetime: Seconds
    server_factor: Annotated[float, BeforeValidator(_quantity("ratio", low=1.0, open_low=False))]
    operations: Annotated[float, BeforeValidator(_quantity("fraction", open_low=False))]
    electricity_price: Annotated[float, BeforeValidator(_quantity("price_per_energy"))]
    token_price: Annotated[float, BeforeValidator(_quantity("price_per_mtok"))]

    def record(self) -> records.Economics:
        """Return what physics needs of it."""
        return records.Economics(
            utilization=self.utilization,
            purchase=float(PURCHASES.index(self.purchase)),
            price_multiplier=self.price_multiplier,
            interest=self.interest,
            lifetime=self.lifetime,
            server_factor=self.server_factor,
            operations=self.operations,
            electricity_price=self.electricity_price,
            token_price=self.token_price,
            pue=self.pue,
            node_overhead=self.node_overhead,
            carbon_intensity=self.carbon_intensity,
        )


class FactEntry(_Sourced):
    """A single sourced number that no device or format owns: an energy, a price, an intensity."""

    kind: ClassVar[str] = "fact"

    category: Text
    value: float
    unit: Text
    low: float | None = None
    high: float | None = None
    scope: str = ""
    condition: str = ""
    date: str = ""
    provenance: str = ""


class EnergyEntry(FactEntry):
    """An energy constant."""

    kind: ClassVar[str] = "energy"


class PriceEntry(FactEntry):
    """A dated price, a carbon intensity or a facility's overhead."""

    kind: ClassVar[str] = "price"
