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
from perfcore.catalog.importing.defaults import CLASS_DEFAULTS
from perfcore.catalog.importing.document import REMEDY, Fields, NotModelledError
from perfcore.catalog.importing.family_rules import FAMILY_RULES
from perfcore.catalog.importing.mistral import as_config, is_params
from perfcore.catalog.importing.modules import Patterns
from perfcore.catalog.importing.quantization import Quantisation, quantisation
from perfcore.catalog.importing.rules import (
    RULES,
    Reading,
    grouped_query,
    layer_widths,
    size,
    windows,
)
from perfcore.catalog.importing.shares import wide_shares
from perfcore.catalog.importing.unread import unread
from perfcore.catalog.model_entry import ModelEntry
from perfcore.errors import InputError, show
from perfcore.reading.faults import faults_from_validation_error
from perfcore.reading.words import nearest

_TEXT_KEYS: Final = ("text_config", "llm_config", "language_config")
_INHERITED: Final = ("quantization_config", "torch_dtype", "dtype", "architectures")
_TIED: Final = "tie_word_embeddings"
_OTHER_ATTENTION: Final = ("add_cross_attention", "is_encoder_decoder")
_RECURRENT: Final = {"mamba_1", "mamba_2"}

# Fields that, unless empty, show that an unknown architecture has other physics than Llama's.
_OTHER_PHYSICS: Final = re.compile(
    r"expert|moe|window|sliding|chunk|lora_rank|ssm|mamba|state_size|conv_|linear_|kda|delta|"
    r"rwkv|recurren|compress|index_|sparse|cross_attention|layer_types|block_types|pattern|"
    r"latent|altup|laurel|kv_shared|nope_head|rope_head|v_head_dim|hyena|gate|gating|parallel|"
    r"sinks|qk_norm|qk_layernorm|per_layer|block_configs|is_encoder_decoder|cycle|loop|lambda_|"
    r"type_vocab_size|adapter|post_norm|sub_norm|hyper_conn|attention_type|encoder_"
)
_ACTIVATIONS: Final = ("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act")
_GATED: Final = ("silu", "swish", "swiglu")  # of an FFN like Llama's
_DECODERS: Final = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def from_config(
    values: Mapping[str, object],
    place: str,
    identity: Mapping[str, str],
    beside: Mapping[str, object] | None = None,
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
    beside
        Contents of ``hf_quant_config.json`` or another file of ``quantization.BESIDE`` in the same
        directory.

    Raises
    ------
    InputError
        The architecture is unknown or not modelled, or fields are missing or wrong; all faults are
        listed.
    """
    if is_params(values):
        values = as_config(values)
    values = _without_speech(values)
    outer = Fields(values, place)
    key, config, model_type = _text_model(outer)
    model_type = _with_attention(model_type, config)
    reason = UNSUPPORTED.get(model_type)
    if reason:
        raise NotModelledError(
            f"{place}: model_type {show(model_type)} is not modelled: {reason}; use another model",
            config,
        )
    _check_generates(values, config, place)
    architecture = ARCHITECTURES.get(model_type)
    known = architecture or LLAMA
    where = f"{place}: {key}" if key else place
    defaults = {**(CLASS_DEFAULTS.get(model_type, {}) if key else {}), **known.defaults}
    fields = Fields(config, where, defaults, faults=outer.faults, missing=outer.missing)
    reading = _read(fields, known)
    if architecture is None:
        _check_unknown(fields, model_type)
    if fields.missing:
        fields.faults.insert(0, _missing(fields, model_type, known=architecture is not None))
    if fields.faults:
        raise NotModelledError(fields.faults, config)
    found = quantisation(config, values, fields, beside)
    kept = Patterns(found.kept, place)
    entry = {**reading.entry, **identity, **_as_quantised(found, reading.entry, kept)}
    entry |= _of_experts(fields, values, entry)
    if not model_type.startswith("gemma3"):  # which states the context after stretching
        entry["max_position_embeddings"] = _context(fields, entry["max_position_embeddings"])
    entry["left_out"] = ", ".join(_left_out(values, key))
    entry["source"] = f"{identity['source']}, model_type {show(model_type)}"
    inner = f"text model only{_tied_twice(values, key)}" if key else ""
    noted = _notes(fields, outer, model_type, known=architecture is not None)
    noted += _contradictions(reading)
    left_out = f"left out: {entry['left_out']}" if entry["left_out"] else ""
    strange = _not_understood(kept)
    notes = (entry.get("notes", ""), inner, left_out, *found.notes, strange, *noted)
    entry["notes"] = "; ".join(dict.fromkeys(note for note in notes if note))
    if architecture is None:
        entry["estimated"] = {
            "layer_types": f"model_type {show(model_type)} is unknown; it has Llama's fields "
            "and is read as Llama, with a gated FFN and two norms per layer"
        }
    if fields.faults:
        raise NotModelledError(fields.faults, config)
    return make_entry(entry, place)


def _tied_twice(values: Mapping[str, object], key: str) -> str:
    """Return a note if the file ties embeddings inside of the text model only, or outside only."""
    table = values.get(key)
    inside = table.get(_TIED) if isinstance(table, dict) else None
    outside = values.get(_TIED)
    if None in (inside, outside) or inside == outside:
        return ""
    told = str(outside).lower()
    return f"; {_TIED} is {told} outside of {key}, which is followed, and another inside"


def _not_understood(kept: Patterns) -> str:
    """Return a note on unsupported patterns; the modules that they name count as quantised."""
    if not kept.unread:
        return ""
    listed = ", ".join(show(text) for text in kept.unread[:3])
    return f"not understood, of the modules that stay at 16 bits: {listed}"


def _notes(fields: Fields, outer: Fields, model_type: str, *, known: bool) -> list[str]:
    """Return notes on assumed and unread keys; record faults of keys that may change arithmetic."""
    notes = []
    noted, serious = unread(fields, outer)
    if noted:
        notes.append(f"not read: {', '.join(noted)}")
    if fields.defaulted:
        taken = ", ".join(f"{key} = {value}" for key, value in fields.defaulted.items())
        notes.append(f"not in config.json, defaults of {model_type}: {taken}")
    absent = [*fields.absent]
    for name, inner in fields.inners.items():
        absent += [f"{name}.{key}" for key in inner.absent if inner.values]
    if absent:
        notes.append(f"not in config.json, usual values taken: {', '.join(absent)}")
    for name in _OTHER_ATTENTION:
        if fields.flag(name):
            fields.fault(name, "true: attention to another sequence", REMEDY)
    if serious and known:
        fields.faults.append(
            f"{fields.place}: {', '.join(serious)}: not read for model_type {show(model_type)}, "
            f"and may change its arithmetic; {REMEDY}"
        )
    return notes


_COUNTED: Final = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    "max_position_embeddings",
    *("intermediate_size", "num_experts", "num_experts_per_tok"),
)


def _contradictions(reading: Reading) -> list[str]:
    """Return a note for each size that a file gives twice, differently, under two names."""
    notes = []
    for name in _COUNTED:
        given = {
            key: value
            for key in reading.keys(name)
            if isinstance(value := reading.config.values.get(key), int) and value
        }
        (taken, first), *others = [*given.items()] or [("", 0)]
        notes += [
            f"{taken} = {first} is taken, not {key} = {value}"
            for key, value in others
            if value != first
        ]
    return notes


_HALF_BYTE: Final = 6.0  # bits, from which a format is run as one of 8 bits


def _as_quantised(found: Quantisation, entry: Mapping[str, Any], kept: Patterns) -> dict[str, Any]:
    """Return the fields of an entry about its checkpoint's weights."""
    sparse, shared = bool(entry.get("num_experts")), entry.get("shared_expert_intermediate_size")
    targets = Patterns(found.targets, "quantization_config")
    wide = wide_shares(kept, targets, entry, shared=bool(shared))
    dtype, form = found.dtype, found.format
    others = [wide["wide_attention"], *([wide["wide_shared_experts"]] if shared else [])]
    experts_only = sparse and found.kept and min(others) == 1.0 and wide["wide_experts"] == 0.0
    if experts_only and not dtype.endswith(" experts"):
        dtype += " experts"
    if not found.bits:
        return {**wide, "native_dtype": dtype, "native_format": form}
    return {
        **wide,
        "native_dtype": dtype,
        "native_format": form or ("int4-g128" if found.bits < _HALF_BYTE else "int8"),
        "own_bits": found.bits,
        "own_embedding_bits": (found.embedding_bits + found.head_bits) / 2.0
        if found.head_bits and not entry[_TIED]  # an embedding and an output matrix
        else found.embedding_bits,
    }


def _of_experts(
    fields: Fields, outer: Mapping[str, Any], entry: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the format of a checkpoint whose experts have one of their own (DeepSeek-V4).

    V4.1 states it beside the format of the other matrices.
    """
    place = "quantization_config"
    inner = fields.values.get(place) or outer.get(place)
    if "expert_dtype" not in fields.values and isinstance(inner, dict):
        fields = Fields(inner, f"{fields.place}: {place}", faults=fields.faults)
    if "expert_dtype" not in fields.values:
        return {}
    given = fields.text("expert_dtype").lower()
    dtype = str(entry["native_dtype"])
    if given in ("fp4", "mxfp4"):
        return {"native_dtype": f"{dtype}+mxfp4 experts", "native_format": ""}
    if given and given.removeprefix("torch.") not in (dtype, "bfloat16", "float8_e4m3fn"):
        fields.fault("expert_dtype", f"{show(given)}: not a known format of experts", REMEDY)
    return {}


_TOWERS: Final = {
    "vision_config": "vision tower",
    "vision_tower_config": "vision tower",
    "vision_encoder": "vision tower",
    "multimodal": "audio tower",
    "visual": "vision tower",
    "img_processor": "vision tower",
    "vit_config": "vision tower",
    "audio_config": "audio tower",
    "speech_config": "audio tower",
    "talker_config": "talker",
    "code2wav_config": "vocoder",
    "token2wav_config": "vocoder",
    "num_nextn_predict_layers": "multi-token-prediction layers",
    "mtp_num_hidden_layers": "multi-token-prediction layers",
    "mtp_num_layers": "multi-token-prediction layers",
    "num_mtp_modules": "multi-token-prediction layers",
}


def _left_out(values: Mapping[str, object], key: str) -> list[str]:
    """Return the parts of a model that its entry leaves out."""
    inner = values.get(key) if key else None
    tables = [values, inner] if isinstance(inner, dict) else [values]
    found = [name for table in tables for part, name in _TOWERS.items() if table.get(part)]
    return list(dict.fromkeys(found))


_MOST_STRETCHED: Final = 1e4
_STRETCHING: Final = ("yarn", "linear", "dynamic", "ntk", "deepseek_yarn")


def _context(fields: Fields, stated: int) -> int:
    """Return the longest context, as engines derive it from the scaling of rotary positions."""
    for key in ("rope_scaling", "rope_parameters"):
        given = fields.values.get(key)
        if not isinstance(given, dict):
            continue
        nested = [table for table in given.values() if isinstance(table, dict)]
        for table in nested or [given]:
            kind = table.get("rope_type", table.get("type"))
            factor = table.get("factor")
            if kind not in _STRETCHING or factor is None:
                continue
            number = isinstance(factor, int | float) and not isinstance(factor, bool)
            if not number or not 1.0 <= factor <= _MOST_STRETCHED:
                problem = f"{show(factor)} must be a number from 1 to {_MOST_STRETCHED:g}"
                fields.fault(f"{key}.factor", problem, "correct it")
                continue
            first = table.get("original_max_position_embeddings")
            base = first if isinstance(first, int) and not isinstance(first, bool) else stated
            stated = max(stated, int(factor * base))
    return stated


_DRAFTS: Final = re.compile(r"Eagle3?(?![a-z])|Draft|Speculator|Medusa|MTPModel$|DFlash|DSpark")
_GENERATES_NOTHING: Final = re.compile(
    r"For(SequenceClassification|TokenClassification|MultipleChoice|QuestionAnswering|"
    r"RewardModel|Reward|Embedding|Retrieval|MaskedLM|Ranking|TextEncoding)$|RewardModel$|"
    r"ProcessRewardModel$|EmbeddingModel$|^(Qwen[23](Moe)?|Llama|Mistral|Gemma[23]?(Text)?)Model$"
)


def _check_generates(
    values: Mapping[str, object], config: Mapping[str, object], place: str
) -> None:
    """Refuse rerankers, reward models and the like, which generate no tokens."""
    names = values.get("architectures") or config.get("architectures")
    listed = [str(name) for name in names] if isinstance(names, list) else []
    if listed and all(_DRAFTS.search(name) for name in listed):
        raise InputError(
            f"{place}: architectures: {show(listed[0])} is a draft head; give the model for which "
            "it drafts, with draft_len and acceptance"
        )
    if listed and all(_GENERATES_NOTHING.search(name) for name in listed):
        raise InputError(
            f"{place}: architectures: {show(listed[0])} generates no tokens; "
            "use a causal language model"
        )


def make_entry(fields: Mapping[str, Any], place: str) -> ModelEntry:
    """Return an entry with these fields, without those that have no effect."""
    used = {name: value for name, value in fields.items() if value not in (0, "", "none", False)}
    used |= {name: fields[name] for name in _SAID if name in fields}
    try:
        return ModelEntry.model_validate(used)
    except ValidationError as error:
        raise InputError(faults_from_validation_error(error, place, ModelEntry)) from None


_SAID: Final = (
    "gated_mlp",
    "tie_word_embeddings",
    "norm",
    "mamba_norm",
)  # false and "none" mean something


def _text_model(outer: Fields) -> tuple[str, Mapping[str, object], str]:
    """Return the key of the text model, its fields and its type."""
    values, model_type = outer.values, outer.text("model_type")
    for key in _TEXT_KEYS:
        inner = values.get(key)
        if not isinstance(inner, dict) or not inner:
            continue
        config = {name: values[name] for name in _INHERITED if name in values}
        config |= {name: value for name, value in inner.items() if value is not None}
        if values.get(_TIED) is not None:
            config[_TIED] = values[_TIED]
        named = outer.inner(key).text("model_type")
        return key, config, named or TEXT_MODELS.get(model_type, model_type)
    if not model_type and not outer.faults:
        outer.missing.append("model_type")
    if model_type not in ARCHITECTURES:  # fields of the text model next to those of the others
        model_type = TEXT_MODELS.get(model_type, model_type)
    return "", values, model_type


def _with_attention(model_type: str, config: Mapping[str, object]) -> str:
    """Return the type of a model whose file says that its attention is not latent (DeepSeek)."""
    return (
        "deepseek" if model_type == "deepseek_v2" and config.get("use_mla") is False else model_type
    )


_BESIDE_THINKER: Final = ("talker_config", "code2wav_config", "token2wav_config")


def _without_speech(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the text-generating part of a model, without the part for speech (Qwen omni)."""
    thinker = values.get("thinker_config")
    if not isinstance(thinker, dict):
        return values
    kept = (*_INHERITED, *_BESIDE_THINKER)
    return {name: values[name] for name in kept if name in values} | thinker


def _read(fields: Fields, architecture: Architecture) -> Reading:
    reading = Reading(fields, architecture)
    size(reading)
    reading.entry[_TIED] = fields.flag(_TIED, default=architecture.tied)
    reading.entry["intermediate_size"] = 0
    recurrent = bool(_RECURRENT & set(architecture.rules))
    if not recurrent:
        grouped_query(reading)
        windows(reading)
        layer_widths(reading)
    reading.entry.update(architecture.fixed)
    for name, (keys, on, off, default) in architecture.switches.items():
        reading.entry[name] = on if fields.flag(*keys, default=default) else off
    for rule in architecture.rules:
        (RULES.get(rule) or FAMILY_RULES[rule])(reading)
    entry = reading.entry
    if not (recurrent or entry["intermediate_size"] or entry.get("num_experts")):
        entry["intermediate_size"] = reading.need("intermediate_size")
    return reading


_OTHER_FILES: Final = {  # by a key that a config.json has not
    "peft_type": "the configuration of an adapter, which has no model of its own",
    "weight_map": "the index of a model's weights",
    "_diffusers_version": "the configuration of a diffusion model",
    "tokenizer_class": "the configuration of a tokenizer",
    "added_tokens_decoder": "the configuration of a tokenizer",
    "image_processor_type": "the configuration of an image processor",
    "do_sample": "the configuration of generation",
    "max_length": "the configuration of generation",
    "max_new_tokens": "the configuration of generation",
}


def _missing(fields: Fields, model_type: str, *, known: bool) -> str:
    listed = ", ".join(fields.missing)
    missing = f"lacks {listed}"
    if known:
        return (
            f"{fields.place}: model_type {show(model_type)}: {missing}; "
            f"add {'it' if len(fields.missing) == 1 else 'them'}, or {REMEDY}"
        )
    if not model_type:
        kind = next((what for key, what in _OTHER_FILES.items() if key in fields.values), "")
        if kind:
            return f"{fields.place}: is {kind}; give the config.json of a model"
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
            f"{place}, and {show(listed[0])} is not a causal language model by its name; "
            f"use one, or {REMEDY}"
        )
    other = [
        key
        for key, value in config.items()
        if _OTHER_PHYSICS.search(key)
        and value not in (None, False, 0, "", [], {})
        and not _harmless(fields, key)
    ]
    other += [key for key in _ACTIVATIONS if config.get(key) not in (None, "", *_GATED)]
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
