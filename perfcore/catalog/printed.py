"""Names that drivers, tools and clouds print for devices, and publishers for models."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

Words = tuple[str, ...]

QUANTISED: Final = (
    r"(?:fp8|nvfp4|fp4)(?:-v\d)?|mxfp4|awq|gptq|int[48]|autoround|w\d+a\d+|bnb|[2-8]-?bit|qat|"
    r"(?:ud-)?i?q\d(?:_\w+)?"
)
_LONGEST: Final = 1_000  # characters of a name; longer texts are not names
SUFFIX: Final = re.compile(
    rf"[-_.](?:gguf|\d{{5}}-of-\d{{5}}|{QUANTISED}|b?f16|fp16|f32|quantized|dynamic|block|kv|"
    r"i1|instruct|chat|it|base|hf|text|thinking|latest|dwq|mlx|moe|exp|preview|"
    r"2[3-6](?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])[0-3]\d)$",  # year and month, month and day
    re.IGNORECASE,
)

# Parentheses, trade marks and core counts; then words that some drivers omit.
_ASIDE: Final = re.compile(r"\([^)]*\)|\b\d+-core\b", re.IGNORECASE)
_OF_MAKERS: Final = frozenset(
    [
        *("nvidia", "amd", "intel", "apple", "aws", "google", "huawei", "qualcomm", "microsoft"),
        *("tesla", "geforce", "radeon", "instinct"),
    ]
)
_NOISE: Final = _OF_MAKERS | {
    *("generation", "edition", "ed", "processor", "cpu", "gpu", "graphics", "hbm3"),
}
# Words that make another product of a name that lacks them.
_OTHER_PRODUCT: Final = frozenset(
    ["ti", "super", "xt", "xtx", "gre", "d", "laptop", "max", "pro", "ultra", "extreme", "q"]
)

# Engines that people name and that are not in the catalogue: they are not misspelled.
OTHER_ENGINES: Final = frozenset(
    [
        *("ollama", "ik-llama.cpp", "ik-llama", "exllamav3", "transformers", "hf-transformers"),
        *("atom", "mindie", "vllm-ascend", "tpu-inference", "lm-studio", "lmstudio", "tabbyapi"),
        *("tgi", "deepspeed", "koboldcpp", "aphrodite", "nano-vllm", "mlx-vlm", "vllm-omni"),
    ]
)

# Names that drivers and result files print, with words that no title in the catalogue has.
PRINTED: Final = {
    "radeon 8060s graphics": "strix-halo",
    "amd ryzen ai max+ 395 w/ radeon 8060s": "strix-halo",
    "amd ryzen ai max+ 395": "strix-halo",
    "nvidia rtx pro 6000 blackwell max-q": "rtx-pro-6000-max-q",
    "nvidia gh200 480gb": "gh200-96gb",  # 480 GB is the memory of its CPU
    "nvidia gh200 144g hbm3e": "gh200-144gb",
    "amd instinct mi300x vf": "mi300x",
    "amd instinct mi300x oam": "mi300x",
    "amd instinct mi300x hf": "mi300x",
    "amd instinct mi325x oam": "mi325x",
    "amd instinct mi325x vf": "mi325x",
    "amd instinct mi350x oam": "mi350x",
    "amd instinct mi355x oam": "mi355x",
    "amd instinct mi355x vf": "mi355x",
    "amd instinct mi250x / mi250": "mi250x",
    "amd instinct mi250x/mi250": "mi250x",
    "nvidia b200 180gb": "b200",
    "nvidia b300 sxm6 ac": "b300",
    "nvidia b300": "b300",
    "nvidia h100 sxm5 80gb": "h100-sxm",
    "nvidia h100 80gb": "h100-sxm",
    "nvidia h100 nvl 94gb": "h100-nvl",
    "nvidia h200 141gb": "h200-sxm",
    "nvidia h200 sxm5 141gb": "h200-sxm",
    "nvidia a100 sxm 80gb": "a100-80gb-sxm",
    "nvidia a100 80gb": "a100-80gb-sxm",
    "nvidia a10g 24gb": "a10g",
    "nvidia l40s 48gb": "l40s",
    "nvidia jetson agx orin": "jetson-agx-orin-64gb",
    "nvidia jetson agx thor": "jetson-agx-thor",
    "nvidia dgx spark": "dgx-spark",
    "nvidia graphics device gb10": "dgx-spark",
    "nvidia jetson agx orin developer kit": "jetson-agx-orin-64gb",
    "hl-225": "gaudi2",  # hl-smi
    "hl-325l": "gaudi3",
    "n150": "wormhole-n150",  # tt-smi
    "n300": "wormhole-n300",
    "p150a": "blackhole-p150",
    "p150b": "blackhole-p150",
    "p300c": "blackhole-p300",
    "p300": "blackhole-p300",
    "tpu v5 lite": "tpu-v5e",  # jax
    "tpu v6 lite": "tpu-v6e",
    "snapdragon x elite x1e-84-100": "snapdragon-x-elite",
    "dgx h100": "h100-sxm",
    "dgx h200": "h200-sxm",
    "dgx b200": "b200",
    "dgx b300": "b300",
}
_CHIPS: Final = {  # chips of one device only, as back ends and lspci print them
    "gfx1151": "strix-halo",
    "strix halo": "strix-halo",
}


# Machines of clouds that have one kind of device.
_CLOUD: Final = {
    r"p3\.(2|8|16)xlarge": "v100-sxm-16gb",
    r"p3dn\.24xlarge": "v100-sxm-32gb",
    r"p4d\.24xlarge": "a100-40gb-sxm",
    r"p4de\.24xlarge": "a100-80gb-sxm",
    r"p5\.(4|48)xlarge": "h100-sxm",
    r"p5en?\.48xlarge": "h200-sxm",
    r"p6-b200\.48xlarge": "b200",
    r"p6-b300\.48xlarge": "b300",
    r"p6e-gb200\.36xlarge": "gb200",
    r"p6e-gb300\.36xlarge": "gb300",
    r"g7e\.\d*xlarge": "rtx-pro-6000-server",
    r"g4dn\.\w+": "t4",
    r"g5\.\d*xlarge": "a10g",
    r"g6\.\d*xlarge": "l4",
    r"g6e\.\d*xlarge": "l40s",
    r"inf1\.\w+": "inferentia1",
    r"inf2\.\w+": "inferentia2",
    r"trn1n?\.\w+": "trainium1",
    r"trn2u?\.\w+": "trainium2",
    r"dl2q\.24xlarge": "cloud-ai-100-standard",
    r"a2-highgpu-\d+g|a2-megagpu-16g": "a100-40gb-sxm",
    r"a2-ultragpu-\d+g": "a100-80gb-sxm",
    r"a3-(high|mega|edge)gpu-\d+g": "h100-sxm",
    r"a3-ultragpu-8g": "h200-sxm",
    r"a4-highgpu-8g": "b200",
    r"a4x-highgpu-4g": "gb200",
    r"g2-standard-\d+": "l4",
    r"g4-standard-\d+": "rtx-pro-6000-server",
    r"ct4p-hightpu-\w+": "tpu-v4",
    r"tpu7x-standard-\w+": "tpu-v7x",
    r"ct5lp-hightpu-\w+": "tpu-v5e",
    r"ct5p-hightpu-\w+": "tpu-v5p",
    r"ct6e-standard-\w+": "tpu-v6e",
    r"v5litepod-\d+": "tpu-v5e",  # types of accelerators of the Cloud TPU API
    r"v5p-\d+": "tpu-v5p",
    r"v6e-\d+": "tpu-v6e",
    r"(standard_)?nc\d+as_t4_v3": "t4",
    r"(standard_)?nc\d+ads_a100_v4": "a100-80gb-pcie",
    r"(standard_)?nc\d+adi?s_h100_v5": "h100-nvl",
    r"(standard_)?nd96asr_v4": "a100-40gb-sxm",
    r"(standard_)?nd96amsr_a100_v4": "a100-80gb-sxm",
    r"(standard_)?nd96isr_h100_v5": "h100-sxm",
    r"(standard_)?nd96isr_h200_v5": "h200-sxm",
    r"(standard_)?nd96isr_mi300x_v5": "mi300x",
    r"(standard_)?nd128isr_(ndr_)?gb200_v6": "gb200",
    r"(standard_)?nd128isr_(ndr_)?gb300_v6": "gb300",
    r"(standard_)?nv(36|72)adm?s_a10_v5": "a10",  # smaller ones have parts of one
    r"(bm|vm)\.gpu\.a10\.\d": "a10",
    r"bm\.gpu4\.8": "a100-40gb-sxm",
    r"bm\.gpu\.a100-v2\.8": "a100-80gb-sxm",
    r"bm\.gpu\.h100\.8": "h100-sxm",
    r"bm\.gpu\.h200\.8": "h200-sxm",
    r"bm\.gpu\.b200\.8": "b200",
    r"bm\.gpu\.b300\.8": "b300",
    r"bm\.gpu\.gb200\.4": "gb200",
    r"bm\.gpu\.gb300\.4": "gb300",
    r"bm\.gpu\.l40s\.4": "l40s",
    r"bm\.gpu\.mi300x\.8": "mi300x",
    r"bm\.gpu\.mi355x\.8": "mi355x",
    r"gpu_\dx_h100_sxm5": "h100-sxm",  # Lambda
    r"gpu_1x_h100_pcie": "h100-pcie",
    r"gpu_1x_gh200": "gh200-96gb",
    r"gpu_\dx_b200_sxm6": "b200",
    r"gpu_8x_a100_80gb_sxm4": "a100-80gb-sxm",
    r"gpu_1x_a100_sxm4": "a100-40gb-sxm",
    r"gpu_1x_a10": "a10",
    r"gpu_\dx_a6000": "rtx-a6000",
}
_ASCEND: Final = re.compile(r"(?:ascend[ -]?)?910b\d?", re.IGNORECASE)  # npu-smi
_BRACKETS: Final = re.compile(r"\[([^][]+)\]")
_MAKERS: Final = re.compile(r"\b(corporation|inc\.|advanced micro devices)", re.IGNORECASE)
_LABEL: Final = re.compile(
    r"^\s*((chipset model|chip|card (series|model)|product name|gpu \d+)\s*:\s*"
    r"|(mac studio|mac mini|mac pro|macbook pro|imac)[\s,]+(?=.*\bm\d))",
    re.IGNORECASE,
)
_CORES: Final = re.compile(r"\b(\d+)[- ]core", re.IGNORECASE)
# Smaller chips of the same name, which have less bandwidth, by their GPU cores.
_BINNED: Final = {
    ("m3-max", 30): "m3-max-30c",
    ("m4-max", 32): "m4-max-32c",
    ("m5-max", 32): "m5-max-32c",
}


def device_of(text: str, spellings: Mapping[Words, str]) -> str:
    """Return the device that a driver, a tool or a cloud means, or ``""``.

    Parameters
    ----------
    spellings
        Devices by the words of their names, aliases and titles.
    """
    if len(text) > _LONGEST:
        return ""
    lowered = text.strip().lower()
    for pattern, name in _CLOUD.items():
        if re.fullmatch(pattern, lowered):
            return name
    if _ASCEND.fullmatch(text.strip()):
        return "ascend-910b"
    aside = _BRACKETS.findall(text)
    if aside and _MAKERS.search(text):  # lspci: Maker CHIP [Product]
        text = aside[-1]
    text = _LABEL.sub("", text)
    chip = next((name for gfx, name in _CHIPS.items() if gfx in lowered), "")
    found = spellings.get(words(text), chip)
    cores = {int(count) for count in _CORES.findall(text)}
    return next((_BINNED[found, count] for count in cores if (found, count) in _BINNED), found)


def is_full(text: str) -> bool:
    """Return whether a text is a whole name as tools print it: a maker and a number."""
    found = set(re.findall(r"[a-z]+|\d+", text.lower()))
    return bool(found & {*_OF_MAKERS, "snapdragon"}) and any(word.isdigit() for word in found)


def may_be(text: str, spelling: str) -> bool:
    """Return whether a whole name, without a size or a form, may mean the device so spelled."""
    return set(words(text)) <= set(words(spelling)) and goes_on(text, spelling)


def goes_on(text: str, spelling: str) -> bool:
    """Return whether what a device's name adds to a text leaves it the same product."""
    more = set(words(spelling)) - set(words(text))
    said, meant = ("".join(re.findall(r"[a-z0-9]", each.lower())) for each in (text, spelling))
    rest = meant.removeprefix(said) if meant.startswith(said) else ""
    other = re.match(r"[a-z]*", rest)
    words_on = more | ({other[0]} if other else set())
    return not words_on & _OTHER_PRODUCT and not (said[-1:].isalpha() and rest == "x")


_OWNER: Final = re.compile(  # as bartowski's files have it: Qwen_Qwen3-32B
    r"^(qwen|google|meta-llama|mistralai|deepseek-ai|microsoft|openai|nvidia|zai-org|moonshotai|"
    r"ai21labs|allenai|ibm-granite|cohereforai|tencent|minimaxai|xiaomimimo|liquidai)_",
    re.IGNORECASE,
)
_HUB: Final = re.compile(r"^(?:https?://)?(?:hf\.co|huggingface\.co)/", re.IGNORECASE)
_MIX_SIZE: Final = re.compile(r"(?<=_k) - (small|medium|large)\b", re.IGNORECASE)  # llama-bench
_EXPERTS: Final = re.compile(r"^(\w+?)moe (\d+B)\.(A\d+B)\b", re.IGNORECASE)  # llama-bench
_OLLAMA_FORMAT: Final = "q4_k_m"  # of tags that name none, but those of models published in fewer


class Printed(NamedTuple):
    """A model's name without its publisher, and the weight format if the name implies one."""

    stem: str
    fallback: str


def model_of(text: str) -> Printed:
    """Return the name of a model that a publisher, llama.cpp or ollama means.

    A tag after a colon is a part of the name: ``llama3.3:70b-instruct-q4_K_M`` (ollama, whose tags
    mean Q4_K_M unless they say otherwise: docs.ollama.com) or ``org/Name-GGUF:Q4_K_M``.
    """
    name = _OWNER.sub("", _HUB.sub("", text.strip()).rstrip("/").rpartition("/")[2])
    name = _MIX_SIZE.sub(lambda size: f"_{size[1][0]}", _EXPERTS.sub(r"\1 \2 \3", name))
    family, colon, tag = name.partition(":")
    of_ollama = colon and not family.lower().endswith("gguf")
    stem = f"{family}-{tag}" if colon else name
    return Printed(re.sub(r"\s+", "-", stem), _OLLAMA_FORMAT if of_ollama else "")


_FORMATS: Final = {
    "awq": "int4-g128-awq",
    "gptq": "int4-g128-gptq",
    "int4": "int4-g128",
    "4bit": "int4-g128",
    "w4a16": "int4-g128",
    "bnb": "nf4",
    "autoround": "int4-g128",
    "qat": "q4_0",  # Gemma's, for llama.cpp and ollama
    "int8": "int8",
    "8bit": "int8",
    "w8a16": "int8",
    "w8a8": "int8-w8a8",
    "fp8": "fp8",
    "fp4": "nvfp4",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
}


_MIX: Final = re.compile(r"(ud-)?i?q\d(_\w+)?")  # of a GGUF file
_WHOLE: Final = re.compile(r"b?f16|fp16|f32", re.IGNORECASE)
_VERSION: Final = re.compile(r"-v\d$")
_NARROW: Final = re.compile(rf"gguf|quantized|{QUANTISED}", re.IGNORECASE)


def format_of(suffixes: Sequence[str], native: str = "") -> str:
    """Return the weight format that the ends of a model's name state.

    It is ``""`` if they state none, and the end itself if it says only that weights are quantised.
    GGUF files of a model whose ``native`` experts are MXFP4 keep them, whatever they are called.
    """
    if native.startswith("mxfp4") and any(end.lower() == "gguf" for end in suffixes):
        return "mxfp4-gguf-f16" if is_whole(suffixes) else "mxfp4-gguf-q8"
    narrow = [_VERSION.sub("", suffix.lower()) for suffix in suffixes if _NARROW.fullmatch(suffix)]
    known = [_FORMATS.get(end, "") for end in narrow]
    mixes = [end for end in narrow if _MIX.fullmatch(end)]
    return next(filter(None, (*known, *mixes, *narrow)), "")


def is_whole(suffixes: Sequence[str]) -> bool:
    """Return whether the ends of a model's name say that its weights have 16 bits or more."""
    return any(_WHOLE.fullmatch(suffix) for suffix in suffixes)


def words(text: str) -> Words:
    """Return the words of a device's name that tell it from others, sorted."""
    found = re.findall(r"[a-z0-9.+]+", _ASIDE.sub(" ", text.lower()))
    return tuple(sorted({word.rstrip(".") for word in found} - _NOISE))
