"""A slow and obvious model of LLM inference: the oracle of ``perfcore.physics``.

Written from ``docs/physics.md``. It takes a model's architecture, lists every matrix of
every layer, and adds up bytes and FLOP one by one; decode steps are summed position by position,
capacity is found by search. It shares no line with the physics, nor with the code that counts
parameters or makes a model's record. Compressed attention (DeepSeek-V4) is left out: the document
does not describe it.
"""

from naive.architecture import active_parameters, parameters
from naive.point import Naive

__all__ = ["Naive", "active_parameters", "parameters"]
