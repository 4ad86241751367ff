"""Shares of a model's matrices that a quantised checkpoint leaves at 16 bits, part by part."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from perfcore.catalog.importing.modules import Patterns, kept_share

_FFN: Final = ("gate_proj", "up_proj", "down_proj")


def wide_shares(
    kept: Patterns, targets: Patterns, entry: Mapping[str, Any], *, shared: bool
) -> dict[str, float]:
    """Return the shares by field of an entry.

    Parameters
    ----------
    kept
        Patterns of modules that stay at 16 bits.
    targets
        Patterns of modules that are quantised; all if there is none.
    entry
        Fields of the entry.
    shared
        Whether the model has shared experts.
    """
    letters = _letters(entry)
    dense, routed = _ffn_layers(entry, letters)
    beside = entry.get("dense_beside_moe") and not entry.get("zero_expert_num")
    mixers = (
        ("attention", "Aa", _latent(entry) if entry.get("kv_lora_rank") else {}),
        *(("attention", kinds, _grouped(entry, kinds)) for kinds in ("FQP", "S", "f", "s")),
        ("attention", "CHV", _compressed(entry)),
        ("attention", "KT", _linear(entry)),  # in modules of that name, too
        ("recurrent", "GMP", _recurrent(entry)),
        ("recurrent", "L", _convolution(entry)),
    )
    weights = kept_weights = 0.0
    for part, kinds, sizes in mixers:
        layers = [n for n, letter in enumerate(letters) if letter in kinds]
        whole = len(layers) * sum(sizes.values())
        weights += whole
        kept_weights += whole * kept_share(kept, targets, part, layers, sizes)

    def of_ffns(part: str, layers: Sequence[int]) -> float:
        sizes = dict.fromkeys(_FFN if entry.get("gated_mlp", True) else _FFN[1:], 1.0)
        return kept_share(kept, targets, part, layers, sizes)

    return {
        "wide_attention": kept_weights / weights if weights else 0.0,
        "wide_ffn": of_ffns("ffn", dense),
        "wide_shared_experts": of_ffns("shared", routed) if shared else 0.0,
        "wide_experts": of_ffns("experts beside" if beside else "experts", routed),
    }


def _letters(entry: Mapping[str, Any]) -> str:
    unit = str(entry.get("layer_types") or ("A" if entry.get("kv_lora_rank") else "F"))
    count = int(entry["num_hidden_layers"])
    return (unit * (count // len(unit) + 1))[:count]


def _ffn_layers(entry: Mapping[str, Any], letters: str) -> tuple[list[int], list[int]]:
    """Return the layers with a dense FFN and those with experts."""
    alone = entry.get("mixer_or_ffn")
    layers = [n for n, letter in enumerate(letters) if not alone or letter == "-"]
    if not entry.get("num_experts"):
        return layers, []
    first, step = int(entry.get("first_k_dense_replace", 0)), entry.get("decoder_sparse_step") or 1
    routed = [n for place, n in enumerate(layers) if place >= first and (place + 1) % step == 0]
    if entry.get("dense_beside_moe"):
        return layers, routed
    return [n for n in layers if n not in set(routed)], routed


def _grouped(entry: Mapping[str, Any], kinds: str) -> dict[str, float]:
    """Return the matrices of full or window attention, with keys and values of its own or not."""
    heads, width = entry.get("num_attention_heads") or 0, entry["hidden_size"]
    groups = entry.get("num_key_value_heads") or heads
    each = entry.get("head_dim") or (width // heads if heads else 0)
    value = entry.get("v_head_dim") or each
    if kinds in ("S", "s"):
        heads = entry.get("swa_num_attention_heads") or heads
        groups = entry.get("swa_num_key_value_heads") or groups
    elif entry.get("global_head_dim"):
        each = value = entry["global_head_dim"]
        groups = entry.get("num_global_key_value_heads") or groups
    own = {"q_proj": float(width * heads * each), "o_proj": float(width * heads * value)}
    if kinds in ("f", "s"):
        return own
    return {**own, "k_proj": float(width * groups * each), "v_proj": float(width * groups * value)}


def _compressed(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the large matrices of DeepSeek-V4's attention."""
    width, low = entry["hidden_size"], entry.get("o_lora_rank") or 0
    rank = entry.get("q_lora_rank") or 0
    inner = (entry.get("num_attention_heads") or 0) * (entry.get("head_dim") or 0)
    return {
        "q_a_proj": float(width * rank),
        "q_b_proj": float(rank * inner),
        "o_a_proj": float(inner * low),
        "o_b_proj": float((entry.get("o_groups") or 0) * low * width),
    }


def _latent(entry: Mapping[str, Any]) -> dict[str, float]:
    heads, width, rank = (
        entry[name] for name in ("num_attention_heads", "hidden_size", "kv_lora_rank")
    )
    nope, rope, value = (
        entry[name] for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    )
    low = entry.get("q_lora_rank") or 0
    queries = {"q_a_proj": float(width * low)} if low else {}
    return {
        **queries,
        "q_b_proj": float((low or width) * heads * (nope + rope)),
        "kv_a_proj_with_mqa": float(width * (rank + rope)),
        "kv_b_proj": float(rank * heads * (nope + value)),
        "o_proj": float(heads * value * width),
    }


def _linear(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the matrices of Kimi delta or lightning attention, which are all alike."""
    heads = entry.get("linear_num_value_heads") or entry.get("num_attention_heads") or 0
    each = entry.get("linear_value_head_dim") or entry.get("head_dim") or 0
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    return dict.fromkeys(names, float(entry["hidden_size"] * heads * each))


def _recurrent(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return both matrices of Gated DeltaNet or Mamba."""
    width = entry["hidden_size"]
    keys, values = (
        (entry.get(f"linear_num_{kind}_heads") or 0) * (entry.get(f"linear_{kind}_head_dim") or 0)
        for kind in ("key", "value")
    )
    if values:
        return {"in_proj": 2.0 * width * (keys + values), "out_proj": float(width * values)}
    heads = entry.get("mamba_num_heads") or 0
    inner = heads * (entry.get("mamba_head_dim") or 0) or entry.get("mamba_intermediate_size") or 0
    groups = (entry.get("n_groups") or 0) * (entry.get("ssm_state_size") or 0)
    columns = 2 * inner + (2 * groups + heads if heads else 0)
    return {"in_proj": float(width * columns), "out_proj": float(width * inner)}


def _convolution(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return both matrices of a short convolution."""
    square = float(entry["hidden_size"] ** 2)
    return {"in_proj": 3.0 * square, "out_proj": square}
