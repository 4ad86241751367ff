"""A slow and obvious model of LLM inference: the oracle of ``perfcore.physics``.

Written from ``docs/physics.md``. It takes a model's architecture, lists every matrix of
every layer, and adds up bytes and FLOP one by one; decode steps are summed position by position,
capacity is found by search. It shares no line with the physics, nor with the code that counts
parameters or makes a model's record. Compressed attention (DeepSeek-V4) is left out: the document
does not describe it.
"""

import math
from collections import defaultdict
from typing import NamedTuple

ATTENTION = "FSAa"
RECURRENT = "GKTM"
LARGEST_BATCH = 2**24


class Matrix(NamedTuple):
    """One matrix product of one layer: its class and shape.

    ``heads`` equal products of this shape, one a head, are launched as one. A product that is
    ``merged`` into the one before it reads the same input and has no launch of its own.
    """

    group: str
    inputs: int
    outputs: int
    heads: int = 1
    merged: bool = False

    @property
    def elements(self):
        return self.heads * self.inputs * self.outputs

    @property
    def moved(self):
        return self.heads * ((0 if self.merged else self.inputs) + self.outputs)

    @property
    def launches(self):
        return 0 if self.merged else 1


class Attention(NamedTuple):
    """What one layer keeps of the context and how it looks at it. [elements]"""

    kind: str  # global, window or state
    kv: int = 0  # cache elements per token
    io: int = 0  # queries in, outputs out, per new token
    decode_score: int = 0  # FLOP per (new token, context token)
    prefill_score: int = 0  # FLOP per (query, key) pair
    window: int = 0
    chunked: bool = False
    topk: int = 0
    index: int = 0  # indexer keys per token
    index_score: int = 0
    state: int = 0


class Expert(NamedTuple):
    """One routed expert of one layer."""

    elements: int
    io: int  # activations that one token moves through it


class Layer(NamedTuple):
    matrices: list[Matrix]
    attention: Attention | None
    expert: Expert | None
    small: int  # norms, biases, routers
    exchanges: int


# ------------------------------------------------------------------------------ architecture


def mixer_letters(entry):
    unit = entry.layer_types or ("A" if entry.kv_lora_rank else "F")
    return [unit[index % len(unit)] for index in range(entry.num_hidden_layers)]


def grouped_attention(entry, letter):
    """Return the matrices, the cache and the small tensors of one layer of grouped attention."""
    d, heads = entry.hidden_size, entry.num_attention_heads
    head = entry.head_dim or d // heads
    kv_heads = entry.num_key_value_heads
    if letter == "F":
        head = entry.global_head_dim or head
        kv_heads = entry.num_global_key_value_heads or kv_heads
    else:
        kv_heads = entry.swa_num_key_value_heads or kv_heads
    value = entry.v_head_dim or head
    if letter == "F" and entry.global_head_dim:
        value = head
    same = letter == "F" and entry.attention_k_eq_v
    q, k, v = heads * head, kv_heads * head, 0 if same else kv_heads * value
    gate = heads * value if entry.attn_output_gate else 0
    small = 0
    if entry.attention_bias != "none":
        small += q + k + v
    if entry.attention_bias == "all":
        small += d
    if entry.qk_norm == "head-dim":
        small += head + head
    if entry.qk_norm == "full":
        small += q + k
    if entry.attention_sinks:
        small += heads
    window = letter == "S"
    attention = Attention(
        kind="window" if window else "global",
        kv=kv_heads * (head + value),
        io=heads * (head + value),
        decode_score=2 * heads * (head + value),
        prefill_score=2 * heads * (head + value),
        window=(entry.sliding_window or entry.attention_chunk_size) if window else 0,
        chunked=bool(window and entry.attention_chunk_size),
    )
    matrices = [
        Matrix("attention_in", d, q + k + v + gate),
        Matrix("attention_out", heads * value, d),
    ]
    return matrices, attention, small


def latent_attention(entry, letter):
    """Return the same of one layer of latent attention (MLA), with or without an indexer."""
    d, heads = entry.hidden_size, entry.num_attention_heads
    nope, rope, v = entry.qk_nope_head_dim, entry.qk_rope_head_dim, entry.v_head_dim
    rank, q_rank = entry.kv_lora_rank, entry.q_lora_rank
    small = rank
    if q_rank:
        small += q_rank
        matrices = [
            Matrix("attention_in", d, q_rank + rank + rope),
            Matrix("attention_in", q_rank, heads * (nope + rope)),
        ]
    else:
        matrices = [
            Matrix("attention_in", d, heads * (nope + rope)),
            Matrix("attention_in", d, rank + rope),
        ]
    # absorbed: queries into the latent before attention, the latent into values after it
    matrices += [
        Matrix("attention_in", nope, rank, heads),
        Matrix("attention_in", rank, v, heads),
        Matrix("attention_out", heads * v, d),
    ]
    if entry.attn_output_gate:
        matrices.append(Matrix("attention_in", d, heads * v))
    index = index_score = 0
    if entry.index_topk and letter == "A":
        index_heads, index_dim = entry.index_n_heads, entry.index_head_dim
        matrices += [
            Matrix("attention_in", q_rank or d, index_heads * index_dim),
            Matrix("attention_in", d, index_dim),
            Matrix("attention_in", d, index_heads, merged=True),
        ]
        small += 2 * index_dim
        index, index_score = index_dim, 2 * index_heads * index_dim
    attention = Attention(
        kind="global",
        kv=rank + rope,
        io=heads * (rank + rope) + heads * rank,
        decode_score=2 * heads * (2 * rank + rope),
        prefill_score=2 * heads * (nope + rope + v),
        topk=entry.index_topk,
        index=index,
        index_score=index_score,
    )
    return matrices, attention, small


def recurrent_layer(entry, letter):
    """Return the same of one layer with a state instead of a cache."""
    d = entry.hidden_size
    if letter in "GK":
        k_heads, v_heads = entry.linear_num_key_heads, entry.linear_num_value_heads
        k_dim, v_dim = entry.linear_key_head_dim, entry.linear_value_head_dim
        keys, values = k_heads * k_dim, v_heads * v_dim
        small = (2 * keys + values) * entry.linear_conv_kernel_dim
        state = v_heads * k_dim * v_dim
        state += (2 * keys + values) * max(entry.linear_conv_kernel_dim - 1, 0)
        if letter == "G":  # q, k, v and gate; beta and decay
            shapes = [(d, 2 * keys + 2 * values), (d, 2 * v_heads)]
            small += 2 * v_heads + v_dim
        else:  # q, k, v, beta and the first half of the decay; its second half; the gate
            shapes = [(d, 2 * keys + values + v_heads + v_dim), (v_dim, keys)]
            shapes += [(d, values)] if entry.attn_output_gate else [(d, v_dim), (v_dim, values)]
            small += v_heads + keys + v_dim
        matrices = [Matrix("attention_in", *shape) for shape in shapes]
        matrices.append(Matrix("attention_out", values, d))
    elif letter == "T":
        width = entry.num_attention_heads * entry.head_dim
        matrices = [
            Matrix("attention_in", d, 3 * width),
            Matrix("attention_in", d, width),
            Matrix("attention_out", width, d),
        ]
        small, state = width, entry.num_attention_heads * entry.head_dim**2
    elif entry.mamba_num_heads:
        inner = entry.mamba_num_heads * entry.mamba_head_dim
        groups = entry.n_groups * entry.ssm_state_size
        heads = entry.mamba_num_heads
        matrices = [
            Matrix("attention_in", d, 2 * inner + 2 * groups + heads),
            Matrix("attention_out", inner, d),
        ]
        small = (entry.conv_kernel + 1) * (inner + 2 * groups) + 3 * heads + inner
        state = inner * entry.ssm_state_size
        state += (inner + 2 * groups) * max(entry.conv_kernel - 1, 0)
    else:
        inner, rank = entry.mamba_intermediate_size, entry.time_step_rank
        size = entry.ssm_state_size
        matrices = [
            Matrix("attention_in", d, 2 * inner),
            Matrix("attention_in", inner, rank + 2 * size),
            Matrix("attention_in", rank, inner),
            Matrix("attention_out", inner, d),
        ]
        small = (entry.conv_kernel + 1) * inner + inner + inner * size + inner
        if entry.mamba_inner_norms:
            small += rank + 2 * size
        state = inner * size + inner * max(entry.conv_kernel - 1, 0)
    return matrices, Attention(kind="state", state=state), small


def dense_ffn(entry, width):
    """Return the matrices and small tensors of one dense FFN."""
    up = 2 * width if entry.gated_mlp else width
    small = up + entry.hidden_size if entry.mlp_bias else 0
    return [
        Matrix("ffn_in", entry.hidden_size, up),
        Matrix("ffn_out", width, entry.hidden_size),
    ], small


def expert_ffn(entry):
    """Return the matrices, the routed expert and the small tensors of one MoE layer."""
    d, f = entry.hidden_size, entry.moe_intermediate_size
    seen = entry.moe_latent_size or d
    up = 2 * f if entry.gated_mlp else f
    matrices = []
    if entry.moe_latent_size:
        matrices += [Matrix("ffn_in", d, seen), Matrix("ffn_out", seen, d)]
    if entry.shared_expert_intermediate_size:
        width = entry.shared_expert_intermediate_size
        shared_up = 2 * width if entry.gated_mlp else width
        matrices += [Matrix("shared", d, shared_up), Matrix("shared", width, d)]
    router = entry.num_experts + entry.zero_expert_num
    small = d * router
    if entry.router_bias:
        small += router
    if entry.shared_expert_gate:
        small += d
    if entry.moe_latent_norm:
        small += seen
    bias = up + seen if entry.mlp_bias else 0
    return matrices, Expert(seen * up + f * seen + bias, seen + up + f + seen), small


def layers_of(entry):
    """Return every layer of a model, one by one."""
    letters = mixer_letters(entry)
    norm = {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm] * entry.hidden_size
    widths = [width for width, count in entry.intermediate_sizes for _ in range(count)]
    has_ffn = bool(entry.intermediate_size or entry.intermediate_sizes or entry.num_experts)
    ffn_index = dense_index = 0
    layers = []
    for letter in letters:
        matrices, attention, expert, small, exchanges = [], None, None, 0, 0
        if letter in "FS":
            matrices, attention, small = grouped_attention(entry, letter)
        elif letter in "Aa":
            matrices, attention, small = latent_attention(entry, letter)
        elif letter in RECURRENT:
            matrices, attention, small = recurrent_layer(entry, letter)
        elif letter != "-":
            raise NotImplementedError(letter)
        mixer = letter != "-"
        blocks = int(mixer)
        ffn = (not mixer) if entry.mixer_or_ffn else has_ffn
        if ffn:
            after = ffn_index - entry.first_k_dense_replace
            sparse = (
                bool(entry.num_experts)
                and after >= 0
                and after % entry.decoder_sparse_step == entry.decoder_sparse_step - 1
            )
            ffn_index += 1
            if sparse:
                blocks += 1
                more, expert, more_small = expert_ffn(entry)
                matrices, small = matrices + more, small + more_small
            if not sparse or entry.dense_beside_moe:
                width = widths[dense_index] if widths else entry.intermediate_size
                dense_index += 1
                blocks += 1
                more, more_small = dense_ffn(entry, width)
                matrices, small = matrices + more, small + more_small
        norms = entry.norms_per_layer if mixer and ffn else entry.norms_per_layer / 2
        small += norms * norm
        exchanges = 1 if entry.parallel_block and mixer and ffn else blocks
        layers.append(Layer(matrices, attention, expert, small, exchanges))
    return layers


def small_outside_layers(entry):
    norm = {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm] * entry.hidden_size
    total = norm  # the final one
    if entry.lm_head_bias:
        total += entry.vocab_size
    return total + entry.extra_parameters


def embedding_elements(entry):
    """Return what is looked up only: the input embedding unless tied, positions, their norm."""
    table = 0 if entry.tie_word_embeddings else entry.vocab_size * entry.hidden_size
    table += entry.learned_positions * entry.hidden_size
    if entry.embedding_norm:
        table += {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm] * entry.hidden_size
    return table


def parameters(entry):
    """Return the number of all parameters."""
    total = entry.vocab_size * entry.hidden_size + embedding_elements(entry)
    total += small_outside_layers(entry)
    for layer in layers_of(entry):
        total += layer.small
        for matrix in layer.matrices:
            total += matrix.elements
        if layer.expert:
            total += entry.num_experts * layer.expert.elements
    return total


def active_parameters(entry):
    """Return the parameters that one token is multiplied with, lm_head included."""
    total = parameters(entry) - embedding_elements(entry)
    for layer in layers_of(entry):
        if layer.expert:
            total -= (entry.num_experts - routed(entry)) * layer.expert.elements
    return total


def routed(entry):
    """Return how many routed experts compute for one token."""
    if not entry.num_experts:
        return 0
    return (
        entry.num_experts_per_tok * entry.num_experts / (entry.num_experts + entry.zero_expert_num)
    )


# --------------------------------------------------------------------------------- attention


def visible(layer, position):
    """Return how many tokens of the context a query at this position sees."""
    if layer.chunked:
        return math.fmod(position, layer.window)
    if layer.window:
        return min(position, layer.window)
    if layer.topk:
        return min(position, layer.topk)
    return position


def mean_visible(layer, input_len, output_len):
    """Return the mean of ``visible`` over the decode positions, one by one (midpoints)."""
    positions = range(int(input_len), int(input_len + output_len))
    return math.fsum(visible(layer, s + 0.5) for s in positions) / output_len


def pairs(layer, input_len):
    """Return the (query, key) pairs of a prompt, query by query."""
    queries = range(1, int(input_len) + 1)
    if layer.chunked:
        return math.fsum((query - 1) % layer.window + 1 for query in queries)
    return math.fsum(visible(layer, query) for query in queries)


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


# ----------------------------------------------------------------------------------- numbers


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
    flops: float  # data-sheet rate
    compute_efficiency: float
    memory_efficiency: float
    launch: float


def kernel_of(bits, kernel, arithmetic, device, engine):
    """Return how matrices of a format run on a device."""
    flops = getattr(device, MATH_NAMES[arithmetic])
    if not flops:
        flops = device.flops_fp16 or device.flops_fp32
        kernel = WEIGHT_ONLY.get(kernel, kernel)
    name = KERNEL_NAMES[kernel]
    return Kernel(
        bits,
        flops,
        getattr(engine, f"compute_efficiency_{name}"),
        getattr(engine, f"memory_efficiency_{name}"),
        engine.launch_fp8 if name in {"8", "8_block", "4"} else engine.launch,
    )


class Sum:
    """Operators added up one by one: seconds by cause."""

    def __init__(self, residue, device):
        self.residue, self.device = residue, device
        self.parts = defaultdict(float)
        self.total = 0.0

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


def all_reduce(n, size, device, engine):
    """Return start-up and transfer seconds of one all-reduce."""
    if n <= 1:
        return 0.0, 0.0
    domain = device.scale_up_domain
    inside = min(n, domain)
    start = transfer = 0.0
    if inside > 1:
        one_shot = (
            engine.one_shot_latency + (inside - 2) * engine.one_shot_hop,
            (inside - 1) * size / (engine.one_shot_efficiency * device.link_bandwidth),
        )
        two_shot = (
            engine.two_shot_latency,
            2 * (inside - 1) / inside * size / (engine.two_shot_efficiency * device.link_bandwidth),
        )
        start, transfer = min(one_shot, two_shot, key=sum)
    if n > domain:
        m = n / domain
        start += 2 * (m - 1) * engine.network_latency
        transfer += (
            2 * (m - 1) / m * size / domain / (engine.network_efficiency * device.network_bandwidth)
        )
    return start, transfer


# ------------------------------------------------------------------------------------- model


class Naive:
    """One configuration, evaluated by summing. ``point`` has the result."""

    def __init__(
        self, entry, device, engine, weights, kv, economics, tp, pp, batch, input_len, output_len
    ):
        self.entry, self.device, self.engine = entry, device, engine
        self.weights, self.kv, self.economics = weights, kv, economics
        self.tp, self.pp, self.batch = tp, pp, batch
        self.input_len, self.output_len = input_len, output_len
        self.layers = layers_of(entry)
        self.devices = tp * pp
        self.spatial = bool(device.spatial)
        if self.spatial:
            self.width = max(1.0, self.devices / len(self.layers))
            self.stages = self.devices / self.width
            self.groups = min(batch, self.stages)
        else:
            self.width, self.stages, self.groups = tp, pp, 1
        narrow = [
            entry.num_experts
            and (weights.experts_only or (self.published_experts_only and weights.bits < 6))
        ]
        self.experts_kernel = kernel_of(
            weights.bits, weights.kernel, weights.arithmetic, device, engine
        )
        sixteen = kernel_of(16.0, 0.0, 1.0, device, engine)
        self.body_kernel = sixteen if narrow[0] else self.experts_kernel
        self.head_kernel = kernel_of(
            weights.embedding_bits,
            5.0 if weights.kernel == 5.0 else 0.0,
            0.0 if weights.arithmetic == 0.0 else 1.0,
            device,
            engine,
        )
        self.sixteen = sixteen
        self.activation = weights.activation_bytes
        self.latent = any(letter in "Aa" for letter in mixer_letters(entry))
        self.kv_heads = self.splittable_heads()
        attending = [layer.attention for layer in self.layers if self.attends(layer)]
        self.mean_io = sum(kept.io for kept in attending) / max(len(attending), 1)
        self.heads = entry.num_attention_heads if attending else 0

    @property
    def published_experts_only(self):
        return "experts" in self.entry.native_dtype

    @staticmethod
    def attends(layer):
        return layer.attention is not None and layer.attention.kind != "state"

    def splittable_heads(self):
        """Return the KV heads of the global layers, else of the window layers."""
        entry, letters = self.entry, mixer_letters(self.entry)
        if self.latent:
            return 1
        if "F" in letters:
            return entry.num_global_key_value_heads or entry.num_key_value_heads
        if "S" in letters:
            return entry.swa_num_key_value_heads or entry.num_key_value_heads
        return 1

    # memory

    def kv_share(self, width):
        """Return the share of a layer's cache on one of the devices that share the layer."""
        if self.spatial:
            return 1 / width
        return math.ceil(self.kv_heads / self.tp) / self.kv_heads

    def state_share(self):
        """Return the share of a layer's recurrent states on one device."""
        return 1 / self.tp

    def stage_share(self):
        return math.ceil(len(self.layers) / self.pp) / len(self.layers)

    def weight_bytes(self):
        """Return the bytes of all weights."""
        entry, matrices, small = self.entry, 0.0, small_outside_layers(self.entry)
        for layer in self.layers:
            small += layer.small
            for matrix in layer.matrices:
                matrices += matrix.elements * self.body_kernel.bits / 8
            if layer.expert:
                for _ in range(entry.num_experts):
                    matrices += layer.expert.elements * self.experts_kernel.bits / 8
        table = entry.vocab_size * entry.hidden_size + embedding_elements(entry)
        matrices += table * self.weights.embedding_bits / 8
        return matrices + 2 * small

    def weight_bytes_per_device(self):
        if self.spatial:
            return self.weight_bytes() / self.devices
        return self.weight_bytes() / self.tp * self.stage_share()

    def sequence_bytes(self, context, cache_share, state_share):
        """Return the bytes that one sequence keeps at a context."""
        total = 0.0
        for layer in self.layers:
            kept = layer.attention
            if kept is None:
                continue
            length = min(context, kept.window) if kept.window else context
            total += kept.kv * length * self.kv.bits / 8 * cache_share
            total += kept.index * context * cache_share
            total += kept.state * 4 * state_share
        return total

    def sequence_bytes_per_device(self):
        context = self.input_len + self.output_len
        if self.spatial:
            return self.sequence_bytes(context, 1 / self.devices, 1 / self.devices)
        share = self.sequence_bytes(context, self.kv_share(self.tp), self.state_share())
        return share * self.stage_share()

    def usable(self):
        engine = self.engine
        return max(self.device.memory_bytes * engine.memory_fraction - engine.memory_reserve, 0)

    def max_batch(self):
        """Return the largest batch that fits, by bisection."""
        weights, sequence = self.weight_bytes_per_device(), self.sequence_bytes_per_device()

        def fits(batch):
            return weights + batch * sequence <= self.usable()

        if not fits(0):
            return 0
        if fits(LARGEST_BATCH):
            return LARGEST_BATCH
        low, high = 0, LARGEST_BATCH
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def status(self):
        entry = self.entry
        if not self.spatial and self.heads % self.tp:
            return 1
        if not self.spatial and len(self.layers) < self.pp:
            return 2
        if not self.experts_kernel.flops:
            return 3
        if self.weight_bytes_per_device() > self.usable():
            return 4
        limit = entry.max_position_embeddings
        if limit and self.input_len + self.output_len > limit:
            return 5
        return 6 if self.batch > self.max_batch() else 0

    # time

    def kv_efficiency(self):
        engine = self.engine
        efficiency = engine.kv_efficiency_quantised if self.kv.kernel else engine.kv_efficiency
        if self.latent:
            return efficiency
        sharing = self.heads / self.kv_heads
        return efficiency / (1 + engine.kv_group_penalty * max(sharing - 1, 0))

    def linear_operators(self, total, tokens, width, stages=1):
        """Add all matrix products but the lm_head of a pass of ``tokens`` tokens.

        ``stages`` of the layers run at the same time, each with small tensors of its own.
        """
        entry, a = self.entry, self.activation
        launches = 0.0
        for group in ("attention_in", "attention_out", "ffn_in", "ffn_out", "shared"):
            kernel = self.body_kernel
            weight_bytes = flop = moved = 0.0
            for layer in self.layers:
                for matrix in layer.matrices:
                    if matrix.group == group:
                        elements = matrix.elements
                        weight_bytes += elements * kernel.bits / 8
                        flop += 2 * tokens * elements
                        moved += a * tokens * matrix.moved
                        launches += matrix.launches * kernel.launch
            total.operator(
                [
                    ("weights", weight_bytes / width, kernel.memory_efficiency),
                    ("activations", moved / width, self.engine.memory_efficiency_16),
                ],
                [(flop / width, kernel.flops, kernel.compute_efficiency)],
            )
        kernel = self.experts_kernel
        weight_bytes = flop = moved = 0.0
        for layer in self.layers:
            if layer.expert:
                touched = distinct_experts(entry.num_experts, routed(entry), tokens)
                weight_bytes += touched * layer.expert.elements * kernel.bits / 8
                flop += 2 * tokens * routed(entry) * layer.expert.elements
                moved += a * tokens * routed(entry) * layer.expert.io
                launches += self.engine.launch_experts
        efficiency = kernel.memory_efficiency * self.engine.memory_efficiency_experts
        total.operator(
            [
                ("weights", weight_bytes / width, efficiency),
                ("activations", moved / width, self.engine.memory_efficiency_16),
            ],
            [
                (
                    flop / width,
                    kernel.flops,
                    kernel.compute_efficiency * self.engine.compute_efficiency_experts,
                )
            ],
        )
        small = small_outside_layers(entry) + sum(layer.small for layer in self.layers)
        moved = 10 * a * entry.hidden_size * len(self.layers) * tokens
        efficiency = self.engine.memory_efficiency_16
        total.operator(
            [
                ("weights", 2 * small / stages, efficiency),
                ("activations", moved / width, efficiency),
            ],
            [],
        )
        launches += 4 * len(self.layers) * self.engine.launch_elementwise
        total.wait("start", launches)

    def head_operator(self, total, tokens, width):
        entry, kernel = self.entry, self.head_kernel
        elements = entry.vocab_size * entry.hidden_size
        moved = self.activation * tokens * (entry.hidden_size + 3 * entry.vocab_size)
        total.operator(
            [
                ("weights", elements * kernel.bits / 8 / width, kernel.memory_efficiency),
                ("activations", moved / width, self.engine.memory_efficiency_16),
            ],
            [(2 * tokens * elements / width, kernel.flops, kernel.compute_efficiency)],
        )
        total.wait("start", kernel.launch)

    def attention_traffic(self, kind, sequences):
        """Return cache bytes, state bytes, activation bytes and FLOP of a decode step."""
        cache = state = moved = flop = 0.0
        context = self.input_len + self.output_len / 2
        for layer in self.layers:
            kept = layer.attention
            if kept is None or kept.kind != kind:
                continue
            seen = context
            if kept.window or kept.topk:
                seen = self.means[kept]
            cache += kept.kv * self.kv.bits / 8 * seen + kept.index * context
            state += 2 * 4 * kept.state
            moved += self.activation * self.mean_io if kind != "state" else 0
            flop += kept.decode_score * seen + kept.index_score * context + 8 * kept.state
        return tuple(sequences * value for value in (cache, state, moved, flop))

    def decode_attention(self, total, sequences, width):
        self.means = {
            kept: mean_visible(kept, self.input_len, self.output_len)
            for kept in {layer.attention for layer in self.layers if layer.attention}
            if kept.window or kept.topk
        }
        engine = self.engine
        for kind in ("global", "window", "state"):
            cache, state, moved, flop = self.attention_traffic(kind, sequences)
            total.operator(
                [
                    ("kv", cache * self.kv_share(width), self.kv_efficiency()),
                    ("kv", state / width, engine.kv_efficiency),
                    ("activations", moved / width, engine.memory_efficiency_16),
                ],
                [(flop / width, self.sixteen.flops, engine.attention_decode_efficiency)],
            )
        mixers = sum(layer.attention is not None for layer in self.layers)
        total.wait("start", mixers * engine.launch_attention)

    def exchanges(self, total, tokens):
        """Add all-reduces and hand-overs, or the fixed time of a spatial machine's layers."""
        device, engine = self.device, self.engine
        if self.spatial:
            total.wait("start", len(self.layers) * device.layer_latency * engine.spatial_latency)
            return
        size = tokens * self.entry.hidden_size * self.activation
        for layer in self.layers:
            for _ in range(layer.exchanges):
                start, transfer = all_reduce(self.tp, size, device, engine)
                total.wait("network_start", start)
                total.wait("network_transfer", transfer)
        for _ in range(int(self.pp) - 1):
            total.wait("network_start", engine.hop_latency)
            total.wait("network_transfer", size / device.link_bandwidth)

    def decode(self):
        total = Sum(self.engine.residue, self.device)
        tokens = self.batch / self.groups
        self.linear_operators(total, tokens, self.width)
        self.head_operator(total, tokens, self.width)
        self.decode_attention(total, tokens, self.width)
        self.exchanges(total, tokens)
        total.wait("host", self.engine.host_per_step + self.engine.host_per_sequence * self.batch)
        return total

    def prefill_attention(self):
        """Return cache bytes, state bytes, activation bytes and FLOP of all prompts."""
        cache = moved = state = flop = 0.0
        counted = {}
        full = self.input_len * (self.input_len + 1) / 2
        for layer in self.layers:
            kept = layer.attention
            if kept is None:
                continue
            if kept not in counted:
                counted[kept] = pairs(kept, self.input_len)
            flop += kept.prefill_score * counted[kept] + kept.index_score * full
            flop += 8 * kept.state * self.input_len
            cache += self.input_len * (2 * kept.kv * self.kv.bits / 8 + kept.index)
            state += self.input_len * 2 * 4 * kept.state / 64
            moved += self.input_len * self.activation * kept.io
        return tuple(self.batch * value for value in (cache, state, moved, flop))

    def prefill_cache_share(self, width):
        """Return the share of the prompts' cache that one device writes and reads."""
        return self.kv_share(width)

    def prefill(self):
        device, engine = self.device, self.engine
        total = Sum(engine.residue, device)
        tokens = self.batch * self.input_len
        width = self.devices if self.spatial else self.tp
        self.linear_operators(total, tokens, width, self.stages if self.spatial else 1)
        self.head_operator(total, self.batch, self.width)
        cache, state, moved, flop = self.prefill_attention()
        efficiency = engine.memory_efficiency_16
        total.operator(
            [
                ("kv", cache * self.prefill_cache_share(width), efficiency),
                ("kv", state / width, efficiency),
                ("activations", moved / width, efficiency),
            ],
            [
                (
                    flop / width,
                    self.sixteen.flops,
                    engine.attention_prefill_efficiency,
                )
            ],
        )
        mixers = sum(layer.attention is not None for layer in self.layers)
        total.wait("start", mixers * engine.launch_attention)
        self.exchanges(total, tokens)
        total.wait("host", engine.host_per_prefill)
        return total

    # traffic and power

    def step_traffic(self):
        """Return the bytes and FLOP of one decode step on all devices."""
        entry, a, batch = self.entry, self.activation, self.batch
        tokens = batch / self.groups
        size = self.groups * 2.0 * small_outside_layers(entry)
        flop = 0.0
        for layer in self.layers:
            size += self.groups * 2 * layer.small + 10 * a * entry.hidden_size * batch
            for matrix in layer.matrices:
                elements = matrix.elements
                size += self.groups * elements * self.body_kernel.bits / 8
                size += a * batch * matrix.moved
                flop += 2 * batch * elements
            if layer.expert:
                touched = distinct_experts(entry.num_experts, routed(entry), tokens)
                size += self.groups * touched * layer.expert.elements * self.experts_kernel.bits / 8
                size += a * batch * routed(entry) * layer.expert.io
                flop += 2 * batch * routed(entry) * layer.expert.elements
        head = entry.vocab_size * entry.hidden_size
        size += self.groups * head * self.weights.embedding_bits / 8
        size += self.head_traffic(batch)
        flop += 2 * batch * head
        copies = self.width * self.kv_share(self.width)
        for kind in ("global", "window", "state"):
            cache, state, moved, scores = self.attention_traffic(kind, batch)
            size += cache * copies + state + moved
            flop += scores
        return size, flop

    def head_traffic(self, tokens):
        """Return the activations of the lm_head: its input, the logits and the sampler's copy."""
        entry = self.entry
        return self.activation * tokens * (entry.hidden_size + 3 * entry.vocab_size)

    def prefill_traffic(self):
        """Return the bytes and FLOP of the prefill on all devices."""
        entry, a = self.entry, self.activation
        tokens = self.batch * self.input_len
        width = self.devices if self.spatial else self.tp
        size, flop = 2.0 * small_outside_layers(entry), 0.0
        for layer in self.layers:
            size += 2 * layer.small + 10 * a * entry.hidden_size * tokens
            for matrix in layer.matrices:
                size += matrix.elements * self.body_kernel.bits / 8 + a * tokens * matrix.moved
                flop += 2 * tokens * matrix.elements
            if layer.expert:
                touched = distinct_experts(entry.num_experts, routed(entry), tokens)
                size += touched * layer.expert.elements * self.experts_kernel.bits / 8
                size += a * tokens * routed(entry) * layer.expert.io
                flop += 2 * tokens * routed(entry) * layer.expert.elements
        head = entry.vocab_size * entry.hidden_size
        size += head * self.weights.embedding_bits / 8 + self.head_traffic(self.batch)
        flop += 2 * self.batch * head
        cache, state, moved, scores = self.prefill_attention()
        size += cache * width * self.prefill_cache_share(width) + state + moved
        return size, flop + scores

    def prefill_running(self, ttft):
        """Return the seconds of a prefill in which operators run."""
        return ttft - self.engine.host_per_prefill

    def running_power(self, size, flop, width, seconds):
        """Return the watts of ``width`` boards that share bytes and FLOP, while operators run."""
        engine, device = self.engine, self.device
        memory = size / (width * device.memory_bandwidth * seconds)
        compute = flop / (width * self.experts_kernel.flops * seconds)
        share = engine.power_floor + engine.power_memory * memory
        share += engine.power_compute * math.sqrt(compute)
        return min(1.0, share) * device.board_power

    def point(self):
        """Return the result, by the names of the columns."""
        device, engine, economics = self.device, self.engine, self.economics
        status = self.status()
        if status == 3:
            return {"status": status}
        batch, devices = self.batch, self.devices
        decode, prefill = self.decode(), self.prefill()
        tpot, ttft = decode.total, prefill.total
        network = decode.parts["network_start"] + decode.parts["network_transfer"]
        causes = {
            "weights": decode.parts["weights"],
            "kv": decode.parts["kv"],
            "activations": decode.parts["activations"],
            "compute": decode.parts["compute"],
            "network": network,
            "latency": decode.parts["start"] + decode.parts["host"],
        }
        host = decode.parts["host"]
        step_bytes, step_flops = self.step_traffic()
        running = tpot - network - host
        busy_power = (
            running
            * self.running_power(
                step_bytes / self.groups, step_flops / self.groups, self.width, running
            )
            + network * engine.power_network * device.board_power
            + host * engine.power_host * device.board_power
        ) / tpot
        working = ttft - engine.host_per_prefill
        prefill_power = (
            working
            * self.running_power(
                *self.prefill_traffic(),
                self.devices if self.spatial else self.tp,
                self.prefill_running(ttft),
            )
            + engine.host_per_prefill * engine.power_host * device.board_power
        ) / ttft
        busy = self.groups / self.stages
        decode_power = busy * busy_power + (1 - busy) * device.idle_power
        if not self.spatial:
            prefill_power = busy * prefill_power + (1 - busy) * device.idle_power
        output_energy = devices * decode_power * tpot / batch
        input_energy = devices * prefill_power * ttft / (batch * self.input_len)
        grid = (1 + economics.node_overhead) * economics.pue
        rate = device.price_per_hour * economics.price_multiplier / 3600 / economics.utilization
        carbon = economics.carbon_intensity / 3.6e6 * 1e6
        weight_bytes = self.weight_bytes_per_device()
        kv_bytes = batch * self.sequence_bytes_per_device()
        context = self.input_len + self.output_len
        everything = self.weight_bytes() + batch * self.sequence_bytes(context, 1, 1)
        per_batch = devices * rate * 1e6 / batch
        point = {
            "status": status,
            "bound": list(causes.values()).index(max(causes.values())),
            "ttft_s": ttft,
            "tpot_s": tpot,
            "e2e_latency_s": ttft + (self.output_len - 1) * tpot,
            "tokens_per_s_per_user": 1 / tpot,
            "tokens_per_s_per_device": batch / tpot / devices,
            "weight_bytes_per_device": weight_bytes,
            "kv_bytes_per_device": kv_bytes,
            "total_bytes_per_device": weight_bytes + kv_bytes,
            "max_batch": self.max_batch(),
            "devices_needed": min(
                math.ceil(everything / self.usable()) if self.usable() else LARGEST_BATCH,
                LARGEST_BATCH,
            ),
            "step_bytes": step_bytes,
            "step_flops": step_flops,
            "arithmetic_intensity": step_flops / step_bytes,
            "mbu": step_bytes / (tpot * devices * device.memory_bandwidth),
            "mfu": step_flops / (tpot * devices * self.experts_kernel.flops),
            "ridge_batch": (
                self.experts_kernel.flops / device.memory_bandwidth * self.weights.bits / 16
            ),
            "elasticity_bandwidth": (causes["weights"] + causes["kv"] + causes["activations"])
            / tpot,
            "elasticity_compute": causes["compute"] / tpot,
            "elasticity_link": decode.parts["network_transfer"] / tpot,
            "elasticity_latency": (causes["latency"] + decode.parts["network_start"]) / tpot,
            "decode_power_w": decode_power,
            "prefill_power_w": prefill_power,
            "energy_per_output_token_j": output_energy,
            "energy_per_input_token_j": input_energy,
            "energy_per_request_j": self.input_len * input_energy
            + (self.output_len - 1) * output_energy,
            "facility_energy_per_output_token_j": output_energy * grid,
            "cost_per_mtok_output_usd": per_batch * tpot,
            "cost_per_mtok_input_usd": per_batch * ttft / self.input_len,
            "carbon_per_mtok_output_g": output_energy * grid * carbon,
            "carbon_per_mtok_input_g": input_energy * grid * carbon,
        }
        for cause, seconds in causes.items():
            point[f"{cause}_s"] = seconds
            point[f"{cause}_share"] = seconds / tpot
        return point


def evaluate(
    entry,
    device,
    engine,
    weights,
    kv,
    economics,
    *,
    tp=1.0,
    pp=1.0,
    batch=1.0,
    input_len=1024.0,
    output_len=256.0,
):
    """Return every column of one configuration, by name."""
    return Naive(
        entry, device, engine, weights, kv, economics, tp, pp, batch, input_len, output_len
    ).point()
