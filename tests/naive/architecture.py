"""Architecture of a model: every matrix of every layer, and their sums."""

from typing import NamedTuple

RECURRENT = "GKTML"


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
    kv: int = 0  # cache elements per token that it keeps
    read: int = 0  # and that it reads, which may be another layer's
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
    second: Attention | None = None  # a state beside the attention

    @property
    def mixers(self):
        """What it has of attention and states, one by one."""
        return [one for one in (self.attention, self.second) if one is not None]


def mixer_letters(entry):
    unit = entry.layer_types or ("A" if entry.kv_lora_rank else "F")
    return [unit[index % len(unit)] for index in range(entry.num_hidden_layers)]


def grouped_heads(entry, letter):
    """Return the query heads, KV heads, and widths of a key and a value of one layer."""
    heads, kv_heads = entry.num_attention_heads, entry.num_key_value_heads
    head = entry.head_dim or entry.hidden_size // heads
    if letter in "Ss":
        heads = entry.swa_num_attention_heads or heads
        return heads, entry.swa_num_key_value_heads or kv_heads, head, entry.v_head_dim or head
    kv_heads = entry.num_global_key_value_heads or kv_heads
    if entry.global_head_dim:
        return heads, kv_heads, entry.global_head_dim, entry.global_head_dim
    return heads, kv_heads, head, entry.v_head_dim or head


def grouped_attention(entry, letter):
    """Return the matrices, the cache and the small tensors of one layer of grouped attention."""
    d = entry.hidden_size
    heads, kv_heads, head, value = grouped_heads(entry, letter)
    borrows, window = letter in "fs", letter in "Ss"
    same = not window and entry.attention_k_eq_v
    q, k, v = heads * head, kv_heads * head, 0 if same else kv_heads * value
    cached = kv_heads * (head + value)
    if borrows:
        k = v = 0
    gate = heads * value if entry.attn_output_gate else 0
    if entry.attn_head_gate:
        gate = heads
    small = 0
    if entry.attention_bias != "none":
        small += q + k + v
    if entry.attention_bias == "all":
        small += d
    if entry.qk_norm == "head-dim":
        small += head if borrows else head + head
    if entry.qk_norm == "full":
        small += q + k
    if entry.attention_sinks:
        small += heads
    matrices = [
        Matrix("attention_in", d, q + k + v + gate),
        Matrix("attention_out", heads * value, d),
    ]
    index = index_score = 0
    if letter == "Q":
        index_heads, index_dim = entry.index_n_heads, entry.index_head_dim
        matrices += [
            Matrix("attention_in", d, index_heads * index_dim),
            Matrix("attention_in", d, index_dim),
        ]
        small += index_dim + index_dim
        index = index_dim / entry.index_kpool
        index_score = 2 * index_heads * index_dim / entry.index_kpool
    attention = Attention(
        kind="window" if window else "global",
        kv=0 if borrows else cached,
        read=cached,
        io=heads * (head + value),
        decode_score=2 * heads * (head + value),
        prefill_score=2 * heads * (head + value),
        window=(entry.sliding_window or entry.attention_chunk_size) if window else 0,
        chunked=bool(window and entry.attention_chunk_size),
        topk=entry.index_topk if letter == "Q" else 0,
        index=index,
        index_score=index_score,
    )
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
    if entry.attn_head_gate:
        matrices.append(Matrix("attention_in", d, heads))
    elif entry.attn_output_gate:
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
        pool = entry.index_kpool
        if pool > 1:  # the weights of a pool's mean, and where a token is in its pool
            matrices.append(Matrix("attention_in", d, index_dim, merged=True))
            small += pool * index_dim
        index, index_score = index_dim / pool, 2 * index_heads * index_dim / pool
    attention = Attention(
        kind="global",
        kv=rank + rope,
        read=rank + rope,
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
            if entry.linear_full_rank:  # the decay in one piece
                shapes = [(d, 2 * keys + values + v_heads + keys)]
            shapes += [(d, values)] if entry.attn_output_gate else [(d, v_dim), (v_dim, values)]
            small += v_heads + keys + v_dim
        matrices = [Matrix("attention_in", *shape) for shape in shapes]
        matrices.append(Matrix("attention_out", values, d))
    elif letter == "L":  # two gates and the input of a convolution
        matrices = [Matrix("attention_in", d, 3 * d), Matrix("attention_out", d, d)]
        small = entry.conv_kernel * d
        state = max(entry.conv_kernel - 1, 0) * d
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
        small = (entry.conv_kernel + 1) * (inner + 2 * groups) + 3 * heads
        if entry.mamba_norm:
            small += inner
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


def beside(entry):
    """Return the matrices and small tensors of one layer beside its mixer and its FFN."""
    d, p, r, n = (
        entry.hidden_size,
        entry.hidden_size_per_layer_input,
        entry.laurel_rank,
        entry.altup_num_inputs,
    )
    matrices, small = [], 0
    if p:
        matrices += [Matrix("ffn_in", d, p), Matrix("ffn_out", p, d)]
        small += d
    if r:
        matrices += [Matrix("ffn_in", d, r), Matrix("ffn_out", r, d)]
        small += d
    if n > 1:
        small += d + d + d * n + n * n + n * n**2
    return matrices, small


def once(entry):
    """Return the matrices of a pass outside of its layers: of streams and per-layer embeddings."""
    d, n = entry.hidden_size, entry.altup_num_inputs
    found = []
    for _ in range(n - 1):
        found += [Matrix("ffn_in", d, d), Matrix("ffn_out", d, d)]
    if entry.hidden_size_per_layer_input:
        width = entry.num_hidden_layers * entry.hidden_size_per_layer_input
        found.append(Matrix("ffn_in", d, width))
    return found


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


def mixer_of(entry, letter):
    """Return the matrices, the attention, a state beside it and the small tensors of one mixer."""
    if letter == "-":
        return [], None, None, 0
    if letter in RECURRENT:
        matrices, attention, small = recurrent_layer(entry, letter)
        return matrices, attention, None, small
    if letter in "Aa":
        matrices, attention, small = latent_attention(entry, letter)
        return matrices, attention, None, small
    if letter not in "FSQfsP":
        raise NotImplementedError(letter)
    matrices, attention, small = grouped_attention(entry, letter)
    if letter != "P":
        return matrices, attention, None, small
    more, second, more_small = recurrent_layer(entry, "M")
    return matrices + more, attention, second, small + more_small


def layers_of(entry):
    """Return every layer of a model, one by one."""
    letters = mixer_letters(entry)
    norm = {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm] * entry.hidden_size
    widths = [width for width, count in entry.intermediate_sizes for _ in range(count)]
    has_ffn = bool(entry.intermediate_size or entry.intermediate_sizes or entry.num_experts)
    ffn_index = dense_index = 0
    layers = []
    for letter in letters:
        expert = None
        matrices, attention, second, small = mixer_of(entry, letter)
        mixer = letter != "-"
        more, more_small = beside(entry)
        matrices, small = matrices + more, small + more_small
        if not layers:
            matrices = matrices + once(entry)
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
        exchanges += 1 if second else 0
        layers.append(Layer(matrices, attention, expert, small, exchanges, second))
    return layers


def small_outside_layers(entry):
    norm = {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm] * entry.hidden_size
    total = norm  # the final one
    if entry.lm_head_bias:
        total += entry.vocab_size
    total += entry.hidden_size_per_layer_input  # a norm of all embeddings
    return total + entry.extra_parameters


def embedding_elements(entry):
    """Return what is looked up only: the input embedding unless tied, positions, their norm."""
    table = 0 if entry.tie_word_embeddings else entry.vocab_size * entry.hidden_size
    table += entry.learned_positions * entry.hidden_size
    for _ in range(entry.num_hidden_layers):
        table += entry.vocab_size_per_layer_input * entry.hidden_size_per_layer_input
    if entry.embedding_norm:
        table += {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm] * entry.hidden_size
    return table


def parameters(entry):
    """Return the number of all parameters."""
    total = entry.vocab_size * entry.hidden_size + embedding_elements(entry)
    total += small_outside_layers(entry) + entry.ngram_table_parameters
    for layer in layers_of(entry):
        total += layer.small
        for matrix in layer.matrices:
            total += matrix.elements
        if layer.expert:
            total += entry.num_experts * layer.expert.elements
    return total


def active_parameters(entry):
    """Return the parameters that one token is multiplied with, lm_head included."""
    total = parameters(entry) - embedding_elements(entry) - entry.ngram_table_parameters
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
