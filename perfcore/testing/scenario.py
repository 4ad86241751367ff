"""A complete configuration, its variations, and the physical bound of its engine."""

from typing import Final, NamedTuple

from perfcore.physics.stages.point import Point, evaluate
from perfcore.records import (
    Deployment,
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    WeightFormat,
)

LATENCIES: Final = (
    "launch",
    "launch_fp8",
    "launch_fp8_block",
    "launch_attention",
    "launch_experts",
    "launch_experts_block",
    "launch_elementwise",
    "one_shot_latency",
    "one_shot_hop",
    "two_shot_latency",
    "network_latency",
    "dispatch_latency",
    "bulk_dispatch_latency",
    "hop_latency",
    "cpu_hand_over",
    "host_per_step",
    "host_per_sequence",
    "host_per_device",
    "host_per_prefill",
    "sampling_per_sequence",
    "server_per_step",
    "server_per_device",
    "server_per_sequence",
)
COMPUTE_RATES: Final = (
    "flops_fp32",
    "flops_fp16",
    "flops_fp16_narrow",
    "flops_fp8",
    "flops_int8",
    "flops_fp4",
)
LINK_RATES: Final = ("link_bandwidth", "network_bandwidth")


class Scenario(NamedTuple):
    """A complete configuration, in the order of the parameters of ``stages.point.evaluate``."""

    model: Model
    device: Device
    engine: Engine
    weight_format: WeightFormat
    kv_format: KVFormat
    deployment: Deployment
    economics: Economics
    input_len: float
    output_len: float

    def evaluate(self) -> Point:
        """Return all metrics."""
        return evaluate(*self)

    def with_device(self, **fields: float) -> "Scenario":
        """Return the scenario with other fields of the device."""
        return self._replace(device=self.device._replace(**fields))

    def with_engine(self, **fields: float) -> "Scenario":
        """Return the scenario with other constants of the engine."""
        return self._replace(engine=self.engine._replace(**fields))

    def with_deployment(self, **fields: float) -> "Scenario":
        """Return the scenario with other fields of the deployment."""
        return self._replace(deployment=self.deployment._replace(**fields))

    def with_economics(self, **fields: float) -> "Scenario":
        """Return the scenario with other fields of the economics."""
        return self._replace(economics=self.economics._replace(**fields))

    def with_rates(self, factor: float, *names: str) -> "Scenario":
        """Return the scenario with the named rates of the device multiplied by ``factor``."""
        return self.with_device(**{name: factor * getattr(self.device, name) for name in names})

    def with_second_tier(self, factor: float) -> "Scenario":
        """Return the scenario with the rates of the second memory tier and the host multiplied."""
        return self.with_rates(factor, "memory2_bandwidth", "host_memory_bandwidth", "host_flops")

    def with_latencies(self, factor: float) -> "Scenario":
        """Return the scenario with every fixed latency multiplied."""
        engine = {name: factor * getattr(self.engine, name) for name in LATENCIES}
        layer = factor * self.device.layer_latency
        return self.with_engine(**engine).with_device(layer_latency=layer)


def ideal_engine(engine: Engine) -> Engine:
    """Return the physical bound of an engine: perfect efficiencies, no latencies, full overlap.

    Requests do not delay each other's decode steps or queue, and expert loads are even. Constants
    of memory, power and the scheduler stay, and so does the draft, which takes memory.
    """
    changes = dict.fromkeys(LATENCIES, 0.0)
    changes |= {name: 1.0 for name in Engine._fields if "efficiency" in name}
    changes |= dict.fromkeys(
        (
            "residue",
            "kv_group_penalty",
            "expert_half_width",
            "expert_half_width_4_weight_only",
            "dense_experts",
            "spatial_latency",
            "expert_imbalance",
            "interference",
            "queue_weight",
            "random_arrivals",
            "cpu_stream_tokens",
        ),
        0.0,
    )
    changes |= {name: 1.0 for name in Engine._fields if name.startswith(("low_", "high_"))}
    changes |= {
        "narrow_accumulation": 1.0,
        "prefill_chunk": 1e9,
        "pipeline_chunk": 1.0,
        "prefill_overlap": 65_536.0,
    }
    return engine._replace(**changes)
