"""Rules that rows of ``architectures.py`` refer to, for fields that need more than another name.

A rule reads fields of ``config.json`` and writes fields of an entry. ``Fields`` collects faults.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from perfcore.catalog.importing.architectures import KEYS, Architecture
from perfcore.catalog.importing.document import MOST_LAYERS, REMEDY, Fields
from perfcore.errors import show


@dataclass
class Reading:
    """A ``config.json`` during its conversion to an entry."""

    config: Fields
    architecture: Architecture
    entry: dict[str, Any] = field(default_factory=dict)

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the possible keys of an entry's field in this file."""
        return self.architecture.keys.get(name) or KEYS[name]

    def need(self, name: str) -> int:
        """Return a field that must be present."""
        return self.config.need(*self.keys(name))

    def whole(self, name: str, default: int = 0) -> int:
        """Return a field that may be absent."""
        return self.config.whole(*self.keys(name), default=default)

    @property
    def layers(self) -> int:
        """Number of layers, 0 until it is known."""
        return int(self.entry.get("num_hidden_layers", 0))


# Fields of every architecture

_LISTS: Final = ("layers_block_type", "layer_types", "hybrid_override_pattern")  # of layers


def _length(config: Fields, key: str) -> int:
    """Return the number of layers that a key lists, 0 if it lists none."""
    value = config.values.get(key)
    return len(value) if isinstance(value, list | str) and len(value) <= MOST_LAYERS else 0


def size(reading: Reading) -> None:
    """Read width, depth, vocabulary and longest context."""
    entry, config = reading.entry, reading.config
    listed = next((n for key in _LISTS if (n := _length(config, key))), 0)
    for name in ("hidden_size", "num_hidden_layers", "vocab_size"):
        if name == "num_hidden_layers" and listed and not config.has(*reading.keys(name)):
            entry[name] = listed
        else:
            entry[name] = reading.need(name)
    if entry["num_hidden_layers"] > MOST_LAYERS:
        key = reading.keys("num_hidden_layers")[0]
        config.fault(key, f"{entry['num_hidden_layers']:,} layers", f"at most {MOST_LAYERS:,}")
        entry["num_hidden_layers"] = 1
    entry["max_position_embeddings"] = reading.whole("max_position_embeddings")


def grouped_query(reading: Reading) -> None:
    """Read query and KV heads, and their width if it is given."""
    heads = reading.need("num_attention_heads")
    width = reading.whole("head_dim")
    if width and width * heads == reading.entry["hidden_size"]:
        width = 0
    reading.entry |= {
        "num_attention_heads": heads,
        "num_key_value_heads": reading.whole("num_key_value_heads", heads) or heads,
        "head_dim": width,
    }


def layer_widths(reading: Reading) -> None:
    """Read the widths of FFNs if they are listed layer by layer (Gemma 3n)."""
    entry, config = reading.entry, reading.config
    listed = isinstance(config.values.get("intermediate_size"), list)
    if not listed or "gemma_3n" not in reading.architecture.rules:
        entry["intermediate_size"] = reading.whole("intermediate_size")
        return
    widths = config.wholes("intermediate_size")
    if len(widths) != reading.layers or min(widths) < 1:
        config.fault(
            "intermediate_size", f"{len(widths)} widths for {reading.layers} layers", "correct it"
        )
        entry["intermediate_size"] = 1
        return
    counted = Counter(widths)
    entry["intermediate_size"] = widths[0]
    if len(counted) > 1:
        entry["intermediate_sizes"] = tuple(counted.items())


def four_times(reading: Reading) -> None:
    """Set the FFN to four times the model's width, if no width is given."""
    reading.entry["intermediate_size"] = (
        reading.entry["intermediate_size"] or 4 * reading.entry["hidden_size"]
    )


# Windows

LETTERS: Final = {
    "full_attention": "F",
    "attention": "F",
    "global": "F",
    "sliding_attention": "S",
    "local": "S",
    "chunked_attention": "S",
    "linear_attention": "G",
    "mamba": "M",
    "conv": "L",
}
_INDEXED: Final = ("indexed_attention", "sparse_attention", "deepseek_sparse_attention")


def listed_layers(reading: Reading, key: str = "layer_types") -> str:
    """Return the letters for a list of layer kinds; empty if there is no list."""
    letters = ""
    kinds = reading.config.items(key)
    indexed = "indexer" in reading.architecture.rules
    for number, kind in enumerate(kinds):
        letter = LETTERS.get(kind) if isinstance(kind, str) else None
        if letter is None and indexed and kind in _INDEXED:
            letter = "F"
        if letter is None:
            reading.config.fault(f"{key}[{number}]", f"unknown layer {show(kind)}", REMEDY)
            return ""
        letters += letter
    if kinds and len(kinds) != reading.layers:
        reading.config.fault(key, f"{len(kinds)} items for {reading.layers} layers", "correct it")
        return ""
    return letters


def windows(reading: Reading) -> None:
    """Read which layers see only a window, and its width."""
    config, entry, rule = reading.config, reading.entry, reading.architecture.windows
    if rule == "none":
        return
    window = config.whole("sliding_window")
    chunk = config.whole("attention_chunk_size")
    letters = listed_layers(reading) or _unlisted(reading, rule, window)
    limit = entry["max_position_embeddings"]
    width = chunk if rule == "rope" else window
    if not width or (limit and width >= limit):  # a window as long as the context
        letters = letters.replace("S", "F")
    if "S" in letters:
        entry["attention_chunk_size" if rule == "rope" else "sliding_window"] = width
    set_layers(entry, letters)


def _unlisted(reading: Reading, rule: str, window: int) -> str:
    config, layers = reading.config, reading.layers
    if rule == "all":
        return "S" * layers
    if rule == "late" and config.flag("use_sliding_window"):
        first = min(config.whole("max_window_layers"), layers)
        return "F" * first + "S" * (layers - first)
    if rule == "rope":
        return _chunked(reading)
    if rule == "after dense" and window:
        return _after_dense(reading)
    if rule.startswith("every") and window:
        return _every(reading, int(rule.split()[1]))
    return "F" * layers


def _after_dense(reading: Reading) -> str:
    """Return letters whose pattern starts again after the first, dense layers (Cohere)."""
    config, layers = reading.config, reading.layers
    dense = min(config.whole("first_k_dense_replace"), layers)
    first = config.whole("prefix_dense_sliding_window_pattern", default=1) or 1
    period = config.whole("sliding_window_pattern", "_sliding_window_pattern", default=4) or 4
    letters = ["S" if (n + 1) % first else "F" for n in range(dense)]
    return "".join(letters + ["S" if (n + 1) % period else "F" for n in range(layers - dense)])


def _every(reading: Reading, period: int) -> str:
    """Return letters in which the last layer of each period sees the whole context."""
    config, layers = reading.config, reading.layers
    keys = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    given = config.raw(*keys)
    if isinstance(given, str):  # EXAONE 4: L for local, G for global
        if not given or set(given) - set("LG") or len(given) > MOST_LAYERS:
            config.fault(keys[0], f"{show(given)} must consist of L and G", "correct it")
            return "F" * layers
        unit = given.replace("L", "S").replace("G", "F")
    else:
        period = min(config.whole(*keys, default=period) or period, layers + 1)
        unit = "S" * (period - 1) + "F"
    return (unit * (layers // len(unit) + 1))[:layers]


def _chunked(reading: Reading) -> str:
    """Return Llama 4's letters: layers with rotary positions see a chunk, others everything."""
    config, layers = reading.config, reading.layers
    rotary = config.wholes("no_rope_layers")  # 1: has rotary positions
    if rotary and len(rotary) != layers:
        config.fault("no_rope_layers", f"{len(rotary)} items for {layers} layers", "correct it")
        return "F" * layers
    if rotary:
        return "".join("S" if has else "F" for has in rotary)
    period = config.whole("no_rope_layer_interval", default=4) or 4
    return "".join("S" if (layer + 1) % period else "F" for layer in range(layers))


def set_layers(entry: dict[str, Any], letters: str) -> None:
    """Write the layers' letters as their shortest repeating part; nothing if all are "F"."""
    if set(letters) <= {"F"}:
        return
    for length in range(1, len(letters) + 1):
        unit = letters[:length]
        if (unit * (len(letters) // length + 1))[: len(letters)] == letters:
            entry["layer_types"] = unit
            return


# Experts

_OF_EXPERTS: Final = (
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "shared_expert_gate",
    "router_bias",
)


def experts(reading: Reading) -> None:
    """Read the routed experts, if there are any."""
    entry, config = reading.entry, reading.config
    keys = reading.keys("num_experts")
    count = config.same(*keys)
    if not count:
        chosen = config.same(*reading.keys("num_experts_per_tok"))
        if chosen > 1 and not config.has(*keys):
            config.need(*keys)
        return
    entry["num_experts"] = count
    if entry.get("mlp_bias") and "mlp_bias" in reading.architecture.switches:
        config.fault("mlp_bias", "biases beside experts", REMEDY)
    entry["moe_latent_size"] = config.whole("moe_latent_size", "routed_expert_hidden_size")
    for name in ("num_experts_per_tok", "moe_intermediate_size"):
        keys = reading.keys(name)
        entry[name] = config.same(*keys) if config.has(*keys) else config.need(*keys)
    if reading.keys("moe_intermediate_size") == ("intermediate_size",):
        entry["intermediate_size"] = 0  # every layer has experts, unless a later rule differs


def shared_width(reading: Reading) -> None:
    """Read the width of a shared expert."""
    if reading.entry.get("num_experts"):
        width = reading.whole("shared_expert_intermediate_size")
        reading.entry["shared_expert_intermediate_size"] = width
        if not width:
            reading.entry["shared_expert_gate"] = False
    else:
        reading.entry["shared_expert_gate"] = False


def shared_count(reading: Reading) -> None:
    """Read the number of shared experts, which are as wide as routed ones."""
    if reading.entry.get("num_experts"):
        given = "moe_shared_expert_intermediate_size"
        width = reading.config.whole(given) if given in reading.config.values else 0
        width = width or reading.entry["moe_intermediate_size"]
        count = reading.config.same(*reading.keys("num_shared_experts"))
        reading.entry["shared_expert_intermediate_size"] = width * count


_FIRST_DENSE: Final = ("first_k_dense_replace", "num_dense_layers")


def _listed_dense(reading: Reading) -> int | None:
    """Return the number of dense layers among those that a list names, None if there is none."""
    config = reading.config
    if not config.values.get("mlp_layer_types"):  # which is no default to name
        config.read.add("mlp_layer_types")
        return None
    kinds = config.items("mlp_layer_types")
    if len(kinds) != reading.layers or not all(kind in ("dense", "sparse") for kind in kinds):
        config.fault("mlp_layer_types", "must be dense or sparse for each layer", REMEDY)
    return sum(kind != "sparse" for kind in kinds)


def first_dense(reading: Reading) -> None:
    """Read the first layers with a dense FFN; after them, every n-th layer has experts."""
    config, layers = reading.config, reading.layers
    dense = _listed_dense(reading)
    if dense is not None:
        config.read |= {*_FIRST_DENSE, "moe_layer_freq"}  # superseded
    elif isinstance(config.values.get("moe_layer_freq"), list):
        dense = sum(not item for item in config.wholes("moe_layer_freq"))
    else:
        first = config.whole(*_FIRST_DENSE)
        period = max(config.whole("moe_layer_freq", default=1), 1)
        dense = sum(n < first or n % period != 0 for n in range(layers))
    dense_layers(reading, min(dense, layers))


def some_dense(reading: Reading) -> None:
    """Read which layers have experts: every n-th, except those in a list (Qwen)."""
    config = reading.config
    dense = _listed_dense(reading)
    if dense is not None:
        config.read |= {"decoder_sparse_step", "mlp_only_layers"}  # superseded
    else:
        step = max(config.whole("decoder_sparse_step", default=1), 1)
        never = set(config.wholes("mlp_only_layers"))
        dense = sum(n in never or (n + 1) % step != 0 for n in range(reading.layers))
    dense_layers(reading, dense)


def ernie_layers(reading: Reading) -> None:
    """Read which layers have experts: every n-th between a first and a last (ERNIE)."""
    config, layers = reading.config, reading.layers
    if config.flag("use_bias") and reading.entry.get("num_experts"):
        config.fault("use_bias", "biases beside experts", REMEDY)
    start = config.whole("moe_layer_start_index")
    end = config.raw("moe_layer_end_index")
    last = end if isinstance(end, int) and 0 <= end < layers else layers - 1
    step = max(config.whole("moe_layer_interval", default=1), 1)
    sparse = sum(start <= n <= last and (n + 1) % step == 0 for n in range(layers))
    dense_layers(reading, layers - sparse)


def dense_layers(reading: Reading, dense: int) -> None:
    """Write the number of layers with a dense FFN; their positions make no difference."""
    entry, layers = reading.entry, reading.layers
    if not entry.get("num_experts"):
        return
    if not dense:
        entry["intermediate_size"] = 0
        return
    if dense >= layers:
        entry |= dict.fromkeys(_OF_EXPERTS, 0)
        return
    step = layers // (layers - dense)
    if layers % step == 0 and layers // step == layers - dense:
        entry["decoder_sparse_step"] = step
    else:
        entry["first_k_dense_replace"] = dense
    if not entry.get("intermediate_size"):
        entry["intermediate_size"] = reading.need("intermediate_size")


# Latent attention


def latent(reading: Reading) -> None:
    """Read MLA: ranks, and widths of heads with and without rotary positions."""
    config, entry = reading.config, reading.entry
    entry |= {name: config.need(name) for name in ("kv_lora_rank", "qk_nope_head_dim")}
    bare = "glm_next" in reading.architecture.rules  # attention without rotary positions
    entry["qk_rope_head_dim"] = (config.whole if bare else config.need)("qk_rope_head_dim")
    entry |= {
        "q_lora_rank": config.whole("q_lora_rank"),
        "v_head_dim": entry.get("v_head_dim") or config.need("v_head_dim"),
        "num_key_value_heads": 0,
        "head_dim": 0,
    }
    if "attention_bias" not in reading.architecture.switches and config.flag("attention_bias"):
        # of both projections to a low rank and of the output
        widths = (entry["q_lora_rank"], entry["kv_lora_rank"] + entry["qk_rope_head_dim"])
        entry["extra_parameters"] = reading.layers * (sum(widths) + entry["hidden_size"])
        entry["notes"] = "extra_parameters: biases of latent attention"
    whole = config.whole("qk_head_dim") if "qk_head_dim" in config.values else 0  # a sum
    both = entry["qk_nope_head_dim"] + entry["qk_rope_head_dim"]
    if whole and whole != both:
        config.fault("qk_head_dim", f"{whole} is not {both}, the sum of its parts", "correct it")


def even_values(reading: Reading) -> None:
    """Divide the model's width between value heads, if their width is not given."""
    entry = reading.entry
    usual = entry["hidden_size"] // entry["num_attention_heads"]
    entry["v_head_dim"] = reading.config.whole("v_head_dim") or usual


def indexer(reading: Reading) -> None:
    """Read the indexer of DeepSeek sparse attention."""
    for name in ("index_topk", "index_n_heads", "index_head_dim"):
        reading.entry[name] = reading.config.need(name)
    config = reading.config
    if not config.values.get("indexer_types"):
        _every_nth_indexer(reading)
        return
    kinds = config.items("indexer_types")
    config.read |= {"index_topk_freq", "index_skip_topk_offset", "index_topk_pattern"}  # superseded
    if len(kinds) != reading.layers or not all(kind in ("full", "shared") for kind in kinds):
        config.fault("indexer_types", "must be full or shared for each layer", REMEDY)
        return
    set_layers(reading.entry, "".join("A" if kind == "full" else "a" for kind in kinds))


def _every_nth_indexer(reading: Reading) -> None:
    """Read which layers have an indexer: the first ones, and then every n-th; others share it."""
    config = reading.config
    given = config.values.get("index_topk_freq")
    config.read.add("indexer_types")
    if given is None:
        return
    period, first = config.need("index_topk_freq"), config.whole("index_skip_topk_offset")
    if config.values.get("index_topk_pattern") is not None:
        config.fault("index_topk_pattern", "not modelled", REMEDY)
    own = (n < first or (n + 1 - first) % period == 0 for n in range(reading.layers))
    set_layers(reading.entry, "".join("A" if full else "a" for full in own))


def kimi_delta(reading: Reading) -> None:
    """Read Kimi Linear: the layers with Kimi delta attention, counted from 1 or listed."""
    config = reading.config
    linear = config.inner("linear_attn_config")
    gates = [
        table.flag(key)
        for table, key in ((config, "mla_use_output_gate"), (linear, "use_full_rank_gate"))
        if key in table.values
    ]
    if config.flag("attention_bias"):
        config.fault("attention_bias", "biases beside delta attention", REMEDY)
    if len(set(gates)) > 1 or (len(gates) == 1 and gates[0]):
        config.fault("mla_use_output_gate", "gates in some kinds of layers only", REMEDY)
    reading.entry["attn_output_gate"] = any(gates)
    if reading.entry.get("moe_latent_size") and "latent_moe_use_norm" in config.values:
        reading.entry["moe_latent_norm"] = config.flag("latent_moe_use_norm")
    if linear.values:
        heads, width = linear.need("num_heads"), linear.need("head_dim")
        kernel = linear.need("short_conv_kernel_size")
        full, delta = (set(linear.wholes(f"{kind}_layers")) for kind in ("full_attn", "kda"))
        if delta and (full & delta or full | delta != set(range(1, reading.layers + 1))):
            linear.fault("kda_layers", "does not list the layers beside full_attn_layers", REMEDY)
        letters = "".join("A" if n + 1 in full else "K" for n in range(reading.layers))
    else:
        heads, width = config.need("linear_num_heads"), config.need("linear_head_dim")
        kernel = config.need("linear_conv_kernel_dim")
        if not config.has("layer_types"):
            config.need("layer_types")
        letters = listed_layers(reading).replace("G", "K").replace("F", "A")
    reading.entry |= {
        "linear_num_key_heads": heads,
        "linear_num_value_heads": heads,
        "linear_key_head_dim": width,
        "linear_value_head_dim": width,
        "linear_conv_kernel_dim": kernel,
    }
    set_layers(reading.entry, letters)


def shortcut(reading: Reading) -> None:
    """Read LongCat: a published layer has two attentions, two dense FFNs and one MoE."""
    entry = reading.entry
    entry |= {
        "num_hidden_layers": 2 * entry["num_hidden_layers"],
        "zero_expert_num": reading.config.whole("zero_expert_num"),
        "decoder_sparse_step": 2,
        "dense_beside_moe": True,
        "intermediate_size": reading.need("intermediate_size"),
    }


# Recurrent layers


def gated_delta(reading: Reading) -> None:
    """Read Qwen3-Next: Gated DeltaNet in all layers except every fourth."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    for name in (
        "linear_num_key_heads",
        "linear_num_value_heads",
        "linear_key_head_dim",
        "linear_value_head_dim",
        "linear_conv_kernel_dim",
    ):
        entry[name] = config.need(name)
    if not config.items("layer_types"):
        period = config.whole("full_attention_interval", default=4) or 4
        set_layers(entry, "".join("G" if (n + 1) % period else "F" for n in range(layers)))
    some_dense(reading)


def lightning(reading: Reading) -> None:
    """Read MiniMax-01: lightning attention in most layers."""
    key = "attn_type_list" if reading.config.has("attn_type_list") else "layer_types"
    if key == "layer_types":
        letters = listed_layers(reading).replace("G", "T")
        letters = letters or "TF" * (reading.layers // 2 + 1)
    else:
        letters = "".join("F" if full else "T" for full in reading.config.wholes(key))
        if len(letters) != reading.layers:
            reading.config.fault(key, f"{len(letters)} items for {reading.layers} layers", REMEDY)
            return
    entry = reading.entry
    set_layers(entry, letters[: reading.layers])
    if not entry["head_dim"]:
        entry["head_dim"] = entry["hidden_size"] // entry["num_attention_heads"]


def no_attention(reading: Reading) -> None:
    """Drop the fields of attention layers."""
    reading.entry |= {
        "num_attention_heads": 0,
        "num_key_value_heads": 0,
        "head_dim": 0,
        "intermediate_size": 0,
        "max_position_embeddings": 0,
        "layer_types": "M",
    }


def mamba_1(reading: Reading) -> None:
    """Read Mamba: state-space layers only."""
    config, entry = reading.config, reading.entry
    _check_biases(config)
    no_attention(reading)
    width = entry["hidden_size"]
    entry |= {
        "mamba_intermediate_size": config.whole("intermediate_size", "d_inner")
        or width * (config.whole("expand") or 2),
        "time_step_rank": _time_step_rank(config, "time_step_rank", width),
        "ssm_state_size": config.need("state_size"),
        "conv_kernel": config.need("conv_kernel"),
    }


def _check_biases(
    config: Fields, projections: str = "use_bias", convolution: str = "use_conv_bias"
) -> None:
    """Refuse state-space layers with other biases than the usual ones."""
    if config.flag(projections):
        config.fault(projections, "projections with biases", REMEDY)
    if not config.flag(convolution, default=True):
        config.fault(convolution, "convolutions without biases", REMEDY)


def _time_step_rank(config: Fields, key: str, width: int) -> int:
    if config.raw(key) in ("auto", None):
        return math.ceil(width / 16)
    return config.need(key)


def mamba_2(reading: Reading) -> None:
    """Read Mamba-2: state-space layers only."""
    config = reading.config
    _check_biases(config)
    no_attention(reading)
    reading.entry |= {
        "mamba_num_heads": config.need("num_heads"),
        "mamba_head_dim": config.need("head_dim"),
        "n_groups": config.need("n_groups"),
        "ssm_state_size": config.need("state_size"),
        "conv_kernel": config.need("conv_kernel"),
    }


def jamba(reading: Reading) -> None:
    """Read Jamba: one attention layer per period, and experts in every other FFN."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    _check_biases(config, "mamba_proj_bias", "mamba_conv_bias")
    period, offset = config.need("attn_layer_period"), config.whole("attn_layer_offset")
    letters = "".join("F" if n % period == offset else "M" for n in range(layers))
    set_layers(entry, letters)
    entry |= {
        "mamba_inner_norms": True,
        "mamba_intermediate_size": config.need("mamba_expand") * entry["hidden_size"],
        "time_step_rank": _time_step_rank(config, "mamba_dt_rank", entry["hidden_size"]),
        "ssm_state_size": config.need("mamba_d_state"),
        "conv_kernel": config.need("mamba_d_conv"),
    }
    if entry.get("num_experts", 0) < 2:  # one expert is a dense FFN
        entry |= {"num_experts": 0, "num_experts_per_tok": 0, "moe_intermediate_size": 0}
        entry["intermediate_size"] = reading.need("intermediate_size")
        return
    period, offset = config.need("expert_layer_period"), config.whole("expert_layer_offset")
    dense_layers(reading, sum(n % period != offset for n in range(layers)))


def short_convolution(reading: Reading) -> None:
    """Read LFM2: short convolutions in most layers, attention in the others."""
    config, entry = reading.config, reading.entry
    if config.flag("conv_bias"):
        config.fault("conv_bias", "convolutions with biases", REMEDY)
    entry["conv_kernel"] = config.whole("conv_L_cache", default=3)
    if config.has("full_attn_idxs") and not config.items("layer_types"):
        attention = set(config.wholes("full_attn_idxs"))
        letters = "".join("F" if n in attention else "L" for n in range(reading.layers))
        set_layers(entry, letters)


def adjusted_width(reading: Reading) -> None:
    """Read LFM2's FFN, which is two thirds as wide as stated, rounded up to a multiple."""
    config, entry = reading.config, reading.entry
    width = config.whole("block_ff_dim") or entry["intermediate_size"]
    if config.flag("block_auto_adjust_ff_dim", default=True):
        factor = config.raw("block_ffn_dim_multiplier")
        if factor is None:
            factor = 1.0
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 16:
            config.fault(
                "block_ffn_dim_multiplier", f"{show(factor)} must be up to 16", "correct it"
            )
            return
        multiple = config.whole("block_multiple_of", default=256) or 1
        width = math.ceil(int(factor * int(2 * width / 3)) / multiple) * multiple
    entry["intermediate_size"] = width


def dense_start(reading: Reading) -> None:
    """Read the number of first layers with a dense FFN (LFM2)."""
    dense = reading.config.whole("num_dense_layers", default=2)
    dense_layers(reading, min(dense, reading.layers))


def granite_hybrid(reading: Reading) -> None:
    """Read Granite 4: Mamba-2 and attention layers; a shared FFN with or without experts."""
    entry = reading.entry
    shared = reading.need("shared_expert_intermediate_size")
    if entry.get("num_experts"):
        entry["shared_expert_intermediate_size"] = shared
    else:
        entry["intermediate_size"] = shared
    set_layers(entry, listed_layers(reading).replace("G", "M") or "M" * reading.layers)
    mamba_2_layers(reading)


def bamba(reading: Reading) -> None:
    """Read Bamba: Mamba-2 layers, with attention in some that are listed by number."""
    config = reading.config
    attending = set(config.wholes("attn_layer_indices"))
    letters = "".join("F" if n in attending else "M" for n in range(reading.layers))
    set_layers(reading.entry, listed_layers(reading).replace("G", "M") or letters)
    mamba_2_layers(reading)


def mamba_2_layers(reading: Reading) -> None:
    """Read the widths of Mamba-2 layers beside attention."""
    config, entry = reading.config, reading.entry
    _check_biases(config, "mamba_proj_bias", "mamba_conv_bias")
    heads = config.need("mamba_n_heads")
    width = config.raw("mamba_d_head")
    inner = (config.whole("mamba_expand") or 2) * entry["hidden_size"]
    entry |= {
        "mamba_num_heads": heads,
        "mamba_head_dim": inner // heads
        if width in ("auto", None)
        else config.need("mamba_d_head"),
        "n_groups": config.whole("mamba_n_groups", default=1) or 1,
        "ssm_state_size": config.need("mamba_d_state"),
        "conv_kernel": config.need("mamba_d_conv"),
    }


_BLOCKS: Final = {
    **dict.fromkeys(("mamba", "linear_attention"), "M"),
    **dict.fromkeys(("attention", "full_attention"), "*"),
    "mlp": "-",
    "moe": "E",
}


def nemotron_h(reading: Reading) -> None:
    """Read Nemotron-H: a layer is Mamba-2 (M), attention (*), an FFN (-) or experts (E)."""
    config, entry = reading.config, reading.entry
    _check_biases(config)
    _check_biases(config, "mamba_proj_bias")
    if config.values.get("hybrid_override_pattern"):
        pattern = config.text("hybrid_override_pattern")
    else:  # newer files have a list of names
        names = config.items("layers_block_type")
        pattern = "".join(
            _BLOCKS.get(name, "?") if isinstance(name, str) else "?" for name in names
        )
    if len(pattern) != reading.layers or set(pattern) - set("M*-E"):
        problem = f"{show(pattern)} must have one of M * - E for each of {reading.layers} layers"
        config.fault("hybrid_override_pattern", problem, "correct it")
        return
    set_layers(entry, pattern.replace("E", "-").replace("*", "F"))
    if "E" in pattern:
        experts(reading)
        entry |= {
            "router_bias": True,
            "moe_latent_size": config.whole("moe_latent_size"),
            "shared_expert_intermediate_size": config.whole("moe_shared_expert_intermediate_size")
            * config.whole("n_shared_experts", default=1),
        }
        if pattern.count("-"):
            entry["first_k_dense_replace"] = pattern.count("-")
        else:
            entry["intermediate_size"] = 0
    entry |= {
        "mamba_num_heads": config.need("mamba_num_heads"),
        "mamba_head_dim": config.need("mamba_head_dim"),
        "n_groups": config.need("n_groups"),
        "ssm_state_size": config.need("ssm_state_size"),
        "conv_kernel": config.need("conv_kernel"),
    }


# Single architectures


def learned_positions(reading: Reading) -> None:
    """Read the size of the learned position embedding (GPT-2)."""
    reading.entry["learned_positions"] = reading.need("max_position_embeddings")


def opt(reading: Reading) -> None:
    """Read OPT: two more positions than tokens; its smallest models project embeddings."""
    config, entry = reading.config, reading.entry
    width = config.whole("word_embed_proj_dim", default=entry["hidden_size"])
    if width != entry["hidden_size"]:
        config.fault("word_embed_proj_dim", f"{width} is not hidden_size", REMEDY)
    if not config.flag("layer_norm_elementwise_affine", default=True):
        config.fault("layer_norm_elementwise_affine", "false: norms without weights", REMEDY)
    if not config.flag("do_layer_norm_before", default=True):
        config.fault("do_layer_norm_before", "false: no final norm", REMEDY)
    entry["learned_positions"] = reading.need("max_position_embeddings") + 2


def multi_query(reading: Reading) -> None:
    """Set one KV head, unless switched off (StarCoder)."""
    entry = reading.entry
    multi = reading.config.flag("multi_query", default=True)
    entry["num_key_value_heads"] = 1 if multi else entry["num_attention_heads"]


def gpt_neo(reading: Reading) -> None:
    """Read GPT-Neo: alternating windows; only the attention's output projection has a bias."""
    config, entry = reading.config, reading.entry
    letters = listed_layers(reading, "attention_layers")
    entry["sliding_window"] = config.whole("window_size", default=256)
    set_layers(entry, letters or ("FS" * reading.layers)[: reading.layers])
    entry["extra_parameters"] = entry["hidden_size"] * reading.layers
    entry["notes"] = "extra_parameters: biases of the attention's output projection"


def falcon(reading: Reading) -> None:
    """Read Falcon: one KV head, or groups in the new decoder; one or two norms per block."""
    config, entry = reading.config, reading.entry
    new = config.flag("new_decoder_architecture")
    parallel = config.flag("parallel_attn", default=True)
    if not new:
        multi = config.flag("multi_query", default=True)
        entry["num_key_value_heads"] = 1 if multi else entry["num_attention_heads"]
    norms = config.whole("num_ln_in_parallel_attn") or (2 if new else 1)
    if parallel or new:
        entry |= {"parallel_block": True, "norms_per_layer": norms}


def mpt(reading: Reading) -> None:
    """Read MPT: attention fields are in an inner object."""
    config, entry = reading.config, reading.entry
    attention = config.inner("attn_config")
    heads = entry["num_attention_heads"]
    multi_query_heads = 1 if attention.text("attn_type") == "multiquery_attention" else heads
    entry["num_key_value_heads"] = attention.whole("kv_n_heads", default=multi_query_heads)
    ratio = config.raw("expansion_ratio")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1024:
        config.fault("expansion_ratio", f"{show(ratio)} must be from 0 to 1024", "correct it")
        return
    entry["intermediate_size"] = int(ratio * entry["hidden_size"])
    if not config.flag("no_bias", default=True):
        entry |= {"attention_bias": "all", "mlp_bias": True, "norm": "scale-and-bias"}
    if config.flag("learned_pos_emb", default=True) and not attention.flag("alibi"):
        entry["learned_positions"] = reading.need("max_position_embeddings")


def dbrx(reading: Reading) -> None:
    """Read DBRX: attention and expert fields are in inner objects."""
    attention = reading.config.inner("attn_config")
    ffn = reading.config.inner("ffn_config")
    reading.entry |= {
        "num_key_value_heads": attention.need("kv_n_heads"),
        "num_experts": ffn.need("moe_num_experts"),
        "num_experts_per_tok": ffn.need("moe_top_k"),
        "moe_intermediate_size": ffn.need("ffn_hidden_size"),
        "intermediate_size": 0,
    }


def half_width(reading: Reading) -> None:
    """Halve the FFN width: Qwen 1 gives the width of gate and up projection together."""
    reading.entry["intermediate_size"] //= 2


def output_bias(reading: Reading) -> None:
    """Read the separate switch for the bias of the attention's output (Seed-OSS)."""
    if reading.config.flag("attention_out_bias"):
        reading.entry["attention_bias"] = "all"


def sub_norms(reading: Reading) -> None:
    """Count BitNet's norms before the output and down projections."""
    entry = reading.entry
    entry["extra_parameters"] = reading.layers * (entry["hidden_size"] + entry["intermediate_size"])
    entry["notes"] = "extra_parameters: norms before the output and down projections"


def post_moe_norm(reading: Reading) -> None:
    """Count A.X K1's norm after the experts of each layer that has some."""
    entry = reading.entry
    sparse = reading.layers - entry.get("first_k_dense_replace", 0)
    if entry.get("num_experts"):
        biases = entry.get("extra_parameters", 0)
        entry["extra_parameters"] = biases + sparse * entry["hidden_size"]
        entry["notes"] = "extra_parameters: norms after the experts" + ", biases" * bool(biases)


def chatglm(reading: Reading) -> None:
    """Read the groups of KV heads of ChatGLM 2 and later."""
    config, entry = reading.config, reading.entry
    if config.flag("multi_query_attention"):
        entry["num_key_value_heads"] = config.need("multi_query_group_num")
    if config.flag("add_bias_linear"):
        entry |= {"attention_bias": "all", "mlp_bias": True}


def persimmon(reading: Reading) -> None:
    """Read Persimmon: per-head norms of queries and keys, with scale and bias."""
    if reading.config.flag("qk_layernorm", default=True):
        entry = reading.entry
        width = entry["head_dim"] or entry["hidden_size"] // entry["num_attention_heads"]
        entry["qk_norm"] = "head-dim"
        entry["extra_parameters"] = 2 * width * reading.layers
        entry["notes"] = "extra_parameters: biases of the norms of queries and keys"


def one_norm_if_parallel(reading: Reading) -> None:
    """Set one norm per parallel block (StableLM)."""
    if reading.entry.get("parallel_block"):
        reading.entry["norms_per_layer"] = 1


def _of_global_layers(reading: Reading) -> int:
    """Return the width of heads of full layers, as newer libraries write it layer by layer."""
    config = reading.config
    table = config.inner("per_layer_config")
    if not table.values:
        return 0
    config.read.add("global_head_dim")  # superseded
    pattern = listed_layers(reading)
    full = {n for n, letter in enumerate(pattern) if letter == "F"}
    widths: set[object] = set()
    numbers = set()
    for number, values in table.values.items():
        if not number.isdigit() or not isinstance(values, dict) or set(values) != {"head_dim"}:
            config.fault(f"per_layer_config.{number}", "more than head_dim", REMEDY)
            return 0
        numbers.add(int(number))
        widths.add(values["head_dim"])
    if numbers != full or len(widths) != 1:
        config.fault("per_layer_config", "does not give all full layers the same head_dim", REMEDY)
        return 0
    number = next(iter(table.values))
    table.read |= set(table.values)
    return table.inner(number).need("head_dim")


def gemma_4(reading: Reading) -> None:
    """Read Gemma 4: full layers have wider heads and may share keys with values."""
    config, entry = reading.config, reading.entry
    entry["global_head_dim"] = _of_global_layers(reading) or config.whole("global_head_dim")
    if config.flag("attention_k_eq_v"):
        entry["attention_k_eq_v"] = True
        entry["num_global_key_value_heads"] = config.whole("num_global_key_value_heads")
    if entry.get("num_experts"):
        entry |= {"dense_beside_moe": True, "norms_per_layer": 7}


def llama_4(reading: Reading) -> None:
    """Read Llama 4: one shared expert; the dense layers in between are wider."""
    config, entry, layers = reading.config, reading.entry, reading.layers
    entry["shared_expert_intermediate_size"] = entry.get("moe_intermediate_size", 0)
    given = config.items("moe_layers")
    step = max(config.whole("interleave_moe_layer_step", default=1), 1)
    sparse = len(given) if given else layers // step
    entry["intermediate_size"] = 0
    config.whole("intermediate_size_mlp")  # said even where no layer is dense
    if sparse < layers:
        entry["intermediate_size"] = config.need("intermediate_size_mlp")
        dense_layers(reading, layers - min(sparse, layers))


def hunyuan(reading: Reading) -> None:
    """Read Hunyuan: numbers of experts may be lists with one item per layer."""
    config, entry = reading.config, reading.entry
    if config.flag("use_cla") and config.whole("cla_share_factor", default=1) > 1:
        config.fault("use_cla", "layers that share a KV cache are not modelled", REMEDY)
    if config.same("num_experts", default=1) < 2:
        return
    if not config.has("moe_intermediate_size"):
        entry["moe_intermediate_size"] = reading.need("intermediate_size")
    else:
        entry["moe_intermediate_size"] = config.same("moe_intermediate_size")
    entry |= {
        "num_experts": config.same("num_experts"),
        "num_experts_per_tok": config.same("moe_topk", default=1),
        "shared_expert_intermediate_size": entry["moe_intermediate_size"]
        * config.same("num_shared_expert", default=1),
        "intermediate_size": 0,
    }


RULES: Final[dict[str, Callable[[Reading], None]]] = {
    rule.__name__: rule
    for rule in (
        four_times,
        even_values,
        experts,
        shared_width,
        shared_count,
        first_dense,
        some_dense,
        ernie_layers,
        latent,
        indexer,
        kimi_delta,
        shortcut,
        gated_delta,
        lightning,
        mamba_1,
        mamba_2,
        jamba,
        short_convolution,
        adjusted_width,
        dense_start,
        granite_hybrid,
        bamba,
        nemotron_h,
        learned_positions,
        opt,
        multi_query,
        gpt_neo,
        falcon,
        mpt,
        dbrx,
        half_width,
        output_bias,
        sub_norms,
        post_moe_norm,
        chatglm,
        persimmon,
        one_norm_if_parallel,
        gemma_4,
        llama_4,
        hunyuan,
    )
}
