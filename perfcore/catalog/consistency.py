"""Consistency rules between the fields of a model entry."""

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.mixers import MIXERS, mixers_of
from perfcore.catalog.mixers.mixer import Rule


def faults(entry: Architecture) -> list[str]:
    """Return the contradictions in an entry whose fields are individually valid."""
    return list(dict.fromkeys(text for broken, text in _rules(entry) if broken))


def _rules(entry: Architecture) -> list[Rule]:
    """Return every rule between fields: whether it is broken, and its message."""
    unknown = sorted(set(entry.layer_types) - set(MIXERS))
    if unknown or len(entry.layer_types) > entry.num_hidden_layers:
        return [
            (bool(unknown), f"layer_types: unknown letter {unknown[:1]}; one of {''.join(MIXERS)}"),
            (
                len(entry.layer_types) > entry.num_hidden_layers,
                (
                    f"layer_types: {len(entry.layer_types)} letters for num_hidden_layers ="
                    f" {entry.num_hidden_layers}; give at most one per layer"
                ),
            ),
        ]
    return [*_mixer_faults(entry), *_ffn_faults(entry)]


def _mixer_faults(entry: Architecture) -> list[Rule]:
    mixers = mixers_of(entry)
    heads = entry.num_attention_heads
    return [
        (
            any(mixer.attends for mixer in mixers) and not heads,
            "num_attention_heads: missing; attention layers need it",
        ),
        *(
            (
                count > 0 and heads % count != 0,
                f"{name} = {count}: does not divide num_attention_heads = {heads}",
            )
            for name, count in (
                ("num_key_value_heads", entry.num_key_value_heads),
                ("num_global_key_value_heads", entry.num_global_key_value_heads),
                ("swa_num_key_value_heads", entry.swa_num_key_value_heads),
            )
        ),
        (
            entry.swa_num_attention_heads
            % (entry.swa_num_key_value_heads or entry.num_key_value_heads or 1)
            != 0,
            (
                f"swa_num_attention_heads = {entry.swa_num_attention_heads}: not a multiple of the"
                " KV heads of window layers"
            ),
        ),
        (
            bool(entry.hidden_size_per_layer_input) != bool(entry.vocab_size_per_layer_input),
            "per-layer embeddings need hidden_size_per_layer_input and vocab_size_per_layer_input",
        ),
        (
            bool(entry.sliding_window and entry.attention_chunk_size),
            "sliding_window and attention_chunk_size: give only one of the two",
        ),
        (
            bool(entry.index_topk) and not (entry.index_n_heads and entry.index_head_dim),
            "index_topk: needs index_n_heads and index_head_dim",
        ),
        *(rule for mixer in mixers for rule in mixer.rules(entry)),
    ]


def _ffn_faults(entry: Architecture) -> list[Rule]:
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
