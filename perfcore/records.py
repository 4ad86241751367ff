"""The records that physics works on: immutable, flat, every field a float, every unit SI.

A record is a catalogue entry without names, sources and human units. All fields are ``float``
(counts and codes, too), so that a record is a homogeneous tuple for Numba, a row of a float64 table
for the kernel, and plain Python everywhere else.
Units: seconds, bytes, FLOP, bytes/s, FLOP/s, watts, US dollars; "elements" are tensor elements
whose width depends on the format.

Each field is declared only here: its limits (with its dimension and thus its unit), its meaning
and, if needed, a label, a default, former names, and the words that sources use for it.
``perfcore.inputs`` reads these declarations; code that asks for, checks or shows an input uses
``perfcore.inputs``.
"""

from typing import Annotated, NamedTuple

from perfcore.limits import (
    AT_LEAST_ONE,
    BANDWIDTH,
    BITS,
    COMPUTE,
    COUNT,
    DEGREE,
    EFFICIENCY,
    ENERGY_PER_BIT,
    ENERGY_PER_FLOP,
    FLAG,
    HEADS,
    LATENCY,
    LAYERS,
    LOWER,
    MEMORY,
    MONEY,
    PER_TOKEN,
    POSITIVE,
    POWER,
    PRICE,
    RESERVE,
    SHARE,
    TOKEN_PRICE,
    TOKENS,
    UPPER,
    Absent,
    Cited,
    Former,
    Label,
    Limits,
    one_of,
)

UNMEASURED = -1.0  # perplexity increase of a format without a measurement


class Model(NamedTuple):
    """A transformer reduced to what time, memory and energy depend on. [elements unless stated]

    Linear operators are grouped into classes. For each class, the record has the weight elements
    summed over all layers (``*_elements``), the activation elements that one token moves in and
    out of these operators (``*_io_elements``), and the number of operators (``*_operators``).
    Built from an architecture by ``perfcore.catalog.model_record``.
    """

    layers: Annotated[float, LAYERS._replace(low=1), "layers"]
    hidden_size: Annotated[float, AT_LEAST_ONE, "hidden size"]
    heads: Annotated[float, HEADS, "query heads of an attention layer; 0 if the model has none"]
    kv_heads: Annotated[
        float,
        HEADS._replace(low=1),
        "heads over which a layer's KV cache can be split; 1 for a latent cache",
    ]
    max_context: Annotated[float, AT_LEAST_ONE, "longest context [tokens]"]

    attention_in_elements: Annotated[
        float,
        COUNT,
        "weights of the q, k and v projections, or of a state layer's input projections",
    ]
    attention_in_io_elements: Annotated[
        float, PER_TOKEN, "activations in and out of the input projections, per token"
    ]
    attention_in_operators: Annotated[float, LAYERS, "number of input projections, all layers"]
    attention_out_elements: Annotated[
        float, COUNT, "weights of the output projections of attention and state layers"
    ]
    attention_out_io_elements: Annotated[
        float, PER_TOKEN, "activations in and out of the output projections, per token"
    ]
    attention_out_operators: Annotated[float, LAYERS, "number of output projections, all layers"]
    ffn_in_elements: Annotated[float, COUNT, "weights of the dense gate and up projections"]
    ffn_in_io_elements: Annotated[
        float, PER_TOKEN, "activations in and out of the gate and up projections, per token"
    ]
    ffn_in_operators: Annotated[float, LAYERS, "number of gate and up operators, all layers"]
    ffn_out_elements: Annotated[float, COUNT, "weights of the dense down projections"]
    ffn_out_io_elements: Annotated[
        float, PER_TOKEN, "activations in and out of the down projections, per token"
    ]
    ffn_out_operators: Annotated[float, LAYERS, "number of down projections, all layers"]
    shared_elements: Annotated[
        float, COUNT, "weights of the shared experts, which are always active"
    ]
    shared_io_elements: Annotated[
        float, PER_TOKEN, "activations in and out of the shared experts, per token"
    ]
    shared_operators: Annotated[float, LAYERS, "number of shared-expert operators, all layers"]
    expert_elements: Annotated[
        float, COUNT, "weights of one routed expert, summed over all MoE layers"
    ]
    expert_io_elements: Annotated[
        float, PER_TOKEN, "activations of one token in all its routed experts, all MoE layers"
    ]
    moe_layers: Annotated[float, LAYERS, "layers with routed experts"]
    experts: Annotated[float, HEADS, "routed experts per layer; 0 for a dense model"]
    experts_per_token: Annotated[
        float, HEADS._replace(whole=False), "routed experts per layer that are active for a token"
    ]
    lm_head_elements: Annotated[
        float,
        COUNT._replace(low=1),
        "weights of the output head (lm_head)",
    ]
    embedding_elements: Annotated[
        float, COUNT, "weights of the input embedding; 0 if tied to the output head"
    ]
    table_elements: Annotated[
        float,
        COUNT,
        "elements of n-gram tables (Engram), in host memory if there is any",
    ]
    other_elements: Annotated[float, COUNT, "norms, biases, routers: 16-bit, read every step"]

    global_layers: Annotated[float, LAYERS, "attention layers that see the whole context"]
    window_layers: Annotated[float, LAYERS, "attention layers that see at most `window` tokens"]
    state_layers: Annotated[float, LAYERS, "linear-attention and state-space layers"]
    window: Annotated[
        float, Limits("count", 0, 1e9), "context of a window layer [tokens]; 0 if there are none"
    ]
    window_chunked: Annotated[
        float, FLAG, "1 if the window restarts every `window` tokens, 0 if it slides"
    ]
    global_kv_elements: Annotated[
        float, PER_TOKEN, "KV-cache elements per token of context, all global layers"
    ]
    window_kv_elements: Annotated[
        float, PER_TOKEN, "KV-cache elements per token of context, all window layers"
    ]
    global_read_elements: Annotated[
        float,
        PER_TOKEN,
        "KV-cache elements read per token of context, all global layers; a shared cache counts "
        "for each layer that reads it",
    ]
    window_read_elements: Annotated[
        float, PER_TOKEN, "KV-cache elements read per token of context, all window layers"
    ]
    latent_cache: Annotated[float, FLAG, "1 if the KV cache is a latent shared by all heads (MLA)"]
    attention_io_elements: Annotated[
        float, PER_TOKEN, "activations in and out of attention (q and o), per new token, all layers"
    ]
    global_score_flops: Annotated[
        float, PER_TOKEN, "decode FLOP per (new token, context token), all global layers"
    ]
    window_score_flops: Annotated[
        float, PER_TOKEN, "decode FLOP per (new token, context token), all window layers"
    ]
    global_prefill_score_flops: Annotated[
        float,
        PER_TOKEN,
        "prefill FLOP per (query, key) pair, all global layers, before an indexer drops any",
    ]
    index_topk: Annotated[
        float,
        Limits("count", 0, 1e9),
        "tokens that a sparse-attention indexer selects; 0 without an indexer",
    ]
    index_elements: Annotated[
        float, PER_TOKEN, "indexer keys per token of context (held at 1 byte), all layers"
    ]
    index_score_flops: Annotated[
        float, PER_TOKEN, "indexer FLOP per (new token, context token), all layers"
    ]
    state_elements: Annotated[
        float, PER_TOKEN, "recurrent state per sequence (held at 4 bytes), all layers"
    ]
    all_reduces: Annotated[float, LAYERS, "tensor-parallel all-reduces in one forward pass"]
    experts_only: Annotated[
        float, FLAG, "1 if 4-bit checkpoints of this model quantise only the routed experts"
    ]
    token_price: Annotated[
        float, TOKEN_PRICE._replace(low=1e-6), "list price of the model's output tokens"
    ]


class Device(NamedTuple):
    """One schedulable accelerator, card or socket: its data sheet."""

    memory_capacity: Annotated[
        float,
        MEMORY,
        "memory capacity, as the driver reports it",
        Former("memory_bytes"),
        Label("memory"),
        Cited("memory"),
    ]
    memory_bandwidth: Annotated[
        float, BANDWIDTH, "bandwidth of the device memory", Cited("bw", "bandwidth", "memory")
    ]
    flops_fp32: Annotated[
        float,
        COMPUTE,
        "arithmetic rate in fp32",
        Absent(0.0),
        Label("fp32"),
        Cited("fp32", "flops"),
    ]
    flops_fp16: Annotated[
        float,
        COMPUTE,
        "arithmetic rate in fp16 or bf16, dense, without sparsity",
        Absent(0.0),
        Label("fp16"),
        Cited("fp16", "flops"),
    ]
    flops_fp16_narrow: Annotated[
        float,
        COMPUTE,
        "arithmetic rate in fp16 with fp16 accumulation, if faster",
        Absent(0.0),
        Label("fp16-narrow"),
        Cited("fp16", "flops"),
    ]
    flops_fp8: Annotated[
        float,
        COMPUTE,
        "arithmetic rate in fp8, dense",
        Absent(0.0),
        Label("fp8"),
        Cited("fp8", "flops"),
    ]
    flops_int8: Annotated[
        float,
        COMPUTE,
        "arithmetic rate in int8, dense",
        Absent(0.0),
        Label("int8"),
        Cited("int8", "npu tops", "flops"),
    ]
    flops_fp4: Annotated[
        float,
        COMPUTE,
        "arithmetic rate in fp4, dense",
        Absent(0.0),
        Label("fp4"),
        Cited("fp4", "flops"),
    ]
    board_power: Annotated[
        float, POWER, "power limit of the board (TDP)", Label("power"), Cited("tdp", "power")
    ]
    idle_power: Annotated[float, POWER._replace(low=0), "idle power", Cited("idle", "power")]
    link_bandwidth: Annotated[
        float,
        BANDWIDTH,
        "bandwidth to the other devices of the scale-up domain, one direction",
        Cited("link", "ici"),
    ]
    scale_up_domain: Annotated[
        float, AT_LEAST_ONE, "devices in the scale-up domain", Cited("domain", "link", "ici")
    ]
    network_bandwidth: Annotated[
        float,
        BANDWIDTH,
        "bandwidth per device to other scale-up domains, one direction",
        Cited("nic", "network", "link"),
    ]
    price_per_hour: Annotated[
        float, PRICE, "on-demand price", Label("price"), Cited("price", "cloud")
    ]
    spot_price_per_hour: Annotated[
        float,
        PRICE,
        "spot price",
        Absent(None),
        Former("price_spot"),
        Cited("price", "cloud"),
    ]
    purchase_price: Annotated[
        float, MONEY, "purchase price", Absent(None), Former("price_list"), Cited("price")
    ]
    memory2_capacity: Annotated[
        float,
        RESERVE,
        "capacity of a second memory tier for offloading (LPDDR, MemoryX)",
        Absent(0.0),
        Former("memory2_bytes"),
        Cited("mem2"),
    ]
    memory2_bandwidth: Annotated[
        float,
        BANDWIDTH,
        "bandwidth to the second memory tier: the device's own, else host memory",
        Absent(None),
        Cited("c2c", "mem2"),
    ]
    host_memory_capacity: Annotated[
        float,
        RESERVE,
        "capacity of host memory, for layers and experts that the CPU computes",
        Absent(None),
        Cited("host", "dram"),
    ]
    host_memory_bandwidth: Annotated[
        float, BANDWIDTH, "bandwidth of host memory", Absent(None), Cited("host", "dram")
    ]
    host_flops: Annotated[
        float,
        COMPUTE._replace(low=1e6),
        "dense arithmetic rate of the host's CPU in 16 bits, or in fp32 without 16-bit arithmetic",
        Absent(None),
        Cited("host", "cpu"),
    ]
    spatial: Annotated[
        float,
        FLAG,
        "1 if weights stay in on-chip SRAM and layers are laid out over the devices",
        Absent(0.0),
    ]
    layer_latency: Annotated[
        float, LATENCY, "latency of one layer on a spatial device", Absent(0.0)
    ]
    rated_power: Annotated[
        float,
        POWER,
        "power limit at which the peak rates are reached; a lower board_power lowers the clocks",
        Absent(None),
        Cited("tdp", "power"),
    ]
    energy_per_bit: Annotated[
        float,
        ENERGY_PER_BIT,
        "energy per bit moved between memory and cores, including controllers",
        Absent(None),
        Cited("energy per bit", "pj/bit"),
    ]
    energy_per_flop: Annotated[
        float,
        ENERGY_PER_FLOP,
        "energy per FLOP in 16 bits, or fp32 without a 16-bit path; narrower arithmetic takes "
        "less in proportion to its rate",
        Absent(None),
        Cited("energy per flop", "pj/flop"),
    ]


class WeightFormat(NamedTuple):
    """Storage format of the weights, and the arithmetic of their products."""

    bits: Annotated[
        float, BITS, "bits per weight of the quantised matrices, including scales and zero points"
    ]
    embedding_bits: Annotated[float, BITS, "bits per weight of the embedding and lm_head"]
    activation_bytes: Annotated[
        float,
        Limits("ratio", POSITIVE, 8),
        "bytes per activation element between operators",
        Absent(2.0),
    ]
    kernel: Annotated[
        float,
        one_of("16", "8", "8-block", "8-weight-only", "4-weight-only", "gguf", "4"),
        "kernel that multiplies the weights",
    ]
    arithmetic: Annotated[
        float, one_of("fp32", "fp16", "fp8", "int8", "fp4"), "arithmetic of the products"
    ]
    experts_only: Annotated[
        float,
        FLAG,
        "1 if MoE checkpoints in this format quantise only the routed experts",
        Absent(0.0),
    ]
    body_bits: Annotated[
        float,
        BITS,
        "bits per weight of the other matrices if only experts are quantised",
        Absent(16.0),
    ]
    perplexity_increase: Annotated[
        float,
        Limits("ratio", UNMEASURED, 1e6),
        "perplexity increase of Llama 3 8B on wikitext-2, as a fraction; -1: not measured",
        Absent(None),
    ]


class KVFormat(NamedTuple):
    """Storage format of the KV cache."""

    bits: Annotated[float, BITS, "bits per element, including scales"]
    quantised: Annotated[
        float, FLAG, "1 if the cache is quantised, 0 if it is 16-bit", Former("kernel")
    ]


class Engine(NamedTuple):
    """Constants of an inference engine on a class of devices.

    Efficiencies are shares of the data-sheet rate in (0, 1]; latencies are in seconds.
    """

    residue: Annotated[
        float, SHARE, "weight of the faster resource in sqrt(slow^2 + residue fast^2); 0: max()"
    ]
    launch: Annotated[float, LATENCY, "start-up time of one linear operator"]
    launch_fp8: Annotated[float, LATENCY, "start-up time of a linear operator in fp8"]
    launch_fp8_block: Annotated[
        float, LATENCY, "start-up time of a linear operator in fp8 with scales per block"
    ]
    launch_attention: Annotated[float, LATENCY, "start-up time of one layer's attention"]
    launch_experts: Annotated[
        float, LATENCY, "start-up time of an MoE layer: routing, both matrix products and the sum"
    ]
    launch_experts_block: Annotated[
        float, LATENCY, "start-up time of an MoE layer in fp8 with scales per block"
    ]
    launch_elementwise: Annotated[float, LATENCY, "start-up time of one element-wise operator"]
    memory_efficiency_16: Annotated[
        float, EFFICIENCY, "share of memory bandwidth when reading 16-bit weights"
    ]
    memory_efficiency_8: Annotated[
        float, EFFICIENCY, "share of memory bandwidth when reading 8-bit weights"
    ]
    memory_efficiency_8_block: Annotated[
        float,
        EFFICIENCY,
        "share of memory bandwidth when reading 8-bit weights with scales per block",
    ]
    memory_efficiency_8_weight_only: Annotated[
        float,
        EFFICIENCY,
        "share of memory bandwidth when reading 8-bit weights for 16-bit products",
    ]
    memory_efficiency_4_weight_only: Annotated[
        float,
        EFFICIENCY,
        "share of memory bandwidth when reading 4-bit weights for 16-bit products",
    ]
    memory_efficiency_gguf: Annotated[
        float, EFFICIENCY, "share of memory bandwidth when reading GGUF weights"
    ]
    memory_efficiency_4: Annotated[
        float, EFFICIENCY, "share of memory bandwidth when reading 4-bit weights for 4-bit products"
    ]
    memory_efficiency_experts: Annotated[
        float, EFFICIENCY, "factor on the share of memory bandwidth for routed experts"
    ]
    compute_efficiency_16: Annotated[float, EFFICIENCY, "share of peak FLOP/s in 16-bit products"]
    compute_efficiency_8: Annotated[float, EFFICIENCY, "share of peak FLOP/s in 8-bit products"]
    compute_efficiency_8_block: Annotated[
        float, EFFICIENCY, "share of peak FLOP/s in 8-bit products with scales per block"
    ]
    compute_efficiency_8_weight_only: Annotated[
        float, EFFICIENCY, "share of peak FLOP/s in 16-bit products of 8-bit weights"
    ]
    compute_efficiency_4_weight_only: Annotated[
        float, EFFICIENCY, "share of peak FLOP/s in 16-bit products of 4-bit weights"
    ]
    compute_efficiency_gguf: Annotated[
        float, EFFICIENCY, "share of peak FLOP/s in products of GGUF weights"
    ]
    compute_efficiency_4: Annotated[float, EFFICIENCY, "share of peak FLOP/s in 4-bit products"]
    compute_efficiency_experts: Annotated[
        float, EFFICIENCY, "factor on the share of peak FLOP/s for routed experts"
    ]
    expert_half_width: Annotated[
        float,
        Limits("ratio", 0, 1e5),
        "FFN width of an expert per device at which 16-bit products reach half their efficiency",
    ]
    expert_half_width_4_weight_only: Annotated[
        float,
        Limits("ratio", 0, 1e5),
        "the same for int4 weights that kernels expand to 16 bits",
    ]
    dense_experts: Annotated[
        float, FLAG, "1 if every token passes through all experts, as in precompiled graphs"
    ]
    kv_efficiency: Annotated[
        float, EFFICIENCY, "share of memory bandwidth when attention reads a 16-bit KV cache"
    ]
    kv_efficiency_quantised: Annotated[
        float, EFFICIENCY, "share of memory bandwidth when attention reads a quantised KV cache"
    ]
    kv_group_penalty: Annotated[
        float, SHARE, "efficiency loss per additional query head that shares a KV head"
    ]
    narrow_accumulation: Annotated[
        float, FLAG, "1 if fp16 products are accumulated in fp16 where that is faster"
    ]
    attention_prefill_efficiency: Annotated[
        float, EFFICIENCY, "share of peak FLOP/s in prefill attention, counting causal FLOP only"
    ]
    attention_prefill_memory_efficiency: Annotated[
        float, EFFICIENCY, "share of memory bandwidth in prefill attention, moving q, K, V and o"
    ]
    attention_decode_efficiency: Annotated[
        float, EFFICIENCY, "share of peak FLOP/s in decode attention"
    ]
    one_shot_latency: Annotated[float, LATENCY, "one-shot all-reduce: fixed latency"]
    one_shot_hop: Annotated[float, LATENCY, "one-shot all-reduce: latency per additional device"]
    one_shot_efficiency: Annotated[
        float, EFFICIENCY, "one-shot all-reduce: share of link bandwidth"
    ]
    two_shot_latency: Annotated[
        float, LATENCY, "two-shot all-reduce (reduce-scatter, all-gather): fixed latency"
    ]
    two_shot_efficiency: Annotated[
        float,
        EFFICIENCY,
        "two-shot all-reduce (reduce-scatter, all-gather): share of link bandwidth",
    ]
    network_latency: Annotated[float, LATENCY, "exchange between scale-up domains: fixed latency"]
    network_efficiency: Annotated[
        float, EFFICIENCY, "exchange between scale-up domains: share of network bandwidth"
    ]
    dispatch_latency: Annotated[
        float,
        LATENCY,
        "expert dispatch and combine, few tokens, one copy per expert: fixed latency",
    ]
    dispatch_efficiency: Annotated[
        float,
        EFFICIENCY,
        "expert dispatch and combine, few tokens: share of link bandwidth",
    ]
    bulk_dispatch_latency: Annotated[
        float,
        LATENCY,
        "expert dispatch and combine, many tokens, one copy per device: fixed latency",
    ]
    bulk_dispatch_efficiency: Annotated[
        float,
        EFFICIENCY,
        "expert dispatch and combine, many tokens: share of link bandwidth",
    ]
    expert_imbalance: Annotated[
        float, FLAG, "1 if the most loaded expert rank sets the time, 0 for evenly loaded experts"
    ]
    hop_latency: Annotated[
        float, LATENCY, "latency of passing activations to the next pipeline stage"
    ]
    spatial_latency: Annotated[
        float, SHARE, "share of a spatial device's layer latency that is not hidden; 0: the bound"
    ]
    host_per_step: Annotated[float, LATENCY, "host time per step"]
    host_per_sequence: Annotated[float, LATENCY, "host time per step and sequence"]
    host_per_device: Annotated[
        float, LATENCY, "host time per step and additional device of an attention group"
    ]
    host_per_prefill: Annotated[float, LATENCY, "host time per prefill pass"]
    sampling_per_sequence: Annotated[
        float, LATENCY, "device time to sample the next token, per sequence"
    ]
    server_per_step: Annotated[float, LATENCY, "additional host time per step on a server"]
    server_per_device: Annotated[
        float,
        LATENCY,
        "additional host time per step and additional device of an attention group on a server",
    ]
    server_per_sequence: Annotated[
        float,
        LATENCY,
        "additional host time per step and sequence on a server",
    ]
    interference: Annotated[
        float,
        SHARE,
        "share of the time added by other requests' prompts that delays a step",
    ]
    queue_weight: Annotated[
        float,
        SHARE,
        "share of the running requests that are prefilled before a new prompt",
    ]
    scheduled_ahead: Annotated[
        float,
        FLAG,
        "1 if a step is scheduled while the one before it runs; new prompts wait for it",
    ]
    random_arrivals: Annotated[
        float, FLAG, "1 if requests arrive at random and queue, 0 for the bound"
    ]
    length_spread: Annotated[
        float,
        Limits("ratio", 1, 100),
        "1 + squared coefficient of variation of output lengths",
    ]
    routing_independence: Annotated[
        float, SHARE, "independence of experts chosen by different tokens; 0: all choose the same"
    ]
    prefill_chunk: Annotated[float, AT_LEAST_ONE, "maximum number of prompt tokens in one pass"]
    pipeline_chunk: Annotated[
        float, AT_LEAST_ONE, "prompt tokens that pass through the pipeline stages together"
    ]
    prefill_overlap: Annotated[
        float, Limits("count", 1, 65536), "pipeline chunks that can be in different stages at once"
    ]
    prefill_pool_load: Annotated[
        float, EFFICIENCY, "share of time that a disaggregated prefill pool is busy"
    ]
    block_tokens: Annotated[
        float,
        Limits("count", 1, 1e6),
        "tokens per KV-cache block; a sequence wastes half a block on average",
    ]
    reserves_output: Annotated[
        float,
        FLAG,
        "1 if a server reserves the KV cache of a whole answer, 0 if it takes blocks on demand",
    ]
    max_sequences: Annotated[
        float,
        AT_LEAST_ONE._replace(whole=True),
        "maximum number of sequences that run at once, per attention group",
    ]
    pads_heads: Annotated[
        float, FLAG, "1 if heads not divisible by tp are padded, 0 if they are refused"
    ]
    draft_layers: Annotated[
        float,
        Limits("count", 0, 1e4),
        "layers of the speculative draft head, of the same kind as the model's",
    ]
    host_memory_bytes: Annotated[
        float, RESERVE, "host memory per device, used as second tier if the device has none"
    ]
    second_tier_efficiency: Annotated[
        float, EFFICIENCY, "share of bandwidth when a device reads its second memory tier"
    ]
    cpu_memory_efficiency: Annotated[
        float, EFFICIENCY, "share of host memory bandwidth when the CPU reads weights"
    ]
    cpu_compute_efficiency: Annotated[
        float, EFFICIENCY, "share of the CPU's arithmetic rate in products of weights and scores"
    ]
    cpu_hand_over: Annotated[
        float, LATENCY, "latency of passing activations between a device and the CPU, one way"
    ]
    cpu_stream_tokens: Annotated[
        float,
        Limits("count", 0, 1e9),
        "tokens of a pass from which weights in host memory are copied to the device instead of "
        "being used by the CPU; 0: whichever is faster",
    ]
    memory_fraction: Annotated[float, EFFICIENCY, "share of device memory that the engine may use"]
    memory_reserve: Annotated[
        float,
        RESERVE,
        "device memory reserved for context and graphs, and for activations not counted elsewhere",
    ]
    memory_driver_share: Annotated[
        float, SHARE, "share of device memory that the driver withholds from programs"
    ]
    communicator_memory: Annotated[
        float, RESERVE, "device memory of communicators, if a replica has several devices"
    ]
    activation_width: Annotated[
        float,
        Limits("bytes", 0, 64),
        "bytes reserved per activation; 0: activations are part of `memory_reserve`",
    ]
    activation_tokens: Annotated[
        float,
        Limits("count", 0, 1e9, whole=True),
        "tokens for whose activations memory is reserved: the server's token budget",
    ]
    sampled_sequences: Annotated[
        float,
        Limits("count", 0, 1e9, whole=True),
        "sequences for whose sampling memory is reserved, as many as the server admits",
    ]
    sampler_width: Annotated[float, Limits("bytes", 0, 1e3), "bytes per logit during sampling"]
    power_floor: Annotated[
        float, SHARE, "share of rated power that leakage and clocks draw while operators run"
    ]
    power_network: Annotated[float, SHARE, "share of rated power while devices exchange data"]
    power_host: Annotated[float, SHARE, "share of rated power while the device waits for the host"]
    memory_energy_factor: Annotated[
        float, Limits("ratio", 0, 100), "factor on the device's energy per byte moved"
    ]
    compute_energy_factor: Annotated[
        float, Limits("ratio", 0, 100), "factor on the device's energy per FLOP executed"
    ]
    # 80 % intervals: factors on a prediction, from residuals of rows held out of the fit
    low_tpot_single: Annotated[
        float,
        LOWER,
        "lower end of the 80 % interval, as a factor: TPOT of a static batch on one device",
    ]
    high_tpot_single: Annotated[
        float,
        UPPER,
        "upper end of the 80 % interval, as a factor: TPOT of a static batch on one device",
    ]
    low_tpot_parallel: Annotated[
        float,
        LOWER,
        "lower end of the 80 % interval, as a factor: TPOT of a static batch on several devices",
    ]
    high_tpot_parallel: Annotated[
        float,
        UPPER,
        "upper end of the 80 % interval, as a factor: TPOT of a static batch on several devices",
    ]
    low_tpot_served: Annotated[
        float, LOWER, "lower end of the 80 % interval, as a factor: TPOT of a server"
    ]
    high_tpot_served: Annotated[
        float, UPPER, "upper end of the 80 % interval, as a factor: TPOT of a server"
    ]
    low_ttft_static: Annotated[
        float, LOWER, "lower end of the 80 % interval, as a factor: TTFT of a static batch"
    ]
    high_ttft_static: Annotated[
        float, UPPER, "upper end of the 80 % interval, as a factor: TTFT of a static batch"
    ]
    low_ttft_served: Annotated[
        float, LOWER, "lower end of the 80 % interval, as a factor: TTFT of a server"
    ]
    high_ttft_served: Annotated[
        float, UPPER, "upper end of the 80 % interval, as a factor: TTFT of a server"
    ]
    low_energy: Annotated[float, LOWER, "lower end of the 80 % interval, as a factor: energy"]
    high_energy: Annotated[float, UPPER, "upper end of the 80 % interval, as a factor: energy"]
    low_power: Annotated[float, LOWER, "lower end of the 80 % interval, as a factor: power"]
    high_power: Annotated[float, UPPER, "upper end of the 80 % interval, as a factor: power"]


class Deployment(NamedTuple):
    """Setup of one replica of a model: scheduler, devices, speculation, batch.

    Fields are in the order of a sweep's axes, outermost first. Those of additional machines (a
    prefill pool, experts or a draft model on separate devices) are axes only of sweeps that name
    them; 0 stands for their default.
    """

    scheduler: Annotated[
        float,
        one_of("static", "continuous", "disaggregated"),
        "static batch, continuous batching, or disaggregated prefill",
    ] = 0.0
    offload: Annotated[
        float,
        one_of("none", "weights", "kv", "experts"),
        "data kept in the second memory tier: weights or kv if memory is short, or routed experts, "
        "which the CPU computes",
    ] = 0.0
    tp: Annotated[float, DEGREE, "tensor-parallel degree"] = 1.0
    pp: Annotated[
        float, DEGREE, "pipeline-parallel degree; number of chips on spatial machines"
    ] = 1.0
    dp: Annotated[float, DEGREE, "data-parallel attention groups; devices = tp x pp x dp"] = 1.0
    ep: Annotated[
        float,
        DEGREE,
        "expert-parallel degree; divides tp x dp; experts get redundant copies if needed",
    ] = 1.0
    gpu_layers: Annotated[
        float,
        LAYERS._replace(low=1, whole=True),
        "layers on the devices; the host's CPU computes the others",
    ] = 1_000_000.0
    cpu_moe_layers: Annotated[
        float,
        LAYERS._replace(whole=True),
        "number of first layers whose routed experts the CPU computes, if experts are offloaded",
    ] = 1_000_000.0
    prefill_tp: Annotated[
        float,
        DEGREE,
        "tensor parallelism of the prefill pool; default: that of decode, or 1 on another device",
    ] = 0.0
    prefill_pp: Annotated[
        float,
        DEGREE,
        "pipeline parallelism of the prefill pool; default: that of decode, or 1 on another device",
    ] = 0.0
    prefill_dp: Annotated[
        float,
        DEGREE,
        "attention groups of the prefill pool; default: those of decode, or 1 on another device",
    ] = 0.0
    prefill_ep: Annotated[
        float,
        DEGREE,
        "expert parallelism of the prefill pool; default: that of decode, or 1 on another device",
    ] = 0.0
    prefill_ratio: Annotated[
        float,
        Limits("ratio", 1e-4, 1e4),
        "prefill replicas per decode replica; default: as many as the engine's pool load requires",
    ] = 0.0
    prefill_link: Annotated[
        float,
        BANDWIDTH,
        "bandwidth of each device to the other pool; default: that of the slower network",
    ] = 0.0
    expert_devices: Annotated[
        float,
        DEGREE,
        "devices that hold the routed experts; default: the fewest that fit, 1 in a sweep",
    ] = 0.0
    expert_parts: Annotated[
        float,
        Limits("count", 1, 64, whole=True),
        "micro-batches on which attention and separate experts work in turn; default: 2",
    ] = 0.0
    expert_link: Annotated[
        float,
        BANDWIDTH,
        "bandwidth of each device between attention and experts; default: that of the slower "
        "network",
    ] = 0.0
    prefix_hit: Annotated[
        float, Limits("fraction", 0, 0.999), "share of the prompt found in the prefix cache"
    ] = 0.0
    draft_len: Annotated[
        float, Limits("count", 0, 64, whole=True), "tokens drafted per step; 0: no speculation"
    ] = 0.0
    acceptance: Annotated[
        float, SHARE, "probability that the first drafted token of a step is accepted"
    ] = 0.0
    acceptance_decay: Annotated[
        float, SHARE, "acceptance of each later drafted token, relative to the previous one"
    ] = 0.95  # Qwen3.5 0.955, GLM-5.2 0.945, Kimi-K3 0.935, MiniMax-M3 0.975, DeepSeek-V4 0.755
    draft_devices: Annotated[
        float,
        DEGREE,
        "devices of one draft model; default: the fewest that hold it, 1 in a sweep",
    ] = 0.0
    draft_link: Annotated[
        float,
        BANDWIDTH,
        "bandwidth between the draft and the main model; default: that of the slower network",
    ] = 0.0
    batch: Annotated[
        float,
        Limits("count", 1, 1e6, whole=True),
        "sequences in a static batch, or requests kept in flight",
    ] = 1.0
    # from the engine's entry; not axes
    layouts: Annotated[
        float, one_of("any", "tp-pp", "dp-single", "ep-all"), "layouts that the engine can run"
    ] = 0.0
    barred: Annotated[float, FLAG, "1 if the engine cannot multiply weights in their format"] = 0.0


class Request(NamedTuple):
    """Lengths of one request."""

    input_len: Annotated[float, TOKENS, "prompt length"] = 1024.0
    output_len: Annotated[float, TOKENS, "output length"] = 256.0


class Economics(NamedTuple):
    """Facility and prices."""

    utilization: Annotated[
        float,
        EFFICIENCY._replace(low=1e-3),
        "share of paid time in which the replica serves this load",
    ]
    purchase: Annotated[
        float, one_of("on-demand", "spot", "owned"), "how devices are paid for", Absent(0.0)
    ]
    price_multiplier: Annotated[
        float,
        Limits("ratio", 0, 100),
        "factor on the device's hourly price, e.g. a negotiated discount",
    ]
    interest: Annotated[float, SHARE, "yearly interest rate on owned devices"]
    lifetime: Annotated[
        float, Limits("time", 3600, 1e10), "time over which owned devices are paid off"
    ]
    server_factor: Annotated[
        float,
        Limits("ratio", 1, 100),
        "price of a device including its share of server and network, relative to the device alone",
    ]
    operations: Annotated[
        float, SHARE, "yearly cost of staff and space, as a share of the purchase price"
    ]
    electricity_price: Annotated[
        float, Limits("price_per_energy", 0, 1), "price of electricity", Cited("electricity")
    ]
    token_price: Annotated[
        float,
        TOKEN_PRICE,
        "sale price of output tokens, for break-even utilisation; 0: the model's list price",
        Absent(0.0),
        Cited("token price"),
    ]
    pue: Annotated[
        float,
        Limits("ratio", 1, 100),
        "power usage effectiveness: facility power / IT power",
        Cited("pue"),
    ]
    node_overhead: Annotated[
        float, Limits("ratio", 0, 100), "power of hosts, NICs and fans, relative to the boards"
    ]
    carbon_intensity: Annotated[
        float,
        Limits("carbon_intensity", 0, 1e5),
        "CO2-equivalent emissions of electricity",
        Cited("carbon"),
    ]


# Codes: floats, like everything else in a record.
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

LAYOUTS_TP_PP = 1.0  # no attention groups, no expert parallelism
LAYOUTS_DP_SINGLE = 2.0  # attention groups of one device each
LAYOUTS_EP_ALL = 3.0  # expert parallelism over all devices of a stage, or none

OFFLOAD_NONE = 0.0
OFFLOAD_WEIGHTS = 1.0
OFFLOAD_KV = 2.0
OFFLOAD_EXPERTS = 3.0

PURCHASE_ON_DEMAND = 0.0
PURCHASE_SPOT = 1.0
PURCHASE_OWNED = 2.0
