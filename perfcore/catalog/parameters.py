"""Parameter counts of a model entry, matrix by matrix.

Symbols: d hidden size, f FFN width, V vocabulary. If the architecture is public, the counts are
exactly those of its implementation in Hugging Face ``transformers``, plus router biases, which are
buffers there.
"""

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import Linear, matrices, times, total
from perfcore.catalog.mixers import all_layers
from perfcore.catalog.side_paths import side_paths


def mlp(entry: Architecture, inputs: int, width: int) -> tuple[Linear, Linear]:
    """Return the up projection (with the gate, if any) and the down projection of one FFN.

    3 d f elements with a gate, 2 d f without.

    Shazeer, GLU Variants Improve Transformer, arXiv:2002.05202.
    """
    fused = 2 * width if entry.gated_mlp else width
    return matrices((inputs, fused)), matrices((width, inputs))


def mlp_biases(entry: Architecture, width: int) -> int:
    """Return the biases of one FFN or routed expert, if the model has them."""
    return (2 * width if entry.gated_mlp else width) + entry.hidden_size if entry.mlp_bias else 0


def dense_ffn(entry: Architecture) -> tuple[Linear, Linear]:
    """Return both projections of all dense FFNs, of all latent-MoE layers and of paths beside them.

    Every token passes through the projections into and out of the latent space of the experts, as
    through a dense FFN, so they are counted with the dense FFNs. So are those of per-layer
    embeddings, learned residuals and alternating updates.
    """
    dense = [
        (mlp(entry, entry.hidden_size, width), layers)
        for width, layers in entry.dense_widths
        if width
    ]
    into = [times(first, layers) for (first, _), layers in dense]
    out = [times(second, layers) for (_, second), layers in dense]
    if entry.moe_latent_size:
        shape = (entry.hidden_size, entry.moe_latent_size)
        into.append(times(matrices(shape), entry.moe_layers))
        out.append(times(matrices(shape[::-1]), entry.moe_layers))
    beside = side_paths(entry)
    return total([*into, beside.into]), total([*out, beside.out])


def shared_experts(entry: Architecture) -> Linear:
    """Return both projections of the shared experts of all MoE layers."""
    if not entry.shared_expert_intermediate_size:
        return Linear()
    both = total(mlp(entry, entry.hidden_size, entry.shared_expert_intermediate_size))
    return times(both, entry.moe_layers)


def routed_expert(entry: Architecture) -> Linear:
    """Return both projections of one routed expert in every MoE layer.

    Biases (gpt-oss) are counted as weights, since each expert has its own.
    """
    if not entry.num_experts:
        return Linear()
    width = entry.moe_intermediate_size
    both = total(mlp(entry, entry.moe_latent_size or entry.hidden_size, width))
    whole = both._replace(elements=both.elements + mlp_biases(entry, width))
    return times(whole, entry.moe_layers)


def input_embedding(entry: Architecture) -> int:
    """Return the parameters that are only looked up: V d if untied, per layer, positions, norms."""
    d, scales = entry.hidden_size, {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm]
    tokens = 0 if entry.tie_word_embeddings else entry.vocab_size * d
    layers = entry.num_hidden_layers * entry.hidden_size_per_layer_input
    tokens += entry.vocab_size_per_layer_input * layers
    return tokens + entry.learned_positions * d + (scales * d if entry.embedding_norm else 0)


def lm_head(entry: Architecture) -> int:
    """Return the parameters of the output head, V d."""
    return entry.vocab_size * entry.hidden_size


def other_parameters(entry: Architecture) -> int:
    """Return the parameters outside large matrices: norms, biases, routers and small tensors."""
    d, scales = entry.hidden_size, {"scale": 1, "scale-and-bias": 2, "none": 0}[entry.norm]
    blocks = entry.mixers + entry.ffn_layers
    norms = (entry.norms_per_layer * blocks // 2 + 1) * d * scales
    outputs = entry.num_experts + entry.zero_expert_num
    router = outputs * (d + (1 if entry.router_bias else 0))
    gate = d if entry.shared_expert_gate else 0
    latent_norm = entry.moe_latent_size if entry.moe_latent_norm else 0
    biases = sum(layers * mlp_biases(entry, width) for width, layers in entry.dense_widths if width)
    return (
        all_layers(entry).other
        + side_paths(entry).other
        + norms
        + (entry.moe_layers * (router + gate + latent_norm) if entry.num_experts else 0)
        + biases
        + (entry.vocab_size if entry.lm_head_bias else 0)
        + entry.extra_parameters
    )


def parameter_count(entry: Architecture) -> int:
    """Return the parameters of the text model, without multi-token-prediction layers."""
    attention, ffn = all_layers(entry), dense_ffn(entry)
    return (
        attention.into.elements
        + attention.out.elements
        + ffn[0].elements
        + ffn[1].elements
        + shared_experts(entry).elements
        + entry.num_experts * routed_expert(entry).elements
        + lm_head(entry)
        + input_embedding(entry)
        + entry.ngram_table_parameters
        + other_parameters(entry)
    )


def active_parameter_count(entry: Architecture) -> int:
    """Return the active parameters per token.

    The output head counts; the input embedding and n-gram tables, which are only looked up, do not.
    Published
    figures differ in this respect: MiniMax-01's 45.9 billion exclude the head, Qwen3-30B-A3B's 3.3
    billion include the input embedding.
    """
    idle = (entry.num_experts - entry.active_experts) * routed_expert(entry).elements
    looked_up = input_embedding(entry) + entry.ngram_table_parameters
    return parameter_count(entry) - looked_up - round(idle)
