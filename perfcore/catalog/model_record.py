"""Conversion of an architecture to the record that physics uses."""

from collections import Counter
from collections.abc import Iterable

from perfcore import records
from perfcore.catalog import parameters
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.mixers import all_layers, mixers_of
from perfcore.catalog.mixers.mixer import Mixer

UNLIMITED_CONTEXT = 1e9  # tokens: a state-space model has no longest context


YARDSTICK = 0.79  # USD/Mtok of models without a price: groq-llama-3-70b-output of prices.toml


def model_record(entry: Architecture) -> records.Model:
    """Return the record of a model entry."""
    mixers = mixers_of(entry)
    attention = all_layers(entry)
    ffn_in, ffn_out = parameters.dense_ffn(entry)
    shared, expert = parameters.shared_experts(entry), parameters.routed_expert(entry)
    reach: Counter[str] = Counter()
    for mixer, layers in mixers.items():
        reach[mixer.reach] += layers
        reach[mixer.beside] += layers
    return records.Model(
        layers=float(entry.num_hidden_layers),
        hidden_size=float(entry.hidden_size),
        heads=float(entry.num_attention_heads if any(mixer.attends for mixer in mixers) else 0),
        kv_heads=float(_splittable_kv_heads(entry, mixers)),
        max_context=float(entry.max_position_embeddings) or UNLIMITED_CONTEXT,
        attention_in_elements=float(attention.into.elements),
        attention_in_io_elements=float(attention.into.io_elements),
        attention_in_operators=float(attention.into.operators),
        attention_out_elements=float(attention.out.elements),
        attention_out_io_elements=float(attention.out.io_elements),
        attention_out_operators=float(attention.out.operators),
        ffn_in_elements=float(ffn_in.elements),
        ffn_in_io_elements=float(ffn_in.io_elements),
        ffn_in_operators=float(ffn_in.operators),
        ffn_out_elements=float(ffn_out.elements),
        ffn_out_io_elements=float(ffn_out.io_elements),
        ffn_out_operators=float(ffn_out.operators),
        shared_elements=float(shared.elements),
        shared_io_elements=float(shared.io_elements),
        shared_operators=float(shared.operators),
        expert_elements=float(expert.elements),
        expert_io_elements=entry.active_experts * expert.io_elements,
        moe_layers=float(entry.moe_layers),
        experts=float(entry.num_experts),
        experts_per_token=entry.active_experts,
        lm_head_elements=float(parameters.lm_head(entry)),
        embedding_elements=float(parameters.input_embedding(entry)),
        table_elements=float(entry.ngram_table_parameters),
        other_elements=float(parameters.other_parameters(entry)),
        global_layers=float(reach["global"]),
        window_layers=float(reach["window"]),
        state_layers=float(reach["state"]),
        window=float(entry.window),
        window_chunked=1.0 if entry.attention_chunk_size else 0.0,
        global_kv_elements=float(attention.global_kv_elements),
        window_kv_elements=float(attention.window_kv_elements),
        global_read_elements=float(
            attention.global_kv_elements + attention.global_borrowed_elements
        ),
        window_read_elements=float(
            attention.window_kv_elements + attention.window_borrowed_elements
        ),
        latent_cache=1.0 if any(mixer.latent_cache for mixer in mixers) else 0.0,
        attention_io_elements=float(attention.attention_io_elements),
        global_score_flops=float(attention.global_score_flops),
        window_score_flops=float(attention.window_score_flops),
        global_prefill_score_flops=float(attention.global_prefill_score_flops),
        index_topk=float(entry.index_topk * _index_tokens(mixers)),
        index_elements=float(attention.index_elements),
        index_score_flops=float(attention.index_score_flops),
        state_elements=float(attention.state_elements),
        all_reduces=float(_all_reduces(entry)),
        experts_only=1.0 if "experts" in entry.native_dtype else 0.0,
        token_price=entry.token_price or YARDSTICK,
    )


def _splittable_kv_heads(entry: Architecture, mixers: Iterable[Mixer]) -> int:
    """Return the number of heads over which tensor parallelism can split the cache, at least 1."""
    return next((mixer.kv_heads(entry) for mixer in mixers if mixer.kv_heads), 1)


def _index_tokens(mixers: Iterable[Mixer]) -> int:
    """Return the tokens of context that the indexers select per unit of ``index_topk``."""
    return max(mixer.index_tokens for mixer in mixers)


def _all_reduces(entry: Architecture) -> int:
    """Return the number of all-reduces per pass: one after each mixer and each FFN.

    vLLM and ``transformers`` sum over devices before they add attention and Mamba side by side.

    Shoeybi et al., Megatron-LM, arXiv:1909.08053. A parallel block adds its branches first.
    """
    ffns = entry.dense_layers + entry.moe_layers
    twice = sum(layers for mixer, layers in mixers_of(entry).items() if mixer.beside)
    mixers = entry.mixers + twice
    return max(mixers, ffns) if entry.parallel_block else mixers + ffns
