"""Attention and recurrent state: how much context a token sees, stores and multiplies."""

from perfcore.physics.rounding import floor_of
from perfcore.records import KVFormat, Model

STATE_BYTES = 4.0  # recurrent states are kept in fp32
INDEX_BYTES = 1.0  # sparse-attention indexer keys are kept in fp8
STATE_FLOPS = 8.0  # per state element and token: decay, outer product, read-out
UNLIMITED = 1e30  # tokens


def sliding_integral(position: float, window: float) -> float:
    """Integral from 0 to ``position`` of what a sliding window sees, min(s, w). [tokens^2]"""
    seen = min(position, window)
    return 0.5 * seen * seen + window * (position - seen)


def chunked_integral(position: float, window: float) -> float:
    """The same for a window that restarts at every multiple of w: s mod w. [tokens^2]"""
    chunks = floor_of(position * (1.0 / window))
    rest = position - chunks * window
    return 0.5 * (chunks * window * window + rest * rest)


def mean_context(input_len: float, output_len: float) -> float:
    """Context of the average decode step: I + O/2. [tokens]

    Steps 1 … O-1 read I+1 … I+O-1 tokens of context, their own included.
    """
    return input_len + 0.5 * output_len


def mean_limited(input_len: float, output_len: float, limit: float) -> float:
    """Context of a layer that reads at most ``limit`` tokens, averaged over steps. [tokens]"""
    start = sliding_integral(input_len, limit)
    end = sliding_integral(input_len + output_len, limit)
    return (end - start) * (1.0 / output_len)


def mean_window(input_len: float, output_len: float, window: float, chunked: float) -> float:
    """Visible context of a windowed layer, chunked (Llama 4) or not, averaged over steps. [tokens]

    Chunks are counted from the one in which the input ends, so that long inputs lose no precision.
    """
    sliding = mean_limited(input_len, output_len, window)
    if chunked == 0.0:  # the same for all rows, so most models skip the rest
        return sliding
    inside = input_len - window * floor_of(input_len * (1.0 / window))
    start = chunked_integral(inside, window)
    end = chunked_integral(inside + output_len, window)
    return sliding + chunked * ((end - start) * (1.0 / output_len) - sliding)


def causal_keys(input_len: float, cached: float) -> float:
    """Keys that a new token of a causal prompt sees on average, including its own.

    (C + I + 1) / 2 after C cached tokens; half of the prompt if none is cached.
    """
    return 0.5 * (cached + input_len) + 0.5


def windowed_pairs(input_len: float, window: float, chunked: float) -> float:
    """(query, key) pairs of one prompt in a windowed layer: every query also sees its own key."""
    sliding = limited_pairs(input_len, window)
    if chunked == 0.0:
        return sliding
    restarting = chunked_integral(input_len, window) + 0.5 * input_len
    return sliding + chunked * (restarting - sliding)


def limited_pairs(input_len: float, limit: float) -> float:
    """(query, key) pairs of one prompt in a layer that reads at most ``limit`` tokens."""
    return sliding_integral(input_len, limit) + 0.5 * min(input_len, limit)


def index_limit(model: Model) -> float:
    """Largest context that a global layer reads: an indexer's top-k. [tokens]"""
    return model.index_topk if model.index_topk > 0.0 else UNLIMITED


def window_limit(model: Model) -> float:
    """The window, or one token if there are no windowed layers. [tokens]"""
    return max(model.window, 1.0)


def kv_bytes_per_token(model: Model, kv_format: KVFormat) -> float:
    """Bytes that one token of context adds to all global layers' caches. [bytes]

    K and V of every KV head (query heads share them), or one latent for all heads (MLA), and the
    indexer's key. Golden values in bf16: Llama-3-70B 327,680; DeepSeek-V3 70,272.
    """
    return model.global_kv_elements * kv_format.bits / 8.0 + model.index_elements * INDEX_BYTES


def kv_bytes_per_sequence(model: Model, kv_format: KVFormat, context: float) -> float:
    """Bytes of KV cache that a sequence of ``context`` tokens holds, windows included."""
    size = kv_bytes_per_token(model, kv_format) * context
    if model.window_kv_elements > 0.0:
        size += model.window_kv_elements * kv_format.bits / 8.0 * min(context, model.window)
    return size


def kv_bytes_of_prefix(model: Model, kv_format: KVFormat, prefix: float, rest: float) -> float:
    """Bytes of KV cache of a prefix that sequences share, with ``rest`` tokens of their own.

    Windows hold as much of it as their own tokens leave room for.
    """
    size = kv_bytes_per_token(model, kv_format) * prefix
    if model.window_kv_elements > 0.0:
        seen = min(prefix, max(model.window - rest, 0.0))
        size += model.window_kv_elements * kv_format.bits / 8.0 * seen
    return size


def state_bytes_per_sequence(model: Model) -> float:
    """Bytes of recurrent state of a sequence, independent of its length."""
    return model.state_elements * STATE_BYTES
