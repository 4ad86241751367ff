"""Free constants of a fit, and the widths of their priors.

The width of a prior is the spread of the constant between devices, libraries or releases, where it
can be measured in isolation: 5-10 % for the efficiencies of matrix products in isolated kernels,
15 % for their start-up, 30-50 % for operators that no kernel table covers (element-wise operators,
fused experts), a factor of e for host times.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.fit import Parameter
from perfcore.accuracy.prediction import Question
from perfcore.accuracy.protocols import weight_of
from perfcore.records import Engine

LAUNCHES: Final = tuple(name for name in Engine._fields if name.startswith("launch"))
MEMORY: Final = tuple(
    name
    for name in Engine._fields
    if name.startswith("memory_efficiency") and name != "memory_efficiency_experts"
)
COMPUTE: Final = tuple(
    name
    for name in Engine._fields
    if name.startswith("compute_efficiency") and not name.startswith("compute_efficiency_experts")
)
KV: Final = ("kv_efficiency", "kv_efficiency_quantised")
PREFILL: Final = ("attention_prefill_efficiency", "attention_prefill_memory_efficiency")
ALL_REDUCE: Final = ("one_shot_latency", "one_shot_hop", "two_shot_latency")
EXPERTS: Final = ("launch_experts", "launch_experts_block")
POWER: Final = tuple(
    name for name in Engine._fields if name.startswith("power_") or name.endswith("energy_factor")
)
HBM: Final = tuple(
    f"datacentre-gpu-{name}" for name in ("ampere", "hopper", "older", "blackwell", "amd")
)

_SHARED: Final = {
    "launch": 0.15,
    "launch_fp8": 0.25,
    "launch_fp8_block": 0.25,
    "launch_attention": 0.15,
    "launch_experts": 0.5,
    "launch_experts_block": 0.5,
    "launch_elementwise": 0.5,
    "memory_efficiency_16": 0.05,
    "memory_efficiency_8": 0.05,
    "memory_efficiency_8_block": 0.1,
    "memory_efficiency_8_weight_only": 0.25,
    "memory_efficiency_4_weight_only": 0.25,
    "memory_efficiency_gguf": 0.25,
    "memory_efficiency_experts": 0.1,
    "compute_efficiency_16": 0.1,
    "compute_efficiency_8": 0.1,
    "compute_efficiency_8_block": 0.15,
    "compute_efficiency_8_weight_only": 0.4,
    "compute_efficiency_4_weight_only": 0.4,
    "compute_efficiency_gguf": 0.4,
    "compute_efficiency_experts": 0.3,
    "kv_efficiency": 0.1,
    "kv_efficiency_quantised": 0.2,
    "attention_prefill_efficiency": 0.2,
    "attention_prefill_memory_efficiency": 0.3,
    "power_floor": 0.3,
    "power_network": 0.4,
    "power_host": 0.3,
    "memory_energy_factor": 0.3,
    "compute_energy_factor": 0.5,
}
# Engines that call the device vendor's kernels differ less than engines with their own kernels;
# releases of 2024 called them less.
_KINSHIP: Final = {
    "vllm": 0.3,
    "trtllm": 0.3,
    "sglang": 0.3,
    "vllm-2024": 0.6,
    "trtllm-2024": 0.6,
    "llamacpp-2024": 1.0,
    "neuronx": 1.0,
    "autoawq": 1.0,
    "gpt-fast": 1.0,
    "mlc": 1.0,
    "exllamav2": 1.0,
}
_SERVERS: Final = ("vllm", "trtllm", "sglang")
_WITH_EXPERTS: Final = (*_SERVERS, "vllm-2024", "trtllm-2024")
_LATENCY_UNDER_LOAD: Final = 0.3  # weight: its heavy tail distorts the constants of kernels
_ENERGY: Final = 0.5  # weight: the product of power and time, which are fitted already
# Largest factors, up and down, where 5 is too few: host times range from graphs in C++ to a server
# in Python; the penalty of the kernel tables is 0.03, that of heads that are copied is below 1.
_HOST: Final = 10.0
_GROUPING: Final = 30.0


def joint() -> tuple[Parameter, ...]:
    """Return the parameters of the shipped calibration: shared ones, and each engine's own."""
    return (
        *(Parameter(name, (name,), width) for name, width in _SHARED.items()),
        Parameter("pcie all-reduce", ALL_REDUCE, 0.5, places=("pcie",)),
        Parameter("ampere launch", LAUNCHES, 0.15, places=("datacentre-gpu-ampere",)),
        Parameter("ampere memory", MEMORY, 0.05, places=("datacentre-gpu-ampere",)),
        Parameter("ampere kv", KV, 0.1, places=("datacentre-gpu-ampere",)),
        *(parameter for engine in _KINSHIP for parameter in _own(engine, _KINSHIP[engine])),
        *_singular(),
    )


def single(engine: str, device_class: str) -> tuple[Parameter, ...]:
    """Return the parameters of a fit of one engine on one class of device."""
    own = (*_own(engine, 1.0), *_precisions(engine))
    power = (Parameter(name, (name,), _SHARED[name], (engine,)) for name in POWER)
    return tuple(parameter._replace(places=(device_class,)) for parameter in (*own, *power))


def weigh(question: Question) -> float:
    """Return the weight of a row in a fit."""
    row = question.measurement
    weight = weight_of(row)
    if row.metric == "ttft_s" and row.mode == "closed_loop":
        return weight * _LATENCY_UNDER_LOAD
    return weight * _ENERGY if row.metric == "energy_j_per_output_token" else weight


def _own(engine: str, kinship: float) -> Iterator[Parameter]:
    one = (engine,)
    yield Parameter(f"{engine} launch", LAUNCHES, 0.3 * kinship, one)
    yield Parameter(f"{engine} memory", MEMORY, 0.1 * kinship, one)
    yield Parameter(f"{engine} compute", COMPUTE, 0.4 * kinship, one)
    yield Parameter(f"{engine} kv", KV, 0.25 * kinship, one)
    yield Parameter(f"{engine} prefill", PREFILL, 0.6 * kinship if kinship < 1.0 else 1.2, one)
    yield Parameter(f"{engine} grouping", ("kv_group_penalty",), 1.0, one, most=_GROUPING)
    yield Parameter(f"{engine} all-reduce", ALL_REDUCE, 0.5 * kinship, one)
    for name, width in (
        ("host_per_step", 1.0),
        ("host_per_sequence", 1.0),
        ("host_per_device", 1.5),
    ):
        yield Parameter(f"{engine} {name}", (name,), width, one, most=_HOST)
    if engine not in _SERVERS:  # tables have means, which contain cold requests and queues
        yield Parameter(f"{engine} host_per_prefill", ("host_per_prefill",), 0.7, one)
    if engine in _WITH_EXPERTS or kinship == 1.0:
        yield Parameter(f"{engine} experts", EXPERTS, 0.2, one)
    if engine in _SERVERS or engine not in _KINSHIP:
        yield Parameter(f"{engine} interference", ("interference",), 0.3, one)
        yield Parameter(f"{engine} queue_weight", ("queue_weight",), 1.0, one)


def _precisions(engine: str) -> Iterator[Parameter]:
    """Yield efficiencies per precision, which the data of one engine can distinguish."""
    for name in (*MEMORY, *COMPUTE):
        yield Parameter(f"{engine} {name}", (name,), _SHARED.get(name, 0.2), (engine,))


def _singular() -> Iterator[Parameter]:
    """Yield parameters that only one engine or load has."""
    for engine in ("trtllm", "trtllm-2024"):  # fp8 with static scales
        yield Parameter(f"{engine} fp8 launch", ("launch_fp8",), 0.4, (engine,))
        yield Parameter(f"{engine} fp8 memory", ("memory_efficiency_8",), 0.08, (engine,))
        yield Parameter(f"{engine} fp8 compute", ("compute_efficiency_8",), 0.15, (engine,))
    for name in ("server_per_step", "server_per_device", "server_per_sequence"):
        yield Parameter(f"vllm-2024 {name}", (name,), 1.0, ("vllm-2024",))
    yield Parameter("llamacpp-2024 hbm", MEMORY, 0.3, ("llamacpp-2024",), HBM)
    yield Parameter("autoawq cpu memory", MEMORY, 0.3, ("autoawq",), ("cpu",))
    yield Parameter("autoawq cpu compute", COMPUTE, 0.5, ("autoawq",), ("cpu",))
    yield Parameter("trtllm memory_fraction", ("memory_fraction",), 0.05, ("trtllm",))
