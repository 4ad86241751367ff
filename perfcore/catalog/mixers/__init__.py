"""Registry of all kinds of attention and state layers, and the layers of a model by kind."""

from typing import Final

from perfcore.catalog.architecture import Architecture
from perfcore.catalog.mixers.compressed import COMPRESSED
from perfcore.catalog.mixers.grouped_query import GROUPED_QUERY
from perfcore.catalog.mixers.latent import LATENT
from perfcore.catalog.mixers.linear_attention import LINEAR_ATTENTION
from perfcore.catalog.mixers.mixer import Layer, Mixer, times, total
from perfcore.catalog.mixers.short_convolution import SHORT_CONVOLUTION
from perfcore.catalog.mixers.state_space import STATE_SPACE

NO_MIXER: Final = Mixer(
    letter="-",
    title="no mixer",
    reach="none",
    layer=lambda _: Layer(),
    rules=lambda _: [],
)

MIXERS: Final = {  # by the letters of ``Architecture.layer_types``
    mixer.letter: mixer
    for mixer in (
        *GROUPED_QUERY,
        *LATENT,
        *COMPRESSED,
        *LINEAR_ATTENTION,
        *STATE_SPACE,
        *SHORT_CONVOLUTION,
        NO_MIXER,
    )
}


def mixers_of(entry: Architecture) -> dict[Mixer, int]:
    """Return the mixers of a model, in the order of ``MIXERS``, with their numbers of layers."""
    has = entry.layers
    letters = sorted(has, key=list(MIXERS).index)
    return {MIXERS[letter]: has[letter] for letter in letters if has[letter]}


def all_layers(entry: Architecture) -> Layer:
    """Return the sum over all attention and state layers of a model."""
    return total(times(mixer.layer(entry), layers) for mixer, layers in mixers_of(entry).items())
