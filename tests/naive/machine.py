"""Operators and exchanges on devices, in seconds."""

import functools
import math
from collections import defaultdict
from typing import NamedTuple


@functools.cache
def distinct_experts(experts, per_token, tokens):
    """Return the expected number of experts that at least one token chose."""
    untouched = 1.0 - per_token / experts
    if tokens == int(tokens) and tokens <= 4096:
        product = 1.0
        for _ in range(int(tokens)):
            product *= untouched
    else:
        product = untouched**tokens
    return experts * (1.0 - product)


WEIGHT_ONLY = {1.0: 3.0, 2.0: 3.0, 6.0: 4.0}
KERNEL_NAMES = {
    0.0: "16",
    1.0: "8",
    2.0: "8_block",
    3.0: "8_weight_only",
    4.0: "4_weight_only",
    5.0: "gguf",
    6.0: "4",
}
MATH_NAMES = {0.0: "flops_fp32", 1.0: "flops_fp16", 2.0: "flops_fp8", 3.0: "flops_int8"}
MATH_NAMES[4.0] = "flops_fp4"


class Kernel(NamedTuple):
    bits: float
    flops: float  # data-sheet rate, of sums in fp16 if the engine makes these
    compute_efficiency: float
    memory_efficiency: float
    launch: float
    launch_experts: float  # of a MoE layer whose routed experts run this kernel
    tile: float  # rows that one matrix instruction multiplies


def kernel_of(bits, kernel, arithmetic, device, engine):
    """Return how matrices of a format run on a device."""
    used = MATH_NAMES[arithmetic]
    if not getattr(device, used):
        used = "flops_fp16" if device.flops_fp16 else "flops_fp32"
        kernel = WEIGHT_ONLY.get(kernel, kernel)
    flops = getattr(device, used)
    if used == "flops_fp16" and flops and engine.narrow_accumulation:
        flops = max(flops, device.flops_fp16_narrow)
    name = KERNEL_NAMES[kernel]
    launches = {"8": engine.launch_fp8, "4": engine.launch_fp8, "8_block": engine.launch_fp8_block}
    layer = engine.launch_experts_block if name == "8_block" else engine.launch_experts
    return Kernel(
        bits,
        flops,
        getattr(engine, f"compute_efficiency_{name}"),
        getattr(engine, f"memory_efficiency_{name}"),
        launches.get(name, engine.launch),
        layer,
        {"8_block": 128.0, "4": 64.0}.get(name, 16.0),
    )


class Sum:
    """Operators added up one by one: seconds by cause."""

    def __init__(self, residue, device):
        self.residue, self.device = residue, device
        self.parts = defaultdict(float)
        self.total = 0.0
        self.arithmetic = 0.0  # seconds that FLOP alone would take

    def operator(self, reads, arithmetic):
        """Add one operator.

        ``reads`` has (cause, bytes, efficiency), ``arithmetic`` has (FLOP, rate, efficiency).
        """
        compute = sum(flop / (rate * efficiency) for flop, rate, efficiency in arithmetic if flop)
        causes = defaultdict(float)
        for cause, size, efficiency in reads:
            causes[cause] += size / (efficiency * self.device.memory_bandwidth)
        memory = sum(causes.values())
        slower, faster = max(compute, memory), min(compute, memory)
        time = math.sqrt(slower**2 + self.residue * faster**2)
        self.total += time
        self.arithmetic += compute
        if not time:
            return
        memory_weight = 1.0 if memory >= compute else self.residue
        compute_weight = self.residue if memory >= compute else 1.0
        self.parts["compute"] += compute_weight * compute / time * compute
        for cause, seconds in causes.items():
            self.parts[cause] += memory_weight * memory / time * seconds

    def wait(self, cause, seconds):
        self.total += seconds
        self.parts[cause] += seconds

    def add(self, other, factor):
        """Add another sum, ``factor`` times."""
        self.total += factor * other.total
        self.arithmetic += factor * other.arithmetic
        for cause, seconds in other.parts.items():
            self.parts[cause] += factor * seconds


def all_reduce(n, size, device, engine):
    """Return start-up and transfer seconds of one all-reduce."""
    if n <= 1:
        return 0.0, 0.0
    domain = device.scale_up_domain
    inside = min(n, domain)
    start = transfer = 0.0
    if inside > 1:
        one_shot = (
            engine.one_shot_latency + max(inside - 2, 0) * engine.one_shot_hop,
            (inside - 1) * size / (engine.one_shot_efficiency * device.link_bandwidth),
        )
        two_shot = (
            engine.two_shot_latency,
            2 * (inside - 1) / inside * size / (engine.two_shot_efficiency * device.link_bandwidth),
        )
        start, transfer = min(one_shot, two_shot, key=sum)
    if n > domain:
        m = n / domain
        start += 2 * math.log2(m) * engine.network_latency
        transfer += (
            2 * (m - 1) / m * size / domain / (engine.network_efficiency * device.network_bandwidth)
        )
    return start, transfer


def to_experts_and_back(
    ranks, per_token, tokens_of_device, hidden_size, device, engine, devices_of_rank=1.0
):
    """Return start-up and transfer seconds of one layer's dispatch and combine.

    A device sends its tokens to every other rank, in one of two ways, and takes them back.
    """
    near = max(device.scale_up_domain // devices_of_rank, 1)  # ranks, the own one among them
    ways = []
    for latency, efficiency, once in (
        (engine.dispatch_latency, engine.dispatch_efficiency, False),
        (engine.bulk_dispatch_latency, engine.bulk_dispatch_efficiency, True),
    ):
        link = 0.0
        for rank in range(1, int(ranks)):  # the device's own rank is 0
            if rank < near:
                link += copies_to_a_rank(ranks, per_token, once=once)
        size = link * tokens_of_device * hidden_size * (1.03 + 2.0)
        ways.append((2 * latency, size / (efficiency * device.link_bandwidth)))
    start, transfer = min(ways, key=sum)
    beyond = sum(
        copies_to_a_rank(ranks, per_token, once=True)
        for rank in range(1, int(ranks))
        if rank >= near
    )
    if beyond:
        size = beyond * tokens_of_device * hidden_size * (1.03 + 2.0)
        start += 2 * engine.network_latency
        transfer += size / (engine.network_efficiency * device.network_bandwidth)
    return start, transfer


def copies_to_a_rank(ranks, per_token, *, once):
    """Return how often a token is sent to one rank: for each expert there, or at most once."""
    return 1 - (1 - 1 / ranks) ** per_token if once else per_token / ranks
