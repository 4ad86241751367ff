"""``params.json``, the format of Mistral and Meta, as a ``config.json``."""

from collections.abc import Mapping
from typing import Final

from perfcore.catalog.importing.document import MOST_LAYERS

_KEYS: Final = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "hidden_dim": "intermediate_size",
    "vocab_size": "vocab_size",
    "sliding_window": "sliding_window",
    "tied_embeddings": "tie_word_embeddings",
    "max_position_embeddings": "max_position_embeddings",
    "model_max_length": "max_position_embeddings",
    "max_seq_len": "max_position_embeddings",
}
_EXPERTS: Final = {"num_experts": "num_local_experts", "num_experts_per_tok": "num_experts_per_tok"}
_LATENT: Final = {  # of models with latent attention (Mistral Large 3)
    "num_experts": "n_routed_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "expert_hidden_dim": "moe_intermediate_size",
    "num_shared_experts": "n_shared_experts",
    "first_k_dense_replace": "first_k_dense_replace",
    "route_every_n": "moe_layer_freq",
}
_PLACEMENT: Final = ("expert_parallel", "expert_model_parallel")  # of the training
_WINDOWS: Final = "_sliding_window"  # of each layer of a period; null is the whole context
_SAME: Final = ("quantization", "quantization_config", "dtype", "torch_dtype")
_READ: Final = (*_KEYS, *_SAME, "moe", "yarn", "ffn_dim_multiplier", "multiple_of")


def is_params(values: Mapping[str, object]) -> bool:
    """Return whether an object is a ``params.json``."""
    return "model_type" not in values and {"dim", "n_layers", "n_heads"} <= set(values)


def as_config(values: Mapping[str, object]) -> dict[str, object]:
    """Return a ``params.json`` as a ``config.json``; unknown keys are left unchanged."""
    config: dict[str, object] = {"model_type": "mistral"}
    config |= {key: value for key, value in values.items() if key not in _READ}
    config |= {name: values[key] for key, name in _KEYS.items() if key in values}
    config |= {key: values[key] for key in _SAME if key in values}
    dim, hidden = values.get("dim"), values.get("hidden_dim")
    if hidden is None and isinstance(dim, int):
        config["intermediate_size"] = _width(values, dim)
    latent = values.get("kv_lora_rank") is not None
    if latent:
        config["model_type"] = "mistral4"
    moe = values.get("moe")
    if isinstance(moe, dict):
        config["model_type"] = "mistral4" if latent else "mixtral"
        names = _LATENT if latent else _EXPERTS
        config |= {
            names.get(key, f"moe.{key}"): value
            for key, value in moe.items()
            if key not in _PLACEMENT
        }
    config |= _windows(values)
    yarn = values.get("yarn")
    if isinstance(yarn, dict):
        config["rope_scaling"] = {"rope_type": "yarn", **yarn}
    return config


def _windows(values: Mapping[str, object]) -> dict[str, object]:
    """Return the windows of layers, if they alternate; what is not understood stays to be told."""
    listed, layers = values.get(_WINDOWS), values.get("n_layers")
    if not isinstance(listed, list) or not isinstance(layers, int):
        return {}
    widths = {width for width in listed if width is not None}
    if len(widths) != 1 or not 1 <= layers <= MOST_LAYERS:
        return {"windows_of_layers": listed}
    kinds = ["full_attention" if width is None else "sliding_attention" for width in listed]
    return {
        "layer_types": (kinds * (layers // len(kinds) + 1))[:layers],
        "sliding_window": widths.pop(),
    }


def _width(values: Mapping[str, object], dim: int) -> int | None:
    """Return Llama's FFN width: two thirds of four times the model's, rounded up."""
    multiple, factor = values.get("multiple_of"), values.get("ffn_dim_multiplier")
    if not isinstance(multiple, int) or isinstance(multiple, bool) or multiple < 1:
        return None
    width = int(2 * 4 * dim / 3)
    if isinstance(factor, int | float) and not isinstance(factor, bool):
        width = int(factor * width)
    return multiple * -(-width // multiple)
