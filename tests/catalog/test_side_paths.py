"""Paths beside the mixers and FFNs of a model."""

from perfcore.catalog.linear import Linear
from perfcore.catalog.loader import load_model
from perfcore.catalog.side_paths import (
    alternating_updates,
    learned_residuals,
    per_layer_embeddings,
    side_paths,
)


def test_an_ordinary_model_has_none():
    assert side_paths(load_model("llama-3-8b")) == (Linear(), Linear(), 0)


def test_paths_of_gemma_3n():
    """Counts of the modules of transformers 5.24, instantiated without weights."""
    entry = load_model("gemma-3n-e4b")
    embeddings, residuals = per_layer_embeddings(entry), learned_residuals(entry)
    streams = alternating_updates(entry)

    # gate, projection and norm of 35 layers; the projection and the norm of all embeddings
    assert embeddings.into.elements == 35 * 2048 * 256 + 2048 * 35 * 256
    assert embeddings.out.elements == 35 * 256 * 2048
    assert embeddings.other == 35 * 2048 + 256
    assert residuals == (
        Linear(35 * 2048 * 64, 35 * 2112, 35),
        Linear(35 * 2048 * 64, 35 * 2112, 35),
        35 * 2048,
    )
    assert streams.into.elements == streams.out.elements == 3 * 2048**2
    assert streams.other == 35 * (2048 + 2048 + 4 * 2048 + 16 + 64)
    both = side_paths(entry)
    assert both.other == embeddings.other + residuals.other + streams.other
    assert both.into.operators == 35 + 1 + 35 + 3
