"""Power and energy, from the board to the grid."""

from typing import NamedTuple

from perfcore.physics.attention import STATE_FLOPS
from perfcore.physics.fused import fma
from perfcore.physics.operators import computing_experts
from perfcore.physics.parallelism import Layout
from perfcore.physics.roofline import kernel_on, reached_flops
from perfcore.physics.weights import body_arithmetic, body_elements, body_kernel
from perfcore.records import (
    KERNEL_4,
    KERNEL_8_BLOCK,
    MATH_FP16,
    Device,
    Economics,
    Engine,
    Model,
    WeightFormat,
)

JOULES_PER_KWH = 3.6e6
WATTS_PER_MW = 1e6

TILE_ROWS = 16.0  # rows of a matrix instruction (mma m16, or n8 to n16 with operands swapped)
TILE_ROWS_4 = 64.0  # of kernels with scales per group of 4-bit elements
TILE_ROWS_8_BLOCK = 128.0  # of kernels with scales per block of 8-bit elements
ATTENTION_ROWS = 32.0  # query heads of a tile: 16 in FlashAttention 2, 64 in 3

# Under a power limit. Estimates: chips run near 0.7 V at up to two thirds of their highest clock,
# and the caches and links that feed the cores share their clock.
CLOCK_AT_LEAST_VOLTAGE = 0.6
CLOCK_AT_FULL_BANDWIDTH = 0.4  # lowest clock at which memory streams at its full rate
LEAST_ROOM = 0.02  # of the limit, above idle power: keeps times finite
HALVINGS = 50


class Watts(NamedTuple):
    """Power of one board in each of its states. [W]"""

    limit: float
    rated: float  # the limit at which the rates of the data sheet are reached
    idle: float
    floor: float  # while operators run, before bytes and FLOP
    memory: float  # more, while memory streams at its full rate
    compute: float  # more, while arithmetic runs at its peak rate
    network: float
    host: float


class Executed(NamedTuple):
    """Arithmetic as hardware executes it, in seconds at peak rates on the devices of a group.

    Matrix instructions have a fixed number of rows. Those without a token are executed, too.
    """

    body_s: float  # per row, all layers
    body_rows: float  # least rows of a product
    expert_s: float  # per row of one expert in every layer
    expert_rows: float
    experts_per_token: float  # that compute for it
    head_s: float  # per row
    state_s: float  # per token
    global_s: float  # decode attention, per token of context and sequence
    window_s: float
    index_s: float
    per_attention_flop: float  # 16 bit


def watts_of(device: Device, engine: Engine) -> Watts:
    """Power of a board in each of its states. [W]

    A byte takes 8 x energy per bit, a FLOP its energy in 16 bit; a narrower one takes less in
    proportion to its rate, so that arithmetic at any peak rate takes the same power. Leakage and
    clocks never take less than an idle board.
    """
    limit = min(device.board_power, device.rated_power)
    peak = reached_flops(device, engine, MATH_FP16)
    idle = device.idle_power
    joules_per_byte = 8.0 * engine.memory_energy_factor * device.energy_per_bit
    joules_per_flop = engine.compute_energy_factor * device.energy_per_flop
    return Watts(
        limit=limit,
        rated=device.rated_power,
        idle=idle,
        floor=max(engine.power_floor * device.rated_power, idle),
        memory=joules_per_byte * device.memory_bandwidth,
        compute=joules_per_flop * peak,
        network=min(max(engine.power_network * device.rated_power, idle), limit),
        host=min(max(engine.power_host * device.rated_power, idle), limit),
    )


def tile_rows(kernel: float) -> float:
    """Least rows of a matrix product of one of a format's kernels."""
    if kernel == KERNEL_8_BLOCK:
        return TILE_ROWS_8_BLOCK
    return TILE_ROWS_4 if kernel == KERNEL_4 else TILE_ROWS


def attention_rows(score_flops: float, kv_elements: float, tokens: float) -> float:
    """Rows that decode attention executes, relative to those that it needs.

    A read of an element of the cache feeds ``score_flops`` / (2 ``kv_elements``) query heads.
    """
    if score_flops == 0.0 or kv_elements == 0.0:
        return 1.0
    rows = score_flops * tokens / (2.0 * kv_elements)
    return max(ATTENTION_ROWS / rows, 1.0)


def executed(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    layout: Layout,
    tokens: float,
) -> Executed:
    """Arithmetic of ``model`` as executed; a decode step verifies ``tokens`` per sequence."""
    width = layout.width
    kernel = body_kernel(model, weight_format)
    arithmetic = body_arithmetic(model, weight_format)
    per_flop = 1.0 / (reached_flops(device, engine, arithmetic) * width)
    per_expert_flop = 1.0 / (reached_flops(device, engine, weight_format.arithmetic) * width)
    per_flop_16 = 1.0 / (reached_flops(device, engine, MATH_FP16) * width)
    global_rows = attention_rows(model.global_score_flops, model.global_read_elements, tokens)
    window_rows = attention_rows(model.window_score_flops, model.window_read_elements, tokens)
    return Executed(
        body_s=2.0 * body_elements(model) * per_flop,
        body_rows=tile_rows(kernel_on(device, kernel, arithmetic)),
        expert_s=2.0 * model.expert_elements * per_expert_flop,
        expert_rows=tile_rows(kernel_on(device, weight_format.kernel, weight_format.arithmetic)),
        experts_per_token=computing_experts(model, engine),
        head_s=2.0 * model.lm_head_elements * per_flop_16,
        state_s=STATE_FLOPS * model.state_elements * per_flop_16,
        global_s=model.global_score_flops * tokens * global_rows * per_flop_16,
        window_s=model.window_score_flops * tokens * window_rows * per_flop_16,
        index_s=model.index_score_flops * tokens * per_flop_16,
        per_attention_flop=per_flop_16,
    )


def linear_seconds(
    work: Executed,
    model: Model,
    tokens: float,
    logits: float,
    all_tokens: float,
    experts_read: float,
    per_groups: float,
) -> float:
    """Time of a pass's matrix products as executed, at peak rates. [s]

    Experts work on ``all_tokens`` of all groups, T k + U rows in all: each of U rounds its rows up.
    """
    seconds = work.body_s * max(tokens, work.body_rows)
    seconds = fma(work.head_s, max(logits, TILE_ROWS), seconds)
    if model.experts > 0.0:
        rows = fma(experts_read, work.expert_rows, all_tokens * work.experts_per_token)
        seconds = fma(work.expert_s * per_groups, rows, seconds)
    return seconds


def busy_energy(watts: Watts, busy_s: float, memory_s: float, compute_s: float) -> float:
    """Energy of a board that runs operators for ``busy_s`` at full clocks. [J]

    E = min(P_rated t, P_floor t + e_B D + e_F F): leakage and clocks, D bytes moved and F FLOP
    executed; both in seconds at peak rates, t_m = D / W and t_c = F / P.
    """
    energy = watts.floor * busy_s
    energy = fma(watts.memory, memory_s, energy)
    energy = fma(watts.compute, compute_s, energy)
    return min(watts.rated * busy_s, energy)


def slower_clock(
    watts: Watts, busy_s: float, busy_j: float, memory_s: float, streaming_s: float
) -> float:
    """Time of operators under the board's power limit, relative to that at full clocks.

    Clocks of cores fall to a share s, those of memory stay. Of the time, a share u streams from
    memory, which takes longer only below a clock s_m; the rest takes 1/s as long:
    t(s) = u max(1, s_m / s) + (1 - u) / s. Memory takes the same energy in a longer time; cores
    take power in proportion to f V^2, and V falls with f down to a least voltage at s_v: s^3
    above and s s_v^2 below. s is the highest clock at which idle, memory and core power are
    within the limit.
    """
    per_busy = 1.0 / busy_s
    power = busy_j * per_busy
    if power <= watts.limit:
        return 1.0
    memory_w = min(watts.memory * memory_s * per_busy, power)
    core_w = max(power - watts.idle - memory_w, 0.0)
    room = max(watts.limit - watts.idle, LEAST_ROOM * watts.limit)
    streaming = min(streaming_s * per_busy, 1.0)
    low = 0.0
    high = 1.0
    longer = 1.0
    for _ in range(HALVINGS):
        clock = 0.5 * (low + high)
        slowed = streaming * max(CLOCK_AT_FULL_BANDWIDTH / clock, 1.0)
        slowed += (1.0 - streaming) / clock
        voltage = max(clock, CLOCK_AT_LEAST_VOLTAGE)
        if memory_w / slowed + core_w * (clock * voltage * voltage) > room:
            high = clock
        else:
            low = clock
            longer = slowed
    return longer


class Demand(NamedTuple):
    """Operators that a power limit slows: what they draw at full clocks."""

    longer: float  # time under the limit, relative to that at full clocks
    power_w: float
    memory: float  # share of the time that their bytes take at the full rate of memory
    streaming: float  # share of the time that memory limits


def no_demand() -> Demand:
    """Demand of operators that no power limit slows."""
    return Demand(longer=1.0, power_w=0.0, memory=0.0, streaming=0.0)


def slower_together(
    watts: Watts, decode_s: float, decode: Demand, prompt_s: float, prompt: Demand, saved_s: float
) -> float:
    """Time of steps that carry prompts, ``decode_s`` long without them, under the limit. [s]

    Times given are those of either alone, under the limit. Together they save ``saved_s`` at full
    clocks, and draw more: the energy of both, less that of leakage and clocks in the time saved.
    Prompts stream what exceeds the bytes that the step streams anyway.
    """
    step_s = decode_s / decode.longer
    pass_s = prompt_s / prompt.longer
    both_s = step_s + max(pass_s - saved_s, 0.0)
    both_j = step_s * decode.power_w + pass_s * prompt.power_w
    both_j -= watts.floor * min(saved_s, pass_s)
    streamed_s = step_s * decode.streaming
    prompt_memory_s = pass_s * prompt.memory
    return both_s * slower_clock(
        watts,
        both_s,
        min(both_j, watts.rated * both_s),
        step_s * decode.memory + prompt_memory_s,
        max(streamed_s, prompt_memory_s),
    )


def idle_power(watts: Watts, active_share: float) -> float:
    """Contribution of a board's idle time to its mean power. [W]"""
    return max(1.0 - active_share, 0.0) * watts.idle  # rounding may take the share above 1


def waiting_energy(watts: Watts, network_s: float, host_s: float) -> float:
    """Energy of a board while it waits for links and for its host. [J]"""
    return fma(watts.network, network_s, watts.host * host_s)


def facility_factor(economics: Economics) -> float:
    """Joules from the grid per joule on the boards: hosts and fans, times PUE."""
    return (1.0 + economics.node_overhead) * economics.pue


def tokens_per_megawatt(output_len: float, request_j: float, economics: Economics) -> float:
    """Output tokens per second from a megawatt of the grid, of requests' joules on boards. [1/s]"""
    return output_len * (WATTS_PER_MW / (request_j * facility_factor(economics)))


def carbon_per_joule(economics: Economics) -> float:
    """Grams of CO2 equivalent per joule on the boards, including PUE. [g/J]

    Golden value: 2 J per token at PUE 1.2 and 380 g/kWh are 253.3 g per million tokens.
    """
    return facility_factor(economics) * economics.carbon_intensity / JOULES_PER_KWH
