"""A slow and obvious model of LLM inference: the oracle of ``perfcore.physics``.

Written from ``docs/physics.md``. It takes a model's architecture, lists every matrix of
every layer, and adds up bytes and FLOP one by one; decode steps are summed position by position,
capacity is found by search. It shares no line with the physics, nor with the code that counts
parameters or makes a model's record. Compressed attention (DeepSeek-V4) is left out: the document
does not describe it.
"""

import functools
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
    """Return the mean of ``visible`` over the decode positions, one by one (midpoints).

    Of a mean length that is no whole number of tokens a part of the last position counts.
    """
    first, last = input_len, input_len + output_len
    total = []
    for position in range(math.floor(first), math.ceil(last)):
        start, stop = max(first, position), min(last, position + 1)
        total.append((stop - start) * visible(layer, (start + stop) / 2))
    return math.fsum(total) / output_len


def pairs(layer, first, last):
    """Return the (query, key) pairs of the queries after ``first`` up to ``last``, one by one.

    A query has its own key and all visible ones before it. Where the cached share of a prompt ends
    within a token, a part of that query counts.
    """
    total = []
    for index in range(math.floor(first), math.ceil(last)):
        start, stop = max(first, index), min(last, index + 1)
        total.append((stop - start) * visible(layer, (start + stop) / 2))
        grows = layer.chunked or not limit_of(layer) or index < limit_of(layer)
        total.append((stop - start) / 2 if grows else 0.0)
    return math.fsum(total)


def limit_of(layer):
    return layer.window or layer.topk


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
    flops: float  # data-sheet rate, of sums in fp16 if the engine makes these
    compute_efficiency: float
    memory_efficiency: float
    launch: float
    launch_experts: float  # of a MoE layer whose routed experts run this kernel


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

    def add(self, other, factor):
        """Add another sum, ``factor`` times."""
        self.total += factor * other.total
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


# ------------------------------------------------------------------------------------- model


class Naive:
    """One configuration, evaluated by summing. ``point`` has the result.

    ``running`` is the batch that runs at once, where it is not the whole one.
    """

    def __init__(
        self,
        entry,
        device,
        engine,
        weights,
        kv,
        economics,
        deployment,
        input_len,
        output_len,
        running=None,
    ):
        self.entry, self.device, self.engine = entry, device, engine
        self.weights, self.kv, self.economics = weights, kv, economics
        self.deployment = deployment
        self.tp, self.pp, self.ep = deployment.tp, deployment.pp, deployment.ep
        self.static = deployment.scheduler == 0.0
        self.continuous = deployment.scheduler == 1.0
        self.disaggregated = deployment.scheduler == 2.0
        self.input_len, self.output_len = input_len, output_len
        self.cached = deployment.prefix_hit * input_len
        self.new = input_len - self.cached
        self.queries = 1 + deployment.draft_len
        self.layers = layers_of(entry)
        self.devices = deployment.tp * deployment.pp * deployment.dp
        self.spatial = bool(device.spatial)

        # Sequences: of the replica, of an attention group, of one pass of a group.
        self.batch = running
        if running is None:
            served = min(deployment.batch, engine.max_sequences * deployment.dp)
            self.batch = deployment.batch if self.static else served
        if self.spatial:
            self.groups = 1
            self.all_groups = 1
            self.width = max(1.0, self.devices / len(self.layers))
            self.stages = self.devices / self.width
            self.expert_width, self.prefill_width = self.width, self.devices
            self.passes = min(self.batch, self.stages)
        else:
            self.groups = min(deployment.dp, self.batch)
            self.all_groups = deployment.dp
            self.width, self.stages = deployment.tp, deployment.pp
            self.expert_width, self.prefill_width = deployment.tp * deployment.dp, deployment.tp
            per_group = max(self.batch / self.groups, 1.0)
            self.passes = 1.0 if self.static else min(per_group, self.pp)
        self.of_group = max(self.batch / self.groups, 1.0)  # a group without requests runs along
        self.sequences = self.of_group / self.passes
        self.of_pass = max(self.batch / self.passes, 1.0)

        self.choose_kernels()
        self.activation = weights.activation_bytes
        self.latent = any(letter in "Aa" for letter in mixer_letters(entry))
        self.kv_heads = self.splittable_heads()
        # Long answers are in flight longer, of requests that come and go.
        self.decoded = output_len * (1.0 if self.static else engine.length_spread)
        attending = [layer.attention for layer in self.layers if self.attends(layer)]
        self.mean_io = sum(kept.io for kept in attending) / max(len(attending), 1)
        self.heads = entry.num_attention_heads if attending else 0
        self.means = {
            kept: mean_visible(kept, input_len, self.decoded)
            for kept in {layer.attention for layer in self.layers if layer.attention}
            if kept.window or kept.topk
        }

    def choose_kernels(self):
        """Choose what the routed experts, all other matrices and the lm_head run on."""
        weights, device, engine = self.weights, self.device, self.engine
        experts_alone = self.entry.num_experts and (
            weights.experts_only or (self.published_experts_only and weights.bits < 6)
        )
        self.experts_kernel = kernel_of(
            weights.bits, weights.kernel, weights.arithmetic, device, engine
        )
        plain = 5.0 if weights.kernel == 5.0 else 0.0  # what runs all that is not quantised
        self.body_kernel = self.experts_kernel
        if experts_alone:
            self.body_kernel = kernel_of(weights.body_bits, plain, 1.0, device, engine)
        self.head_kernel = kernel_of(
            weights.embedding_bits,
            plain,
            0.0 if weights.arithmetic == 0.0 else 1.0,
            device,
            engine,
        )
        self.attention_flops = kernel_of(16.0, 0.0, 1.0, device, engine).flops

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

    def padding(self):
        """Return how much attention's matrices grow by heads that only fill up a device."""
        if self.spatial or not self.heads:
            return 1.0
        return math.ceil(self.heads / self.tp) * self.tp / self.heads

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

    @functools.cache  # noqa: B019 - an oracle is asked for one point
    def expert_bytes(self):
        """Return the bytes of all routed experts."""
        total = 0.0
        for layer in self.layers:
            if layer.expert:
                for _ in range(self.entry.num_experts):
                    total += layer.expert.elements * self.experts_kernel.bits / 8
        return total

    def body_bytes(self):
        """Return the bytes that every pass reads: all weights but experts and the embedding."""
        total = 2.0 * small_outside_layers(self.entry)
        for layer in self.layers:
            total += 2 * layer.small
            for matrix in layer.matrices:
                total += matrix.elements * self.body_kernel.bits / 8
        table = self.entry.vocab_size * self.entry.hidden_size
        return total + table * self.weights.embedding_bits / 8

    def weight_bytes(self):
        """Return the bytes of all weights."""
        embedding = embedding_elements(self.entry) * self.weights.embedding_bits / 8
        return self.body_bytes() + embedding + self.expert_bytes()

    def weight_bytes_per_device(self):
        if self.spatial:
            return self.weight_bytes() / self.devices
        copied = self.weight_bytes() - self.expert_bytes()
        shared = self.expert_bytes() / (self.tp * self.deployment.dp)
        return (copied / self.tp + shared) * self.stage_share()

    def cache_bytes(self, context):
        """Return the bytes of the KV cache of a context, states left out."""
        total = 0.0
        for layer in self.layers:
            kept = layer.attention
            if kept:
                length = min(context, kept.window) if kept.window else context
                total += kept.kv * length * self.kv.bits / 8 + kept.index * context
        return total

    def state_bytes(self):
        """Return the bytes of a sequence's recurrent states."""
        return sum(4 * layer.attention.state for layer in self.layers if layer.attention)

    def own_cache_bytes(self):
        """Return the bytes of cache that a sequence has alone, at full length."""
        waste = 0.0 if self.static else (self.engine.block_tokens - 1) / 2
        return self.cache_bytes(self.new + self.output_len + waste)

    def on_a_device(self, cache, state):
        """Return the part of a group's cache and states on its fullest device."""
        if self.spatial:
            return (cache + state) / self.devices
        return (cache * self.kv_share(self.tp) + state * self.state_share()) * self.stage_share()

    def sequence_bytes_per_device(self):
        return self.on_a_device(self.own_cache_bytes(), self.state_bytes())

    def shared_bytes_per_device(self):
        return self.on_a_device(self.cache_bytes(self.cached), 0.0)

    def kv_bytes_per_device(self):
        sequences = self.batch / self.groups
        return sequences * self.sequence_bytes_per_device() + self.shared_bytes_per_device()

    def usable(self):
        engine = self.engine
        return max(self.device.memory_capacity * engine.memory_fraction - engine.memory_reserve, 0)

    def second_tier(self):
        """Return the bytes of the second tier and the rate at which it is read."""
        device, engine = self.device, self.engine
        if not self.deployment.offload:
            return 0.0, math.inf
        if not device.memory2_capacity:
            return engine.host_memory_bytes, engine.host_memory_bandwidth
        return device.memory2_capacity, device.memory2_bandwidth or engine.host_memory_bandwidth

    def offloaded(self):
        """Return the bytes of weights and of cache that a device has in its second tier."""
        weights, cache = self.weight_bytes_per_device(), self.kv_bytes_per_device()
        overflow = max(weights + cache - self.usable(), 0.0)
        if self.deployment.offload == 1.0:
            return min(overflow, weights), 0.0
        if self.deployment.offload == 2.0:
            return 0.0, min(overflow, cache)
        return 0.0, 0.0

    def longer_read(self, size):
        """Return how much longer all stages read ``size`` bytes each in the second tier."""
        room, rate = self.second_tier()
        if not room or not size:
            return 0.0
        return self.stages * size / rate

    def offload_times(self):
        """Return the seconds that a pass spends on offloaded weights and on offloaded cache."""
        weights, cache = self.offloaded()
        common = self.shared_bytes_per_device()
        total = self.kv_bytes_per_device()
        of_pass = (total - common) / self.passes + common  # a pass has its sequences' own
        read = cache * of_pass / total if cache else 0.0
        return self.longer_read(weights * self.read_share()), self.longer_read(read)

    def read_share(self):
        """Return the share of the weights that a decode pass touches."""
        read = self.body_bytes() + self.touched_bytes(self.of_pass * self.queries)
        return read / self.weight_bytes()

    def max_batch(self):
        """Return the largest batch that fits, by bisection."""
        room = self.usable() + self.second_tier()[0]
        fixed = self.weight_bytes_per_device() + self.shared_bytes_per_device()
        sequence = self.sequence_bytes_per_device()

        def fits(batch):
            return fixed + batch * sequence <= room

        if not fits(0):
            return 0
        if fits(LARGEST_BATCH):
            return LARGEST_BATCH
        low, high = 0, LARGEST_BATCH
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return min(low * self.all_groups, LARGEST_BATCH)

    def devices_needed(self):
        everything = self.weight_bytes() + self.cache_bytes(self.cached)
        everything += self.batch * (self.own_cache_bytes() + self.state_bytes())
        if not self.usable():
            return LARGEST_BATCH
        return min(math.ceil(everything / self.usable()), LARGEST_BATCH)

    def status(self):
        """Return the first reason, in the document's order, why this cannot run."""
        entry, layout = self.entry, self.deployment
        experts = entry.num_experts
        limit = entry.max_position_embeddings or math.inf
        room = self.usable() + self.second_tier()[0]
        unlike = experts % self.ep or (layout.tp * layout.dp) % self.ep or not experts
        reasons = {
            1: not self.spatial and self.heads % self.tp and not self.engine.pads_heads,
            2: not self.spatial and len(self.layers) < self.pp,
            3: self.ep > 1 and unlike,
            4: not self.experts_kernel.flops,
            5: self.weight_bytes_per_device() > room,
            6: self.input_len + self.output_len > limit,
            7: self.batch > self.max_batch(),
        }
        return next((code for code, holds in reasons.items() if holds), 0)

    # time

    def kv_efficiency(self):
        engine = self.engine
        efficiency = engine.kv_efficiency_quantised if self.kv.quantised else engine.kv_efficiency
        if self.latent:
            return efficiency
        sharing = self.heads / self.kv_heads
        return efficiency / (1 + engine.kv_group_penalty * max(sharing - 1, 0))

    def touched(self, tokens):
        """Return the expected distinct experts of a layer.

        Of the tokens after the first one, only a share chooses on its own.
        """
        share = self.engine.routing_independence
        choosing = min(tokens, 1 + share * max(tokens - 1, 0))
        return distinct_experts(self.entry.num_experts, routed(self.entry), choosing)

    def touched_bytes(self, tokens):
        """Return the bytes of the experts that ``tokens`` touch, of all layers."""
        return sum(
            self.touched(tokens) * layer.expert.elements * self.experts_kernel.bits / 8
            for layer in self.layers
            if layer.expert
        )

    def fullest_rank(self, tokens):
        """Return distinct experts and tokens as if every rank had as many as the fullest."""
        experts, ranks, touched = self.entry.num_experts, self.ep, self.touched(tokens)
        if ranks <= 1 or self.engine.expert_imbalance != 1:
            return touched, tokens
        share = touched / ranks
        deviation = math.sqrt(max(2 * share * (1 - touched / experts) * math.log(ranks), 0))
        most = min(touched + ranks * deviation, experts)
        copies = tokens * routed(self.entry) / ranks
        uneven = 1 + math.sqrt(2 * math.log(ranks) / copies) + math.log(ranks) / (3 * copies)
        return most, tokens * min(ranks, uneven)

    def linear_operators(self, total, tokens, loads, width, expert_width, stages=1):
        """Add all matrix products but the lm_head of a pass of ``tokens`` tokens a group.

        ``loads`` are the distinct experts of a layer and the tokens that they see. ``stages`` of
        the layers run at the same time, each with small tensors of its own.
        """
        entry, a = self.entry, self.activation
        for group in ("attention_in", "attention_out", "ffn_in", "ffn_out", "shared"):
            kernel = self.body_kernel
            weight_bytes = flop = moved = 0.0
            more = self.padding() if group.startswith("attention") else 1.0
            for layer in self.layers:
                for matrix in layer.matrices:
                    if matrix.group == group:
                        elements = matrix.elements * more
                        weight_bytes += elements * kernel.bits / 8
                        flop += 2 * tokens * elements
                        moved += a * tokens * matrix.moved * more
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
                experts, seen = loads
                weight_bytes += experts * layer.expert.elements * kernel.bits / 8
                flop += 2 * seen * routed(entry) * layer.expert.elements
                moved += a * seen * routed(entry) * layer.expert.io
        efficiency = kernel.memory_efficiency * self.engine.memory_efficiency_experts
        total.operator(
            [
                ("weights", weight_bytes / expert_width, efficiency),
                ("activations", moved / expert_width, self.engine.memory_efficiency_16),
            ],
            [
                (
                    flop / expert_width,
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

    def launches(self):
        """Return the start-up seconds of a pass without its lm_head."""
        engine, total = self.engine, 0.0
        for layer in self.layers:
            total += 4 * engine.launch_elementwise
            total += sum(matrix.launches * self.body_kernel.launch for matrix in layer.matrices)
            total += self.experts_kernel.launch_experts if layer.expert else 0
            total += engine.launch_attention if layer.attention else 0
            if self.spatial:
                total += self.device.layer_latency * engine.spatial_latency
        return total

    def head_operator(self, total, tokens):
        entry, kernel = self.entry, self.head_kernel
        elements = entry.vocab_size * entry.hidden_size
        moved = self.activation * tokens * (entry.hidden_size + 3 * entry.vocab_size)
        total.operator(
            [
                ("weights", elements * kernel.bits / 8 / self.width, kernel.memory_efficiency),
                ("activations", moved / self.width, self.engine.memory_efficiency_16),
            ],
            [(2 * tokens * elements / self.width, kernel.flops, kernel.compute_efficiency)],
        )
        total.wait("start", kernel.launch)

    def attention_traffic(self, kind, sequences):
        """Return cache bytes, state bytes, activation bytes and FLOP of a decode step.

        Each cache is read once, whatever the number of drafted tokens; states once a token.
        """
        cache = state = moved = flop = 0.0
        context = self.input_len + self.decoded / 2
        for layer in self.layers:
            kept = layer.attention
            if kept is None or kept.kind != kind:
                continue
            seen = context
            if kept.window or kept.topk:
                seen = self.means[kept]
            cache += kept.kv * self.kv.bits / 8 * seen + kept.index * context
            for _ in range(int(self.queries)):
                state += 2 * 4 * kept.state
                moved += self.activation * self.mean_io if kind != "state" else 0
                flop += kept.decode_score * seen + kept.index_score * context + 8 * kept.state
        return tuple(sequences * value for value in (cache, state, moved, flop))

    def decode_attention(self, total):
        engine, width = self.engine, self.width
        for kind in ("global", "window", "state"):
            cache, state, moved, flop = self.attention_traffic(kind, self.sequences)
            total.operator(
                [
                    ("kv", cache * self.kv_share(width), self.kv_efficiency()),
                    ("kv", state / width, engine.kv_efficiency),
                    ("activations", moved / width, engine.memory_efficiency_16),
                ],
                [(flop / width, self.attention_flops, engine.attention_decode_efficiency)],
            )

    def exchanges(self, total, tokens, all_tokens):
        """Add all-reduces and the exchanges of experts; a spatial machine has none."""
        if self.spatial:
            return
        device, engine, layout = self.device, self.engine, self.deployment
        token = self.entry.hidden_size * self.activation
        joined = layout.tp * layout.dp
        for layer in self.layers:
            among = [(self.tp, tokens * token)] * layer.exchanges
            times = []
            if layer.expert and layout.dp > 1:
                among.pop()
                if self.ep > 1:
                    times.append(
                        to_experts_and_back(
                            self.ep,
                            routed(self.entry),
                            all_tokens / joined,
                            self.entry.hidden_size,
                            device,
                            engine,
                            joined / self.ep,
                        )
                    )
                else:
                    among.append((joined, all_tokens * token))
            times += [all_reduce(n, size, device, engine) for n, size in among]
            for start, transfer in times:
                total.wait("network_start", start)
                total.wait("network_transfer", transfer)

    def hand_overs(self, total, tokens):
        if self.spatial:
            return
        size = tokens * self.entry.hidden_size * self.activation
        for _ in range(int(self.pp) - 1):
            total.wait("network_start", self.engine.hop_latency)
            total.wait("network_transfer", size / self.device.link_bandwidth)

    def host(self):
        """Return what the host, and a server on it, add to a step."""
        engine = self.engine
        seconds = engine.host_per_step + engine.host_per_sequence * self.of_group
        if not self.spatial:
            for _ in range(1, int(self.tp * self.pp)):
                seconds += engine.host_per_device
        if not self.static:
            seconds += engine.server_per_step + engine.server_per_sequence * self.of_group
        return seconds

    def accepted(self):
        """Return the expected tokens of a step: one, and drafted ones up to the first rejected."""
        return sum(self.deployment.acceptance**place for place in range(int(self.queries)))

    def decode(self):
        """Return the time of one output token, without other requests' prefill."""
        engine, drafted = self.engine, self.deployment.draft_len
        step = Sum(engine.residue, self.device)
        tokens, all_tokens = self.sequences * self.queries, self.of_pass * self.queries
        loads = self.fullest_rank(all_tokens) if self.entry.num_experts else (0, 0)
        self.linear_operators(step, tokens, loads, self.width, self.expert_width)
        step.wait("start", self.launches())
        self.head_operator(step, tokens)
        self.decode_attention(step)
        self.exchanges(step, tokens, all_tokens)
        self.hand_overs(step, tokens)
        step.wait("start", engine.sampling_per_sequence * self.of_group)
        step.wait("host", self.host())
        step.wait("offload", sum(self.offload_times()))

        layers, head = (Sum(engine.residue, self.device) for _ in range(2))
        loads = (self.touched(self.of_pass), self.of_pass) if self.entry.num_experts else (0, 0)
        self.linear_operators(layers, self.sequences, loads, self.width, self.expert_width)
        layers.wait("start", self.launches())
        self.head_operator(head, self.sequences)
        for _ in range(int(drafted)):
            step.add(layers, engine.draft_layers / len(self.layers))
            step.add(head, 1.0)

        token = Sum(engine.residue, self.device)
        token.add(step, 1 / self.accepted())
        return token

    # prefill

    def prompts(self):
        """Return how many prompts a group prefills in one pass."""
        if self.static:
            return self.of_group
        together = self.groups
        if self.continuous:
            fitting = max(self.engine.prefill_chunk / self.input_len, 1.0) * self.groups
            together = max(min(self.batch / self.output_len, fitting), self.groups)
        return together / self.groups

    def prefill_attention(self):
        """Return cache bytes, state bytes, activation bytes and FLOP of a group's prompts."""
        cache = moved = state = flop = 0.0
        counted = {}
        full = (self.input_len**2 + self.input_len - self.cached**2 - self.cached) / 2
        for layer in self.layers:
            kept = layer.attention
            if kept is None:
                continue
            if kept not in counted:
                counted[kept] = pairs(kept, self.cached, self.input_len)
            flop += kept.prefill_score * counted[kept] + kept.index_score * full
            flop += 8 * kept.state * self.new
            written, read = self.new, self.input_len
            cache += (written + read) * kept.kv * self.kv.bits / 8 + read * kept.index
            state += self.new * 2 * 4 * kept.state / 64
            moved += self.new * self.activation * kept.io
        return tuple(self.prompts() * value for value in (cache, state, moved, flop))

    def all_prompt_tokens(self):
        """Return the new tokens of a pass, of all groups."""
        return self.prompts() * self.groups * self.new

    def touching_tokens(self):
        """Return the tokens that choose experts: those of a static batch smaller than its groups.

        Groups without a prompt run along.
        """
        prompts = self.batch if self.static else self.prompts() * self.groups
        return prompts * self.new

    def fill(self):
        """Return the time of a prefill in chunks through the stages, over that in one piece."""
        if self.spatial:
            return 1.0
        tokens = self.prompts() * self.new
        chunks = min(max(tokens / self.engine.pipeline_chunk, 1), self.engine.prefill_overlap)
        return (chunks + self.pp - 1) / (chunks * self.pp)

    def prefill(self):
        """Return the time of one prefill pass, without the host's."""
        device, engine = self.device, self.engine
        tokens, width = self.prompts() * self.new, self.prefill_width
        parts, total = (Sum(engine.residue, device) for _ in range(2))
        expert_width = width if self.spatial else self.expert_width
        loads = (0, 0)
        if self.entry.num_experts:
            loads = self.touched(self.touching_tokens()), self.all_prompt_tokens()
        self.linear_operators(
            parts, tokens, loads, width, expert_width, self.stages if self.spatial else 1
        )
        cache, state, moved, flop = self.prefill_attention()
        efficiency = engine.attention_prefill_memory_efficiency
        parts.operator(
            [
                ("kv", cache * self.kv_share(width), efficiency),
                ("kv", state / width, efficiency),
                ("activations", moved / width, efficiency),
            ],
            [(flop / width, self.attention_flops, engine.attention_prefill_efficiency)],
        )
        self.exchanges(parts, tokens, self.all_prompt_tokens())
        total.add(parts, self.fill())
        total.wait("start", self.launches())
        self.head_operator(total, self.prompts())
        self.hand_overs(total, tokens)
        return total

    # traffic and power

    def pass_traffic(self):
        """Return the bytes and FLOP of one pass of the decode step on all devices."""
        entry, a = self.entry, self.activation
        tokens = self.sequences * self.groups * self.queries
        size = self.groups * self.body_bytes() + self.touched_bytes(self.of_pass * self.queries)
        more, flop = self.token_traffic(tokens)
        size += more + a * tokens * (entry.hidden_size + 3 * entry.vocab_size)
        flop += 2 * tokens * entry.vocab_size * entry.hidden_size
        copies = self.width * self.kv_share(self.width)
        for kind in ("global", "window", "state"):
            cache, state, moved, scores = self.attention_traffic(kind, self.sequences * self.groups)
            size += cache * copies + state + moved
            flop += scores
        return size, flop

    def token_traffic(self, tokens):
        """Return the activation bytes and the FLOP of ``tokens`` in all layers' products."""
        entry, a = self.entry, self.activation
        size = flop = 0.0
        for layer in self.layers:
            size += 10 * a * entry.hidden_size * tokens
            for matrix in layer.matrices:
                size += a * tokens * matrix.moved
                flop += 2 * tokens * matrix.elements
            if layer.expert:
                size += a * tokens * routed(entry) * layer.expert.io
                flop += 2 * tokens * routed(entry) * layer.expert.elements
        return size, flop

    def prefill_traffic(self):
        """Return the bytes and FLOP of a prefill pass on all devices."""
        entry, width = self.entry, self.prefill_width
        prompts = self.prompts() * self.groups
        size, flop = self.token_traffic(self.all_prompt_tokens())
        size += self.groups * self.body_bytes()
        if entry.num_experts:
            size += self.touched_bytes(self.touching_tokens())
        size += self.activation * prompts * (entry.hidden_size + 3 * entry.vocab_size)
        flop += 2 * prompts * entry.vocab_size * entry.hidden_size
        cache, state, moved, scores = self.prefill_attention()
        size += self.groups * (cache * width * self.kv_share(width) + state + moved)
        return size, flop + self.groups * scores

    def running_power(self, size, flop, width, seconds, attention=0.0):
        """Return the watts of ``width`` boards that share bytes and FLOP, while operators run.

        ``attention`` are those of the seconds that the cache takes.
        """
        engine, device = self.engine, self.device
        memory = size / (width * device.memory_bandwidth * seconds)
        compute = flop / (width * self.experts_kernel.flops * seconds)
        share = engine.power_floor + engine.power_memory * memory
        share += engine.power_compute * math.sqrt(compute)
        share += engine.power_attention * attention / seconds
        return min(1.0, share) * device.board_power

    def decode_power(self, step, size, flop):
        """Return the mean watts of a board in decode."""
        engine, board = self.engine, self.device.board_power
        network = step.parts["network_start"] + step.parts["network_transfer"]
        exchanging = network + step.parts["offload"]
        host = step.parts["host"]
        running = step.total - exchanging - host
        working = self.width * self.groups
        each = 1 / self.accepted()  # a token's part of a pass
        watts = self.running_power(size * each, flop * each, working, running, step.parts["kv"])
        joules = running * watts
        joules += exchanging * engine.power_network * board + host * engine.power_host * board
        busy = self.passes * working / self.devices
        return busy * joules / step.total + (1 - busy) * self.device.idle_power

    def at_once(self):
        """Return how many prefill passes share the stages: those that chunks leave idle."""
        busy = self.prefill_width * self.groups / (self.devices * self.fill())
        return min(self.passes, max(1 / busy, 1))

    def prefill_power(self, seconds):
        """Return the mean watts of a board in prefill."""
        width = self.prefill_width * self.groups
        working = seconds / self.fill()  # of the parts one after another, each on one stage
        power = self.running_power(*self.prefill_traffic(), width, working)
        busy = self.at_once() * working * width / self.devices / seconds
        return busy * power + (1 - busy) * self.device.idle_power

    # money

    def usd_per_second(self):
        device, economics = self.device, self.economics
        hour = device.price_per_hour
        if economics.purchase == 1.0:
            hour = device.spot_price_per_hour
        if economics.purchase == 2.0:
            capital = device.purchase_price * economics.server_factor
            kilowatts = device.board_power * (1 + economics.node_overhead) * economics.pue / 1000
            hour = capital * (self.annuity() + economics.operations) / 8760
            hour += kilowatts * economics.electricity_price
        hour *= economics.price_multiplier * self.devices
        return hour / 3600 / economics.utilization

    def annuity(self):
        """Return the yearly payment for one dollar of capital."""
        interest = self.economics.interest
        years = self.economics.lifetime / (8760 * 3600)
        if interest < 1e-9:  # the limit, with its first-order term
            return 1 / years + interest * (1 + 1 / years) / 2
        return interest / (1 - (1 + interest) ** -years)

    def cached_token_seconds(self):
        """Return the seconds of attention that all new tokens pay to one cached token."""
        flop = sum(
            layer.attention.prefill_score * self.new
            for layer in self.layers
            if layer.attention and layer.attention.kind == "global"
        )
        rate = self.attention_flops * self.engine.attention_prefill_efficiency
        return flop / (rate * self.prefill_width * self.groups)

    # result

    def point(self):
        """Return the result, by the names of the columns."""
        status = self.status()
        if status == 7 and not self.static and self.max_batch() >= 1:
            waits = Naive(
                self.entry,
                self.device,
                self.engine,
                self.weights,
                self.kv,
                self.economics,
                self.deployment,
                self.input_len,
                self.output_len,
                float(self.max_batch()),
            )
            return waits.result(waits.status())
        return self.result(status)

    def result(self, status):
        if not self.experts_kernel.flops:
            return {"status": status}
        device, engine = self.device, self.engine
        layout, batch, devices = self.deployment, self.batch, self.devices
        step, prefill = self.decode(), self.prefill()
        prompts = self.prompts() * self.groups
        per_prompt = prefill.total / prompts

        # Other requests' prefill: passes per decode step that it waits for.
        passes = 0.0
        if self.continuous:
            passes = engine.interference * max(batch - 1, 0) / self.output_len / prompts
            passes /= self.at_once()
        prefill_s = passes * prefill.total
        tpot = step.total + prefill_s
        request = (self.output_len - 1) * tpot

        def queue(load):
            load = min(load, 0.95)
            return prefill.total * load / (2 * (1 - load)) if engine.random_arrivals else 0.0

        first = engine.host_per_prefill + prefill.total + self.offload_times()[0]
        waiting = (1 - batch / layout.batch) * self.output_len * tpot
        ttft = first
        if self.continuous:
            ttft += step.total / 2 + queue(prefill_s / tpot)
            ttft += engine.queue_weight * max(batch - 1, 0) * per_prompt + waiting
        pool = 0.0
        if self.disaggregated:
            pool = per_prompt * batch / (self.output_len * tpot * engine.prefill_pool_load)
            pool /= self.at_once()
            port = engine.network_efficiency * device.network_bandwidth * self.tp
            cache = self.cache_bytes(self.input_len)
            ttft += queue(engine.prefill_pool_load) + waiting
            ttft += cache / len(self.layers) / port
        latency = ttft + request

        network = step.parts["network_start"] + step.parts["network_transfer"]
        causes = {
            "weights": step.parts["weights"],
            "kv": step.parts["kv"],
            "activations": step.parts["activations"],
            "compute": step.parts["compute"],
            "network": network,
            "latency": step.parts["start"] + step.parts["host"],
            "prefill": prefill_s,
            "offload": step.parts["offload"],
        }
        streams = ("weights", "kv", "activations")
        transfer = step.parts["network_transfer"] + step.parts["offload"]
        fixed = causes["latency"] + step.parts["network_start"]
        late = prefill.parts["start"] + prefill.parts["network_start"]

        size, flop = self.pass_traffic()
        weight_bytes, kv_bytes = self.weight_bytes_per_device(), self.kv_bytes_per_device()
        wall = step.total * self.accepted()  # of a step
        step_bytes, step_flops = size * self.passes, flop * self.passes
        point = {
            "status": status,
            "bound": list(causes.values()).index(max(causes.values())),
            "ttft_s": ttft,
            "tpot_s": tpot,
            "e2e_latency_s": latency,
            "tokens_per_s_per_user": 1 / tpot,
            "tokens_per_s_per_device": batch / tpot / (devices + pool * devices),
            "requests_per_s": batch / (latency if self.static else self.output_len * tpot),
            "running_batch": batch,
            "prefill_pool": pool,
            "weight_bytes_per_device": weight_bytes,
            "kv_bytes_per_device": kv_bytes,
            "total_bytes_per_device": weight_bytes + kv_bytes,
            "offloaded_bytes_per_device": sum(self.offloaded()),
            "max_batch": self.max_batch(),
            "devices_needed": self.devices_needed(),
            "step_bytes": step_bytes,
            "step_flops": step_flops,
            "arithmetic_intensity": step_flops / step_bytes,
            "mbu": step_bytes / (wall * devices * device.memory_bandwidth),
            "mfu": step_flops / (wall * devices * self.experts_kernel.flops),
            "ridge_batch": (
                self.experts_kernel.flops / device.memory_bandwidth * self.weights.bits / 16
            ),
            "elasticity_bandwidth": sum(
                step.parts[name] + passes * prefill.parts[name] for name in streams
            )
            / tpot,
            "elasticity_compute": (step.parts["compute"] + passes * prefill.parts["compute"])
            / tpot,
            "elasticity_link": (transfer + passes * prefill.parts["network_transfer"]) / tpot,
            "elasticity_latency": (fixed + passes * late) / tpot,
        }
        point |= self.bill(step, prefill.total, prefill_s, first, request)
        point |= self.intervals(point)
        for cause, seconds in causes.items():
            point[f"{cause}_s"] = seconds
            point[f"{cause}_share"] = seconds / tpot
        return point

    def intervals(self, point):
        """Return what encloses four of five measurements, by the names of the columns."""
        engine, found = self.engine, {}
        decode, first = "served", "served"
        if self.static:
            decode, first = "single" if self.devices == 1 else "parallel", "static"
        for side in ("low", "high"):
            ttft = point["ttft_s"] * getattr(engine, f"{side}_ttft_{first}")
            tpot = point["tpot_s"] * getattr(engine, f"{side}_tpot_{decode}")
            joules = point["energy_per_output_token_j"] * getattr(engine, f"{side}_energy")
            found[f"ttft_{side}_s"] = ttft
            found[f"tpot_{side}_s"] = tpot
            found[f"e2e_latency_{side}_s"] = ttft + (self.output_len - 1) * tpot
            found[f"energy_per_output_token_{side}_j"] = joules
            found[f"power_{side}_w"] = point["power_w"] * getattr(engine, f"{side}_power")
        return found

    def bill(self, step, prefill, prefill_s, first, request):
        """Return power, energy and money, by the names of the columns.

        ``first`` and ``request`` are the seconds to a static batch's first token and after it.
        """
        device, engine, economics = self.device, self.engine, self.economics
        devices, batch = self.devices, self.batch
        per_prompt = prefill / (self.prompts() * self.groups)
        size, flop = self.pass_traffic()
        decode_power = self.decode_power(step, size, flop)
        prefill_power = self.prefill_power(prefill)
        if self.static:
            joules = prefill_power * (first - engine.host_per_prefill) + decode_power * request
            joules += engine.power_host * device.board_power * engine.host_per_prefill
            power = joules / (first + request)
        else:
            power = (decode_power * step.total + prefill_power * prefill_s) / (
                step.total + prefill_s
            )
        output_energy = devices * decode_power * step.total / batch
        input_energy = devices * prefill_power * per_prompt / self.input_len / self.at_once()
        grid = (1 + economics.node_overhead) * economics.pue
        carbon = economics.carbon_intensity / 3.6e6 * 1e6

        # Money.
        rate = self.usd_per_second() * 1e6
        pooled = 1 / engine.prefill_pool_load if self.disaggregated else 1.0
        output_cost = rate * step.total / batch
        return {
            "decode_power_w": decode_power,
            "prefill_power_w": prefill_power,
            "power_w": power,
            "energy_per_output_token_j": output_energy,
            "energy_per_input_token_j": input_energy,
            "energy_per_request_j": self.input_len * input_energy
            + (self.output_len - 1) * output_energy,
            "facility_energy_per_output_token_j": output_energy * grid,
            "cost_per_mtok_output_usd": output_cost,
            "cost_per_mtok_input_usd": rate * pooled * per_prompt / self.input_len / self.at_once(),
            "cost_per_mtok_cached_input_usd": rate * pooled * self.cached_token_seconds(),
            "break_even_utilization": output_cost * economics.utilization / economics.token_price,
            "carbon_per_mtok_output_g": output_energy * grid * carbon,
            "carbon_per_mtok_input_g": input_energy * grid * carbon,
        }
