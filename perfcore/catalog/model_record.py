"""From an architecture to the record that physics works on."""

from perfcore import records
from perfcore.catalog import parameters
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.layer_types import COMPRESSED, LATENT, STATE
from perfcore.catalog.mixers import head_dims, kv_heads, mixers

UNLIMITED_CONTEXT = 1e9  # tokens: a state-space model has no longest context
CSA_RATIO, HCA_RATIO = 4, 128  # tokens that DeepSeek-V4 compresses into one entry


def model_record(entry: Architecture) -> records.Model:
    """Return the record of a model entry.

    DeepSeek-V4: its heavily compressed entries are scanned whole, never selected, so they are
    counted with the indexer's keys, whose reads grow with the context in the same way.
    """
    attention = mixers(entry)
    ffn_in, ffn_out = parameters.dense_ffn(entry)
    shared, expert = parameters.shared_experts(entry), parameters.routed_expert(entry)
    has = entry.layers
    compressed = sum(has[code] for code in COMPRESSED)
    latent = sum(has[code] for code in LATENT)
    attends = latent + compressed + has["F"] + has["S"]
    return records.Model(
        layers=float(entry.num_hidden_layers),
        hidden_size=float(entry.hidden_size),
        heads=float(entry.num_attention_heads if attends else 0),
        kv_heads=float(_splittable_kv_heads(entry)),
        max_context=float(entry.max_position_embeddings) or UNLIMITED_CONTEXT,
        attention_in_elements=float(attention.into.elements),
        attention_in_io_elements=float(attention.into.io_elements),
        attention_in_operators=float(attention.into.operators),
        attention_out_elements=float(attention.out.elements),
        attention_out_io_elements=float(attention.out.io_elements),
        attention_out_operators=float(attention.out.operators),
        ffn_in_elements=float(ffn_in.elements),
        ffn_in_io_elements=float(ffn_in.io_elements),
        ffn_in_operators=float(ffn_in.operators),
        ffn_out_elements=float(ffn_out.elements),
        ffn_out_io_elements=float(ffn_out.io_elements),
        ffn_out_operators=float(ffn_out.operators),
        shared_elements=float(shared.elements),
        shared_io_elements=float(shared.io_elements),
        shared_operators=float(shared.operators),
        expert_elements=float(expert.elements),
        expert_io_elements=entry.active_experts * expert.io_elements,
        moe_layers=float(entry.moe_layers),
        experts=float(entry.num_experts),
        experts_per_token=entry.active_experts,
        lm_head_elements=float(parameters.lm_head(entry)),
        embedding_elements=float(parameters.input_embedding(entry)),
        other_elements=float(parameters.other_parameters(entry)),
        global_layers=float(has["F"] + latent + has["C"] + has["H"]),
        window_layers=float(has["S"] + has["V"]),
        state_layers=float(sum(has[code] for code in STATE)),
        window=float(entry.window),
        window_chunked=1.0 if entry.attention_chunk_size else 0.0,
        global_kv_elements=float(global_kv_elements(entry)),
        window_kv_elements=float(window_kv_elements(entry)),
        latent_cache=1.0 if latent + compressed else 0.0,
        attention_io_elements=float(_attention_io_elements(entry)),
        global_score_flops=float(_global_score_flops(entry, absorbed=True)),
        window_score_flops=float(_window_score_flops(entry)),
        global_prefill_score_flops=float(_global_score_flops(entry, absorbed=False)),
        index_topk=float(entry.index_topk * (CSA_RATIO if has["C"] else 1)),
        index_elements=float(index_elements(entry)),
        index_score_flops=float(_index_score_flops(entry)),
        state_elements=float(state_elements(entry)),
        all_reduces=float(_all_reduces(entry)),
        experts_only=1.0 if "experts" in entry.native_dtype else 0.0,
    )


def global_kv_elements(entry: Architecture) -> int:
    """Return the KV-cache elements per token of the layers that see the whole context.

    K(h + h_v) a layer, c + r for MLA (DeepSeek-V2, arXiv:2405.04434, table 1), h/4 for CSA.
    """
    has = entry.layers
    grouped = kv_heads(entry, "F") * sum(head_dims(entry, "F"))
    latent = entry.kv_lora_rank + entry.qk_rope_head_dim
    return (
        has["F"] * grouped
        + sum(has[code] for code in LATENT) * latent
        + has["C"] * entry.head_dim // CSA_RATIO
    )


def window_kv_elements(entry: Architecture) -> int:
    """Return the KV-cache elements per token of the windows; every DeepSeek-V4 layer has one."""
    has = entry.layers
    grouped = kv_heads(entry, "S") * sum(head_dims(entry, "S"))
    return has["S"] * grouped + sum(has[code] for code in COMPRESSED) * entry.head_dim


def index_elements(entry: Architecture) -> int:
    """Return the indexer keys per token of context, and DeepSeek-V4's entries for 128 tokens."""
    has = entry.layers
    if not entry.index_topk:
        return has["H"] * entry.head_dim // HCA_RATIO
    keys = _indexers(entry) * entry.index_head_dim + has["C"] * entry.index_head_dim // CSA_RATIO
    return keys + has["H"] * entry.head_dim // HCA_RATIO


def state_elements(entry: Architecture) -> int:
    """Return the recurrent state of one sequence, convolution tails included."""
    has = entry.layers
    keys = entry.linear_num_key_heads * entry.linear_key_head_dim
    values = entry.linear_num_value_heads * entry.linear_value_head_dim
    delta = (
        entry.linear_num_value_heads * entry.linear_key_head_dim * entry.linear_value_head_dim
        + (2 * keys + values) * max(entry.linear_conv_kernel_dim - 1, 0)
    )
    lightning = entry.num_attention_heads * entry.head_dim**2
    inner = entry.mamba_num_heads * entry.mamba_head_dim or entry.mamba_intermediate_size
    convolved = inner + 2 * entry.n_groups * entry.ssm_state_size
    mamba = inner * entry.ssm_state_size + convolved * max(entry.conv_kernel - 1, 0)
    return (has["G"] + has["K"]) * delta + has["T"] * lightning + has["M"] * mamba


def _splittable_kv_heads(entry: Architecture) -> int:
    """Return the heads over which tensor parallelism can split the cache, at least 1."""
    has = entry.layers
    if has["F"]:
        return kv_heads(entry, "F")
    return kv_heads(entry, "S") if has["S"] else 1


def _indexers(entry: Architecture) -> int:
    """Return the layers that score every token of the context before they attend."""
    return entry.layers["A"] if entry.index_topk else 0


def _attention_io_elements(entry: Architecture) -> int:
    """Return queries in and outputs out of the attention kernels, per new token."""
    has, heads = entry.layers, entry.num_attention_heads
    latent = 2 * entry.kv_lora_rank + entry.qk_rope_head_dim
    return heads * (
        sum(has[code] * sum(head_dims(entry, code)) for code in "FS")
        + sum(has[code] for code in LATENT) * latent
        + sum(has[code] for code in COMPRESSED) * 2 * entry.head_dim
    )


def _global_score_flops(entry: Architecture, *, absorbed: bool) -> int:
    """Return the FLOP of scores and weighted sums per (query, context token).

    2 H (h + h_v) a layer. MLA decode works on the latent, 2 H (2 c + r); prefill on heads of
    full width, 2 H (n + r + v).
    """
    has, heads = entry.layers, entry.num_attention_heads
    whole = entry.qk_nope_head_dim + entry.qk_rope_head_dim + entry.v_head_dim
    latent = 2 * entry.kv_lora_rank + entry.qk_rope_head_dim
    return (
        2
        * heads
        * (
            has["F"] * sum(head_dims(entry, "F"))
            + sum(has[code] for code in LATENT) * (latent if absorbed else whole)
            + has["C"] * 2 * entry.head_dim // CSA_RATIO
        )
    )


def _window_score_flops(entry: Architecture) -> int:
    has, heads = entry.layers, entry.num_attention_heads
    return (
        2
        * heads
        * (
            has["S"] * sum(head_dims(entry, "S"))
            + sum(has[code] for code in COMPRESSED) * 2 * entry.head_dim
        )
    )


def _index_score_flops(entry: Architecture) -> int:
    """Return the FLOP of the indexers, 2 H_i d_i a layer, and of V4's entries for 128 tokens."""
    has = entry.layers
    keys = 2 * entry.index_n_heads * entry.index_head_dim
    return (
        _indexers(entry) * keys
        + has["C"] * keys // CSA_RATIO
        + has["H"] * 4 * entry.num_attention_heads * entry.head_dim // HCA_RATIO
    )


def _all_reduces(entry: Architecture) -> int:
    """Return the all-reduces of one pass: one after each mixer and each FFN.

    Shoeybi et al., Megatron-LM, arXiv:1909.08053. A parallel block adds its branches first.
    """
    ffns = entry.dense_layers + entry.moe_layers
    return max(entry.mixers, ffns) if entry.parallel_block else entry.mixers + ffns
