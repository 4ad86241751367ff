"""Weight formats of published checkpoints: their names, and matrices that stay wider."""

from typing import Final

from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import WeightFormatEntry
from perfcore.physics.weights import body_elements

_WIDE: Final = 16.0  # bits of matrices that a checkpoint leaves unquantised
_GGUF: Final = "gguf"
_BY_WORD: Final = {
    "bf16": "bf16",
    "fp16": "bf16",
    "fp32": "bf16",  # engines convert on loading
    "fp8": "fp8-block128",
    "int4": "int4-g32",
    "int8": "int8",
    "nf4": "nf4",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
    "mxfp6": "mxfp6",
    "mxfp8": "mxfp8",
}


def native_format(entry: ModelEntry) -> str:
    """Return the name of the weight format that a model is published in; empty if none fits."""
    if entry.native_format:
        return entry.native_format
    words = entry.native_dtype.split()
    if "mxfp4" in entry.native_dtype:
        return "mxfp4"
    return _BY_WORD.get(words[0].partition("/")[0], "") if words else ""


def as_published(entry: ModelEntry, form: WeightFormatEntry) -> WeightFormatEntry:
    """Return a weight format with the bits that it has in this model's checkpoint.

    A GGUF file in its own format has the bytes of its tensors. In formats below 16 bits, matrices
    that the checkpoint leaves unquantised have 16.
    """
    if entry.own_bits and form.name == native_format(entry):
        return _with_bits(
            form, entry.own_expert_bits or entry.own_bits, entry.own_bits, entry.own_embedding_bits
        )
    kept = _wide_body_share(entry)
    if form.kernel == _GGUF or form.bits >= _WIDE or not (kept or entry.wide_experts):
        return form
    body = form.bits + kept * (_WIDE - form.bits)
    experts = form.bits + entry.wide_experts * (_WIDE - form.bits)
    return _with_bits(form, experts if entry.num_experts else body, body, form.embedding_bits)


def _with_bits(
    form: WeightFormatEntry, experts: float, body: float, embedding: float
) -> WeightFormatEntry:
    changed = {
        "bits": experts,
        "body_bits": body,
        "embedding_bits": embedding,
        "experts_only": experts != body,
    }
    return form.model_copy(update=changed)


def _wide_body_share(entry: ModelEntry) -> float:
    """Return the share of the weights outside routed experts that stay at 16 bits."""
    if not (entry.wide_attention or entry.wide_ffn or entry.wide_shared_experts):
        return 0.0
    made = entry.record()
    attention = made.attention_in_elements + made.attention_out_elements
    dense = made.ffn_in_elements + made.ffn_out_elements
    wide = (
        entry.wide_attention * attention
        + entry.wide_ffn * dense
        + entry.wide_shared_experts * made.shared_elements
    )
    return wide / max(body_elements(made), 1.0)
