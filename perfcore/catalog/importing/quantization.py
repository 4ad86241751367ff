"""Quantisation of published weights: their format, and the modules that stay at 16 bits.

Facts about the fields come from the loaders of vLLM, SGLang and transformers and from the tools
that write them: AutoGPTQ, AutoAWQ, compressed-tensors, ModelOpt, Quark, torchao, HQQ, MLX, ExLlama,
bitsandbytes, auto-round.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from perfcore.catalog.importing.document import Fields
from perfcore.catalog.importing.modules import Patterns, ffn_matrices
from perfcore.errors import show

Facts = Mapping[str, Any]

_DTYPES: Final = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "float8_e4m3fn": "fp8",
}
_UNQUANTISED: Final = "bf16"
_BITS: Final = (2, 3, 4, 8)
_MICRO: Final = 32  # weights that share a scale in microscaling formats
_BESIDE: Final = "hf_quant_config.json"


class Quantisation(NamedTuple):
    """Format of a checkpoint's weights."""

    dtype: str  # as people call it
    format: str = ""  # weight format of the catalogue, if the dtype does not imply one
    kept: tuple[str, ...] = ()  # patterns of modules that stay at 16 bits
    targets: tuple[str, ...] = ()  # patterns of those that are quantised, if only some are
    notes: tuple[str, ...] = ()
    bits: float = 0.0  # of a matrix on average, where no format of the catalogue has them
    embedding_bits: float = 16.0  # beside such bits
    head_bits: float = 0.0  # of the output matrix, if it has others than the embedding


FILE: Final = "_file"  # key of the name of a file beside config.json
BESIDE: Final = {  # such files, in order, and their method if they do not name one
    "hf_quant_config.json": "",
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
}


# formats in which model types are published: a file without a format is a conversion, or lost it
_PUBLISHED: Final = {
    "deepseek_v3": "fp8",
    "deepseek_v32": "fp8",
    "gpt_oss": "mxfp4",
    "kimi_k2": "fp8",
    "kimi_k25": "int4",
    "minimax_m2": "fp8",
    "mistral4": "fp8",
}


def quantisation(
    config: Facts, outer: Facts, fields: Fields, beside: Facts | None = None
) -> Quantisation:
    """Return the format of the published weights; 16 bit unless the file says otherwise.

    Parameters
    ----------
    config, outer
        Fields of the text model, and of the file.
    beside
        Contents of a file of ``BESIDE`` in the same directory, with its name as ``FILE``.
    """
    for key in ("quantization_config", "compression_config", "quantization"):
        fields.read.add(key)
        given = config.get(key) or outer.get(key)
        if isinstance(given, dict) and given:
            place = f"{fields.place}: {key}"
            found = _quantised(Fields(given, place, faults=fields.faults), given)
            return _unless_contradicted(found, beside)
        if given:
            return _unknown(f"{key} {show(given)}")
    if beside:
        found = _of_file(beside)
        return found._replace(notes=(*found.notes, f"quantisation read from {_name_of(beside)}"))
    dtype = config.get("dtype") or config.get("torch_dtype") or outer.get("torch_dtype")
    dtype = dtype or outer.get("dtype")
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else ""
    found = Quantisation(_DTYPES.get(name, _UNQUANTISED))
    narrower = _PUBLISHED.get(str(outer.get("model_type")))
    if narrower is None:
        return found
    note = f"no quantization_config: {found.dtype}, though models of this type come in {narrower}"
    return found._replace(notes=(*found.notes, note))


def _name_of(beside: Facts) -> str:
    return str(beside.get(FILE, _BESIDE))


def _of_file(beside: Facts) -> Quantisation:
    """Return the format stated by another file in the directory of ``config.json``."""
    name, method = _name_of(beside), BESIDE.get(_name_of(beside), "")
    values = {key: value for key, value in beside.items() if key != FILE}
    if not method:
        inner = values.get("quantization")
        values = inner if isinstance(inner, dict) else values
        return _modelopt(Fields(values, name), values)
    if not any(key in values for key in ("quant_method", "bits", "w_bit")):
        return _unknown(name)
    return _quantised(Fields(values, name), {"quant_method": method, **values})


def _unless_contradicted(found: Quantisation, beside: Facts | None) -> Quantisation:
    """Return a format, with a note if another file in the directory states a different one."""
    other = _of_file(beside) if beside else found
    if other.dtype in (found.dtype, "unknown", _UNQUANTISED):
        return found
    note = f"{_name_of(beside or {})} says {other.dtype}, and config.json, which is followed, not"
    return found._replace(notes=(*found.notes, note))


def _quantised(fields: Fields, values: Facts) -> Quantisation:
    method = values.get("quant_method")
    if method is None:
        if "quant_algo" in values or "quantized_layers" in values:
            method = "modelopt"
        elif "config_groups" in values:
            method = "compressed-tensors"
        elif "group_size" in values and "bits" in values:
            method = "mlx"
        elif "qformat_weight" in values:
            return _mistral(values)
        elif "load_in_4bit" in values or "load_in_8bit" in values:
            method = "bitsandbytes"
    name = str(method).lower().replace("_", "-")
    reader = _METHODS.get(name)
    found = reader(fields, values) if reader else _unknown(f"quant_method {show(method)}")
    more = filter(None, (_cache_of(values), _unread_of(values)))
    return found._replace(notes=(*found.notes, *more))


# Keys that say which modules are quantised and how, of which one that is not known may matter.
_TELLING: Final = re.compile(
    r"ignore|exclud|skip|convert|modules|layers|bits|group|block|algo|target"
)
_KNOWN: Final = frozenset(
    [
        *("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules", "exclude"),
        *("llm_int8_skip_modules", "skip_modules", "linear_weights_not_to_quantize"),
        *("bits", "w_bit", "nbits", "num_bits", "head_bits", "nbits_per_codebook"),
        *("group_size", "q_group_size", "in_group_size", "out_group_size", "static_groups"),
        *("config_groups", "weight_block_size", "modules_block_size", "quant_algo"),
        *("kv_cache_quant_algo", "quantized_layers", "kv_cache_group", "algo_config"),
        *("block_name_to_quantize", "modules_in_block_to_quantize", "target_modules"),
        *("config_for_layers", "to_quant_block_names", "layers_to_quantize", "damp_auto_increment"),
        *("hadamard_group_size", "tune_metadata", "beta1", "beta2"),
    ]
)


def _unread_of(values: Facts) -> str:
    """Return a note on keys that may say which modules are quantised, and are not known."""
    strange = sorted(
        key
        for key, value in values.items()
        if _TELLING.search(key)
        and key not in _KNOWN
        and "." not in key  # the name of a module
        and value not in (None, False, "", [], {})
    )
    return f"not read, of the quantisation: {', '.join(strange[:5])}" if strange else ""


def _unknown(what: str) -> Quantisation:
    return Quantisation("unknown", notes=(f"{what} is not understood: give a weight format",))


def _cache_of(values: Facts) -> str:
    """Return a note on a quantised KV cache."""
    for key in ("kv_cache_quant_algo", "kv_cache_scheme", "kv_cache_quant_config"):
        given = values.get(key)
        if not given:
            continue
        bits = given.get("num_bits") if isinstance(given, dict) else None
        told = f"{bits} bit" if bits else str(given) if isinstance(given, str) else "quantised"
        return f"the checkpoint has scales for a KV cache in {told}"
    return ""


def _names(*lists: object) -> tuple[str, ...]:
    """Return the texts of lists, or the keys of tables, one after the other."""
    return tuple(
        str(item)
        for each in lists
        for item in (each if isinstance(each, list | tuple | dict) else ())
    )


def _of_bits(method: str, bits: int, group: int, family: str = "") -> Quantisation:
    """Return integers of ``bits`` in groups; the catalogue has formats of 4 and 8 bits."""
    if bits == 8:
        return Quantisation("int8", "int8")
    if bits == 4:
        sized = f"int4-g{group}" if group in (32, 64, 128) else "int4-g128"
        named = f"int4-g128-{family}" if family and group == 128 else sized
        note = () if group in (0, 32, 64, 128) else (f"group size {group} is counted as 128",)
        return Quantisation("int4", named, notes=note)
    if not 1 <= bits <= 16:
        return _unknown(f"{method} with {bits} bits")
    return Quantisation(f"int{bits}", bits=bits + 16.0 / max(group, 32))


def _integers(family: str) -> Callable[[Fields, Facts], Quantisation]:
    """Return the reader of GPTQ, AWQ and auto-round."""

    def read(fields: Fields, values: Facts) -> Quantisation:
        form = str(values.get("data_type", "int")).lower()
        group = values.get("group_size", values.get("q_group_size", 128))
        group = group if isinstance(group, int) and not isinstance(group, bool) else 128
        bits = fields.whole("bits", "w_bit", default=4)
        if form.startswith(("mx_fp", "mxfp")):
            found = Quantisation({4: "mxfp4", 6: "mxfp6", 8: "mxfp8"}.get(bits, "unknown"))
            found = found._replace(format=found.dtype)
        elif form.startswith(("nv_fp", "nvfp")):
            found = Quantisation("nvfp4", "nvfp4")
        elif form.startswith("fp") and bits == 8:
            found = Quantisation("fp8", "fp8")
        else:
            found = _of_bits(family, bits, group, family)
        dynamic = values.get("dynamic")
        rules = dynamic if isinstance(dynamic, dict) else {}
        kept = [f"re:{key[2:]}" for key in rules if str(key).startswith("-:")]
        extra = values.get("extra_config")
        own = {}
        for key, rule in extra.items() if isinstance(extra, dict) else ():
            chosen = rule.get("bits", bits) if isinstance(rule, dict) else bits
            if isinstance(chosen, int) and chosen >= 16:
                kept.append(f"re:{key}" if re.search(r"[*\\^$+]", str(key)) else str(key))
            elif chosen != bits:
                own[key] = chosen
        changed = [k for k, rule in rules.items() if isinstance(rule, dict) and rule.get("bits")]
        notes = [
            f"{len(found)} rules of {name} with other bits are not read"
            for name, found in (("dynamic", changed), ("extra_config", own))
            if found
        ]
        if values.get("lm_head") is True:
            notes.append("lm_head is quantised, and counted at 16 bits")
        kept += _names(values.get("modules_to_not_convert"))
        blocks = values.get("modules_in_block_to_quantize")
        targets = _names(*(blocks if isinstance(blocks, list) else ()))
        return found._replace(kept=tuple(kept), targets=targets, notes=(*found.notes, *notes))

    return read


def _experts_int8(_: Fields, __: Facts) -> Quantisation:
    """Read vLLM's ``experts_int8``, which leaves everything but the experts at 16 bits."""
    return Quantisation("int8 experts", "int8", targets=(r"re:.*mlp\.experts\..*",))


def _bitsandbytes(_: Fields, values: Facts) -> Quantisation:
    kept = _names(values.get("llm_int8_skip_modules"))
    if values.get("load_in_8bit") is True or values.get("_load_in_8bit") is True:
        return Quantisation("int8", "int8", kept)
    if not any(values.get(name) for name in ("load_in_4bit", "_load_in_4bit")):
        return _unknown("bitsandbytes without load_in_4bit or load_in_8bit")
    kind = values.get("bnb_4bit_quant_type", "nf4")
    return Quantisation("nf4", "nf4", kept, notes=() if kind == "nf4" else (f"4 bits: {kind}",))


def _fp8(_: Fields, values: Facts) -> Quantisation:
    blocks = values.get("weight_block_size") or values.get("modules_block_size")
    kept = _names(values.get("modules_to_not_convert"), values.get("ignored_layers"))
    if isinstance(blocks, list) and blocks and blocks[-1] == _MICRO != blocks[0]:
        return Quantisation("mxfp8", "mxfp8", kept)
    return Quantisation("fp8", "fp8-block128" if blocks else "fp8", kept)


_ALGORITHMS: Final = {
    "fp8": ("fp8", "fp8"),
    "fp8-pb-wo": ("fp8", "fp8-block128"),
    "fp8-pb-real": ("fp8", "fp8-block128"),
    "fp8-block-scales": ("fp8", "fp8-block128"),
    "fp8-per-channel-per-token": ("fp8", "fp8"),
    "nvfp4": ("nvfp4", "nvfp4"),
    "nvfp4-awq": ("nvfp4", "nvfp4"),
    "nvfp4-svdquant": ("nvfp4", "nvfp4"),
    "w4a16-nvfp4": ("nvfp4", "nvfp4"),
    "w4a8-nvfp4-fp8": ("nvfp4", "nvfp4"),
    "mxfp8": ("mxfp8", "mxfp8"),
    "mxfp4": ("mxfp4", "mxfp4"),
    "w4a8-mxfp4-fp8": ("mxfp4", "mxfp4"),
    "w4a16-mxfp4": ("mxfp4", "mxfp4"),
    "w4a16-awq": ("int4", "int4-g128-awq"),
    "w4a8-awq": ("int4", "int4-g128-awq"),
    "int4-awq": ("int4", "int4-g128-awq"),
    "w4a16": ("int4", "int4-g128"),
    "w4a16-gptq": ("int4", "int4-g128-gptq"),
    "w8a16": ("int8", "int8"),
    "w8a16-gptq": ("int8", "int8"),
    "int8-sq": ("int8", "int8-w8a8"),
    "w8a8-sq-per-channel": ("int8", "int8-w8a8"),
    "int8": ("int8", "int8"),
}


def _algorithm(text: object) -> tuple[str, str] | None:
    return _ALGORITHMS.get(str(text).lower().replace("_", "-"))


def _modelopt(fields: Fields, values: Facts) -> Quantisation:
    inner = values.get("quantization")
    values = inner if isinstance(inner, dict) else values
    kept = _names(values.get("ignore"), values.get("exclude_modules"))
    algorithm = values.get("quant_algo")
    listed = values.get("quantized_layers")
    if isinstance(listed, dict) and listed:
        counted: dict[object, list[str]] = {}
        for name, rule in listed.items():
            algo = rule.get("quant_algo") if isinstance(rule, dict) else rule
            counted.setdefault(algo, []).append(str(name))
        most = max(  # of the FFNs, which most weights are in
            counted,
            key=lambda algo: (ffn_matrices(Patterns(counted[algo], _BESIDE)), len(counted[algo])),
        )
        found = _algorithm(most)
        notes = (
            (f"mixed precision is counted as {most}: {', '.join(map(str, counted))}",)
            if len(counted) > 1
            else ()
        )
        if found:
            targets = tuple(name for names in counted.values() for name in names)
            return Quantisation(*found, kept, targets, notes)
    found = _algorithm(algorithm)
    if found is None and isinstance(values.get("config_groups"), dict):
        return _compressed(fields, values)._replace(kept=kept)
    cache = _cache_of(values)
    notes = (cache,) if cache and values.get("quant_method") is None else ()
    if found is None and algorithm in (None, "") and cache:
        return Quantisation(_UNQUANTISED, notes=(*notes, "only the KV cache is quantised"))
    if found is None:
        return _unknown(f"quant_algo {show(algorithm)}")
    return Quantisation(*found, kept, notes=notes)


def _compressed(fields: Fields, values: Facts) -> Quantisation:
    """Read compressed-tensors: groups of modules with the same scheme."""
    groups = values.get("config_groups")
    kept = _names(values.get("ignore"))
    schemes = {}
    for name, group in groups.items() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        if isinstance(weights, dict):
            form = str(group.get("format") or values.get("format") or "")
            schemes[name] = (_scheme(fields, weights, group, form), _names(group.get("targets")))
    if not schemes:
        return _unknown("compressed-tensors without weights in config_groups")
    found = [scheme for scheme, _ in schemes.values()]
    if any(scheme is None for scheme in found):
        return _unknown("a scheme of compressed-tensors")
    first = _most_used(schemes.values(), fields.place)
    assert first is not None  # noqa: S101 - for types: none is None
    sparse = values.get("sparsity_config")
    targets = tuple(target for _, names in schemes.values() for target in names)
    classes = all(re.fullmatch(r"[A-Z]\w*", target) for target in targets)
    told = {scheme.dtype for scheme in found if scheme}
    notes = [*first.notes]
    if len(told) > 1:
        notes.append(f"mixed precision ({', '.join(sorted(told))}) is counted as {first.dtype}")
    stored = sparse.get("format", "dense") if isinstance(sparse, dict) else "dense"
    if values.get("format") == "marlin-24":  # two of four weights, and where they are
        stored = "marlin-24"
    if stored != "dense":
        notes.append(f"sparsity ({stored}) is not counted")
    return first._replace(kept=kept, targets=() if classes else targets, notes=tuple(notes))


def _most_used(
    schemes: Iterable[tuple[Quantisation | None, tuple[str, ...]]], place: str
) -> Quantisation | None:
    """Return the scheme of most FFN matrices, which most weights are in; the first if none is."""
    return max(schemes, key=lambda scheme: ffn_matrices(Patterns(scheme[1], place)))[0]


def _scheme(fields: Fields, weights: Facts, group: Facts, form: str) -> Quantisation | None:
    bits = Fields(weights, fields.place, faults=fields.faults).whole("num_bits")
    size = weights.get("group_size")
    sized = size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else 0
    inputs = group.get("input_activations")
    if weights.get("type") == "float":
        if bits == 4:
            micro = sized == 32 or form.startswith("mxfp4")
            return Quantisation("mxfp4", "mxfp4") if micro else Quantisation("nvfp4", "nvfp4")
        if bits == 8 and form.startswith("mxfp8"):
            return Quantisation("mxfp8", "mxfp8")
        if bits == 8:
            blocks = weights.get("strategy") == "block" or weights.get("block_structure")
            return Quantisation("fp8", "fp8-block128" if blocks else "fp8")
        return None
    if bits == 8 and inputs:
        return Quantisation("int8", "int8-w8a8")
    return _of_bits("compressed-tensors", bits, sized) if bits in _BITS else None


def _quark(_: Fields, values: Facts) -> Quantisation:
    whole = values.get("global_quant_config")
    weights = whole.get("weight") if isinstance(whole, dict) else None
    if isinstance(weights, list) and weights:
        weights = weights[-1]  # in steps, of which the last one is stored
    kept = _names(values.get("exclude"), values.get("ignore"))
    others = values.get("layer_quant_config")
    notes = (
        (f"{len(others)} rules of layer_quant_config are not read",)
        if isinstance(others, dict) and others
        else ()
    )
    if not isinstance(weights, dict):
        return _unknown("quark without global_quant_config.weight")._replace(kept=kept)
    dtype = str(weights.get("dtype", "")).lower()
    size = weights.get("group_size")
    group = size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else 0
    if dtype in ("fp4", "mxfp4", "mx4"):
        nvidia = group == 16
        found = Quantisation(*("nvfp4", "nvfp4") if nvidia else ("mxfp4", "mxfp4"))
    elif dtype.startswith(("mxfp6", "fp6", "mx6")):
        found = Quantisation("mxfp6", "mxfp6")
    elif dtype.startswith("mxfp8"):
        found = Quantisation("mxfp8", "mxfp8")
    elif dtype.startswith("fp8"):
        found = Quantisation("fp8", "fp8-block128" if group else "fp8")
    elif dtype in ("int8", "uint8"):
        inputs = whole.get("input_tensors") if isinstance(whole, dict) else None
        found = Quantisation("int8", "int8-w8a8" if inputs else "int8")
    elif dtype in ("int4", "uint4"):
        found = _of_bits("quark", 4, group)
    else:
        found = _unknown(f"quark's {show(dtype)}")
    return found._replace(kept=kept, notes=(*found.notes, *notes))


def _torchao(_: Fields, values: Facts) -> Quantisation:
    kind = values.get("quant_type")
    kept = list(_names(values.get("modules_to_not_convert")))
    notes: tuple[str, ...] = ()
    if isinstance(kind, dict):
        kind = kind.get("default", kind)
        data = kind.get("_data") if isinstance(kind, dict) else None
        modules = next(
            (
                data[name]
                for name in ("module_fqn_to_config", "fqn_to_config")
                if isinstance(data, dict) and isinstance(data.get(name), dict)
            ),
            None,
        )
        if modules is not None:
            kept += [str(name) for name, rule in modules.items() if rule is None]
            rules = {str(name): rule for name, rule in modules.items() if rule is not None}
            kind = rules.get("_default") or next(iter(rules.values()), None)
            others = [name for name, rule in rules.items() if rule != kind]
            if others:
                notes = (f"rules for {', '.join(others[:3])} are not read: counted like the rest",)
    name = kind.get("_type", "") if isinstance(kind, dict) else str(kind)
    data = kind.get("_data") if isinstance(kind, dict) else values.get("quant_type_kwargs")
    found = _of_torchao(name, data if isinstance(data, dict) else {})
    return found._replace(kept=tuple(kept), notes=(*found.notes, *notes))


def _of_torchao(name: str, data: Facts) -> Quantisation:
    """Return the format of a configuration of torchao by its name and fields."""
    word = re.sub(r"[^a-z0-9]", "", name.lower())
    granularity = data.get("weight_granularity")
    inner = granularity.get("_data") if isinstance(granularity, dict) else None
    size = data.get("group_size", inner.get("group_size") if isinstance(inner, dict) else None)
    group = size if isinstance(size, int) and not isinstance(size, bool) else 128
    if "intx" in word:
        dtype = data.get("weight_dtype")
        stated = dtype.get("_data") if isinstance(dtype, dict) else dtype
        bits = re.search(r"int([1-8])$", str(stated))
        return _of_bits("torchao", int(bits[1]), group) if bits else _unknown(f"torchao's {name}")
    if "int4" in word:
        return _of_bits("torchao", 4, group)
    both = word.count("int8") > 1 or "dynamicactivationint8" in word
    formats = {
        "nvfp4": ("nvfp4", "nvfp4"),
        "mx": ("mxfp4", "mxfp4") if "4" in word else ("mxfp8", "mxfp8"),
        "int8": ("int8", "int8-w8a8" if both else "int8"),
        "float8": ("fp8", "fp8"),
    }
    found = next((format_ for part, format_ in formats.items() if part in word), None)
    return Quantisation(*found) if found else _unknown(f"torchao's {show(name)}")


def _hqq(_: Fields, values: Facts) -> Quantisation:
    given = values.get("quant_config")
    table = given if isinstance(given, dict) else values
    own = table.get("weight_quant_params")
    rules = [own] if isinstance(own, dict) else []
    for rule in table.values() if not rules else ():
        inner = rule.get("weight_quant_params") if isinstance(rule, dict) else None
        rules += [inner] if isinstance(inner, dict) else []
    if not rules:
        return _unknown("hqq without weight_quant_params")
    bits = [rule.get("nbits") for rule in rules]
    groups = [rule.get("group_size") for rule in rules]
    first, group = bits[0], groups[0]
    notes = ("modules with other bits are counted like the first",) if len({*bits}) > 1 else ()
    if not isinstance(first, int) or isinstance(first, bool):
        return _unknown(f"hqq's nbits {show(first)}")
    found = _of_bits("hqq", first, group if isinstance(group, int) else 64)
    kept = _names(values.get("skip_modules"))
    return found._replace(kept=kept, notes=(*found.notes, *notes))


def _mlx(fields: Fields, values: Facts) -> Quantisation:
    """Read MLX: affine groups with a scale and a bias in 16 bits, or microscaling."""
    bits, group = fields.whole("bits", default=4), fields.whole("group_size", default=64)
    mode = str(values.get("mode", "affine"))
    kept = [str(name) for name, rule in values.items() if rule is False]
    other = [name for name, rule in values.items() if isinstance(rule, dict)]
    notes = (
        [f"{len(other)} modules with bits of their own are counted like the rest"] if other else []
    )
    if mode in ("mxfp4", "nvfp4", "mxfp8"):
        return Quantisation(mode, mode, tuple(kept), notes=tuple(notes))
    if mode != "affine" or bits not in (2, 3, 4, 5, 6, 8):
        return _unknown(f"MLX mode {show(mode)} with {bits} bits")
    own = bits + 32.0 / max(group, 1)
    notes.insert(0, f"MLX: {bits} bits in groups of {group}, {own:g} with scale and bias")
    return Quantisation(
        f"int{bits}", "", tuple(kept), notes=tuple(notes), bits=own, embedding_bits=own
    )


def _average(name: str) -> Callable[[Fields, Facts], Quantisation]:
    """Return the reader of formats whose bits are an average."""

    def read(_: Fields, values: Facts) -> Quantisation:
        bits = values.get("bits")
        if isinstance(bits, bool) or not isinstance(bits, int | float) or not 1 <= bits <= 16:
            return _unknown(f"{name} with bits {show(bits)}")
        head = values.get("head_bits", 6 if name in ("exl2", "exl3") else 0)
        given = isinstance(head, int | float) and not isinstance(head, bool) and 1 <= head <= 16
        return Quantisation(
            f"{name} {bits:g} bit", bits=float(bits), head_bits=float(head) if given else 0.0
        )

    return read


def _aqlm(fields: Fields, values: Facts) -> Quantisation:
    groups = fields.whole("in_group_size", default=8) * fields.whole("out_group_size", default=1)
    bits = fields.whole("num_codebooks", default=1) * fields.whole("nbits_per_codebook", default=16)
    kept = _names(values.get("linear_weights_not_to_quantize"))
    return Quantisation(
        f"aqlm {bits / max(groups, 1):g} bit", kept=kept, bits=bits / max(groups, 1)
    )


def _quanto(_: Fields, values: Facts) -> Quantisation:
    kept = _names(values.get("modules_to_not_convert"))
    weights = str(values.get("weights", "int8"))
    if weights == "float8":
        return Quantisation("fp8", "fp8", kept)
    if re.fullmatch(r"int[248]", weights):
        return _of_bits("quanto", int(weights[3:]), 128)._replace(kept=kept)
    return _unknown(f"weights {show(weights)}")


def _fixed(*found: str, experts: bool = False) -> Callable[[Fields, Facts], Quantisation]:
    """Return the reader of a method that has one format."""

    def read(_: Fields, values: Facts) -> Quantisation:
        kept = _names(values.get("modules_to_not_convert"), values.get("ignore"))
        dtype, form = found
        return Quantisation(f"{dtype} experts" if experts else dtype, form, () if experts else kept)

    return read


def _fp_quant(_: Fields, values: Facts) -> Quantisation:
    kept = _names(values.get("modules_to_not_convert"))
    name = str(values.get("forward_dtype", "mxfp4")).lower()
    if name in ("mxfp4", "nvfp4"):
        return Quantisation(name, name, kept)
    return _unknown(f"forward_dtype {show(name)}")


def _four_over_six(_: Fields, values: Facts) -> Quantisation:
    kept = _names(values.get("modules_to_not_convert"))
    name = str(values.get("weight_dtype") or values.get("dtype") or "nvfp4").lower()
    if name in ("mxfp4", "nvfp4"):
        return Quantisation(name, name, kept)
    return _unknown(f"dtype {show(name)}")


def _sinq(fields: Fields, values: Facts) -> Quantisation:
    bits, group = fields.whole("nbits", default=4), fields.whole("group_size", default=64)
    kept = _names(values.get("modules_to_not_convert"))
    return _of_bits("sinq", bits, group)._replace(kept=kept)


def _gemma(fields: Fields, values: Facts) -> Quantisation:
    bits = fields.whole("num_bits", default=4)
    rules = values.get("module_quant_configs")
    notes = [f"{len(rules)} rules of module_quant_configs are not read"] if rules else []
    if values.get("quantize_embeddings"):
        notes.append("embeddings are quantised, and counted at 16 bits")
    found = _of_bits("gemma", bits, 128)
    kept = _names(values.get("modules_to_not_convert"))
    return found._replace(kept=kept, notes=(*found.notes, *notes))


def _bitnet(_: Fields, values: Facts) -> Quantisation:
    """Read BitNet: four ternary weights in a byte, with one scale a matrix."""
    kept = _names(values.get("modules_to_not_convert"))
    if values.get("quantization_mode") == "online":  # weights of 16 bits, rounded while it runs
        return Quantisation(_UNQUANTISED, notes=("quantised while it runs (bitnet online)",))
    return Quantisation("ternary", kept=kept, bits=2.0)


def _mistral(values: Facts) -> Quantisation:
    """Read the ``quantization`` of Mistral's ``params.json``."""
    name = str(values.get("qformat_weight", "")).lower()
    if name.startswith("fp8"):
        return Quantisation("fp8", "fp8")
    return _unknown(f"qformat_weight {show(values.get('qformat_weight'))}")


_METHODS: Final[dict[str, Callable[[Fields, Facts], Quantisation]]] = {
    **dict.fromkeys(("gptq", "gptqmodel", "gptq-marlin", "auto-gptq"), _integers("gptq")),
    **dict.fromkeys(("awq", "awq-marlin", "auto-awq"), _integers("awq")),
    **dict.fromkeys(("auto-round", "autoround", "intel/auto-round", "inc"), _integers("")),
    **dict.fromkeys(("bitsandbytes", "bitsandbytes-4bit", "bitsandbytes-8bit"), _bitsandbytes),
    **dict.fromkeys(("fp8", "fine-grained-fp8", "finegrained-fp8", "deepseek-fp8"), _fp8),
    "fbgemm-fp8": _fp8,
    **dict.fromkeys(("modelopt", "modelopt-fp4", "modelopt-mixed", "modelopt-fp8"), _modelopt),
    "compressed-tensors": _compressed,
    "quark": _quark,
    "torchao": _torchao,
    "hqq": _hqq,
    "mlx": _mlx,
    "mxfp4": _fixed("mxfp4", "mxfp4", experts=True),
    "eetq": _fixed("int8", "int8"),
    "experts-int8": _experts_int8,
    "quanto": _quanto,
    "aqlm": _aqlm,
    "fp-quant": _fp_quant,
    **{name: _average(name) for name in ("exl2", "exl3", "higgs", "vptq")},
    "nvfp4": _fixed("nvfp4", "nvfp4"),
    "mxfp8": _fixed("mxfp8", "mxfp8"),
    "fouroversix": _four_over_six,
    "metal": _mlx,
    "sinq": _sinq,
    "gemma": _gemma,
    "bitnet": _bitnet,
    **dict.fromkeys(("w8a8-fp8", "ptpc-fp8"), _fixed("fp8", "fp8")),
    "w8a8-int8": _fixed("int8", "int8-w8a8"),
    **dict.fromkeys(("marlin", "moe-wna16", "ipex"), _integers("")),
}
