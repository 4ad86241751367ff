"""Options of functions, typed as the parameters that they are.

Written by ``python docs/generate.py`` from ``Configuration``, ``Traffic`` and ``Rules``: change
those.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import (
    DeviceEntry,
    EconomicsEntry,
    KVFormatEntry,
    WeightFormatEntry,
)


class Compared(TypedDict, total=False):
    """Parameters of configurations, with the values to compare."""

    model: str | ModelEntry | Sequence[str | ModelEntry]
    device: str | DeviceEntry | Sequence[str | DeviceEntry]
    engine: str | EngineEntry | Sequence[str | EngineEntry]
    weight_format: str | WeightFormatEntry | Sequence[str | WeightFormatEntry]
    kv_format: str | KVFormatEntry | Sequence[str | KVFormatEntry]
    economics: str | EconomicsEntry | Sequence[str | EconomicsEntry]
    scheduler: str | Sequence[str]
    offload: str | Sequence[str]
    tp: int | str | Sequence[int | str | None] | None
    pp: int | str | Sequence[int | str | None] | None
    dp: int | str | Sequence[int | str]
    ep: int | str | Sequence[int | str]
    gpu_layers: int | str | Sequence[int | str]
    cpu_moe_layers: int | str | Sequence[int | str]
    prefix_hit: float | str | Sequence[float | str]
    draft_len: int | str | Sequence[int | str]
    acceptance: float | str | Sequence[float | str]
    acceptance_decay: float | str | Sequence[float | str]
    batch: int | str | Sequence[int | str]
    input_len: int | str | Sequence[int | str]
    output_len: int | str | Sequence[int | str]
    prefill_device: str | DeviceEntry | Sequence[str | DeviceEntry]
    prefill_engine: str | EngineEntry | Sequence[str | EngineEntry]
    prefill_tp: int | str | Sequence[int | str | None] | None
    prefill_pp: int | str | Sequence[int | str | None] | None
    prefill_dp: int | str | Sequence[int | str | None] | None
    prefill_ep: int | str | Sequence[int | str | None] | None
    prefill_ratio: float | str | Sequence[float | str | None] | None
    prefill_link: float | str | Sequence[float | str | None] | None
    expert_device: str | DeviceEntry | Sequence[str | DeviceEntry]
    expert_devices: int | str | Sequence[int | str | None] | None
    expert_parts: int | str | Sequence[int | str | None] | None
    expert_link: float | str | Sequence[float | str | None] | None
    draft_model: str | ModelEntry | Sequence[str | ModelEntry]
    draft_device: str | DeviceEntry | Sequence[str | DeviceEntry]
    draft_devices: int | str | Sequence[int | str | None] | None
    draft_link: float | str | Sequence[float | str | None] | None
    devices: int | str | Sequence[int | str]
    overrides: Mapping[str, object] | Sequence[Mapping[str, object]]
    engine_version: str | Sequence[str]
    backend: str | Sequence[str]
    eager: bool | str | Sequence[bool | str]
    runner: str | Sequence[str]
    prefill_chunk: float | str | Sequence[float | str | None] | None
    power_limit: float | str | Sequence[float | str | None] | None
    host: str | Sequence[str]


class Simulated(TypedDict, total=False):
    """Parameters of traffic, rules and a configuration."""

    rate: float | str
    clients: int | str
    trace: str
    requests: int | str
    duration: float | str
    input_len: int | str
    output_len: int | str
    cv: float | str
    daily: float | str
    turns: int | str
    think_time: float | str
    tool_share: float | str
    tool_time: float | str
    system_prompt: int | str
    prompts: int | str
    repeat: int | str
    speed: float | str
    seed: int | str
    admission: str | None
    order: str
    budget: int | None
    max_sequences: int | None
    chunked: bool
    block_tokens: int | None
    kv_tokens: int | None
    watermark: float
    prefix_cache: bool
    kv_tiers: str
    replicas: int
    routing: str
    at_once: bool
    engine: str | EngineEntry
    weight_format: str | WeightFormatEntry
    kv_format: str | KVFormatEntry
    economics: str | EconomicsEntry
    offload: str
    tp: int | str | None
    pp: int | str | None
    dp: int | str
    ep: int | str
    gpu_layers: int | str
    cpu_moe_layers: int | str
    devices: int | str
    expert_device: str | DeviceEntry
    expert_devices: int | str | None
    expert_parts: int | str | None
    expert_link: float | str | None
    draft_model: str | ModelEntry
    draft_device: str | DeviceEntry
    draft_devices: int | str | None
    draft_link: float | str | None
    prefix_hit: float | str
    draft_len: int | str
    acceptance: float | str
    acceptance_decay: float | str
    overrides: Mapping[str, object]
    engine_version: str
    backend: str
    eager: bool | str
    runner: str
    prefill_chunk: float | str | None
    power_limit: float | str | None
    host: str


class Sized(TypedDict, total=False):
    """Machines that ``perfcore.size`` chooses from."""

    device: str | DeviceEntry | Sequence[str | DeviceEntry | None] | None
    weight_format: str | WeightFormatEntry | Sequence[str | WeightFormatEntry | None] | None
    kv_format: str | KVFormatEntry | Sequence[str | KVFormatEntry | None] | None
    engine: str | EngineEntry | Sequence[str | EngineEntry | None] | None
    tp: int | str | Sequence[int | str | None] | None
    pp: int | str | Sequence[int | str | None] | None
    dp: int | str | Sequence[int | str | None] | None
    ep: int | str | Sequence[int | str | None] | None
    prefill_device: str | DeviceEntry | Sequence[str | DeviceEntry | None] | None
    prefill_engine: str | EngineEntry | Sequence[str | EngineEntry | None] | None
    prefill_tp: int | str | Sequence[int | str | None] | None
    prefill_pp: int | str | Sequence[int | str | None] | None
    prefill_dp: int | str | Sequence[int | str | None] | None
    prefill_ep: int | str | Sequence[int | str | None] | None
    draft_model: str | ModelEntry | Sequence[str | ModelEntry | None] | None
    draft_device: str | DeviceEntry | Sequence[str | DeviceEntry | None] | None
    expert_device: str | DeviceEntry | Sequence[str | DeviceEntry | None] | None
    draft_devices: int | str | Sequence[int | str | None] | None
    expert_devices: int | str | Sequence[int | str | None] | None
    expert_parts: int | str | Sequence[int | str | None] | None
    economics: str | EconomicsEntry
    offload: str
    draft_len: int | str
    acceptance: float | str
    acceptance_decay: float | str
    power_limit: float | str | None
    overrides: Mapping[str, object]
    prefill_link: float | str | None
    draft_link: float | str | None
    expert_link: float | str | None
    disaggregate: bool
