"""Conversion of a Hugging Face ``config.json`` to a model entry."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from perfcore.catalog.importing.architectures import (
    ARCHITECTURES,
    LLAMA,
    TEXT_MODELS,
    UNSUPPORTED,
    Architecture,
)
from perfcore.catalog.importing.document import REMEDY, Fields
from perfcore.catalog.importing.quantization import native_dtype
from perfcore.catalog.importing.rules import RULES, Reading, grouped_query, size, windows
from perfcore.catalog.model_entry import ModelEntry
from perfcore.errors import InputError, show
from perfcore.reading.faults import faults_from_validation_error
from perfcore.reading.words import nearest

_TEXT_KEYS: Final = ("text_config", "llm_config", "language_config")
_INHERITED: Final = ("quantization_config", "torch_dtype", "dtype", "architectures")
_RECURRENT: Final = {"mamba_1", "mamba_2"}

# Fields that, unless empty, show that an unknown architecture has other physics than Llama's.
_OTHER_PHYSICS: Final = re.compile(
    r"expert|moe|window|sliding|chunk|lora_rank|ssm|mamba|state_size|conv_|linear_|kda|delta|"
    r"rwkv|recurren|compress|index_|sparse|cross_attention|layer_types|block_types|pattern|"
    r"latent|altup|laurel|kv_shared|nope_head|rope_head|v_head_dim|hyena|gate|gating|parallel|"
    r"sinks|qk_norm|qk_layernorm|per_layer|block_configs|is_encoder_decoder"
)
_DECODERS: Final = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def from_config(
    values: Mapping[str, object], place: str, identity: Mapping[str, str]
) -> ModelEntry:
    """Return the model that a ``config.json`` describes.

    Parameters
    ----------
    values
        The object in the file.
    place
        Prefix of error messages.
    identity
        Name, title, source and, if known, ``hf_id`` of the entry.

    Raises
    ------
    InputError
        The architecture is unknown or not modelled, or fields are missing or wrong; all faults are
        listed.
    """
    outer = Fields(values, place)
    key, config, model_type = _text_model(outer)
    reason = UNSUPPORTED.get(model_type)
    if reason:
        raise InputError(
            f"{place}: model_type {show(model_type)} is not modelled: {reason}; use another model"
        )
    architecture = ARCHITECTURES.get(model_type)
    known = architecture or LLAMA
    where = f"{place}: {key}" if key else place
    fields = Fields(config, where, known.defaults, faults=outer.faults, missing=outer.missing)
    reading = _read(fields, known)
    if architecture is None:
        _check_unknown(fields, model_type)
    if fields.missing:
        fields.faults.insert(0, _missing(fields, model_type, known=architecture is not None))
    if fields.faults:
        raise InputError(fields.faults)
    entry = {**reading.entry, **identity, "native_dtype": native_dtype(config, values, fields)}
    entry["source"] = f"{identity['source']}, model_type {show(model_type)}"
    notes = [entry.get("notes", "")]
    if key:
        notes.append("text model only")
    if fields.defaulted:
        taken = ", ".join(f"{key} = {value}" for key, value in fields.defaulted.items())
        notes.append(f"not in config.json, defaults of {model_type}: {taken}")
    entry["notes"] = "; ".join(note for note in notes if note)
    if architecture is None:
        entry["estimated"] = {
            "layer_types": f"model_type {show(model_type)} is unknown; it has Llama's fields "
            "and is read as Llama, with a gated FFN and two norms per layer"
        }
    if fields.faults:
        raise InputError(fields.faults)
    return make_entry(entry, place)


def make_entry(fields: Mapping[str, Any], place: str) -> ModelEntry:
    """Return an entry with these fields, without those that have no effect."""
    used = {name: value for name, value in fields.items() if value not in (0, "", "none", False)}
    used |= {name: fields[name] for name in _SAID if name in fields}
    try:
        return ModelEntry.model_validate(used)
    except ValidationError as error:
        raise InputError(faults_from_validation_error(error, place, ModelEntry)) from None


_SAID: Final = ("gated_mlp", "tie_word_embeddings", "norm")  # false and "none" mean something


def _text_model(outer: Fields) -> tuple[str, Mapping[str, object], str]:
    """Return the key of the text model, its fields and its type."""
    values, model_type = outer.values, outer.text("model_type")
    for key in _TEXT_KEYS:
        inner = values.get(key)
        if not isinstance(inner, dict) or not inner:
            continue
        config = {name: values[name] for name in _INHERITED if name in values}
        config |= {name: value for name, value in inner.items() if value is not None}
        if values.get("tie_word_embeddings") is not None:
            config["tie_word_embeddings"] = values["tie_word_embeddings"]
        named = outer.inner(key).text("model_type")
        return key, config, named or TEXT_MODELS.get(model_type, model_type)
    if not model_type and not outer.faults:
        outer.missing.append("model_type")
    if model_type not in ARCHITECTURES:  # fields of the text model next to those of the others
        model_type = TEXT_MODELS.get(model_type, model_type)
    return "", values, model_type


def _read(fields: Fields, architecture: Architecture) -> Reading:
    reading = Reading(fields, architecture)
    size(reading)
    reading.entry["tie_word_embeddings"] = fields.flag(
        "tie_word_embeddings", default=architecture.tied
    )
    reading.entry["intermediate_size"] = 0
    recurrent = bool(_RECURRENT & set(architecture.rules))
    if not recurrent:
        grouped_query(reading)
        windows(reading)
        reading.entry["intermediate_size"] = reading.whole("intermediate_size")
    reading.entry.update(architecture.fixed)
    for name, (keys, on, off, default) in architecture.switches.items():
        reading.entry[name] = on if fields.flag(*keys, default=default) else off
    for rule in architecture.rules:
        RULES[rule](reading)
    entry = reading.entry
    if not (recurrent or entry["intermediate_size"] or entry.get("num_experts")):
        entry["intermediate_size"] = reading.need("intermediate_size")
    return reading


def _missing(fields: Fields, model_type: str, *, known: bool) -> str:
    listed = ", ".join(fields.missing)
    missing = f"lacks {listed}"
    if known:
        return (
            f"{fields.place}: model_type {show(model_type)}: {missing}; "
            f"add {'it' if len(fields.missing) == 1 else 'them'}, or {REMEDY}"
        )
    if not model_type:
        return f"{fields.place}: {missing}; give the config.json of a model, or {REMEDY}"
    near = nearest(model_type, ARCHITECTURES)
    hint = f" (did you mean {near!r}?)" if near else ""
    return f"{fields.place}: model_type {show(model_type)} is unknown{hint} and {missing}; {REMEDY}"


def _check_unknown(fields: Fields, model_type: str) -> None:
    """Record why an unknown architecture cannot be read as Llama."""
    config = fields.values
    names = config.get("architectures")
    listed = names if isinstance(names, list) else []
    place = f"{fields.place}: model_type {show(model_type)} is unknown"
    if listed and not any(str(name).endswith(_DECODERS) for name in listed):
        fields.faults.append(
            f"{place}, and {show(listed[0])} generates no tokens; use a causal language model"
        )
    other = [
        key
        for key, value in config.items()
        if _OTHER_PHYSICS.search(key)
        and value not in (None, False, 0, "", [], {})
        and not _harmless(fields, key)
    ]
    if other:
        shown = ", ".join(show(key).strip("'") for key in other[:12])
        fields.faults.append(f"{place}, and {shown} show that it differs from Llama; {REMEDY}")


def _harmless(fields: Fields, key: str) -> bool:
    """Return whether a field is about windows and redundant: layers are listed, or have none."""
    config = fields.values
    listed = config.get("layer_types")
    kinds = ("full_attention", "sliding_attention")
    plain = isinstance(listed, list) and all(kind in kinds for kind in listed)
    if key == "layer_types":
        return plain
    return "window" in key and (
        config.get("use_sliding_window") is False or (plain and key == "sliding_window")
    )
