"""Rules that tie the fields of a model entry together."""

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.layer_types import COMPRESSED, MIXERS


def faults(entry: Architecture) -> list[str]:
    """Return what contradicts itself in an entry whose fields are valid one by one."""
    return [text for broken, text in _rules(entry) if broken]


def _rules(entry: Architecture) -> list[tuple[bool, str]]:
    """Every rule that ties fields together: whether it is broken, and what to say then."""
    unknown = sorted(set(entry.layer_types) - set(MIXERS))
    if unknown or len(entry.layer_types) > entry.num_hidden_layers:
        return [
            (bool(unknown), f"layer_types: unknown letter {unknown[:1]}; one of {''.join(MIXERS)}"),
            (
                len(entry.layer_types) > entry.num_hidden_layers,
                (
                    f"layer_types: {len(entry.layer_types)} letters for num_hidden_layers ="
                    f" {entry.num_hidden_layers}; give at most one a layer"
                ),
            ),
        ]
    return [*_attention_faults(entry), *_state_faults(entry), *_ffn_faults(entry)]


def _attention_faults(entry: Architecture) -> list[tuple[bool, str]]:
    has = entry.layers
    heads, kv_heads = entry.num_attention_heads, entry.num_key_value_heads
    grouped = has["F"] + has["S"] > 0
    latent = has["A"] + has["a"] > 0
    compressed = sum(has[code] for code in COMPRESSED) > 0
    return [
        (grouped and not kv_heads, "num_key_value_heads: missing; attention layers need it"),
        (
            (grouped or latent or compressed) and not heads,
            "num_attention_heads: missing; attention layers need it",
        ),
        *(
            (
                count > 0 and heads % count != 0,
                f"{name} = {count}: does not divide num_attention_heads = {heads}",
            )
            for name, count in (
                ("num_key_value_heads", kv_heads),
                ("num_global_key_value_heads", entry.num_global_key_value_heads),
                ("swa_num_key_value_heads", entry.swa_num_key_value_heads),
            )
        ),
        (
            grouped and heads > 0 and not entry.head_dim and entry.hidden_size % heads != 0,
            (
                f"num_attention_heads = {heads}: does not divide hidden_size ="
                f" {entry.hidden_size}; give head_dim"
            ),
        ),
        (
            has["S"] > 0 and not entry.window,
            "sliding_window: missing; layer_types has window layers (S)",
        ),
        (
            bool(entry.sliding_window and entry.attention_chunk_size),
            "sliding_window and attention_chunk_size: give one of the two",
        ),
        (
            latent and not (entry.kv_lora_rank and entry.qk_nope_head_dim and entry.v_head_dim),
            "latent attention needs kv_lora_rank, qk_nope_head_dim and v_head_dim",
        ),
        (
            compressed
            and not (
                entry.head_dim
                and entry.q_lora_rank
                and entry.o_lora_rank
                and entry.o_groups
                and entry.sliding_window
            ),
            (
                "compressed attention needs head_dim, q_lora_rank, o_lora_rank, o_groups and"
                " sliding_window"
            ),
        ),
        (
            bool(entry.index_topk) and not (entry.index_n_heads and entry.index_head_dim),
            "index_topk: needs index_n_heads and index_head_dim",
        ),
    ]


def _state_faults(entry: Architecture) -> list[tuple[bool, str]]:
    has = entry.layers
    return [
        (
            has["G"] + has["K"] > 0
            and not (
                entry.linear_num_key_heads
                and entry.linear_num_value_heads
                and entry.linear_key_head_dim
                and entry.linear_value_head_dim
            ),
            (
                "linear-attention layers need linear_num_key_heads, linear_num_value_heads,"
                " linear_key_head_dim and linear_value_head_dim"
            ),
        ),
        (
            has["T"] > 0 and not (entry.num_attention_heads and entry.head_dim),
            "lightning attention needs num_attention_heads and head_dim",
        ),
        (
            has["M"] > 0
            and not (
                entry.ssm_state_size
                and (
                    (entry.mamba_num_heads and entry.mamba_head_dim and entry.n_groups)
                    or (entry.mamba_intermediate_size and entry.time_step_rank)
                )
            ),
            (
                "Mamba layers need ssm_state_size and either mamba_num_heads, mamba_head_dim and"
                " n_groups or mamba_intermediate_size and time_step_rank"
            ),
        ),
    ]


def _ffn_faults(entry: Architecture) -> list[tuple[bool, str]]:
    experts = entry.num_experts
    listed = sum(layers for _, layers in entry.intermediate_sizes)
    widths = entry.intermediate_size or entry.intermediate_sizes
    return [
        (
            experts > 0 and not (entry.num_experts_per_tok and entry.moe_intermediate_size),
            "num_experts: needs num_experts_per_tok and moe_intermediate_size",
        ),
        (
            entry.num_experts_per_tok > experts + entry.zero_expert_num,
            f"num_experts_per_tok = {entry.num_experts_per_tok}: exceeds num_experts = {experts}",
        ),
        (
            entry.first_k_dense_replace > entry.ffn_layers,
            (
                f"first_k_dense_replace = {entry.first_k_dense_replace}: exceeds the"
                f" {entry.ffn_layers} layers with an FFN"
            ),
        ),
        (
            entry.mixer_or_ffn and not widths and not experts,
            "mixer_or_ffn: needs intermediate_size or num_experts",
        ),
        (
            experts > 0 and entry.dense_layers > 0 and not widths,
            f"intermediate_size: missing; {entry.dense_layers} layers have a dense FFN",
        ),
        (
            listed > 0 and listed != entry.dense_layers,
            (
                f"intermediate_sizes: {listed} layers listed, the model has {entry.dense_layers}"
                " with a dense FFN"
            ),
        ),
    ]
