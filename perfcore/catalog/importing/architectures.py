"""Conventions of ``config.json`` for each ``model_type``, one row each.

A row gives the differences from Llama: fields that the architecture's code fixes, switches, keys
with other names, defaults of keys that published files omit, and the rules of ``rules.py`` that
apply. The facts come from the modelling code in Hugging Face ``transformers`` (4.57.1, later for
later types) or from the code published with the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

Facts = Mapping[str, Any]
# field of an entry: (keys of config.json, value if true, value if false, default)
Switches = Mapping[str, tuple[tuple[str, ...], object, object, bool]]


@dataclass(frozen=True)
class Architecture:
    """Differences of an architecture's ``config.json`` from Llama's."""

    fixed: Facts = field(default_factory=dict)
    switches: Switches = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: Facts = field(default_factory=dict)  # by key of config.json
    tied: bool = False  # if config.json does not say
    windows: str = "listed"  # convention for the layers that have a window; see rules.py
    rules: tuple[str, ...] = ()  # names of functions in rules.py, in order

    def but(self, **changes: Any) -> "Architecture":  # noqa: ANN401 - of any field
        """Return a copy with changes; mappings are merged."""
        merged: dict[str, Any] = {
            name: {**getattr(self, name), **value} if isinstance(value, dict) else value
            for name, value in changes.items()
        }
        return replace(self, **merged)


def _all(*keys: str, default: bool = False) -> Switches:
    """Return the switch for biases of all four attention projections."""
    return {"attention_bias": (keys, "all", "none", default)}


def _qkv(*keys: str, default: bool = False) -> Switches:
    return {"attention_bias": (keys, "qkv", "none", default)}


def _mlp(*keys: str, default: bool = False) -> Switches:
    return {"mlp_bias": (keys, True, False, default)}


_HEAD_NORM: Final = {"qk_norm": "head-dim"}
_FULL_NORM: Final = {"qk_norm": "full"}
_LAYER_NORM: Final = {"norm": "scale-and-bias"}
_CLASSIC: Final = {**_LAYER_NORM, "gated_mlp": False}
_BIASED: Final = {"attention_bias": "all", "mlp_bias": True}
_ONE_NORM: Final = {"parallel_block": True, "norms_per_layer": 1}
_EXPERT_IS_FFN: Final = {"moe_intermediate_size": ("intermediate_size",)}

# Keys of the fields that every architecture has, in order of preference.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "n_embed"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
    "max_position_embeddings": (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "model_max_length",
        "max_sequence_length",
    ),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "num_key_value_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "head_dim": ("head_dim", "attention_head_dim"),
    "intermediate_size": ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim"),
    "num_experts": (
        "num_experts",
        "num_local_experts",
        "n_routed_experts",
        "moe_num_experts",
        "num_routed_experts",
        "n_experts",
        "num_moe_experts",
    ),
    "num_experts_per_tok": (
        "num_experts_per_tok",
        "num_experts_per_token",
        "moe_topk",
        "moe_k",
        "moe_top_k",
        "top_k_experts",
    ),
    "moe_intermediate_size": ("moe_intermediate_size", "expert_intermediate_size"),
    "num_shared_experts": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "shared_expert_intermediate_size": ("shared_expert_intermediate_size",),
}

LLAMA: Final = Architecture(switches={**_all("attention_bias"), **_mlp("mlp_bias")})
_APERTUS: Final = LLAMA.but(fixed={**_HEAD_NORM, "gated_mlp": False})
_NO_BIAS: Final = Architecture()
_QWEN2: Final = Architecture(fixed={"attention_bias": "qkv"}, windows="late")
_QWEN3: Final = Architecture(fixed=_HEAD_NORM, switches=_all("attention_bias"), windows="late")
_QWEN_NEXT: Final = Architecture(
    fixed={**_HEAD_NORM, "attn_output_gate": True},
    switches=_all("attention_bias"),
    rules=("experts", "shared_width", "gated_delta"),
)
_GEMMA: Final = Architecture(switches=_all("attention_bias"), tied=True)
_GEMMA3: Final = _GEMMA.but(
    fixed={**_HEAD_NORM, "norms_per_layer": 4},
    windows="every 6",
    defaults={
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
    },
)
_DEEPSEEK: Final = Architecture(rules=("latent", "experts", "shared_count", "first_dense"))
_DEEPSEEK_V3: Final = _DEEPSEEK.but(fixed={"router_bias": True})
_SPARSE: Final = _DEEPSEEK_V3.but(rules=(*_DEEPSEEK_V3.rules, "indexer"))
_GPT2: Final = Architecture(
    fixed={**_CLASSIC, **_BIASED}, tied=True, rules=("four_times", "learned_positions")
)
_GPTJ: Final = Architecture(
    fixed={**_CLASSIC, **_ONE_NORM, "mlp_bias": True, "lm_head_bias": True}, rules=("four_times",)
)
_PHI3: Final = Architecture(windows="all")
_COHERE: Final = Architecture(fixed=_ONE_NORM, switches=_all("attention_bias"), tied=True)
_OLMO2: Final = Architecture(fixed=_FULL_NORM, switches=_all("attention_bias"))
_GRANITE_MOE: Final = LLAMA.but(keys=_EXPERT_IS_FFN, rules=("experts",))
_GLM: Final = Architecture(switches=_qkv("attention_bias", default=True))
_MINIMAX: Final = Architecture(keys=_EXPERT_IS_FFN, windows="none", rules=("lightning", "experts"))
_FALCON: Final = Architecture(
    fixed=_CLASSIC,
    switches={**_all("bias"), **_mlp("bias")},
    tied=True,
    rules=("four_times", "falcon"),
)
_ERNIE: Final = Architecture(switches={**_all("use_bias"), **_mlp("use_bias")}, tied=True)
_HUNYUAN: Final = Architecture(fixed=_HEAD_NORM, switches=_all("attention_bias"))
_QWEN2_MOE: Final = _QWEN2.but(
    fixed={"shared_expert_gate": True}, rules=("experts", "shared_width", "some_dense")
)
_LFM2: Final = Architecture(
    fixed=_HEAD_NORM, tied=True, rules=("short_convolution", "adjusted_width")
)
_SHARED: Final = ("experts", "shared_count", "first_dense")
_SINKS: Final = LLAMA.but(fixed={"attention_sinks": True}, defaults={"sliding_window": 128})
_GLM4_MOE: Final = Architecture(
    fixed={"router_bias": True},
    switches={
        **_qkv("attention_bias"),
        "qk_norm": (("use_qk_norm",), "head-dim", "none", False),
    },
    rules=_SHARED,
)
_GEMMA4: Final = _GEMMA.but(
    fixed={**_HEAD_NORM, "norms_per_layer": 4},
    windows="every 6",
    defaults={"global_head_dim": 512, "sliding_window": 512},
    rules=("experts", "gemma_4", "per_layer_embeddings", "shared_caches"),
)
_GEMMA3N: Final = _GEMMA.but(
    fixed={**_HEAD_NORM, "norms_per_layer": 4},
    windows="every 5",
    defaults={
        "head_dim": 256,
        "num_key_value_heads": 2,
        "sliding_window": 512,
        "vocab_size_per_layer_input": 262_144,
        "hidden_size_per_layer_input": 256,
        "altup_num_inputs": 4,
        "laurel_rank": 64,
        "num_kv_shared_layers": 15,
    },
    rules=("per_layer_embeddings", "gemma_3n", "shared_caches"),
)
_MAMBA: Final = Architecture(tied=True, windows="none", rules=("mamba_1",))
_MINIMAX_M3: Final = Architecture(
    fixed={**_HEAD_NORM, "router_bias": True},
    keys={
        "moe_intermediate_size": ("intermediate_size",),
        "intermediate_size": ("dense_intermediate_size",),
        "shared_expert_intermediate_size": ("shared_intermediate_size",),
    },
    windows="none",
    rules=("experts", "shared_width", "first_dense", "block_sparse"),
)
_MIMO_V2: Final = Architecture(
    fixed={"router_bias": True},
    switches=_qkv("attention_bias"),
    windows="none",
    rules=("experts", "shared_count", "first_dense", "mimo_v2"),
)
_BAILING: Final = Architecture(
    switches={
        **_qkv("use_qkv_bias"),
        "qk_norm": (("use_qk_norm",), "head-dim", "none", False),
        "router_bias": (("moe_router_enable_expert_bias",), True, False, False),
    },
    rules=("experts", "shared_count", "first_dense"),
)

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "llama": LLAMA,
    "Yi": LLAMA,
    "xverse": LLAMA,
    "aquila": LLAMA,
    "exaone": LLAMA,
    "internlm": Architecture(switches=_all("bias", default=True)),
    "internlm2": Architecture(switches=_all("bias")),
    "internlm3": Architecture(switches=_qkv("qkv_bias")),
    "baichuan": _NO_BIAS,
    "minicpm": LLAMA.but(tied=True),
    "minicpm3": _DEEPSEEK.but(tied=True, rules=("even_values", "latent")),
    "mimo": LLAMA.but(switches=_qkv("attention_bias", default=True)),
    "helium": LLAMA.but(switches=_qkv("attention_bias")),
    "seed_oss": LLAMA.but(switches=_qkv("attention_bias"), rules=("output_bias",)),
    "smollm3": LLAMA.but(tied=True, windows="late"),
    "arcee": LLAMA.but(fixed={"gated_mlp": False}),
    "apertus": _APERTUS,
    "apertus1p5_text": _APERTUS,
    "cosmos3_edge_text": LLAMA.but(fixed={"gated_mlp": False}),
    "muse_glimmer_text": Architecture(
        fixed={"attn_output_gate": True, "norms_per_layer": 4}, switches=_qkv("attention_bias")
    ),
    "mistral": _PHI3,
    "ministral": _PHI3,
    "ministral3": _PHI3,
    "mixtral": Architecture(keys=_EXPERT_IS_FFN, windows="all", rules=("experts",)),
    "qwen": Architecture(fixed={"attention_bias": "qkv"}, rules=("half_width",)),
    "qwen2": _QWEN2,
    "qwen2_vl": _QWEN2,
    "qwen2_vl_text": _QWEN2,
    "qwen2_5_vl": _QWEN2,
    "qwen2_5_vl_text": _QWEN2,
    "qwen2_5_omni_text": _QWEN2,
    "qwen2_moe": _QWEN2_MOE,
    "qwen3": _QWEN3,
    "qwen3_vl_text": _QWEN3,
    "qwen3_moe": _QWEN3.but(rules=("experts", "some_dense")),
    "qwen3_vl_moe_text": _QWEN3.but(rules=("experts", "some_dense")),
    "qwen3_omni_moe_text": _QWEN3.but(rules=("experts", "some_dense")),
    "qwen3_next": _QWEN_NEXT.but(fixed={"shared_expert_gate": True}),
    "qwen3_5_text": _QWEN_NEXT,
    "qwen3_5_moe_text": _QWEN_NEXT.but(fixed={"shared_expert_gate": True}),
    "gemma": _GEMMA,
    "gemma2": _GEMMA.but(fixed={"norms_per_layer": 4}, windows="every 2"),
    "vaultgemma": _GEMMA.but(windows="every 2"),
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "gemma3n_text": _GEMMA3N,
    "gemma4_text": _GEMMA4,
    "gemma4_unified_text": _GEMMA4.but(defaults={"sliding_window": 1024}),
    "phi": Architecture(fixed={**_CLASSIC, **_BIASED, **_ONE_NORM, "lm_head_bias": True}),
    "phi3": _PHI3,
    "phi3_v": _PHI3,
    "phi4_multimodal": _PHI3,
    "phi4mm": _PHI3.but(tied=True),
    "phimoe": Architecture(
        fixed=_LAYER_NORM,
        switches={
            **_all("attention_bias"),
            "lm_head_bias": (("lm_head_bias",), True, False, False),
        },
        keys=_EXPERT_IS_FFN,
        windows="all",
        rules=("experts",),
    ),
    "deepseek": _DEEPSEEK.but(rules=("experts", "shared_count", "first_dense")),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK_V3,
    "deepseek_v32": _SPARSE,
    "deepseek_v4": Architecture(
        fixed={"router_bias": True},
        windows="none",
        rules=("experts", "shared_count", "deepseek_v4"),
    ),
    "deepseek_v41_text": Architecture(
        fixed={"router_bias": True},
        windows="none",
        rules=("experts", "shared_count", "deepseek_v41"),
    ),
    "glm_moe_dsa": _SPARSE.but(
        defaults={"index_topk": 2048, "index_n_heads": 32, "index_head_dim": 128}
    ),
    "glm4_moe_lite": _DEEPSEEK_V3,
    "glm5_next_text": _SPARSE.but(rules=(*_SPARSE.rules, "kimi_delta", "glm_next")),
    "kimi_k2": _DEEPSEEK_V3,
    "mistral4": _DEEPSEEK,
    "sarvam_mla": _DEEPSEEK_V3,
    "axk1": _DEEPSEEK_V3.but(rules=(*_DEEPSEEK_V3.rules, "post_moe_norm")),
    "youtu": Architecture(tied=True, rules=("latent",)),
    "kimi_linear": _DEEPSEEK_V3.but(rules=(*_DEEPSEEK_V3.rules, "kimi_delta")),
    "longcat_flash": Architecture(
        fixed={"router_bias": True},
        keys={
            "num_hidden_layers": ("num_layers",),
            "moe_intermediate_size": ("expert_ffn_hidden_size",),
            "intermediate_size": ("ffn_hidden_size",),
        },
        rules=("latent", "experts", "shortcut"),
    ),
    "dots1": _QWEN3.but(
        fixed={"router_bias": True}, rules=("experts", "shared_count", "first_dense")
    ),
    "bailing_hybrid": Architecture(
        fixed={"router_bias": True}, rules=("latent", *_SHARED, "bailing_hybrid")
    ),
    "bailing_moe": _BAILING,
    "bailing_moe_v2": _BAILING.but(
        switches={
            "qk_norm": (("use_qk_norm",), "head-dim", "none", True),
            "router_bias": (("moe_router_enable_expert_bias",), True, False, True),
        }
    ),
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2.but(rules=("four_times", "learned_positions", "multi_query")),
    "gpt_neo": _GPT2.but(
        fixed={"attention_bias": "none"},
        rules=("four_times", "learned_positions", "gpt_neo"),
    ),
    "gpt_neox": Architecture(
        fixed={**_CLASSIC, "mlp_bias": True},
        switches={
            **_all("attention_bias", default=True),
            "parallel_block": (("use_parallel_residual",), True, False, True),
        },
    ),
    "gptj": _GPTJ,
    "codegen": _GPTJ,
    "opt": Architecture(
        fixed=_CLASSIC,
        switches={**_all("enable_bias", default=True), **_mlp("enable_bias", default=True)},
        tied=True,
        rules=("opt",),
    ),
    "bloom": Architecture(
        fixed={**_CLASSIC, **_BIASED, "embedding_norm": True}, tied=True, rules=("four_times",)
    ),
    "falcon": _FALCON,
    "RefinedWeb": _FALCON,
    "RefinedWebModel": _FALCON,
    "mpt": Architecture(fixed={"gated_mlp": False}, tied=True, rules=("mpt",)),
    "dbrx": Architecture(rules=("dbrx",)),
    "gpt_oss": Architecture(
        fixed={"mlp_bias": True, "attention_sinks": True, "router_bias": True},
        switches=_all("attention_bias", default=True),
        keys=_EXPERT_IS_FFN,
        windows="every 2",
        rules=("experts",),
    ),
    "granite": LLAMA,
    "granitemoe": _GRANITE_MOE,
    "granitemoeshared": _GRANITE_MOE.but(
        keys={"shared_expert_intermediate_size": ("shared_intermediate_size",)},
        rules=("experts", "shared_width"),
    ),
    "granite_swa": _SINKS,
    "granitemoe_swa": _SINKS.but(keys=_EXPERT_IS_FFN, rules=("experts",)),
    "bamba": LLAMA.but(windows="none", rules=("bamba",)),
    "granitemoehybrid": _GRANITE_MOE.but(
        keys={"shared_expert_intermediate_size": ("shared_intermediate_size",)},
        rules=("experts", "granite_hybrid"),
    ),
    "cohere": _COHERE.but(switches={"qk_norm": (("use_qk_norm",), "full", "none", False)}),
    "cohere2": _COHERE.but(windows="every 4"),
    "cohere2_moe": _COHERE.but(
        keys={
            **_EXPERT_IS_FFN,
            "num_shared_experts": ("num_shared_experts",),
        },
        windows="after dense",
        rules=("experts", "cohere_moe"),
    ),
    "starcoder2": Architecture(
        fixed=_CLASSIC,
        switches={**_all("use_bias", default=True), **_mlp("use_bias", default=True)},
        tied=True,
        windows="all",
    ),
    "stablelm": Architecture(
        fixed=_LAYER_NORM,
        switches={
            **_qkv("use_qkv_bias"),
            "qk_norm": (("qk_layernorm",), "full", "none", False),
            "parallel_block": (("use_parallel_residual",), True, False, False),
        },
        rules=("one_norm_if_parallel",),
    ),
    "persimmon": Architecture(fixed={**_CLASSIC, **_BIASED}, rules=("persimmon",)),
    "olmo": Architecture(fixed={"norm": "none"}, switches=_all("attention_bias")),
    "olmo2": _OLMO2,
    "olmo3": _OLMO2.but(windows="every 4", defaults={"sliding_window": 4096}),
    "olmoe": _OLMO2.but(keys=_EXPERT_IS_FFN, rules=("experts",)),
    "glm": _GLM,
    "glm4": _GLM.but(fixed={"norms_per_layer": 4}, switches=_qkv("attention_bias")),
    "glm4v_text": _GLM.but(fixed={"norms_per_layer": 4}),
    "glm_ocr_text": Architecture(fixed={"norms_per_layer": 4}),
    "glm4_moe": _GLM4_MOE,
    "glm4v_moe_text": _GLM4_MOE.but(switches=_qkv("attention_bias", default=True)),
    "solar_open": _GLM4_MOE,
    "sarvam_moe": _GLM4_MOE.but(
        switches={
            "qk_norm": (("use_qk_norm",), "head-dim", "none", True),
        }
    ),
    "exaone_moe": Architecture(
        fixed={**_HEAD_NORM, "router_bias": True}, windows="every 4", rules=_SHARED
    ),
    "afmoe": Architecture(
        fixed={**_HEAD_NORM, "attn_output_gate": True, "norms_per_layer": 4, "router_bias": True},
        switches=_qkv("attention_bias"),
        windows="every 4",
        rules=_SHARED,
    ),
    "hy_v3": Architecture(
        fixed={**_HEAD_NORM, "router_bias": True},
        switches={**_all("attention_bias"), **_mlp("mlp_bias")},
        keys={"moe_intermediate_size": ("moe_intermediate_size", "expert_hidden_dim")},
        rules=_SHARED,
    ),
    "mellum": _QWEN3.but(windows="listed", rules=("experts", "some_dense")),
    "flex_olmo": _OLMO2.but(keys=_EXPERT_IS_FFN, rules=("experts",)),
    "olmo_hybrid": Architecture(
        fixed=_FULL_NORM, switches=_all("attention_bias"), rules=("gated_delta",)
    ),
    "hyperclovax": LLAMA.but(switches={"norms_per_layer": (("use_post_norm",), 4, 2, True)}),
    "jais2": Architecture(
        fixed=_CLASSIC,
        switches={**_all("attention_bias", default=True), **_mlp("mlp_bias", default=True)},
    ),
    "aria_text": LLAMA.but(keys=_EXPERT_IS_FFN, rules=("experts", "shared_count")),
    "bitnet": Architecture(switches=_all("attention_bias"), rules=("sub_norms",)),
    "cwm": LLAMA,
    "iquestcoder": LLAMA,
    "chatglm": Architecture(
        switches=_qkv("add_qkv_bias", "qkv_bias"),
        keys={"head_dim": ("kv_channels",), "intermediate_size": ("ffn_hidden_size",)},
        rules=("chatglm",),
    ),
    "laguna": Architecture(
        fixed={**_HEAD_NORM, "router_bias": True},
        switches=_all("attention_bias"),
        defaults={"mlp_only_layers": [0]},
        rules=("experts", "shared_width", "some_dense", "laguna"),
    ),
    "mimo_v2": _MIMO_V2,
    "mimo_v2_flash": _MIMO_V2,
    "nanochat": Architecture(
        fixed={"norm": "none", "gated_mlp": False}, switches=_all("attention_bias")
    ),
    "step3p5": Architecture(
        fixed={**_HEAD_NORM, "router_bias": True},
        switches=_all("attention_bias"),
        keys={
            "num_key_value_heads": ("num_attention_groups", "num_key_value_heads"),
            "num_experts": ("n_routed_experts", "moe_num_experts", "num_local_experts"),
            "num_experts_per_tok": ("num_experts_per_tok", "moe_top_k"),
            "shared_expert_intermediate_size": ("share_expert_dim", "share_expert_dims"),
        },
        windows="none",
        rules=("experts", "shared_width", "step_3"),
    ),
    "llama4_text": Architecture(
        switches=_all("attention_bias"),
        keys=_EXPERT_IS_FFN,
        windows="rope",
        rules=("experts", "llama_4"),
        defaults={"attention_chunk_size": 8192},
    ),
    "jamba": Architecture(
        keys=_EXPERT_IS_FFN,
        windows="none",
        rules=("experts", "jamba"),
    ),
    "lfm2": _LFM2,
    "lfm2_moe": _LFM2.but(
        fixed={"router_bias": True},
        rules=("short_convolution", "experts", "dense_start"),
    ),
    "falcon_h1": LLAMA.but(windows="none", rules=("falcon_h1",)),
    "mamba": _MAMBA,
    "falcon_mamba": _MAMBA,
    "mamba2": Architecture(windows="none", rules=("mamba_2",)),
    "nemotron": Architecture(
        fixed=_CLASSIC, switches={**_all("attention_bias"), **_mlp("mlp_bias")}
    ),
    "nemotron_h": Architecture(
        fixed={"gated_mlp": False, "mixer_or_ffn": True}, windows="none", rules=("nemotron_h",)
    ),
    "exaone4": Architecture(fixed=_HEAD_NORM, windows="every 4"),
    "ernie4_5": _ERNIE,
    "ernie4_5_moe": _ERNIE.but(
        fixed={"router_bias": True}, rules=("experts", "shared_count", "ernie_layers")
    ),
    "hunyuan_v1_dense": _HUNYUAN,
    "hunyuan_v1_moe": _HUNYUAN.but(rules=("hunyuan",)),
    "hunyuan": _HUNYUAN.but(rules=("hunyuan",)),
    "minimax": _MINIMAX,
    "minimax_text_01": _MINIMAX,
    "minimax_m1": _MINIMAX,
    "minimax_m3": _MINIMAX_M3,
    "minimax_m3_vl_text": _MINIMAX_M3,
    "minimax_m2": Architecture(
        switches={  # a later class has neither key, and both things
            "qk_norm": (("use_qk_norm",), "full", "none", True),
            "router_bias": (("use_routing_bias",), True, False, True),
        },
        keys=_EXPERT_IS_FFN,
        windows="none",
        rules=("experts",),
    ),
}

# Text model inside a vision or audio model that does not give the text model's model_type.
TEXT_MODELS: Final[Mapping[str, str]] = {
    "deepseek_v41": "deepseek_v41_text",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "llama4": "llama4_text",
    "minimax_m3_vl": "minimax_m3_vl_text",
    "step3p7": "step3p5",
    "mistral3": "mistral",
    "llava": "llama",
    "llava_next": "llama",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "kimi_vl": "deepseek_v3",
    "kimi_k25": "deepseek_v3",
    "glm4v": "glm4v_text",
    "glm5_next": "glm5_next_text",
    "glm46v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "glm_ocr": "glm_ocr_text",
    "gemma4_unified": "gemma4_unified_text",
    "qwen2_5_omni_thinker": "qwen2_5_omni_text",
    "qwen3_omni_moe_thinker": "qwen3_omni_moe_text",
}

# Architectures whose physics is not modelled, and the reason.
UNSUPPORTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("t5", "umt5", "mt5", "bart", "mbart", "pegasus", "whisper", "t5gemma", "marian"),
        "encoder and decoder",
    ),
    **dict.fromkeys(
        (
            *("bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "distilbert", "electra"),
            *("deberta", "deberta-v2", "modernbert", "albert", "camembert", "eurobert"),
            *("nomic_bert", "mpnet", "big_bird", "ernie", "rembert", "megatron-bert", "roformer"),
            *("data2vec-text", "roberta-prelayernorm", "roc_bert", "xmod", "gte", "new"),
        ),
        "an encoder, which generates no tokens",
    ),
    "diffllama": "differences of two attentions",
    **dict.fromkeys(("rwkv", "rwkv5", "rwkv6", "rwkv7"), "RWKV's recurrence"),
    "recurrent_gemma": "RG-LRU recurrence",
    **dict.fromkeys(("zamba", "zamba2"), "attention blocks shared between layers"),
    **dict.fromkeys(
        ("gemma4_assistant", "gemma4_unified_assistant"), "a draft that reads its target's cache"
    ),
    **dict.fromkeys(("mllama", "mllama_text_model"), "cross-attention to an image"),
    **dict.fromkeys(("deci", "nemotron-nas"), "layers that all differ (block_configs)"),
    "xlstm": "the mLSTM recurrence",
    "axk2": "norms with low-rank gates",
    **dict.fromkeys(
        ("qwen4_exp", "qwen4_exp_text"), "n-gram tables and low-rank hyper-connections"
    ),
    **dict.fromkeys(
        ("llada", "llada2_moe", "Dream", "sdar", "diffusion_gemma", "nemotron_labs_diffusion"),
        "diffusion, which writes several tokens at once",
    ),
    **dict.fromkeys(
        ("eagle", "eagle3", "medusa", "mlp_speculator", "deepseek_mtp", "speculators"),
        "a draft head, which needs the model for which it drafts (axes draft_len and acceptance)",
    ),
    **dict.fromkeys(
        ("minicpmv", "minicpmo"), "the file does not say which text model it has (by version)"
    ),
    "hy_v4": "hyper-connections",
    "hy_v4_vl_text": "hyper-connections",
    "dots3_note_text": "latent attention of two widths, in windows and with indexers",
    **dict.fromkeys(("inkling_text", "inkling2_text"), "several windows beside convolutions"),
    **dict.fromkeys(("inkling2_loop_text", "dory", "hrm_text"), "layers that run several times"),
    "jetmoe": "experts of attention",
    "doge": "masks that depend on values, and experts of single rows",
    "zaya": "convolutions of queries and keys, and a router with layers",
    "blt": "patches of bytes instead of tokens",
    "ernie4_5_vl_moe_text": "experts of two widths, for text and for images",
    **dict.fromkeys(("moshi", "musicgen", "musicgen_melody"), "several streams of sound tokens"),
    **dict.fromkeys(("reformer", "xlm", "xlnet"), "another attention than causal softmax"),
    **dict.fromkeys(
        (
            *("blenderbot", "blenderbot-small", "bigbird_pegasus", "mvp", "plbart", "prophetnet"),
            *("trocr", "udop", "pix2struct_text_model", "pp_formulanet_text", "t5gemma2"),
        ),
        "encoder and decoder",
    ),
}
