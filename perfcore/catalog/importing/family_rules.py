"""Rules of single families of models, which rows of ``architectures.py`` refer to.

The facts are those of the modelling code in Hugging Face ``transformers`` 5.24 and of published
``config.json`` files, whose keys have other names than the classes that read them there.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from perfcore.catalog.importing.document import REMEDY
from perfcore.catalog.importing.rules import (
    LETTERS,
    Reading,
    dense_layers,
    first_dense,
    listed_layers,
    mamba_2_layers,
    set_layers,
    shared_count,
)
from perfcore.catalog.mixers.compressed import CSA2_RATIO, CSA_RATIO, HCA_RATIO
from perfcore.errors import show


def per_layer_embeddings(reading: Reading) -> None:
    """Read the table from which every token takes a row for each layer (Gemma 3n and 4)."""
    config, entry = reading.config, reading.entry
    width = config.whole("hidden_size_per_layer_input")
    rows = config.whole("vocab_size_per_layer_input", default=entry["vocab_size"])
    if width:
        entry |= {"hidden_size_per_layer_input": width, "vocab_size_per_layer_input": rows}
        table = "per-layer embeddings count as memory of the device, where vLLM keeps them"
        entry["notes"] = "; ".join(filter(None, (entry.get("notes", ""), table)))


def gemma_3n(reading: Reading) -> None:
    """Read Gemma 3n: streams updated in turn, low-rank residuals, sparse activations."""
    config, entry = reading.config, reading.entry
    config.read |= {"altup_correct_scale", "altup_coef_clip", "altup_active_idx"}
    for name in ("altup_num_inputs", "laurel_rank"):
        entry[name] = config.whole(name)
    sparse = config.raw("activation_sparsity_pattern")
    listed = sparse if isinstance(sparse, list) else [sparse]
    if any(isinstance(share, int | float) and share > 0 for share in listed):
        text = "activations that are zero (activation_sparsity_pattern) count as computed"
        entry["notes"] = "; ".join(filter(None, (entry.get("notes", ""), text)))


def whole_pattern(entry: dict[str, Any]) -> str:
    """Return one letter for each layer of an entry that is being read."""
    unit, layers = entry.get("layer_types") or "F", entry["num_hidden_layers"]
    return str(unit * (layers // len(unit) + 1))[:layers]


def shared_caches(reading: Reading) -> None:
    """Read the number of last layers that use the cache of an earlier one (Gemma 3n and 4)."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    shared = config.whole("num_kv_shared_layers")
    letters = whole_pattern(entry)
    own = letters[: max(layers - shared, 0)]
    if set(letters) - set(own):
        config.fault(
            "num_kv_shared_layers", f"{shared} of {layers}: leaves no cache to share", "correct it"
        )
        return
    if not shared:
        return
    set_layers(entry, own + letters[len(own) :].lower())
    if config.flag("use_double_wide_mlp"):
        width = entry["intermediate_size"]
        entry["intermediate_sizes"] = ((width, layers - shared), (2 * width, shared))


def falcon_h1(reading: Reading) -> None:
    """Read Falcon-H1: attention and Mamba-2 side by side in every layer."""
    config, entry = reading.config, reading.entry
    config.items("layer_types", "layers_block_type")
    if config.flag("projectors_bias"):
        config.fault("projectors_bias", "projections with biases", REMEDY)
    entry["layer_types"] = "P"
    entry["mamba_norm"] = config.flag("mamba_rms_norm")
    mamba_2_layers(reading)
    inner = config.whole("mamba_d_ssm")
    if inner:
        width, rest = divmod(inner, entry["mamba_num_heads"])
        stated = config.raw("mamba_d_head")
        if rest or stated not in ("auto", None, width):
            config.fault(
                "mamba_d_ssm", f"{inner} is not mamba_n_heads times mamba_d_head", "correct it"
            )
        entry["mamba_head_dim"] = max(width, 1)


def cohere_moe(reading: Reading) -> None:
    """Read Cohere's experts: shared ones as wide as routed ones, wider dense FFNs before them."""
    config, entry = reading.config, reading.entry
    shared_count(reading)
    config.read |= {"prefix_dense_sliding_window_pattern", "use_parallel_block"}
    config.read |= {"shared_expert_combination_strategy", "expert_selection_fn"}
    wide = config.whole("prefix_dense_intermediate_size")
    if config.flag("use_qk_norm"):
        config.fault("use_qk_norm", "norms of queries and keys", REMEDY)
    entry["intermediate_size"] = wide
    first_dense(reading)
    if entry["intermediate_size"] and not wide:
        config.need("prefix_dense_intermediate_size")


def _by_kind(reading: Reading, letters: str, heads: list[int], key: str) -> None:
    """Write query heads that are listed by layer: those of full layers and of window layers."""
    entry, config = reading.entry, reading.config
    if len(heads) != reading.layers or min(heads) < 1:
        config.fault(key, f"{len(heads)} items for {reading.layers} layers", "correct it")
        return
    found = {
        kind: {heads[n] for n, letter in enumerate(letters) if letter == kind} for kind in "FS"
    }
    if any(len(counts) > 1 for counts in found.values()):
        config.fault(key, "differ between layers of the same kind", REMEDY)
        return
    full, window = (next(iter(found[kind]), 0) for kind in "FS")
    entry["num_attention_heads"] = full or window
    if window and window != entry["num_attention_heads"]:
        entry["swa_num_attention_heads"] = window


def _wide_head(reading: Reading) -> None:
    """State the width of heads, where numbers of heads differ between layers."""
    entry = reading.entry
    entry["head_dim"] = entry["head_dim"] or entry["hidden_size"] // max(
        entry["num_attention_heads"], 1
    )


def laguna(reading: Reading) -> None:
    """Read Laguna: numbers of heads by layer, and the kind of gate on the attention's output."""
    config, entry = reading.config, reading.entry
    _wide_head(reading)
    heads = config.wholes("num_attention_heads_per_layer")
    if heads:
        _by_kind(reading, whole_pattern(entry), heads, "num_attention_heads_per_layer")
    gate = config.raw("gating")
    kinds = {str(kind).replace("_", "-") for kind in config.items("gating_types")}
    if len(kinds) > 1:
        config.fault("gating_types", "differ between layers", REMEDY)
    gate = next(iter(kinds), gate)
    if gate in (None, True, "per-head"):
        entry["attn_head_gate"] = True
    elif gate == "per-element":
        entry["attn_output_gate"] = True
        if config.flag("attention_bias"):
            config.fault("attention_bias", "biases beside gates of full width", REMEDY)
    elif gate is not False:
        config.fault("gating", f"{show(gate)} must be per-head, per-element or false", "correct it")


def step_3(reading: Reading) -> None:
    """Read Step 3.5 and 3.7: lists with items for drafts, and more heads in window layers."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    _wide_head(reading)
    kinds = config.items("layer_types")
    config.read |= {"mtp_layer_types", "mtp_mlp_layer_types", "swiglu_limits", "use_moe"}
    config.read |= {"swiglu_limits_shared", "need_fp32_gate", "norm_expert_weight", "att_impl_type"}
    drafts = config.whole("num_nextn_predict_layers")
    if len(kinds) not in (0, layers, layers + drafts):
        config.fault("layer_types", f"{len(kinds)} items for {layers} layers", "correct it")
        return
    letters = "".join(LETTERS.get(kind, "?") if isinstance(kind, str) else "?" for kind in kinds)
    letters = letters[:layers] or "F" * layers
    if set(letters) - {"F", "S"}:
        config.fault("layer_types", "must be full_attention or sliding_attention", REMEDY)
        return
    if "S" in letters:
        entry["sliding_window"] = config.need("sliding_window")
    set_layers(entry, letters)
    other = config.inner("attention_other_setting")
    more = config.whole("num_sliding_attention_heads") or other.whole("num_attention_heads")
    for key, own in (
        ("head_dim", "head_dim"),
        ("true_head_dim", "head_dim"),
        ("num_attention_groups", "num_key_value_heads"),
    ):
        if key in other.values and other.whole(key) != entry[own]:
            other.fault(key, f"{other.whole(key)} is not that of full layers", REMEDY)
    config.read.add("per_layer_config")  # repeats num_sliding_attention_heads
    if more and more != entry["num_attention_heads"] and "S" in letters:
        entry["swa_num_attention_heads"] = more
    # the class in transformers always has the gate, and its files do not name it
    named = "use_head_wise_attn_gate" in config.values
    entry["attn_head_gate"] = config.flag("use_head_wise_attn_gate") if named else True
    _listed_experts(reading)


def _listed_experts(reading: Reading) -> None:
    """Read which layers have experts: a list of kinds, or of numbers in a text (Step)."""
    config, layers = reading.config, reading.layers
    kinds = config.items("mlp_layer_types")
    numbers = config.raw("moe_layers_enum")
    if kinds:
        dense = sum(kind != "sparse" for kind in kinds[:layers])
    elif isinstance(numbers, str) and re.fullmatch(r"[\d, ]*", numbers):
        listed = {int(part) for part in numbers.split(",") if part.strip()}
        dense = layers - len({n for n in listed if n < layers})
    elif isinstance(numbers, list):
        dense = layers - len({n for n in config.wholes("moe_layers_enum") if n < layers})
    elif numbers is None:
        dense = min(3, layers)
    else:
        config.fault("moe_layers_enum", f"{show(numbers)} must be numbers of layers", "correct it")
        return
    dense_layers(reading, dense)


def mimo_v2(reading: Reading) -> None:
    """Read MiMo-V2: window layers with more KV heads and with sinks, keys wider than values."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    _wide_head(reading)
    pattern = config.wholes("hybrid_layer_pattern")
    letters = "".join("S" if window else "F" for window in pattern) or listed_layers(reading)
    if not letters:
        letters = "".join("S" if n and (n + 1) % 6 else "F" for n in range(layers))
    if len(letters) != layers:
        config.fault(
            "hybrid_layer_pattern", f"{len(letters)} items for {layers} layers", "correct it"
        )
        return
    set_layers(entry, letters)
    entry["v_head_dim"] = config.whole("v_head_dim")
    config.read |= {"attention_chunk_size", "sliding_window_size"}  # repeat sliding_window
    for key, own in (("swa_head_dim", "head_dim"), ("swa_v_head_dim", "v_head_dim")):
        width = config.whole(key)
        if width and width != entry[own]:
            config.fault(key, f"{width} is not {own}", REMEDY)
    if "S" in letters:
        entry["sliding_window"] = config.need("sliding_window", "sliding_window_size")
        more = config.whole("swa_num_attention_heads")
        if more not in (0, entry["num_attention_heads"]):
            entry["swa_num_attention_heads"] = more
        entry["swa_num_key_value_heads"] = (
            config.whole("swa_num_key_value_heads") or 2 * entry["num_key_value_heads"]
        )
    sinks = letters.count("S") * config.flag("add_swa_attention_sink_bias", default=True)
    sinks += letters.count("F") * config.flag("add_full_attention_sink_bias")
    entry["extra_parameters"] = sinks * entry["num_attention_heads"]
    entry["notes"] = "extra_parameters: attention sinks" if sinks else ""


def bailing_hybrid(reading: Reading) -> None:
    """Read Ling 2.5 and 3: lightning or Kimi delta attention, and latent attention in between."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    heads = entry["num_attention_heads"]
    width = config.whole("linear_head_dim") or config.whole("head_dim") or 128
    period = config.whole("layer_group_size", default=6) or 6
    delta = "kda_safe_gate" in config.values or "kda_lower_bound" in config.values
    letters = listed_layers(reading).replace("G", "L")
    letters = letters or "".join("L" if (n + 1) % period else "A" for n in range(layers))
    letters = letters.replace("F", "A").replace("L", "K" if delta else "T")
    config.read |= {"kda_safe_gate", "kda_lower_bound", "linear_num_heads", "num_key_value_heads"}
    config.read |= {"expert_swiglu_limit_list", "share_expert_swiglu_limit_list", "mtp_use_kda"}
    config.read |= {"gated_attention_proj_granularity_type", "group_norm_size", "no_kda_lora"}
    config.read.add("num_kv_heads_for_linear_attn")
    set_layers(entry, letters)
    if config.flag("use_kda_lora"):
        config.fault("use_kda_lora", "low-rank delta attention beside gates by head", REMEDY)
    if delta:
        kernel = config.whole("short_conv_kernel_size", "linear_conv_kernel_dim", default=4)
        entry |= {
            "attn_output_gate": True,
            "attn_head_gate": True,
            "linear_full_rank": True,
            "linear_num_key_heads": heads,
            "linear_num_value_heads": heads,
            "linear_key_head_dim": width,
            "linear_value_head_dim": width,
            "linear_conv_kernel_dim": kernel,
        }
        return
    entry["head_dim"] = width
    if config.flag("use_qk_norm", default=True):
        entry["extra_parameters"] = 2 * width * letters.count("T")
        entry["notes"] = "extra_parameters: norms of queries and keys in lightning layers"


def _hyper_connections(reading: Reading, *, head: bool) -> int:
    """Return the parameters of hyper-connections: from n streams of width d, twice a layer.

    They make 2 n + n² coefficients, with a bias each and three scales; a head makes n of them.
    """
    config, width = reading.config, int(reading.entry["hidden_size"])
    config.read |= {"hc_sinkhorn_iters", "hc_eps"}
    streams = config.whole("hc_mult")
    if streams < 2:
        return 0
    made = 2 * streams + streams**2
    last = streams * streams * width + streams + 1 if head else 0
    return 2 * reading.layers * (made * streams * width + made + 3) + last


_RATIOS: Final = {0: "V", 1: "V", CSA_RATIO: "C", HCA_RATIO: "H"}
_COMPRESSED: Final = {
    "compressed_sparse_attention": "C",
    "heavily_compressed_attention": "H",
    "sliding_attention": "V",
}


def _compressed_widths(reading: Reading) -> None:
    """Read the widths of DeepSeek-V4's attention: one latent head, and an indexer."""
    config, entry = reading.config, reading.entry
    _wide_head(reading)
    entry["num_key_value_heads"] = 0  # one latent head for all
    for name in ("q_lora_rank", "o_lora_rank", "o_groups", "sliding_window"):
        entry[name] = config.need(name)
    for name in ("index_topk", "index_n_heads", "index_head_dim"):
        entry[name] = config.need(name)
    entry["qk_rope_head_dim"] = config.whole("qk_rope_head_dim")


def deepseek_v4(reading: Reading) -> None:
    """Read DeepSeek-V4: layers that compress 4 or 128 tokens, or see a window only."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    _compressed_widths(reading)
    rates = config.inner("compress_rates")
    for kind, rate in (("C", CSA_RATIO), ("H", HCA_RATIO)):
        key = next(name for name, letter in _COMPRESSED.items() if letter == kind)
        if key in rates.values and rates.whole(key) != rate:
            rates.fault(key, f"{rates.whole(key)} is not {rate}", REMEDY)
    ratios = config.wholes("compress_ratios")
    kinds = config.items("layer_types")
    if kinds:
        letters = "".join(_COMPRESSED.get(str(kind), "?") for kind in kinds)
    elif ratios:
        letters = "".join(_RATIOS.get(ratio, "?") for ratio in ratios[:layers])
    else:
        config.need("compress_ratios")
        return
    if len(letters) != layers or "?" in letters:
        key = "layer_types" if kinds else "compress_ratios"
        config.fault(key, f"must name one of {len(_COMPRESSED)} kinds for each layer", REMEDY)
        return
    set_layers(entry, letters)
    experts = config.items("mlp_layer_types")
    hashed = sum(kind == "hash_moe" for kind in experts) or config.whole("num_hash_layers")
    extra = _hyper_connections(reading, head=True) - hashed * entry.get("num_experts", 0)
    entry["extra_parameters"] = max(extra, 0)
    entry["notes"] = "extra_parameters: hyper-connections, whose arithmetic is left out"


def deepseek_v41(reading: Reading) -> None:
    """Read DeepSeek-V4.1: layers that read the compressed cache of an earlier one, and Engram."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    _compressed_widths(reading)
    config.read |= {"candidate_topk_blocks", "candidate_block_size"}
    ratios = config.wholes("compress_ratios")[:layers]
    caches = config.wholes("kv_source_layer_ids")
    indexers = set(config.wholes("index_source_layer_ids")) - set(caches)
    if len(ratios) != layers or not set(ratios) <= {0, 1, CSA2_RATIO}:
        config.fault("compress_ratios", f"must be 0, 1 or {CSA2_RATIO} for each layer", REMEDY)
        return
    if indexers and min(indexers) <= config.whole("candidate_source_layer_id", default=layers):
        problem = f"{min(indexers)} chooses among more than candidates"
        config.fault("index_source_layer_ids", problem, REMEDY)
        return
    letters = ""
    for layer, ratio in enumerate(ratios):
        if ratio and layer in caches:
            letters += "D" if ratio == CSA2_RATIO else "E"
        elif ratio:
            letters += "e" if layer in indexers else "d"
        else:
            letters += "V"
    set_layers(entry, letters)
    width, tables = config.whole("engram_head_dim"), config.wholes("engram_num_embeddings")
    entry["ngram_table_parameters"] = sum(tables) * width
    grams = config.whole("engram_max_ngram_size", default=1) - 1
    rows = grams * config.whole("engram_n_heads") * width  # that a token looks up in a table
    streams, hidden = config.whole("hc_mult"), int(entry["hidden_size"])
    projection = rows * (streams + 1) * hidden + 2 * streams * hidden
    entry["extra_parameters"] = _hyper_connections(reading, head=False) + len(tables) * projection
    entry["notes"] = (
        "extra_parameters: hyper-connections and projections of n-gram tables, whose arithmetic is"
        " left out; prefill computes all layers for all tokens"
    )
    config.read |= {"engram_layer_ids", "engram_vocab_size", "engram_pad_token_id"}
    config.read |= {"engram_compressed_vocab_size"}
    config.read |= {"dspark_n_routed_experts", "dspark_num_experts_per_tok"}  # of a draft


def glm_next(reading: Reading) -> None:
    """Read GLM-5.3: indexers of pools of tokens, and hyper-connections between layers."""
    config, entry = reading.config, reading.entry
    if "shared" in config.items("indexer_types"):
        config.fault("indexer_types", "shared beside delta attention", REMEDY)
    config.read |= {"index_kpool_always_select_tail", "linear_lower_bound"}
    entry["index_kpool"] = config.need("index_kpool")
    entry["extra_parameters"] = _hyper_connections(reading, head=False)
    if entry["extra_parameters"]:
        entry["notes"] = "extra_parameters: hyper-connections, whose arithmetic is left out"


def block_sparse(reading: Reading) -> None:
    """Read MiniMax-M3: indexers choose blocks of the context in most layers.

    A choice in some layers of a kind only is not modelled: all layers read the whole context, and
    the indexers' own keys are counted.
    """
    config, entry, layers = reading.config, reading.entry, reading.layers
    inner = config.inner("sparse_attention_config")
    inner.read.update(inner.values)
    config.read |= {"index_block_size", "index_topk_blocks", "index_local_blocks"}
    config.read |= {"n_shared_experts", "use_routing_bias"}  # as in every file of it
    heads = inner.whole("sparse_num_index_heads") or config.whole("index_n_heads")
    width = inner.whole("sparse_index_dim") or config.whole("index_head_dim")
    sparse = [bool(one) for one in inner.wholes("sparse_attention_freq")]
    sparse = sparse or [kind == "minimax_m3_sparse" for kind in config.items("layer_types")]
    if len(sparse) not in (0, layers):
        problem = f"{len(sparse)} items for {layers} layers"
        config.fault("sparse_attention_config", problem, "correct it")
    elif any(sparse):
        set_layers(entry, "".join("Q" if chosen else "F" for chosen in sparse))
        entry |= {"index_n_heads": heads, "index_head_dim": width}
        entry["index_topk"] = entry["max_position_embeddings"] or MOST_TOKENS
        entry["notes"] = (
            "attention counts as full, though indexers choose blocks of the context in "
            f"{sum(sparse)} layers"
        )


MOST_TOKENS: Final = 2**24  # of a context whose length a file does not give


FAMILY_RULES: Final[dict[str, Callable[[Reading], None]]] = {
    rule.__name__: rule
    for rule in (
        per_layer_embeddings,
        gemma_3n,
        shared_caches,
        falcon_h1,
        cohere_moe,
        laguna,
        step_3,
        mimo_v2,
        bailing_hybrid,
        deepseek_v4,
        deepseek_v41,
        glm_next,
        block_sparse,
    )
}
