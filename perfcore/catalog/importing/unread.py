"""Keys of a ``config.json`` that nothing reads: harmless, worth a note, or a reason to refuse."""

import re
from typing import Final

from perfcore.catalog.importing.document import Fields

# Training, generation, tokens, names, positions, scalings: they change no count of bytes or FLOP.
_HARMLESS: Final = re.compile(
    r"_.*|architectures|model_type|auto_map|transformers.*|torch_dtype|dtype|name_or_path|language|"
    r".*token(_?ids?|_?index|s)?|(bos|eos|pad|unk|sep|cls|mask|image|video|audio|vision)_.*|"
    r".*dropout.*|.*pdrop|.*initiali[sz]er.*|init_.*|.*_init(_.*)?|.*_?eps(ilon)?|.*_std|.*_seed|"
    r"(.*_)?(hidden_)?act(ivation)?(_fn|_function|_func|_type)?|activation_.*|use_cache|"
    r".*rope.*|.*rotary.*|original_max_position_embeddings|alibi.*|position_embedding_type|"
    r"pretraining_tp|tie_.*|return_.*|output_.*|problem_type|id2label|label2id|num_labels|"
    r"task_specific_params|generation.*|do_sample|top_[kp]|temperature|typical_p|diversity_penalty|"
    r"repetition_penalty|no_repeat.*|encoder_no_repeat.*|num_beam.*|num_return_sequences|"
    r"(max|min)_length|length_penalty|early_stopping|remove_invalid_values|exponential_decay.*|"
    r"torchscript|use_bfloat16|pruned_heads|is_decoder|finetuning_task|tokenizer_class|prefix|"
    r"forced_.*|suppress_tokens|bad_words_ids|begin_.*|chunk_size_feed_forward|tf_legacy_loss|"
    r"cross_attention_hidden_size|add_cross_attention|is_encoder_decoder|bf16|fp16|fp32|"
    r".*(aux|z)_?loss.*|.*_coeff?(icient)?|.*jitter.*|.*noise.*|.*router_.*|seq_aux|norm_topk.*|"
    r"scoring_func|score_function|topk_method|n_group|topk_group|num_expert_groups?|.*scaling.*|"
    r"moe_(router|gate|aux|z|use_aux|norm|capacity|dispatch|token)_?.*|use_grouped_topk|"
    r"use_expert_bias|max_window_layers|use_sliding_window|logit.*|.*soft_?cap(ping)?|.*multipliers?|"
    r"query_pre_attn_scalar|.*_scale(_.*)?|scale_.*|mup_.*|dim_model_base|.*attn_implementation|"
    r"use_(flash|fused|dynamic_ntk|logn|cache|qk_norm|conv_bias|mamba_kernels|rmsnorm|swiglu).*|"
    r"flash.*|fused_.*|full_attention_interval|no_rope_layer.*|use_bidirectional.*|"
    r"time_step_(limit|min|max|floor|init.*)|rescale_prenorm_residual|residual_in_fp32|"
    r".*conv_bias|(mamba_)?chunk_size|seq_length|model_max_length|training.*|.*checkpoint.*|ep_size|tp_size|world_size|"
    r"use_mtp|mtp_.*|.*nextn.*|num_mtp_modules|.*vision.*|.*image.*|.*audio.*|.*video.*|"
    r"mm_.*|projector_.*|text_config|llm_config|language_config|zero_expert_type|attention_method|"
    r"n_ctx|attention_types|experts_per_token|kv_channels|no_bias|rmsnorm|norm_type|mlp_type|"
    r"postnorm|qk_norm_type|attn_type_list|enable_moe_block|expand|multi_query|attention_bias|"
    r"quantization_config|compression_config|quantization|unsloth.*|use_logits_.*|layer_norm.*|"
    r"normalization.*|_?sliding_window_pattern|use_cla|cla_share_factor|hidden_size_per_head|use_parallel_residual|max_seq_len|max_sequence_length"
)
# Keys that other arithmetic, memory or caches hang on, if they hold counts or lists.
_SERIOUS: Final = re.compile(
    r"expert|moe|window|chunk|lora_rank|ssm|mamba|state_size|conv_kernel|conv_L|linear_(num|key|val)|"
    r"kda|delta|compress|index_|sparse|cross_attention|layer_types|block_type|latent|altup|laurel|"
    r"kv_shared|share_factor|nope_head|rope_head|v_head_dim|head_dim|per_layer|block_configs|hash|"
    r"draft_vocab|target_hidden|engram|gram|hyper_conn|loop|recurren|routed|num_.*heads|intermediate|ffn_dim|dense"
)


def unread(fields: Fields, outer: Fields) -> tuple[list[str], list[str]]:
    """Return keys that were not read and are worth a note, and those that may change arithmetic."""
    noted: list[str] = []
    serious: list[str] = []
    for key, value in fields.values.items():
        if key in fields.read or key in outer.read or _is_empty(value):
            continue
        if _HARMLESS.fullmatch(key):
            continue
        (serious if _SERIOUS.search(key) and _counts(value) else noted).append(key)
    for name, inner in fields.inners.items():
        for found, all_found in zip(unread(inner, inner), (noted, serious), strict=True):
            all_found += [f"{name}.{key}" for key in found]
    return sorted(noted), sorted(serious)


def _is_empty(value: object) -> bool:
    return value in (None, False, "", [], {}) or (value == 0 and not isinstance(value, bool))


def _counts(value: object) -> bool:
    """Return whether a value is a count above 1, or a list or table."""
    if isinstance(value, list | dict):
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 1
