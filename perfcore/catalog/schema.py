"""Catalogue entries: the fields of their TOML tables, in human units, and their records."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from perfcore import records, units
from perfcore.catalog.entry import Entry
from perfcore.catalog.hosts import FIELDS as HOST_FIELDS
from perfcore.catalog.hosts import default_host
from perfcore.catalog.joules import Joules, energy_per_bit, energy_per_flop
from perfcore.catalog.sheet import quantity, record_of, sheet_of
from perfcore.inputs import FORMER, check_limits
from perfcore.limits import BANDWIDTH, LATENCY, MEMORY
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
Backend = Literal["cuda", "hip", "vulkan", "metal", "cpu"]  # through which operators are started
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
# Used for devices that list no such price: medians over the devices that do.
# tests/catalog/test_schema.py compares them with the catalogue.
SPOT_SHARE = 0.35  # of the on-demand price
HOURS_TO_BUY = 8200.0  # of the on-demand price
PCIE_X16 = {2022: 63e9, 2020: 31.5e9, 0: 15.75e9}  # Gen5, 4, 3 [bytes/s], by year of the device
STORAGE = 7e9  # NVMe over PCIe Gen4 x4 [bytes/s]
SERVER_SHARE = 1.3  # price of a whole system over the price of its boards, as in economics.toml

_FALLBACKS = {
    "spot_price_per_hour": (
        f"{SPOT_SHARE:g} x price_per_hour: median of the 9 devices that list both"
    ),
    "purchase_price": (
        f"{HOURS_TO_BUY:g} h x price_per_hour: median of the 13 devices that list both"
    ),
}
_BACKENDS: dict[str, Backend] = {"NVIDIA": "cuda", "AMD": "hip", "Apple": "metal"}
_NO_HOST = "none beside the device's own, which is that of the host"
_UNIFIED = {"apple-silicon", "apu"}  # processor and device share their memory

Status = Literal["available", "announced", "internal", "hypothetical"]
UNSOLD: Final = ("announced", "internal")


Text = Annotated[str, Field(min_length=1)]
Bytes = Annotated[float, BeforeValidator(quantity(MEMORY))]
Bandwidth = Annotated[float, BeforeValidator(quantity(BANDWIDTH))]
Seconds = Annotated[float, BeforeValidator(quantity(LATENCY))]


class Sourced(Entry):
    """An entry whose source must not be empty."""

    source: Text


class _Product(Sourced):
    """Description of a device, without the numbers of its data sheet."""

    vendor: Text = Field(description="manufacturer")
    year: Annotated[int, Field(ge=2000, le=2100)] = Field(
        description="year of general availability", examples=["2026"]
    )
    status: Status = Field(
        "available",
        description="available, announced, internal or hypothetical",
        examples=["announced"],
    )
    device_class: DeviceClass = Field(
        description="class of similar devices; engines have constants per class", examples=["asic"]
    )
    process_nm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="process node [nm]", examples=["4"]
    )


class DeviceEntry(sheet_of(records.Device, _Product), _Product):  # type: ignore[misc]
    """Data sheet of one schedulable accelerator, card or socket.

    The numbers are those of ``records.Device``. Prices that the sheet does not list are derived
    from the price per hour, and the rate of host memory from the link.
    """

    kind: ClassVar[str] = "device"
    FORMER: ClassVar[Mapping[str, str]] = {
        **FORMER["device"],
        "price_basis": "price_per_hour_basis",
        "price_date": "price_per_hour_date",
        "price_spot_basis": "spot_price_per_hour_basis",
        "price_list_basis": "purchase_price_basis",
        "price_list_whole": "purchase_price_whole",
    }

    memory_kind: Text = Field(description="type of memory", examples=["HBM3"])
    on_chip_memory: Bytes | None = Field(
        None, description="last-level cache or on-chip SRAM", examples=["50 MB"]
    )
    on_chip_bandwidth: Bandwidth | None = Field(
        None, description="bandwidth of the on-chip memory", examples=["5.5 TB/s"]
    )
    memory2_kind: str = Field("", description="memory type of the second tier", examples=["DDR5"])
    link_kind: LinkKind = Field("pcie", description="link between devices", examples=["nvlink"])
    link_latency: Seconds | None = Field(
        None, description="start-up latency of the link", examples=["1 us"]
    )
    price_per_hour_basis: str = Field("", description="who quotes the price per hour")
    price_per_hour_date: str = Field(
        "", description="date of the price per hour", examples=["2026-05-07"]
    )
    spot_price_per_hour_basis: str = Field("", description="who quotes the spot price")
    purchase_price_basis: str = Field("", description="who quotes the purchase price")
    purchase_price_whole: bool = Field(
        False, description="whether the purchase price is for a complete system", examples=["true"]
    )

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
        check_limits("device", self.record())
        return self

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Back ends of engines that exist for the device, the vendor's own first."""
        if self.device_class == "cpu":
            return ("cpu",)
        native = _BACKENDS.get(self.vendor)
        if "gpu" not in self.device_class and self.device_class not in _UNIFIED:
            return ()
        return ("vulkan",) if native is None else (native, "vulkan")

    @property
    def has_neighbours(self) -> bool:
        """Whether servers have several of the device; a computer at home has one."""
        return self.link_kind != "none" and self.device_class != "consumer-gpu"

    @property
    def has_graphs(self) -> bool:
        """Whether the steps of an engine can run as graphs, which start operators faster."""
        return bool({"cuda", "hip"}.intersection(self.backends))

    @property
    def fallbacks(self) -> dict[str, str]:
        """Figures that the device does not list, and the estimates that replace them."""
        found = {name: why for name, why in _FALLBACKS.items() if getattr(self, name) is None}
        if self.memory2_bandwidth is None:
            found["memory2_bandwidth"] = self._host_link[1]
        host = default_host(self.device_class)
        for field in HOST_FIELDS.values():
            if getattr(self, field) is None:
                found[field] = (
                    f"host {host.name}, usual for a {self.device_class}" if host else _NO_HOST
                )
        return found

    @property
    def shares_memory(self) -> bool:
        """Whether the device has no host memory beside its own."""
        return default_host(self.device_class) is None

    @property
    def _host(self) -> dict[str, float]:
        """Fields of the record that the usual host sets; without one, it has no memory."""
        host = default_host(self.device_class)
        if host is not None:
            return host.fields()
        flops = max(self.flops_fp16, self.flops_fp32)
        return dict(zip(HOST_FIELDS.values(), (0.0, self.memory_bandwidth, flops), strict=True))

    @property
    def _host_link(self) -> tuple[float, str]:
        """Bandwidth to host memory, one direction [bytes/s], and its derivation."""
        if self.device_class in _UNIFIED:
            return STORAGE, "storage over PCIe Gen4 x4, as device memory is that of the host"
        if self.link_kind in {"pcie", "socket"}:
            return self.link_bandwidth, "as link_bandwidth, through which host memory is read"
        rate = next(rate for year, rate in PCIE_X16.items() if self.year >= year)
        return rate, f"PCIe x16 of {self.year}, one direction, as link_kind does not reach the host"

    @property
    def energies(self) -> dict[str, Joules]:
        """Energy per bit and per FLOP that the device does not list, with their derivation."""
        peak = self.flops_fp16 or self.flops_fp32 or max(self.flops_fp8, self.flops_int8)
        derived = {
            "energy_per_bit": energy_per_bit(
                self.memory_kind, self.board_power, self.memory_bandwidth
            ),
            "energy_per_flop": energy_per_flop(self.board_power, peak),
        }
        return {name: made for name, made in derived.items() if getattr(self, name) is None}

    def record(self) -> records.Device:
        """Return the record that physics uses; its prices are of the device alone."""
        made = record_of(records.Device, self)
        made = made._replace(
            rated_power=self.rated_power or self.board_power,
            **{name: joules.value for name, joules in self.energies.items()},
        )
        if self.spot_price_per_hour is None:
            made = made._replace(spot_price_per_hour=self.price_per_hour * SPOT_SHARE)
        if self.purchase_price is None:
            made = made._replace(purchase_price=self.price_per_hour * HOURS_TO_BUY)
        elif self.purchase_price_whole:
            made = made._replace(purchase_price=self.purchase_price / SERVER_SHARE)
        if self.memory2_bandwidth is None:
            made = made._replace(memory2_bandwidth=self._host_link[0])
        host = {name: rate for name, rate in self._host.items() if getattr(self, name) is None}
        return made._replace(**host)


REFERENCE_FAMILY = "Llama-3"  # by whose 8B formats are compared; others lose more or less


class Quality(BaseModel):
    """An open measurement of a format's loss of quality, valid for the measured model only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: Text
    metric: Text
    value: float
    reference: float | None = None  # the same metric at 16 bit
    source: Text

    @property
    def is_reference(self) -> bool:
        """Whether the measurement is the one by which formats are compared."""
        family = self.model.startswith(REFERENCE_FAMILY) and "8B" in self.model
        return family and "perplexity, wikitext" in self.metric and self.reference is not None

    @property
    def increase(self) -> float:
        """Increase over 16 bit, as a fraction."""
        return self.value / self.reference - 1.0 if self.reference else math.nan


class _Bounded(Sourced):
    """An entry whose record must lie within the limits of physics."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        check_limits(self.kind, self.record())  # type: ignore[attr-defined]  # each has one
        return self


class WeightFormatEntry(sheet_of(records.WeightFormat, _Bounded), _Bounded):  # type: ignore[misc]
    """Storage format of weights, and the arithmetic in which they are multiplied."""

    kind: ClassVar[str] = "weight_format"

    layout: Text
    dequantisation: str = ""
    quality: tuple[Quality, ...] = ()

    @property
    def measured(self) -> Quality | None:
        """The measurement that ``perplexity_increase`` is taken from, unless it is given."""
        return next((one for one in self.quality if one.is_reference), None)

    @property
    def loss(self) -> str:
        """Description of the quality loss, as far as it is known."""
        increase = self.record().perplexity_increase
        if increase == records.UNMEASURED:
            return f"no open measurement of what {self.name} loses"
        on = f" of {self.measured.model}" if self.measured else ""
        return f"perplexity{on} on wikitext-2 {increase:+.1%}; other models lose more or less"

    def record(self) -> records.WeightFormat:
        """Return what physics needs of the entry."""
        made = record_of(records.WeightFormat, self)
        if self.perplexity_increase is not None:
            return made
        increase = records.UNMEASURED if self.measured is None else self.measured.increase
        return made._replace(perplexity_increase=increase)


class KVFormatEntry(sheet_of(records.KVFormat, _Bounded), _Bounded):  # type: ignore[misc]
    """Storage format of the KV cache."""

    kind: ClassVar[str] = "kv_format"
    FORMER: ClassVar[Mapping[str, str]] = FORMER["kv_format"]

    layout: Text

    def record(self) -> records.KVFormat:
        """Return what physics needs of the entry."""
        return record_of(records.KVFormat, self)


class EconomicsEntry(sheet_of(records.Economics, _Bounded), _Bounded):  # type: ignore[misc]
    """Economics: facility costs and finance.

    A table may omit keys that the entry named by ``base`` has.
    """

    kind: ClassVar[str] = "economics"

    base: str = ""

    def record(self) -> records.Economics:
        """Return what physics needs of the entry."""
        return record_of(records.Economics, self)


class FactEntry(Sourced):
    """A single sourced number outside any device or format: an energy, a price, an intensity."""

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
    """A dated price, a carbon intensity or a facility overhead."""

    kind: ClassVar[str] = "price"
