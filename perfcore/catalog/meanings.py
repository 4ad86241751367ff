"""Descriptions of the fields of models and devices, for users who write their own entries."""

from typing import Final, NamedTuple

from perfcore.catalog.entry import Entry


class Meaning(NamedTuple):
    """Description of a field, and an example of its value in TOML."""

    text: str
    example: str = ""


ENTRY: Final = {
    "name": Meaning("the table's own name"),
    "title": Meaning("name for display", "…"),
    "aliases": Meaning("other spellings of the name", "[…]"),
    "source": Meaning("where the numbers come from", "https://…"),
    "estimated": Meaning("derivation of each value that no vendor publishes"),
    "hypothetical": Meaning("true if this is not a real product", "true"),
    "notes": Meaning("anything else a reader should know", "…"),
}

MODEL: Final[dict[str, Meaning]] = {
    **ENTRY,
    "hf_id": Meaning("name on the Hugging Face hub"),
    "release": Meaning("year and month of publication"),
    "native_dtype": Meaning("format of the published weights"),
    "native_format": Meaning("weight format of the published weights, unless native_dtype is one"),
    "wide_attention": Meaning("share of attention's matrices that stay at 16 bits"),
    "wide_ffn": Meaning("share of the dense FFNs' matrices that stay at 16 bits"),
    "wide_shared_experts": Meaning("share of the shared experts that stays at 16 bits"),
    "wide_experts": Meaning("share of the routed experts that stays at 16 bits"),
    "own_bits": Meaning("mean bits per weight of the matrices in this file [bit]"),
    "own_expert_bits": Meaning("bits per weight of the routed experts in this file [bit]"),
    "own_embedding_bits": Meaning("bits per weight of the embeddings in this file [bit]"),
    "left_out": Meaning("parts of the published model that are not counted"),
    "published_params": Meaning("published number of parameters, for comparison"),
    "published_active": Meaning("published number of active parameters per token"),
    "published_source": Meaning("source of the published counts"),
    "token_price": Meaning("list price of output tokens [USD/Mtok]"),
    "token_price_source": Meaning("who lists that price, and when"),
    "hidden_size": Meaning("width of the model [elements]"),
    "num_hidden_layers": Meaning("layers"),
    "vocab_size": Meaning("rows of the embedding [tokens]"),
    "tie_word_embeddings": Meaning("whether input and output share one embedding"),
    "max_position_embeddings": Meaning("longest context, 0 for no limit [tokens]"),
    "learned_positions": Meaning("rows of the learned position embedding [tokens]"),
    "layer_types": Meaning(
        "one letter per layer, repeated: F full attention, S window, A latent, M …"
    ),
    "mixer_or_ffn": Meaning("whether a layer is a mixer or an FFN, never both"),
    "parallel_block": Meaning("whether mixer and FFN read the same input"),
    "norm": Meaning("parameters of a norm: scale, scale-and-bias or none"),
    "norms_per_layer": Meaning("norms per layer"),
    "embedding_norm": Meaning("whether the embedding has a norm"),
    "num_attention_heads": Meaning("query heads"),
    "num_key_value_heads": Meaning("KV heads; the cache holds one key and one value for each"),
    "head_dim": Meaning("width of a head, if not hidden_size / heads [elements]"),
    "v_head_dim": Meaning("width of a value head, if different [elements]"),
    "global_head_dim": Meaning("width of a head in full layers, if different [elements]"),
    "num_global_key_value_heads": Meaning("KV heads of full layers, if different"),
    "swa_num_attention_heads": Meaning("query heads of window layers, if different"),
    "swa_num_key_value_heads": Meaning("KV heads of window layers, if different"),
    "attention_k_eq_v": Meaning("whether full layers use one matrix for keys and values"),
    "attention_bias": Meaning("biases of attention: none, qkv or all"),
    "qk_norm": Meaning("norms of queries and keys: none, head-dim (per head) or full"),
    "attn_output_gate": Meaning("whether the mixer's output has a full-width gate"),
    "attn_head_gate": Meaning("whether attention has a gate per head, not a full-width one"),
    "attention_sinks": Meaning("whether heads have a learned sink"),
    "sliding_window": Meaning("window of a window layer (S) [tokens]"),
    "attention_chunk_size": Meaning("window that restarts instead of sliding [tokens]"),
    "q_lora_rank": Meaning("MLA: rank of the queries, 0 for full rank"),
    "kv_lora_rank": Meaning("MLA: width of the cached latent [elements]"),
    "qk_nope_head_dim": Meaning("MLA: width of a head's non-rotary part [elements]"),
    "qk_rope_head_dim": Meaning("MLA: width of a head's rotary part, cached once [elements]"),
    "o_lora_rank": Meaning("DeepSeek-V4: rank of the output"),
    "o_groups": Meaning("DeepSeek-V4: groups of the output"),
    "index_topk": Meaning("sparse attention: tokens that an indexer selects"),
    "index_n_heads": Meaning("sparse attention: heads of the indexer"),
    "index_head_dim": Meaning("sparse attention: width of the indexer's heads [elements]"),
    "index_kpool": Meaning("sparse attention: tokens that one key of the indexer covers"),
    "linear_num_key_heads": Meaning("linear attention: key heads"),
    "linear_num_value_heads": Meaning("linear attention: value heads"),
    "linear_key_head_dim": Meaning("linear attention: width of a key head [elements]"),
    "linear_value_head_dim": Meaning("linear attention: width of a value head [elements]"),
    "linear_conv_kernel_dim": Meaning("linear attention: length of the convolution [tokens]"),
    "linear_full_rank": Meaning("Kimi delta attention: whether its decay has full rank"),
    "mamba_num_heads": Meaning("Mamba-2: heads"),
    "mamba_head_dim": Meaning("Mamba-2: width of a head [elements]"),
    "n_groups": Meaning("Mamba-2: groups"),
    "ssm_state_size": Meaning("Mamba: state per channel [elements]"),
    "conv_kernel": Meaning("Mamba, short convolutions: length of the convolution [tokens]"),
    "mamba_intermediate_size": Meaning("Mamba-1: inner width [elements]"),
    "time_step_rank": Meaning("Mamba-1: rank of the time step"),
    "mamba_inner_norms": Meaning("Mamba-1: whether it has Jamba's inner norms"),
    "mamba_norm": Meaning("Mamba-2: whether it has a norm before its output"),
    "intermediate_size": Meaning("width of a dense FFN [elements]"),
    "intermediate_sizes": Meaning("pairs of width and number of layers, if widths differ"),
    "gated_mlp": Meaning("whether FFNs have a gate (three matrices, not two)"),
    "mlp_bias": Meaning("whether FFNs have biases"),
    "lm_head_bias": Meaning("whether the output head has a bias"),
    "num_experts": Meaning("routed experts per layer"),
    "num_experts_per_tok": Meaning("routed experts per token"),
    "zero_expert_num": Meaning("experts that compute nothing"),
    "moe_intermediate_size": Meaning("width of a routed expert [elements]"),
    "moe_latent_size": Meaning("input width of routed experts, 0 for hidden_size [elements]"),
    "moe_latent_norm": Meaning("whether the latent input has a norm"),
    "shared_expert_intermediate_size": Meaning("width of all shared experts together [elements]"),
    "shared_expert_gate": Meaning("whether the shared expert has a gate"),
    "router_bias": Meaning("whether the router has a bias for each expert"),
    "first_k_dense_replace": Meaning("first layers with a dense FFN in place of experts"),
    "decoder_sparse_step": Meaning("every n-th FFN has experts"),
    "dense_beside_moe": Meaning("whether layers with experts have a dense FFN as well"),
    "vocab_size_per_layer_input": Meaning("rows of the table of per-layer embeddings"),
    "hidden_size_per_layer_input": Meaning(
        "width of per-layer embeddings in one layer, 0 without them [elements]"
    ),
    "altup_num_inputs": Meaning("streams that layers update in turn (AltUp)"),
    "laurel_rank": Meaning("rank of the learned residual beside each mixer (LAuReL)"),
    "ngram_table_parameters": Meaning("parameters of the n-gram tables (Engram), in host memory"),
    "extra_parameters": Meaning("parameters in small tensors that no other field counts"),
}


def meanings_of(entry: type[Entry]) -> dict[str, Meaning]:
    """Return the descriptions of an entry's fields, from their declarations."""
    return {
        name: ENTRY[name]
        if name in ENTRY
        else Meaning(field.description or "", str((field.examples or ["…"])[0]))
        for name, field in entry.model_fields.items()
    }
