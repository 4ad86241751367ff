"""One configuration: names resolved to entries and records, and its result."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple, cast

from perfcore import records
from perfcore.catalog import stack
from perfcore.catalog.engine_entry import Constant, EngineEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.estimates import HOST, SECOND_TIER, EstimatedFact, estimates
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.native import as_published
from perfcore.catalog.schema import (
    UNSOLD,
    DeviceEntry,
    EconomicsEntry,
    KVFormatEntry,
    WeightFormatEntry,
)
from perfcore.columns import AXES, METRICS, STATUS
from perfcore.configuration.beside import BESIDE, alone, faults_beside, remedy_of_experts
from perfcore.configuration.figures import KNOWN_WITHOUT_RUNNING, Figures
from perfcore.configuration.parameters import (
    AUTO_DEVICES,
    NATIVE,
    check_choice,
    device_count,
    entry_of,
    number_of,
    stated_input,
    weights_of,
    what_ifs_of,
)
from perfcore.configuration.remedy import remedy, remedy_of_engine
from perfcore.configuration.signatures import with_parameters_of
from perfcore.errors import InputError, argument, show
from perfcore.inputs import (
    AXIS_INPUTS,
    LIMITS,
    PAIR_AXES,
    PREFILL,
    PREFILL_AXES,
    PURCHASES,
    broken_ties,
)
from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.physics.cost import TOKENS_PER_MTOK
from perfcore.physics.memory import usable_bytes
from perfcore.physics.parallelism import heads_fit, lay_out
from perfcore.physics.roofline import peak_flops
from perfcore.physics.sizing import fewest_devices, with_degrees
from perfcore.physics.stages.beside import DraftMachine, ExpertMachine, fewest_expert_devices
from perfcore.physics.stages.point import Point, PromptMachine
from perfcore.physics.stages.point import evaluate as evaluate_point
from perfcore.physics.stages.replica import (
    DRAFT_FAILS,
    ENGINE_CANNOT,
    EXPERTS_DO_NOT_FIT,
    OK,
    PREFILL_POOL_FAILS,
    kv_hand_over,
)
from perfcore.reading.other_words import meant_by
from perfcore.reading.places import Place
from perfcore.space.axes import DEGREES, POOL_DEGREES, WhatIf, is_share
from perfcore.units import format_quantity

NUMBERS: Final = tuple(rule.name for rule in AXIS_INPUTS.values() if rule.limits is not None)
CHOICES: Final = tuple(rule.name for rule in AXIS_INPUTS.values() if rule.choices)
_MUCH: Final = 0.08  # of a device's memory
KINDS: Final = tuple(name for name in AXIS_INPUTS if name not in (*NUMBERS, *CHOICES))
POOL: Final = tuple(PREFILL_AXES)  # of a disaggregated server, if it is not as decode
STACK: Final = stack.NAMES
_REPLACES: Final = {"prefill_chunk": "engine.prefill_chunk", "power_limit": "device.board_power"}
_OF_POWER: Final = (*("economics.electricity_price", "economics.pue", "economics.node_overhead"),)
_OF_DEVICE: Final = {"backend": "", "power_limit": None, "host": ""}
_OF_ENGINE: Final = {
    "engine_version": "",
    "backend": "",
    "eager": False,
    "runner": "",
    "prefill_chunk": None,
}
_WEIGHTS: Final = "weight_format"
_BOUND_ENGINE: Final = "ideal"
ARITHMETIC_FIELD: Final = {
    float(code): f"flops_{name}"
    for code, name in enumerate(LIMITS["weight_format"]["arithmetic"].choices)
}


class Entries(NamedTuple):
    """Catalogue entries that the names of a configuration refer to."""

    model: ModelEntry
    device: DeviceEntry
    engine: EngineEntry
    weight_format: WeightFormatEntry
    kv_format: KVFormatEntry
    economics: EconomicsEntry


class Records(NamedTuple):
    """Arguments of physics, in its order."""

    model: records.Model
    device: records.Device
    engine: records.Engine
    weight_format: records.WeightFormat
    kv_format: records.KVFormat
    deployment: records.Deployment
    economics: records.Economics
    input_len: float
    output_len: float
    prompts: PromptMachine | None = None
    draft: DraftMachine | None = None
    experts: ExpertMachine | None = None

    @property
    def usable_bytes(self) -> float:
        """Bytes of a device that the engine allocates to weights and KV cache."""
        layout = lay_out(self.model, self.device, self.deployment)
        return usable_bytes(self.model, self.device, self.engine, layout)


class Link(NamedTuple):
    """Transfer of a prompt's cache between pools."""

    size: float  # bytes
    seconds: float  # over the slower of both ends
    busy: float  # share of the time in which the busier end sends or receives


class PerRequest(NamedTuple):
    """Cost and emissions of a request."""

    usd: float
    co2e_g: float


@dataclass(frozen=True)
class Configuration:
    """One model on one machine with its deployment and workload, resolved and checked.

    Parameters
    ----------
    model, device, engine, weight_format, kv_format, economics
        Names or aliases in the catalogue, files, or entries. The weight format ``native`` is that
        of the published weights.
    scheduler, offload
        ``static``, ``continuous`` or ``disaggregated``; ``none``, ``weights``, ``kv`` or
        ``experts``.
    tp, pp, dp, ep
        Tensor-, pipeline-, attention-data- and expert-parallel degree. Without tp, pp and offload,
        ``devices`` is ``auto`` for server devices.
    devices
        ``auto`` chooses tp and pp: the fewest devices that hold the weights and the batch. A number
        is the total, with tp as large as the scale-up domain and the heads allow.
    gpu_layers, cpu_moe_layers
        Number of layers on the devices (the last ones) and, with offloaded experts, number of first
        layers whose experts are in host memory. The host's CPU computes the rest.
    batch
        Sequences that start together; for a server, requests kept in flight.
    prefill_device, prefill_engine, prefill_tp, prefill_pp, prefill_dp, prefill_ep
        Prefill pool of a disaggregated server. Without a device it has the device, engine and
        degrees of decode; on another device, tp and pp are chosen as for decode.
    prefill_ratio
        Prefill replicas per decode replica; None: as many as the engine's pool load requires.
    prefill_link
        Bandwidth of each device to the other pool: ``"10 GB/s"``; None: that of the slower network.
    expert_device, expert_devices, expert_parts, expert_link
        Separate devices of the routed experts; if their number is None, the fewest that hold them.
        Attention and experts work in turn on ``expert_parts`` micro-batches; None: 2.
    draft_model, draft_device, draft_devices, draft_link
        Draft model and its devices; if their number is None, the fewest that hold it.
    prefix_hit
        Share of the prompt whose KV cache is already present.
    draft_len, acceptance, acceptance_decay
        Tokens drafted per step, the probability that the first of them is accepted, and that of
        each later one relative to the previous one.
    input_len, output_len
        Lengths of prompt and output. Numbers may be text: ``"128Ki"``. [tokens]
    overrides
        New values of fields of records, ``{"device.memory_bandwidth": "4 TB/s"}``, or factors on
        the catalogue's values, ``{"device.memory_bandwidth": {"scale": 2}}``.
    engine_version
        Version of the engine, which selects its release: ``"0.7.3"``, or ``"b4567"`` of llama.cpp.
    backend
        ``cuda``, ``hip``, ``vulkan``, ``metal`` or ``cpu``; that of the device's vendor if empty.
    eager
        Whether steps run without CUDA graphs; operators then take longer to start.
    runner
        ``offline`` leaves out the time of an HTTP server; empty is the same as ``server``.
    prefill_chunk
        Token budget of a step; the engine's default if None. [tokens]
    power_limit
        Power limit of each device; its rated power if None. ``"300 W"``, ``"70 %"`` of the rated
        power, or a number. [W]
    host
        Memory and CPU of the host, from ``perfcore hosts``; if empty, the usual one of the device's
        class.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """

    model: str | ModelEntry
    device: str | DeviceEntry
    engine: str | EngineEntry = "default"
    weight_format: str | WeightFormatEntry = NATIVE
    kv_format: str | KVFormatEntry = "bf16"
    economics: str | EconomicsEntry = "default"
    scheduler: str = "static"
    offload: str = "none"
    tp: int | str | None = None
    pp: int | str | None = None
    dp: int | str = 1
    ep: int | str = 1
    gpu_layers: int | str = 1_000_000
    cpu_moe_layers: int | str = 1_000_000
    devices: int | str = ""
    prefill_device: str | DeviceEntry = ""
    prefill_engine: str | EngineEntry = ""
    prefill_tp: int | str | None = None
    prefill_pp: int | str | None = None
    prefill_dp: int | str | None = None
    prefill_ep: int | str | None = None
    prefill_ratio: float | str | None = None
    prefill_link: float | str | None = None
    expert_device: str | DeviceEntry = ""
    expert_devices: int | str | None = None
    expert_parts: int | str | None = None
    expert_link: float | str | None = None
    draft_model: str | ModelEntry = ""
    draft_device: str | DeviceEntry = ""
    draft_devices: int | str | None = None
    draft_link: float | str | None = None
    batch: int | str = 1
    prefix_hit: float | str = 0.0
    draft_len: int | str = 0
    acceptance: float | str = 0.0
    acceptance_decay: float | str = 0.95
    input_len: int | str = 1024
    output_len: int | str = 256
    overrides: Mapping[str, object] = field(default_factory=dict)
    engine_version: str = ""
    backend: str = ""
    eager: bool | str = False
    runner: str = ""
    prefill_chunk: float | str | None = None
    power_limit: float | str | None = None
    host: str = ""

    entries: Entries = field(init=False, repr=False, compare=False)
    numbers: Mapping[str, float] = field(init=False, repr=False, compare=False)
    what_ifs: tuple[WhatIf, ...] = field(init=False, repr=False, compare=False)
    resolved: stack.Resolved = field(init=False, repr=False, compare=False)
    # numbers that are given, or chosen, for other machines
    pool: Mapping[str, float] = field(init=False, repr=False, compare=False)
    ahead: "Configuration | None" = field(init=False, repr=False, compare=False)  # runs prompts
    # has the draft, or the experts
    beside: "Configuration | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults: list[str] = []
        others = (kind for kind in KINDS if kind != _WEIGHTS)
        found = {kind: entry_of(kind, getattr(self, kind), faults) for kind in others}
        found[_WEIGHTS] = weights_of(self.weight_format, found["model"], found["engine"], faults)
        for name in CHOICES:
            check_choice(name, getattr(self, name), faults)
        numbers = {name: number_of(name, self._given(name), faults) for name in NUMBERS}
        what_ifs = what_ifs_of(self.overrides, faults)
        stated = {name: stated_input(name, getattr(self, name), faults) for name in STACK}
        device, limit = found["device"], stated["power_limit"]
        if is_share(self.power_limit) and isinstance(limit, float):
            rated = device.record().rated_power if isinstance(device, DeviceEntry) else 0.0
            stated["power_limit"] = limit * rated
        faults += [
            f"{name}: beside {key}; leave out one of them"
            for name, key in _REPLACES.items()
            if stated[name] is not None and key in self.overrides
        ]
        count = device_count(self.devices, faults)
        if count != 0 and (numbers["tp"], numbers["pp"]) != (1, 1):
            faults.append(f"devices: {show(self.devices)} beside tp or pp; leave out one of them")
        if count > 0 and count % max(numbers["dp"], 1):
            faults.append(f"devices: {count} is not a multiple of dp = {numbers['dp']:.0f}")
        pool = self._checked_others(numbers, found["model"], faults)
        if faults:
            raise InputError(dict.fromkeys(faults))
        entries = Entries(**found)  # type: ignore[arg-type]  # no fault: the right entries
        made = stack.Stack(**stated)  # type: ignore[arg-type]  # no fault: the right types
        engine = entries.engine
        if made.engine_version:
            engine = stack.stated_release(engine, made.engine_version)
        resolved = stack.resolve(engine, entries.device, made)
        weights = as_published(entries.model, entries.weight_format)
        entries = entries._replace(engine=resolved.engine, weight_format=weights)
        object.__setattr__(self, "resolved", resolved)
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "what_ifs", what_ifs)
        object.__setattr__(self, "pool", pool)
        object.__setattr__(self, "ahead", None)
        object.__setattr__(self, "beside", None)
        if self._states("draft_device") or self._states("expert_device"):
            self._add_devices_beside("draft" if self._states("draft_device") else "expert")
        if count or self._is_to_be_laid_out:
            deployment = self._deployment(count)
            chosen = {"tp": int(deployment.tp), "pp": int(deployment.pp)}
            object.__setattr__(self, "numbers", {**numbers, **chosen})
            del self.__dict__["records"]  # cached for one device
        if any(self._states(name) for name in (*POOL[:2], *POOL_DEGREES)):
            object.__setattr__(self, "ahead", self._pool_of_prompts())
            self.__dict__.pop("records", None)
        _check_overridden(self.records, what_ifs, entries)

    def _given(self, name: str) -> object:
        """Return a parameter; a degree that has not been given is the default of its axis."""
        given = getattr(self, name)
        return AXIS_INPUTS[name].default if given is None and name in DEGREES else given

    def _states(self, name: str) -> bool:
        """Return whether a parameter of the prefill pool is given."""
        return getattr(self, name) not in ("", None)

    def _checked_others(
        self, own: Mapping[str, float], model: Entry | None, faults: list[str]
    ) -> dict[str, float]:
        """Check the settings of other machines, and return the numbers given for them.

        ``own`` are those of the decode servers, without drafts and experts on separate devices.
        """
        if own["draft_len"] > 0 and own["acceptance"] == 0:
            faults.append(f"draft_len: all drafts are rejected; use {argument('acceptance', 0.7)}")
        pool = self._checked_pool(own, faults)
        beside = [name for name in BESIDE if self._states(name)]
        for name in beside:
            if PAIR_AXES[name].limits is None:
                entry_of(PAIR_AXES[name].entry, getattr(self, name), faults)
        if beside:
            stated = {name: getattr(self, name) for name in PAIR_AXES if self._states(name)}
            faults += faults_beside(stated, own, self.offload, self.scheduler, model)
        numbers = [name for name in beside if PAIR_AXES[name].limits is not None]
        return pool | {name: number_of(name, getattr(self, name), faults) for name in numbers}

    def _checked_pool(self, own: Mapping[str, float], faults: list[str]) -> dict[str, float]:
        """Check the settings of the prefill pool, and return the numbers given for it.

        ``own`` are those of the decode servers.
        """
        given = [name for name in POOL if self._states(name)]
        for name in given:
            if PREFILL_AXES[name].limits is None:
                entry_of(PREFILL_AXES[name].entry, getattr(self, name), faults)
        for name in given[:1]:
            if self.scheduler != "disaggregated":
                faults.append(
                    f"{argument(name)}: only a disaggregated server has a prefill pool; use "
                    f"{argument('scheduler', 'disaggregated')}"
                )
            beside = {"offload": self.offload, "gpu_layers": own["gpu_layers"]}
            faults += [
                f"{argument(name)}: beside {other}; leave out one of them"
                for other, value in beside.items()
                if value != AXIS_INPUTS[other].default
            ]
        numbers = [name for name in given if PREFILL_AXES[name].limits is not None]
        return {name: number_of(name, getattr(self, name), faults) for name in numbers}

    def _add_devices_beside(self, kind: str) -> None:
        """Set the configuration of a draft or of experts on separate devices.

        Raises
        ------
        InputError
            They are none.
        """
        devices = f"{kind}_devices"
        count = self.pool.get(devices)
        own = {
            **alone(),
            "device": getattr(self, f"{kind}_device"),
            "power_limit": self.power_limit,
            "tp": 1,
            "pp": 1,
            "dp": 1,
            "ep": 1,
        }
        if kind == "draft":
            own |= {"model": self.draft_model, "draft_len": 0, "acceptance": 0.0}
            own |= {"scheduler": "static", "tp": count, "pp": None if count is None else 1}
        try:
            beside = self.changed(**own)
            if count is not None and kind == "draft" and beside.entries.device.record().spatial:
                beside = beside.changed(tp=1, pp=count)
        except InputError as error:
            raise InputError(f"{kind}: {fault}" for fault in error.faults) from None
        if count is None:
            drafts = kind == "draft"
            count = beside.device_count if drafts else beside.least_expert_devices
        object.__setattr__(self, "beside", beside)
        object.__setattr__(self, "pool", {**self.pool, devices: float(count)})
        self.__dict__.pop("records", None)

    def _pool_of_prompts(self) -> "Configuration":
        """Return the configuration of a prefill replica, with room for one prompt in each group.

        Raises
        ------
        InputError
            It is none.
        """
        own: dict[str, object] = dict.fromkeys(POOL[:2], "") | dict.fromkeys(POOL[2:])
        for name in POOL_DEGREES:
            degree = name.removeprefix(PREFILL)
            same = None if degree in DEGREES else 1
            own[degree] = self.pool.get(name, same if self.prefill_device else self.numbers[degree])
        if self.prefill_device:
            own |= {"device": self.prefill_device, "power_limit": self.power_limit}
            if own["tp"] is not None or own["pp"] is not None:
                own |= {name: own[name] or 1 for name in DEGREES}
        if self.prefill_engine:
            own["engine"] = self.prefill_engine
        own |= {"batch": own["dp"], "output_len": 1}
        try:
            return self.changed(**own)
        except InputError as error:
            raise InputError(f"prefill pool: {fault}" for fault in error.faults) from None

    @property
    def computes_on_cpu(self) -> bool:
        """Whether the CPU of the host computes layers or experts."""
        return self.offload == "experts" or self.numbers["gpu_layers"] < self.records.model.layers

    @property
    def uses_host(self) -> bool:
        """Whether anything is offloaded, or computed by the CPU of the host."""
        return self.offload != "none" or self.computes_on_cpu

    @property
    def _is_to_be_laid_out(self) -> bool:
        """Whether the number of devices is chosen by default, as for server devices."""
        unsaid = (self.tp, self.pp) == (None, None) and not self.uses_host
        return unsaid and self.entries.device.has_neighbours

    def _deployment(self, count: int) -> records.Deployment:
        """Return the deployment on ``count`` devices, or on as few as hold it if it is not above 0.

        Raises
        ------
        InputError
            The model cannot be divided among so many.
        """
        known = self.records
        if count <= 0:
            return fewest_devices(
                known.model,
                known.device,
                known.engine,
                known.weight_format,
                known.kv_format,
                known.deployment,
                known.input_len + known.output_len,
            )
        per_group = count / known.deployment.dp
        deployment = _widest_layout(known, per_group)
        if known.device.spatial == 0.0 and deployment.pp > known.model.layers:
            raise InputError(
                f"devices: {count} is more than {self._name('model')} can be divided among on "
                f"{self._name('device')}; use fewer, or dp"
            )
        return deployment

    @cached_property
    def records(self) -> Records:
        """Records that physics uses, with overrides applied."""
        return self.with_overrides(self.what_ifs)

    def with_overrides(self, what_ifs: Iterable[WhatIf]) -> Records:
        """Return the records with some overrides applied."""
        entries, numbers = self.entries, self.numbers
        base = Records(
            model=entries.model.record(),
            device=self.resolved.device,
            engine=entries.engine.record(entries.device, entries.weight_format),
            weight_format=entries.weight_format.record(),
            kv_format=entries.kv_format.record(),
            deployment=records.Deployment(
                **{name: self._coordinate(name) for name in records.Deployment._fields}
            ),
            economics=entries.economics.record(),
            input_len=float(numbers["input_len"]),
            output_len=float(numbers["output_len"]),
        )
        if self.ahead:
            apart = self.ahead.with_overrides(what_ifs)
            base = base._replace(prompts=PromptMachine(apart.device, apart.engine))
        if self.beside:
            other = self.beside.with_overrides(what_ifs)
            if self._states("draft_device"):
                draft = DraftMachine(other.model, other.device, other.engine, other.weight_format)
                base = base._replace(draft=draft)
            else:
                base = base._replace(experts=ExpertMachine(other.device, other.engine))
        changed = {kind: getattr(base, kind) for kind in KINDS}
        for what_if in what_ifs:
            record, (value,) = changed[what_if.record], what_if.values
            if what_if.mode == "scale":
                value *= getattr(record, what_if.field)
            changed[what_if.record] = record._replace(**{what_if.field: value})
        return base._replace(**changed)

    def _coordinate(self, name: str) -> float:
        """Return the value on a numeric axis, the code of a choice, or what the engine can run."""
        if name == "layouts":
            return float(self.entries.engine.layouts)
        if name == "barred":
            return float(not self.entries.engine.multiplies(self.entries.weight_format))
        if name in PAIR_AXES:
            if self.ahead and name in POOL_DEGREES:
                return float(self.ahead.numbers[name.removeprefix(PREFILL)])
            return float(self.pool.get(name, 0.0))
        if name in NUMBERS:
            return float(self.numbers[name])
        return float(AXIS_INPUTS[name].choices.index(getattr(self, name)))

    @property
    def chosen(self) -> str:
        """Reason for the layout if it was chosen rather than given; empty on one device."""
        layout = ", ".join(
            f"{n} {self.numbers[n]:.0f}" for n in ("tp", "pp") if self.numbers[n] > 1
        )
        if not layout or not (self.devices or self._is_to_be_laid_out):
            return ""
        if self.devices not in ("", AUTO_DEVICES):
            return f"{layout} chosen for {self.device_count} devices"
        return f"{layout} chosen: the fewest devices that hold weights and batch"

    @property
    def device_count(self) -> int:
        """Number of devices of one replica."""
        return int(self.numbers["tp"] * self.numbers["pp"] * self.numbers["dp"])

    @property
    def least_expert_devices(self) -> float:
        """Fewest devices that hold the routed experts alone."""
        made = self.records
        return fewest_expert_devices(made.model, made.device, made.engine, made.weight_format)

    @property
    def devices_beside(self) -> int:
        """Number of separate devices of a draft or of experts; 0 if there are none."""
        devices = "draft_devices" if self._states("draft_device") else "expert_devices"
        return int(self.pool[devices]) if self.beside else 0

    def evaluate(self) -> Point:
        """Return every metric, computed in plain Python."""
        try:
            return evaluate_point(*self.records)
        except ArithmeticError as error:
            keys = ", ".join(what_if.key for what_if in self.what_ifs) or "these entries"
            raise InputError(f"{keys}: no result ({error}); use other values") from error

    def link(self) -> Link:
        """Return the transfer of a prompt's cache from the prefill pool of a disaggregated server.

        More caches may arrive than the link carries: results do not wait for it.
        """
        point, made = self.evaluate(), self.records
        size = kv_bytes_per_sequence(made.model, made.kv_format, made.input_len)
        pool = made.prompts or PromptMachine(made.device, made.engine)
        sender = made.deployment if self.ahead is None else self.ahead.records.deployment
        sender = sender._replace(prefill_link=made.deployment.prefill_link)
        layers = made.model.layers
        receiving_s, sending_s = (
            size * layers * kv_hand_over(made.model, device, engine, deployment)
            for device, engine, deployment in (
                (made.device, made.engine, made.deployment),
                (*pool, sender),
            )
        )
        busiest_s = max(receiving_s, sending_s / point.prefill_pool)
        return Link(size, max(receiving_s, sending_s), point.requests_per_s * busiest_s)

    def per_request(self) -> "PerRequest":
        """Return the cost and emissions of a request, including its prompt.

        They are the prices of all its tokens: output tokens after the first, and input tokens.
        """
        point, made = self.evaluate(), self.records
        written, read = made.output_len - 1.0, made.input_len
        return PerRequest(
            usd=(written * point.cost_per_mtok_output_usd + read * point.cost_per_mtok_input_usd)
            / TOKENS_PER_MTOK,
            co2e_g=(written * point.carbon_per_mtok_output_g + read * point.carbon_per_mtok_input_g)
            / TOKENS_PER_MTOK,
        )

    @property
    def without_effect(self) -> tuple[WhatIf, ...]:
        """Overrides without an effect on the result."""
        point = self.evaluate()
        return tuple(
            one
            for one in self.what_ifs
            if evaluate_point(
                *self.with_overrides(other for other in self.what_ifs if other != one)
            )
            == point
        )

    @property
    def remedy(self) -> str:
        """Return why the configuration does not run, and the remedy; empty if it runs."""
        point, labels = self.evaluate(), self.labels
        if self.of_pool:
            labels["offload"] = ""  # beside which there is no prefill pool
        made = self.records
        if point.status == ENGINE_CANNOT:
            return remedy_of_engine(self.entries.engine, made.deployment, labels)
        if self.beside and point.status == EXPERTS_DO_NOT_FIT:
            return remedy_of_experts(
                str(self.beside.labels["device"]),
                self.pool["expert_devices"],
                self.beside.least_expert_devices,
            )
        if self.beside and point.status == DRAFT_FAILS:
            needs = self.beside.changed(tp=None, pp=None)
            if needs.evaluate().status == OK:
                more = argument("draft_devices", needs.device_count)
                return f"draft: {needs.labels['model']} and its KV cache do not fit; use {more}"
            return f"draft: {needs.remedy}"
        if not self.ahead or point.status != PREFILL_POOL_FAILS:
            return remedy(made.model, made.device, made.usable_bytes, point, labels)
        ahead = self.ahead
        labels = {**ahead.labels, "offload": ""}
        made = ahead.records
        reason = remedy(made.model, made.device, made.usable_bytes, ahead.evaluate(), labels)
        for name in POOL_DEGREES:
            own = re.escape(argument(name.removeprefix(PREFILL)))
            reason = re.sub(rf"(?<![\w-]){own}\b", argument(name), reason)
        return f"prefill pool: {reason}"

    def bound(self) -> Point:
        """Return the result with an ideal engine: the physical bound on this machine.

        It runs as many requests at once as this engine, since more would make each one slower.
        """
        kept = {key: v for key, v in self.overrides.items() if not key.startswith("engine.")}
        at_once = int(self.evaluate().running_batch)
        ideal = {"engine": _BOUND_ENGINE, "prefill_engine": ""}
        return self.changed(**ideal, batch=at_once, overrides=kept).evaluate()

    def without_speculation(self) -> Point:
        """Return the result without speculative decoding."""
        return self.changed(draft_len=0, **alone()).evaluate()

    def changed(self, **fields: object) -> "Configuration":
        """Return a configuration on the same devices with some fields changed.

        Statements about an engine or a device are dropped if it changes.
        """
        kept: dict[str, object] = {"devices": ""}
        kept |= {name: self.numbers[name] for name in ("tp", "pp")}
        if self.ahead:
            kept |= {name: self._coordinate(name) for name in POOL_DEGREES}
        if self.beside:
            kept |= {name: self.pool[name] for name in self.pool if name in BESIDE}
        if "engine" in fields:
            kept |= _OF_ENGINE
        if "device" in fields:
            kept |= _OF_DEVICE
        return replace(self, **{**kept, **fields})  # type: ignore[arg-type]

    @property
    def labels(self) -> dict[str, str | float]:
        """Value of every axis, by column name."""
        labels: dict[str, str | float] = {}
        for axis in AXES:
            name = axis.name
            if name in KINDS:
                labels[name] = self._name(name)
            else:
                labels[name] = self.numbers[name] if name in NUMBERS else getattr(self, name)
        return labels

    @property
    def of_pool(self) -> dict[str, str | float]:
        """Settings of other machines by name, with their degrees and numbers."""
        found: dict[str, str | float] = {}
        for name, rule in PAIR_AXES.items():
            other = self.beside if name in BESIDE else self.ahead
            if rule.limits is None and other and self._states(name):
                found[name] = str(other.labels[rule.entry])
            elif self.ahead and name in POOL_DEGREES:
                found[name] = self.ahead.numbers[name.removeprefix(PREFILL)]
            elif name in self.pool:
                found[name] = self.pool[name]
        return found

    def _name(self, kind: str) -> str:
        return cast("Entry", getattr(self.entries, kind)).name

    @property
    def stated(self) -> dict[str, str | float]:
        """Settings of the engine's stack and the power limit, by name."""
        defaults = stack.Stack()
        found = {}
        for name, value in self.resolved.stack._asdict().items():
            if value != getattr(defaults, name):
                found[name] = "true" if value is True else value
        return found

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on settings of the stack that are left out, unknown or without effect here."""
        point = self.evaluate()
        idle = [
            f"{name.replace('_', ' ')} {self._idle(name)}"
            for name in self.stated
            if name in ("eager", "prefill_chunk", "power_limit", "host")
            and self.changed(**{name: getattr(stack.Stack(), name)}).evaluate() == point
        ]
        left_out = self.entries.model.left_out
        without = [f"without the model's {left_out}"] if left_out else []
        of_format = self.entries.engine.remarks.get(self._name(_WEIGHTS), "")
        return (
            *self.resolved.remarks,
            *idle,
            *without,
            *filter(None, [of_format, self._sampler()]),
        )

    def _sampler(self) -> str:
        """Return what an engine keeps to sample requests, if it is much of a device's memory."""
        model, device, engine = self.records.model, self.records.device, self.records.engine
        layout = lay_out(model, device, self.records.deployment)
        without = engine._replace(sampled_sequences=0.0)
        usable = usable_bytes(model, device, engine, layout)
        taken = usable_bytes(model, device, without, layout) - usable
        if taken < _MUCH * device.memory_capacity:
            return ""
        return (
            f"{format_quantity(taken, 'B')} of each device are kept to sample "
            f"{engine.sampled_sequences:,.0f} requests at once; fewer of them "
            "(engine.max_sequences and engine.sampled_sequences) leave more for the KV cache"
        )

    def _idle(self, name: str) -> str:
        """Return why a stated input changes nothing."""
        if name == "host" and self.records.device == self.changed(host="").records.device:
            return f"{self.host} is what this device has anyway"
        return "changes nothing here"

    @property
    def constants(self) -> dict[str, Constant]:
        """Return the engine's constants that apply to this device, with their provenance."""
        return self.entries.engine.constants_for(self.entries.device, self.entries.weight_format)

    @property
    def estimated(self) -> tuple[EstimatedFact, ...]:
        """Return the estimated facts that the result depends on and that no override replaces."""
        replaced = {(w.record, w.field) for w in self.what_ifs if w.mode == "set"}
        untouched = self._untouched()
        apart = [fact for other in self.others for fact in other.estimated]
        own = (
            estimate
            for kind in KINDS
            for estimate in estimates(
                kind,
                getattr(self.entries, kind),
                (self.purchase,),
                offloads=self.uses_host,
            )
            if (kind, estimate.field) not in replaced
            and not (kind == "device" and estimate.field in untouched)
        )
        return tuple(dict.fromkeys((*own, *apart)))

    @property
    def purchase(self) -> str:
        """Way in which devices are paid: ``on-demand``, ``spot`` or ``owned``."""
        return PURCHASES[int(self.records.economics.purchase)]

    @property
    def in_the_rent(self) -> str:
        """Remark on what-ifs about power that change no price because devices are rented."""
        keys = dict.fromkeys(w.key for w in self.what_ifs if w.key in _OF_POWER)
        if not keys or self.purchase == "owned":
            return ""
        changes = "changes" if len(keys) == 1 else "change"
        return f"{', '.join(keys)} {changes} no price: the rent of a device includes its power"

    @property
    def hypothetical(self) -> tuple[str, ...]:
        """Names of entries that do not exist as products."""
        own = [self._name(kind) for kind in KINDS if getattr(self.entries, kind).hypothetical]
        own += [name for other in self.others for name in other.hypothetical]
        return tuple(dict.fromkeys(own))

    @property
    def unreal(self) -> tuple[str, ...]:
        """Sentences on the machines that do not exist, or cannot be had."""
        return (
            *(f"{name} is hypothetical: it does not exist" for name in self.hypothetical),
            *(
                f"{name} is not on the market: its figures are announcements"
                for name in self.unsold
            ),
        )

    @property
    def unsold(self) -> tuple[str, ...]:
        """Names of devices that are only announced, or used only by their makers."""
        own = [str(self.labels["device"])] if self.entries.device.status in UNSOLD else []
        own += [name for other in self.others for name in other.unsold]
        return tuple(dict.fromkeys(own))

    @property
    def others(self) -> tuple["Configuration", ...]:
        """Kind of work on other machines: prefill, a draft, or experts."""
        return tuple(other for other in (self.ahead, self.beside) if other)

    def _untouched(self) -> set[str]:
        """Return the fields of the device that have no effect on the result."""
        device, arithmetic = self.records.device, self.records.weight_format.arithmetic
        chosen = ARITHMETIC_FIELD[arithmetic]
        if getattr(device, chosen) == 0.0 or arithmetic == records.MATH_FP32:
            chosen = "flops_fp16" if device.flops_fp16 > 0.0 else "flops_fp32"
        fields = {*ARITHMETIC_FIELD.values()} - {chosen, "flops_fp16"}
        if not self.uses_host:
            fields |= {*SECOND_TIER}
        if self.offload not in ("weights", "kv"):
            fields.add("memory2_capacity")
        if not self.computes_on_cpu:
            fields |= {*HOST}
        domain = device.scale_up_domain
        joined = self.numbers["tp"]
        if self.records.model.experts > 0.0:
            joined *= self.numbers["dp"]
        if device.spatial == 1.0 and self.numbers["dp"] == 1:
            joined = 1
            fields |= {"link_bandwidth", "scale_up_domain"}
        elif device.spatial == 0.0:
            fields.add("layer_latency")
        if joined * self.numbers["pp"] == 1:
            fields |= {"link_bandwidth", "scale_up_domain"}
        if joined <= domain and self.scheduler != "disaggregated" and not self.beside:
            fields.add("network_bandwidth")
        return fields

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return Figures(self.to_dict())._repr_html_()

    def to_dict(self) -> dict[str, float | str]:
        """Return axes, overridden fields and all metrics, by column name."""
        row: dict[str, float | str] = {**self.labels, **self.of_pool, **self.stated}
        row |= {what_if.column_name: what_if.values[0] for what_if in self.what_ifs}
        point = self.evaluate()
        for column in METRICS:
            value = getattr(point, column.name)
            if column.kind == "code":
                row[column.name] = column.categories[int(value)]
            else:
                row[column.name] = int(value) if column.kind == "count" else value
        return row


def _widest_layout(made: Records, devices: float) -> records.Deployment:
    """Return the deployment on ``devices`` devices: as much tensor parallelism as divides them.

    Tensor parallelism stays within the scale-up domain; the rest are pipeline stages. A spatial
    machine has stages only.
    """
    most = int(min(devices, made.device.scale_up_domain, max(made.model.heads, 1.0)))
    degrees = [
        float(tp)
        for tp in range(1, most + 1)
        if devices % tp == 0.0 and heads_fit(made.model, made.engine, float(tp))
    ]
    widest = 1.0 if made.device.spatial else max(degrees, default=1.0)
    return with_degrees(made.deployment, widest, devices / widest)


def told(row: Mapping[str, float | str]) -> dict[str, float | str | None]:
    """Return a row of ``to_dict`` with None for results of a configuration that does not run."""
    if row["status"] == STATUS[0]:
        return dict(row)
    results = {column.name for column in METRICS} - set(KNOWN_WITHOUT_RUNNING)
    return {name: None if name in results else value for name, value in row.items()}


@with_parameters_of(Configuration)
def evaluate(model: str | ModelEntry, device: str | DeviceEntry, **options: object) -> Figures:
    """Return one configuration's axes and metrics, by column name.

    ``perfcore.evaluate("llama-3-70b", "h100-sxm", tp=8, batch=32)["tpot_s"]``

    Parameters
    ----------
    options
        Parameters of ``Configuration``.

    Raises
    ------
    InputError
        There are faults; all of them are listed.
    """
    return Figures(configured(model, device, options).to_dict())


def configured(
    model: str | ModelEntry, device: str | DeviceEntry, options: Mapping[str, object]
) -> Configuration:
    """Return a configuration, from parameters by name.

    Raises
    ------
    InputError
        There are faults, of which unknown names come first; all of them are listed.
    """
    known = (*list(AXIS_INPUTS)[2:], *PAIR_AXES, "devices", "overrides", *STACK)
    faults: list[str] = []
    for name in options:
        if name not in known:
            Place("evaluate", "", faults).unknown("option", name, known, meant_by(name, known))
    if faults:
        raise InputError(faults)
    return Configuration(model, device, **options)  # type: ignore[arg-type]  # it checks


def faults_of(name: str, given: object) -> list[str]:
    """Return the faults of one parameter of a ``Configuration``, checked on its own."""
    faults: list[str] = []
    if name == _WEIGHTS and given == NATIVE:
        return faults
    if name in KINDS:
        entry_of(name, given, faults)
    elif name in CHOICES:
        check_choice(name, given, faults)
    elif name in NUMBERS:
        number_of(name, given, faults)
    elif name in PAIR_AXES and PAIR_AXES[name].limits is None:
        entry_of(PAIR_AXES[name].entry, given, faults)
    elif name in PAIR_AXES:
        number_of(name, given, faults)
    elif name == "devices":
        device_count(given, faults)
    elif name in STACK:
        stated_input(name, given, faults)
    elif isinstance(given, Mapping):
        what_ifs_of(given, faults)
    else:
        faults.append(
            f"{name}: {show(given)} is not a table; "
            'write { "device.memory_bandwidth" = "4 TB/s" }'
        )
    return faults


def _check_overridden(made: Records, what_ifs: tuple[WhatIf, ...], entries: Entries) -> None:
    """Refuse scaled fields outside their bounds, and a device left without arithmetic."""
    faults = [
        f"overrides: {what_if.key}: scale {what_if.values[0]:g} makes it {value:g}; "
        f"it must be {what_if.limits}"
        for what_if in what_ifs
        for value in [getattr(getattr(made, what_if.record), what_if.field)]
        if not LIMITS[what_if.record][what_if.field].admits(value)
    ]
    faults += [
        f"overrides: {broken}; change both"
        for record in dict.fromkeys(what_if.record for what_if in what_ifs)
        for broken in broken_ties(record, getattr(made, record))
    ]
    if not peak_flops(made.device, made.weight_format.arithmetic):
        faults.append(
            f"{entries.device.name}: no arithmetic rate is left; set device.flops_fp16 above 0"
        )
    if faults:
        raise InputError(faults)
