"""Context that queries see, position by position."""

import math
from functools import lru_cache


def visible(layer, position):
    """Return how many tokens of the context a query at this position sees."""
    if layer.chunked:
        return math.fmod(position, layer.window)
    if layer.window:
        return min(position, layer.window)
    if layer.topk:
        return min(position, layer.topk)
    return position


@lru_cache(1000)
def mean_visible(layer, input_len, output_len):
    """Return the mean of ``visible`` over the decode positions, one by one (midpoints).

    Of a mean length that is no whole number of tokens a part of the last position counts.
    """
    first, last = input_len, input_len + output_len
    total = []
    for position in range(math.floor(first), math.ceil(last)):
        start, stop = max(first, position), min(last, position + 1)
        total.append((stop - start) * visible(layer, (start + stop) / 2))
    return math.fsum(total) / output_len


@lru_cache(1000)
def pairs(layer, first, last):
    """Return the (query, key) pairs of the queries after ``first`` up to ``last``, one by one.

    A query has its own key and all visible ones before it. Where the cached share of a prompt ends
    within a token, a part of that query counts.
    """
    total = []
    for index in range(math.floor(first), math.ceil(last)):
        start, stop = max(first, index), min(last, index + 1)
        total.append((stop - start) * visible(layer, (start + stop) / 2))
        grows = layer.chunked or not limit_of(layer) or index < limit_of(layer)
        total.append((stop - start) / 2 if grows else 0.0)
    return math.fsum(total)


def limit_of(layer):
    return layer.window or layer.topk
