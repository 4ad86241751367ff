"""Format of the weights published with a ``config.json``, as a hint."""

from collections.abc import Mapping
from typing import Final

from perfcore.catalog.importing.document import Fields

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
_METHODS: Final = {"mxfp4": "mxfp4 experts", "fp8": "fp8", "fbgemm_fp8": "fp8"}
_ALGORITHMS: Final = {"fp8": "fp8", "nvfp4": "nvfp4", "w4a16_awq": "int4", "w4a8_awq": "int4"}


def native_dtype(config: Mapping[str, object], outer: Mapping[str, object], fields: Fields) -> str:
    """Return the format of the published weights; 16 bit unless the file says otherwise.

    The name tells if only the experts are quantised: "mxfp4 experts".
    """
    given = config.get("quantization_config") or outer.get("quantization_config")
    if isinstance(given, dict):
        quantised = _quantised(Fields(given, f"{fields.place}: quantization_config"), given)
        if quantised:
            return quantised
    dtype = config.get("dtype") or config.get("torch_dtype") or outer.get("torch_dtype")
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else ""
    return _DTYPES.get(name, _UNQUANTISED)


def _quantised(fields: Fields, values: Mapping[str, object]) -> str:
    """Return the format that a quantisation produces; empty if it is unknown."""
    method = values.get("quant_method")
    if method in ("gptq", "awq", "auto-round"):
        bits = fields.whole("bits", "w_bit", default=4)
        return f"int{bits}" if bits in _BITS else ""
    if method == "bitsandbytes":
        return "int8" if values.get("load_in_8bit") is True else "nf4"
    if method == "modelopt":
        return _ALGORITHMS.get(str(values.get("quant_algo")).lower(), "")
    if method == "compressed-tensors":
        return _compressed(fields, values)
    return _METHODS.get(method, "") if isinstance(method, str) else ""


def _compressed(fields: Fields, values: Mapping[str, object]) -> str:
    """Return the format of the first group; ignored layers tell if only experts are quantised."""
    groups = values.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = first.get("weights") if isinstance(first, dict) else None
    if not isinstance(weights, dict):
        return ""
    bits = Fields(weights, fields.place).whole("num_bits")
    kind = "fp" if weights.get("type") == "float" else "int"
    if bits not in _BITS:
        return ""
    ignored = values.get("ignore")
    attention = isinstance(ignored, list) and any("self_attn" in str(name) for name in ignored[:64])
    return f"{kind}{bits}" + (" experts" if attention else "")
