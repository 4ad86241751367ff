"""Short convolutions: layers whose state is the tail of a gated convolution (LFM2)."""

from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.linear import matrices
from perfcore.catalog.mixers.mixer import Layer, Mixer, Rule


def short_convolution(entry: Architecture) -> Layer:
    """Gated short convolution: 3 d² + d², k d of the convolution, and (k - 1) d of state.

    One matrix makes two gates and the input of the convolution. Liquid AI, LFM2 technical report,
    arXiv:2511.23404; shapes as in Hugging Face transformers, ``modeling_lfm2.py``.
    """
    d, kernel = entry.hidden_size, entry.conv_kernel
    return Layer(
        matrices((d, 3 * d)),
        matrices((d, d)),
        kernel * d,
        state_elements=max(kernel - 1, 0) * d,
    )


def _rules(entry: Architecture) -> list[Rule]:
    return [(not entry.conv_kernel, "short convolutions (L) need conv_kernel")]


SHORT_CONVOLUTION: Final = (
    Mixer(
        letter="L",
        title="short convolution",
        reach="state",
        layer=short_convolution,
        rules=_rules,
    ),
)
