"""Catalogue entries: what a TOML table may say, in human units, and the record it becomes."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from perfcore import records, units
from perfcore.catalog.entry import Entry
from perfcore.limits import check_bounds
from perfcore.reading.words import suggest

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
# Where a device lists no price of its own, medians of those that do;
# tests/catalog/test_schema.py holds them to the catalogue.
SPOT_SHARE = 0.35  # of the on-demand price
HOURS_TO_BUY = 8200.0  # of the on-demand price
SERVER_SHARE = 1.3  # price of a whole system by that of its boards, as in economics.toml

_FALLBACKS = {
    "price_spot": f"{SPOT_SHARE:g} x price_per_hour: median of the 9 devices that list both",
    "price_list": f"{HOURS_TO_BUY:g} h x price_per_hour: median of the 13 devices that list both",
}

PURCHASES = ("on-demand", "spot", "owned")  # by code
Status = Literal["available", "announced", "internal", "hypothetical"]


def quantity(
    dimension: str, low: float = 0.0, high: float | None = None, *, open_low: bool = True
) -> Callable[[object], float]:
    """Return a parser of quantities of a dimension, within limits."""

    def validate(value: object) -> float:
        number = units.parse(value, dimension)  # type: ignore[arg-type]  # refuses what it must
        if number < low or (open_low and number == low):
            raise ValueError(f"{value!r} must be {'above' if open_low else 'at least'} {low:g}")
        if high is not None and number > high:
            raise ValueError(f"{value!r} must be at most {high:g}")
        return number

    return validate


Bytes = Annotated[float, BeforeValidator(quantity("bytes"))]
Bandwidth = Annotated[float, BeforeValidator(quantity("bandwidth"))]
Flops = Annotated[float, BeforeValidator(quantity("flops", open_low=False))]
Seconds = Annotated[float, BeforeValidator(quantity("time", open_low=False))]
Watts = Annotated[float, BeforeValidator(quantity("power"))]
Price = Annotated[float, BeforeValidator(quantity("price", open_low=False))]
Money = Annotated[float, BeforeValidator(quantity("money"))]
Count = Annotated[float, BeforeValidator(quantity("count", low=1.0, open_low=False))]
Bits = Annotated[float, Field(gt=0, le=64)]
Share = Annotated[float, BeforeValidator(quantity("fraction", high=1.0))]
Text = Annotated[str, Field(min_length=1)]


class Sourced(Entry):
    """An entry whose source may not be left empty."""

    source: Text


class DeviceEntry(Sourced):
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
        check_bounds("device", self.record())
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


class WeightFormatEntry(Sourced):
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

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        check_bounds("weight_format", self.record())
        return self

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


class KVFormatEntry(Sourced):
    """How the KV cache is stored."""

    kind: ClassVar[str] = "kv_format"

    bits: Bits
    layout: Text
    quantised: bool

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        check_bounds("kv_format", self.record())
        return self

    def record(self) -> records.KVFormat:
        """Return what physics needs of the format."""
        return records.KVFormat(bits=self.bits, kernel=float(self.quantised))


class EconomicsEntry(Sourced):
    """Facility and money.

    A table may leave out what the entry named by ``base`` has.
    """

    kind: ClassVar[str] = "economics"

    base: str = ""
    utilization: Share
    purchase: Literal["on-demand", "spot", "owned"] = "on-demand"
    price_multiplier: Annotated[float, BeforeValidator(quantity("ratio"))]
    pue: Annotated[float, BeforeValidator(quantity("ratio", low=1.0, open_low=False))]
    node_overhead: Annotated[float, BeforeValidator(quantity("ratio", open_low=False))]
    carbon_intensity: Annotated[
        float, BeforeValidator(quantity("carbon_intensity", open_low=False))
    ]
    interest: Annotated[float, BeforeValidator(quantity("fraction", open_low=False))]
    lifetime: Seconds
    server_factor: Annotated[float, BeforeValidator(quantity("ratio", low=1.0, open_low=False))]
    operations: Annotated[float, BeforeValidator(quantity("fraction", open_low=False))]
    electricity_price: Annotated[float, BeforeValidator(quantity("price_per_energy"))]
    token_price: Annotated[float, BeforeValidator(quantity("price_per_mtok"))]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        check_bounds("economics", self.record())
        return self

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


class FactEntry(Sourced):
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
