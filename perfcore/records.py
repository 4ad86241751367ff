"""The records that physics works on: immutable, flat, every field a float, every unit SI.

A record is what is left of a catalogue entry once names, sources and human units are taken off.
All fields are ``float`` (also counts and codes), so that a record is one homogeneous tuple for
Numba, a row of a float64 table for the kernel, and plain Python for everybody else.
Units: seconds, bytes, FLOP, bytes/s, FLOP/s, watts, US dollars; "elements" are tensor elements
whose width a format decides.
"""

from typing import NamedTuple


class Model(NamedTuple):
    """A transformer reduced to what time, memory and energy depend on. [elements unless stated]

    Linear operators are grouped into classes. Of each class the record has the weight elements
    of all layers together (``*_elements``), the activation elements that one token moves in and
    out of them (``*_io_elements``), and how many operators there are (``*_operators``).
    Built from an architecture by ``perfcore.catalog.model_record``.
    """

    layers: float
    hidden_size: float
    heads: float  # query heads of an attention layer; 0 if the model has none
    kv_heads: float  # heads over which a layer's KV cache can be split; 1 for a latent cache
    max_context: float  # tokens

    attention_in_elements: float  # q, k, v projections, or the input projections of a state layer
    attention_in_io_elements: float
    attention_in_operators: float
    attention_out_elements: float
    attention_out_io_elements: float
    attention_out_operators: float
    ffn_in_elements: float  # dense gate and up projections
    ffn_in_io_elements: float
    ffn_in_operators: float
    ffn_out_elements: float
    ffn_out_io_elements: float
    ffn_out_operators: float
    shared_elements: float  # shared experts (always active), both projections
    shared_io_elements: float
    shared_operators: float
    expert_elements: float  # one routed expert in every MoE layer
    expert_io_elements: float  # of one token, all its routed experts and MoE layers
    moe_layers: float
    experts: float  # routed experts a layer; 0 for a dense model
    experts_per_token: float
    lm_head_elements: float
    embedding_elements: float  # resident but only looked up; 0 if tied to lm_head
    other_elements: float  # norms, biases, routers: 16-bit, read every step

    global_layers: float  # attention layers that see the whole context
    window_layers: float  # attention layers that see at most `window` tokens
    state_layers: float  # linear-attention and state-space layers
    window: float  # tokens; 0 if there are no window layers
    window_chunked: float  # 1 if the window restarts every `window` tokens, 0 if it slides
    global_kv_elements: float  # KV-cache elements per token of context, all global layers
    window_kv_elements: float  # the same of the window layers, of which `window` tokens are kept
    latent_cache: float  # 1 if the KV cache is a latent shared by all heads (MLA)
    attention_io_elements: float  # q in and o out, per new token, all attention layers
    global_score_flops: float  # decode FLOP per (new token, context token), all global layers
    window_score_flops: float  # the same for the window layers
    global_prefill_score_flops: float  # prefill FLOP per (query, key) pair, all global layers
    index_topk: float  # tokens that a sparse-attention indexer keeps; 0 if there is none
    index_elements: float  # indexer keys per token of context (held at 1 byte), all layers
    index_score_flops: float  # indexer FLOP per (new token, context token), all layers
    state_elements: float  # recurrent state per sequence (held at 4 bytes), all layers
    all_reduces: float  # tensor-parallel all-reduces of one pass through the model
    experts_only: float  # 1 if 4-bit checkpoints of this model quantise only the routed experts


class Device(NamedTuple):
    """One schedulable accelerator, card or socket: its data sheet."""

    memory_bytes: float
    memory_bandwidth: float  # bytes/s
    flops_fp32: float  # dense FLOP/s; 0 where there is no such path
    flops_fp16: float  # fp16 or bf16, fp32 accumulation
    flops_fp16_narrow: float  # fp16 with fp16 accumulation; 0 where it is not faster
    flops_fp8: float
    flops_int8: float
    flops_fp4: float
    board_power: float  # W, the limit (TDP)
    idle_power: float  # W
    link_bandwidth: float  # bytes/s, one direction, to the other devices of the scale-up domain
    scale_up_domain: float  # devices that the link joins
    network_bandwidth: float  # bytes/s per device, one direction, beyond the domain
    price_per_hour: float  # USD, on demand
    spot_price_per_hour: float  # USD
    purchase_price: float  # USD, of the device alone
    memory2_bytes: float  # a second tier of its own (LPDDR, MemoryX); 0 if there is none
    memory2_bandwidth: float  # bytes/s at which the device reads it; 0 if nobody says
    spatial: float  # 1 if weights stay in on-chip SRAM and layers are spread over the devices
    layer_latency: float  # s, fixed time of one layer on a spatial device


class WeightFormat(NamedTuple):
    """How weights are stored, and which arithmetic they are multiplied with."""

    bits: float  # per weight of the quantised matrices, scales and zero points included
    embedding_bits: float  # per weight of the embedding and lm_head
    activation_bytes: float  # per activation element between operators
    kernel: float  # one of the KERNEL_* codes
    arithmetic: float  # one of the MATH_* codes
    experts_only: float  # 1 if MoE checkpoints in this format leave the other matrices wider
    body_bits: float  # per weight of those other matrices


class KVFormat(NamedTuple):
    """How the KV cache is stored."""

    bits: float  # per element, scales included
    kernel: float  # 0 for a 16-bit cache, 1 for a quantised one


class Engine(NamedTuple):
    """The constants of an inference engine on a class of devices.

    Efficiencies are shares of the data-sheet rate in (0, 1]; latencies are in seconds.
    """

    residue: float  # how much of the hidden resource's time still shows (squared); 0: none, max()
    launch: float  # start-up of one linear operator
    launch_fp8: float
    launch_fp8_block: float  # with scales per block of weights
    launch_attention: float
    launch_experts: float  # of one MoE layer: routing, both products and the sum
    launch_experts_block: float  # the same in fp8 with scales per block
    launch_elementwise: float
    memory_efficiency_16: float
    memory_efficiency_8: float
    memory_efficiency_8_block: float
    memory_efficiency_8_weight_only: float
    memory_efficiency_4_weight_only: float
    memory_efficiency_gguf: float
    memory_efficiency_4: float
    memory_efficiency_experts: float  # relative to that of the weights' kernel
    compute_efficiency_16: float
    compute_efficiency_8: float
    compute_efficiency_8_block: float
    compute_efficiency_8_weight_only: float
    compute_efficiency_4_weight_only: float
    compute_efficiency_gguf: float
    compute_efficiency_4: float
    compute_efficiency_experts: float  # relative to that of the weights' kernel
    kv_efficiency: float  # share of memory bandwidth when attention reads a 16-bit KV cache
    kv_efficiency_quantised: float
    kv_group_penalty: float  # loss per further query head that shares a KV head
    narrow_accumulation: float  # 1 if products of fp16 are summed in fp16 where that is faster
    attention_prefill_efficiency: float  # share of peak FLOP/s, causal FLOP counted
    attention_prefill_memory_efficiency: float  # of memory bandwidth, on q, K, V and o
    attention_decode_efficiency: float
    one_shot_latency: float  # all-reduce in one exchange: fixed part
    one_shot_hop: float  # and per further device
    one_shot_efficiency: float
    two_shot_latency: float  # all-reduce as reduce-scatter and all-gather
    two_shot_efficiency: float
    network_latency: float  # per exchange beyond the scale-up domain
    network_efficiency: float
    dispatch_latency: float  # tokens to their experts' devices and back, few tokens: fixed part
    dispatch_efficiency: float  # share of link bandwidth
    bulk_dispatch_latency: float  # the same for many tokens, each sent once to a device
    bulk_dispatch_efficiency: float
    expert_imbalance: float  # 1 if the device with most tokens is waited for, 0 for the bound
    hop_latency: float  # s, hand-over of one token's activations to the next pipeline stage
    spatial_latency: float  # share of a spatial device's layer latency that shows; 0: the bound
    host_per_step: float
    host_per_sequence: float
    host_per_device: float  # and step, of each further device of a group that it drives
    host_per_prefill: float
    sampling_per_sequence: float  # device time of choosing the next token
    server_per_step: float  # further host time where requests come through a server
    server_per_sequence: float
    interference: float  # share of other requests' prefill that delays a decode step
    queue_weight: float  # share of the requests in flight that a new prompt finds in front of it
    random_arrivals: float  # 1 if requests queue as they come, 0 for the bound
    length_spread: float  # 1 + cv^2 of the output lengths: long requests are in flight longer
    routing_independence: float  # of a further token's experts; 0: as those of the first token
    prefill_chunk: float  # tokens of prompts in one pass
    pipeline_chunk: float  # tokens of a prompt that pass the pipeline stages together
    prefill_overlap: float  # such chunks that can be in different stages at once
    prefill_pool_load: float  # share of time that a disaggregated prefill pool works
    block_tokens: float  # tokens of a KV-cache block, of which half the last one is wasted
    max_sequences: float  # that the scheduler runs at once
    pads_heads: float  # 1 if heads that tp does not divide are padded instead of refused
    draft_layers: float  # layers of a speculative draft head, of the model's own kind
    host_memory_bytes: float  # of the host, per device, as a second tier if it has no own
    host_memory_bandwidth: float  # bytes/s at which a device reads it
    memory_fraction: float  # of device memory that the engine may use
    memory_reserve: float  # bytes kept for activations, graphs and buffers
    power_floor: float  # of board power, device busy with nothing
    power_memory: float  # of board power, per share of memory bandwidth used
    power_attention: float  # of board power, per share of that time spent on the KV cache
    power_compute: float  # of board power, per square root of the share of peak FLOP/s used
    power_network: float  # of board power, while devices exchange data
    power_host: float  # of board power, while the device waits for the host
    # 80 % intervals: factors on a prediction, from residuals of rows that were left out of the fit
    low_tpot_single: float  # a static batch on one device
    high_tpot_single: float
    low_tpot_parallel: float  # a static batch on several
    high_tpot_parallel: float
    low_tpot_served: float
    high_tpot_served: float
    low_ttft_static: float
    high_ttft_static: float
    low_ttft_served: float
    high_ttft_served: float
    low_energy: float
    high_energy: float
    low_power: float
    high_power: float


class Deployment(NamedTuple):
    """How one replica of a model is set up: devices, schedule, speculation."""

    tp: float  # tensor parallel: every matrix is split
    pp: float  # pipeline parallel: layers are split
    dp: float  # data-parallel attention: sequences are split; devices = tp pp dp
    ep: float  # expert parallel: of a stage's tp dp devices, so many hold different experts
    batch: float  # sequences that start together, or requests that are kept in flight
    scheduler: float  # one of the SCHEDULER_* codes
    prefix_hit: float  # share of the prompt that is in the cache already
    draft_len: float  # tokens that are drafted and then verified in one step; 0: no speculation
    acceptance: float  # probability that a drafted token is accepted
    offload: float  # one of the OFFLOAD_* codes


class Economics(NamedTuple):
    """Facility and money."""

    utilization: float  # share of paid hours in which the replica does this work
    purchase: float  # one of the PURCHASE_* codes
    price_multiplier: float  # on the device's price: negotiated or reserved
    interest: float  # a year, on owned devices
    lifetime: float  # s, over which owned devices are paid off
    server_factor: float  # price of a device with its share of server and network / its own price
    operations: float  # a year, staff and space, as a share of the purchase price
    electricity_price: float  # USD/kWh
    token_price: float  # USD per million output tokens, at which utilisation breaks even
    pue: float  # facility power / IT power
    node_overhead: float  # power of hosts, NICs and fans relative to the boards
    carbon_intensity: float  # g CO2e per kWh


# Codes, floats like everything else in a record.
KERNEL_16 = 0.0
KERNEL_8 = 1.0
KERNEL_8_BLOCK = 2.0
KERNEL_8_WEIGHT_ONLY = 3.0
KERNEL_4_WEIGHT_ONLY = 4.0
KERNEL_GGUF = 5.0
KERNEL_4 = 6.0

MATH_FP32 = 0.0
MATH_FP16 = 1.0
MATH_FP8 = 2.0
MATH_INT8 = 3.0
MATH_FP4 = 4.0

SCHEDULER_STATIC = 0.0
SCHEDULER_CONTINUOUS = 1.0
SCHEDULER_DISAGGREGATED = 2.0

OFFLOAD_NONE = 0.0
OFFLOAD_WEIGHTS = 1.0
OFFLOAD_KV = 2.0

PURCHASE_ON_DEMAND = 0.0
PURCHASE_SPOT = 1.0
PURCHASE_OWNED = 2.0
