"""Architecture of a model, in the vocabulary of Hugging Face ``config.json``.

``mixers`` declares the matrices of each layer; ``parameters.py`` counts them, and
``model_record.py`` turns them into a record. Both sum the same matrices, so a parameter count that
is exact also confirms the bytes and FLOP that physics sees.
"""

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field

from perfcore.catalog.entry import Entry

Count = Annotated[int, Field(ge=0, le=10**9)]
Size = Annotated[int, Field(ge=1, le=10**9)]
Table = Annotated[int, Field(ge=0, le=10**13)]
Layers = Annotated[int, Field(ge=1, le=10**5)]  # layer_pattern has one letter per layer
Share = Annotated[float, Field(ge=0, le=1)]
Bits = Annotated[float, Field(ge=0, le=64)]
Parameters = Annotated[float, Field(gt=0, le=1e16)]
Price = Annotated[float, Field(ge=1e-6, le=1e6)]


class Architecture(Entry):
    """A decoder-only language model. [elements, tokens]

    Left out: vision and audio towers, multi-token-prediction layers.

    Fields that exist in ``config.json`` keep their names. ``layer_types`` has one letter per layer
    (``mixers.MIXERS``) and is repeated up to ``num_hidden_layers`` letters. Its default is "F", or
    "A" if ``kv_lora_rank`` is given. An FFN follows every mixer unless ``mixer_or_ffn`` is set.
    """

    hf_id: str = ""
    release: str = ""  # year-month
    native_dtype: str = "bf16"  # of the published weights
    native_format: str = ""  # weight format of the catalogue; empty: what native_dtype says
    wide_attention: Share = 0.0  # of these matrices, share that the checkpoint leaves at 16 bits
    wide_ffn: Share = 0.0
    wide_shared_experts: Share = 0.0
    wide_experts: Share = 0.0
    own_bits: Bits = 0.0  # of a GGUF file's matrices, on average; 0: those of its format
    own_expert_bits: Bits = 0.0
    own_embedding_bits: Bits = 0.0
    left_out: str = ""  # parts of the published model that are not in the entry
    published_params: Parameters | None = None
    published_active: Parameters | None = None
    published_source: str = ""
    token_price: Price | None = None  # USD per million output tokens
    token_price_source: str = ""

    hidden_size: Size
    num_hidden_layers: Layers
    vocab_size: Size
    tie_word_embeddings: bool = False
    max_position_embeddings: Count = 0  # 0: no limit
    learned_positions: Count = 0
    layer_types: str = ""
    mixer_or_ffn: bool = False  # a layer is a mixer or an FFN ("-"), never both (Nemotron-H)
    parallel_block: bool = False  # mixer and FFN read the same input and share an all-reduce
    norm: Literal["scale", "scale-and-bias", "none"] = "scale"
    norms_per_layer: Count = 2  # a layer without a mixer or without an FFN has half as many
    embedding_norm: bool = False

    num_attention_heads: Count = 0
    num_key_value_heads: Count = 0
    head_dim: Count = 0  # 0: hidden_size / num_attention_heads
    v_head_dim: Count = 0  # 0: as head_dim
    global_head_dim: Count = 0  # of the "F" layers, if it differs from the "S" layers
    num_global_key_value_heads: Count = 0
    swa_num_attention_heads: Count = 0  # of the "S" layers, if it differs from the "F" layers
    swa_num_key_value_heads: Count = 0  # of the "S" layers, if it differs from the "F" layers
    attention_k_eq_v: bool = False  # "F" layers project keys and values with one matrix
    attention_bias: Literal["none", "qkv", "all"] = "none"
    qk_norm: Literal["none", "head-dim", "full"] = "none"  # over one head, or over all heads
    attn_output_gate: bool = False  # a full-width gate on the mixer's output
    attn_head_gate: bool = False  # attention has one gate a head in place of a full-width one
    attention_sinks: bool = False
    sliding_window: Count = 0
    attention_chunk_size: Count = 0  # a window that restarts instead of sliding (Llama 4)

    q_lora_rank: Count = 0
    kv_lora_rank: Count = 0
    qk_nope_head_dim: Count = 0
    qk_rope_head_dim: Count = 0
    o_lora_rank: Count = 0
    o_groups: Count = 0
    index_topk: Count = 0
    index_n_heads: Count = 0
    index_head_dim: Count = 0
    index_kpool: Size = 1  # tokens that one key of the indexer covers

    linear_num_key_heads: Count = 0
    linear_num_value_heads: Count = 0
    linear_key_head_dim: Count = 0
    linear_value_head_dim: Count = 0
    linear_conv_kernel_dim: Count = 0
    linear_full_rank: bool = False  # a full-rank decay in Kimi delta attention
    mamba_num_heads: Count = 0
    mamba_head_dim: Count = 0
    n_groups: Count = 0
    ssm_state_size: Count = 0
    conv_kernel: Count = 0
    mamba_intermediate_size: Count = 0  # Mamba 1
    time_step_rank: Count = 0
    mamba_inner_norms: bool = False  # Jamba
    mamba_norm: bool = True  # a gated norm before the output of Mamba-2

    intermediate_size: Count = 0
    intermediate_sizes: tuple[tuple[Size, Size], ...] = ()  # (width, layers) if widths differ
    gated_mlp: bool = True
    mlp_bias: bool = False
    lm_head_bias: bool = False

    num_experts: Count = 0
    num_experts_per_tok: Count = 0
    zero_expert_num: Count = 0  # experts that compute nothing (LongCat)
    moe_intermediate_size: Count = 0
    moe_latent_size: Count = 0  # width that the routed experts see; 0: hidden_size
    moe_latent_norm: bool = False
    shared_expert_intermediate_size: Count = 0  # of all shared experts together
    shared_expert_gate: bool = False
    router_bias: bool = False
    first_k_dense_replace: Count = 0
    decoder_sparse_step: Size = 1  # every n-th FFN is an MoE
    dense_beside_moe: bool = False  # MoE layers have a dense FFN as well

    vocab_size_per_layer_input: Count = 0  # rows of per-layer embeddings (Gemma 3n)
    hidden_size_per_layer_input: Count = 0  # width of a layer's part of a row; 0: there are none
    altup_num_inputs: Count = 0  # streams that every layer updates (Gemma 3n); 0: one, as usual
    laurel_rank: Count = 0  # of a learned residual beside every mixer (Gemma 3n)
    ngram_table_parameters: Table = 0  # looked up by the last tokens (Engram), in host memory
    extra_parameters: Count = 0  # in small tensors that the formulas omit; list them in notes

    @property
    def layers(self) -> Counter[str]:
        """Number of layers with each mixer, by its letter."""
        unit = self.layer_types or ("A" if self.kv_lora_rank else "F")
        times, rest = divmod(self.num_hidden_layers, len(unit))
        found = Counter(unit[:rest])
        for code in unit if times else "":
            found[code] += times
        return found

    @property
    def layer_pattern(self) -> str:
        """One letter for every layer."""
        unit = self.layer_types or ("A" if self.kv_lora_rank else "F")
        return (unit * (self.num_hidden_layers // len(unit) + 1))[: self.num_hidden_layers]

    @property
    def mixers(self) -> int:
        """Number of layers that have a mixer."""
        return self.num_hidden_layers - self.layers["-"]

    @property
    def ffn_layers(self) -> int:
        """Number of layers that have an FFN, dense or MoE."""
        if self.mixer_or_ffn:
            return self.layers["-"]
        has_ffn = self.intermediate_size or self.intermediate_sizes or self.num_experts
        return self.num_hidden_layers if has_ffn else 0

    @property
    def moe_layers(self) -> int:
        """Number of layers that have routed experts."""
        if not self.num_experts:
            return 0
        return (self.ffn_layers - self.first_k_dense_replace) // self.decoder_sparse_step

    @property
    def dense_layers(self) -> int:
        """Number of layers that have a dense FFN."""
        return self.ffn_layers - (0 if self.dense_beside_moe else self.moe_layers)

    @property
    def dense_widths(self) -> tuple[tuple[int, int], ...]:
        """Widths of the dense FFNs, each with its number of layers."""
        return self.intermediate_sizes or ((self.intermediate_size, self.dense_layers),)

    @property
    def query_key_dim(self) -> int:
        """Width of a query or key head. [elements]"""
        if self.kv_lora_rank:
            return self.qk_nope_head_dim + self.qk_rope_head_dim
        return self.head_dim or self.hidden_size // max(self.num_attention_heads, 1)

    @property
    def value_dim(self) -> int:
        """Width of a value head. [elements]"""
        return self.v_head_dim or self.query_key_dim

    @property
    def window(self) -> int:
        """Maximum number of tokens that an "S" layer sees."""
        return self.sliding_window or self.attention_chunk_size

    @property
    def active_experts(self) -> float:
        """Routed experts that compute for one token on average; LongCat has idle experts."""
        if not self.num_experts:
            return 0.0
        share = self.num_experts / (self.num_experts + self.zero_expert_num)
        return self.num_experts_per_tok * share
