"""What is fuzzed: each target takes bytes to a reader of what users give, and judges the outcome.

The first byte of an input says what the others are: the file itself, or choices among tokens and
changes that make a file which a reader gets far into. ``tests/test_hostile.py`` runs the targets,
too, on few inputs and on all that ever failed.
"""

import copy
import json
import math
import re
import struct
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from perfcore import units
from perfcore.accuracy import importing, kernel_fits, table
from perfcore.catalog import loader
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.importing.architectures import ARCHITECTURES
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry, EconomicsEntry, KVFormatEntry, WeightFormatEntry
from perfcore.claims import claim as claims
from perfcore.errors import InputError
from perfcore.inputs import LIMITS, broken_limits
from perfcore.limits import Limits
from perfcore.reading.places import Place
from perfcore.reading.ranges import expand
from perfcore.space import overrides
from perfcore.space.space import Space
from perfcore.space.spec import Spec
from perfcore.traffic import traces
from perfcore.traffic.requests import Requests

LONGEST_FAULT: Final = 5_000  # characters
SMALL_SPACE: Final = 10_000  # outer points of a space that is looked at whole

HERE: Final = Path(__file__).parent
_FOLDER: Final = tempfile.TemporaryDirectory(prefix="perfcore-fuzz-")


# ------------------------------------------------------------------------------ what holds always


def tolerant(read: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return what a reader returns, or None after faults that people can read."""
    try:
        return read(*arguments, **named)
    except InputError as error:
        assert error.faults
        for fault in error.faults:
            assert fault.strip()
            assert fault.isprintable(), f"a fault is not a printable line: {fault!r}"
            assert len(fault) <= LONGEST_FAULT, f"a fault has {len(fault)} characters"
    return None


def saved(data: bytes, suffix: str) -> str:
    """Return the path of a file that holds the data; the next input overwrites it."""
    path = Path(_FOLDER.name) / f"input{suffix}"
    path.write_bytes(data)
    return str(path)


def sound(kind: str, record: Any) -> None:
    """Check that a record is what physics may be given."""
    assert all(math.isfinite(value) for value in record), record
    assert broken_limits(kind, record) == (), (kind, broken_limits(kind, record), record)


# ----------------------------------------------------------------------------- from bytes to files


def _assembled(tokens: list[str], data: bytes) -> bytes:
    """The data itself, or the tokens that it counts out."""
    if not data or data[0] < 64:
        return data[1:]
    return "".join(tokens[byte % len(tokens)] for byte in data[1:]).encode("utf-8", "replace")


_NUMBERS: Final = (
    *("0", "1", "2", "8", "-1", "0.5", "1e-30", "1e30", "1e308", "-0.0", "nan", "inf", "-inf"),
    *("1_000", "1000001", "9223372036854775808", "0x" + "f" * 400, "0b1", "true", "2024-01-01"),
    *('"1e400"', '"1e99999999999999999999"', '"60 %"', '"3.35 TB/s"', '"50 ms"', '"80 GiB"'),
    *('"128Ki"', '"1B"', '"1 s\\ny"', '"9' + "9" * 60 + ' x\\ny"', '"1"', '"2.5 USD/h"', '"700 W"'),
    *('"\\u0000"', '"\\u001b[2J"', '"\\u202e"', '""', '"=1+1"', "[]", "{}", "[[]]", "[1, 2]"),
    *("[1,", "]", ",", "{", "}", "\n", " = ", "#", "'", '"', ".", "a" * 300, "x.y.z"),
    *("{ log = [1, 1000000], n = 3 }", "{ linear = [1, 1000000], n = 1000000 }"),
    *("{ pow2 = [1, 1024] }", "{ scale = [0.5, 2] }", "{ scale = 1e9 }"),
)

SPEC_TOKENS: Final = [
    *(
        "\n[axes]\n",
        "\n[what_if]\n",
        "\n[[where]]\n",
        "\n[[zip]]\n",
        "\n[sample]\n",
        "\n[output]\n",
    ),
    *('model = "llama-3-8b"\n', 'device = "h100-sxm"\n', 'device = ["h100-sxm", "a100-80gb"]\n'),
    *(
        'engine = ["default", "vllm"]\n',
        'weight_format = ["bf16", "fp8"]\n',
        'kv_format = "bf16"\n',
    ),
    *('model = { family = "dense", params = { log = ["1B", "1T"], n = 3 } }\n',),
    *('model = { family = "moe", params = "1T", active = [0.1, "32B"] }\n',),
    *('devices = "auto"\n', "batch = ", "input_len = ", "output_len = ", "tp = ", "pp = ", "dp = "),
    *("ep = ", "prefix_hit = ", "draft_len = ", "acceptance = ", "scheduler = ", "offload = "),
    *(
        '"static"',
        '"continuous"',
        '["none", "kv"]',
        "model = ",
        "device = ",
        '"./x.toml"',
        '"~x/y"',
    ),
    *(
        '"device.memory_bandwidth" = ',
        '"engine.launch" = ',
        '"model.layers" = ',
        '"device.spatial" =',
    ),
    *('"economics.pue" = ', "device.memory_capacity = ", "\n[device]\n", "memory_bandwidth = "),
    *(
        'axes = ["tp", "batch"]\n',
        'axes = ["batch", "input_len"]\n',
        "axes = ",
        'metric = "tpot_s"\n',
    ),
    *('axis = "batch"\n', 'axis = "model"\n', 'metric = "status"\n', "min = ", "max = ", "in = "),
    *("n = ", "seed = ", 'method = "random"\n', 'method = "sobol"\n', 'columns = "all"\n'),
    *(
        'columns = ["tpot_s"]\n',
        "significant_bits = ",
        'dtype = "float64"\n',
        'profile = "small"\n',
    ),
    *("keep_infeasible = true\n", "name = ", "description = ", "zip = ", "where = ", "axes = "),
    *_NUMBERS,
]

KINDS: Final = {
    "model": ModelEntry,
    "device": DeviceEntry,
    "weight_format": WeightFormatEntry,
    "kv_format": KVFormatEntry,
    "engine": EngineEntry,
    "economics": EconomicsEntry,
}
_EXAMPLES: Final = {
    "model": "llama-3-8b",
    "device": "h100-sxm",
    "weight_format": "fp8",
    "kv_format": "fp8",
    "engine": "vllm",
    "economics": "default",
}


def _example(kind: str) -> dict[str, object]:
    """Return the table of an entry of the catalogue."""
    found = loader._index(kind)[_EXAMPLES[kind]]  # noqa: SLF001 - the table as it is written
    table_ = tomllib.loads(found.file.read_text("utf-8"))[found.name]
    return {key: value for key, value in table_.items() if key != "aliases"}


EXAMPLES: Final = {kind: _example(kind) for kind in KINDS}
KEYS: Final = {kind: [*entry.model_fields, "x"] for kind, entry in KINDS.items()}

VALUES: Final[tuple[object, ...]] = (
    *(None, True, False, 0, 1, 2, 3, 7, 32, 64, 128, 4096, 100_000, 10**9, 10**9 + 1, -1, 2**63),
    *(10**30, 10**400, 0.5, -0.5, 1.5, 1e-30, 1e30, 1e300, 1e308, math.nan, math.inf, -math.inf),
    *("", "x", "0", "1", "1e9", "1e400", "1e99999999999999999999", "60 %", "3.35 TB/s", "1 EB/s"),
    *("80 GiB", "1e30 B/s", "1e30 FLOP/s", "50 us", "1e9 years", "700 W", "1e30 W", "2.5 USD/h"),
    *("1e30 USD/h", "1e30 USD", "30000 USD", "999999999999999 TB", "9" * 5_000, "1 " + " " * 99),
    *("9" * 60 + " x\ny", "-Q4" + "_a" * 40 + "!", "((((((((((((", "-it" * 100, "\x00", "\x1b[2J"),
    *("\ud800", "\u202e", "=1+1", "@x", "\t=1", "-1", "+1", "a" * 3_000, "../../x", "/x/y.toml"),
    *("default", "h100-sxm", "llama-3.1-8b", "bf16", "fp8", "scale", "none", "all", "FSFS"),
    *("full_attention", "sliding_attention", "owned", "spot", "gguf", "8-block", "nvlink"),
    *([], {}, [[]], [1], [1, 2], ["x"], [None], [0, -1], {"x": 1}, {"value": 1}, [{"name": "x"}]),
    *([1] * 500, ["full_attention"] * 32, ["full_attention", "sliding_attention"] * 16),
)


def _deep(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def _paths(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of nested tables, as the keys that lead to it."""
    if not isinstance(value, Mapping):
        return []
    inner = [found for key, below in value.items() for found in _paths(below, (*path, key))]
    return [*((*path, key) for key in value), *inner]


def _edited(sample: Mapping[str, object], keys: list[str], data: bytes) -> dict[str, object]:
    """A sample of which pairs of bytes change values: which, and to what."""
    changed: dict[str, Any] = json.loads(json.dumps(sample))
    paths = _paths(changed) + [(key,) for key in keys]
    for place, choice in zip(data[::2], data[1::2], strict=False):
        level = changed
        path = paths[place % len(paths)]
        for key in path[:-1]:
            level = level[key] if isinstance(level.get(key), dict) else {}
        if choice == 255:
            level.pop(path[-1], None)
        elif choice == 254:
            level[path[-1]] = _deep(300 if place % 2 else 90)
        else:
            level[path[-1]] = copy.deepcopy(VALUES[choice % len(VALUES)])
    return changed


# ----------------------------------------------------------------------------------- the targets


def spec(data: bytes) -> None:
    """A sweep file, and the space that it asks for."""
    found = tolerant(Spec.from_toml, saved(_assembled(SPEC_TOKENS, data), ".toml"))
    if found is None:
        return
    assert 0 < found.grid_rows < 2**63
    assert all(math.isfinite(v) for a in found.axes for v in a.values if not isinstance(v, str))
    space = tolerant(Space, found)
    if space is not None and space.outer_points <= SMALL_SPACE:
        if space.inner_points <= SMALL_SPACE and len(space.axes[0]) < 50:
            tolerant(lambda: (space.rules, space.inner, space.tables, space.block(0, 1)))
    if sum(map(len, found.axes)) < SMALL_SPACE:
        again = found.fingerprint()
        assert re.fullmatch("[0-9a-f]{64}", again)


def override(data: bytes) -> None:
    """Texts of ``--set``, one a line, onto a sweep."""
    text = _assembled(SPEC_TOKENS + ["axes.", "what_if.", "output.", "="], data).decode(
        "utf-8", "surrogateescape"
    )
    base = {"axes": {"model": "llama-3-8b", "device": "h100-sxm"}}
    tolerant(Spec.from_dict, base, "spec", text.split("\x01"))
    faults: list[str] = []
    overrides.parse(text, Place("spec", "", faults))
    assert all(fault.isprintable() for fault in faults)


def _toml_value(value: object) -> str | None:
    """A value as TOML, or None where TOML has none such."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return hex(value) if value > 10**300 else str(value)
    if isinstance(value, float):
        return str(value).replace("+", "")
    if isinstance(value, str):
        return json.dumps(value) if value.isascii() or "\ud800" not in value else None
    if isinstance(value, list):
        items = [_toml_value(item) for item in _shallow(value)]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    if isinstance(value, Mapping):
        pairs = [(json.dumps(key), _toml_value(inner)) for key, inner in value.items()]
        return f"{{{', '.join(f'{key} = {text}' for key, text in pairs if text is not None)}}}"
    return None


def _shallow(value: list[Any]) -> list[Any]:
    return value if not value or not isinstance(value[0], list) or not value[0] else [1]


def entry(data: bytes) -> None:
    """A file of catalogue entries of some kind."""
    if len(data) < 2:
        return
    kind = list(KINDS)[data[1] % len(KINDS)]
    if data[0] < 32:
        content = data[2:]
    else:
        edited = _edited(EXAMPLES[kind], KEYS[kind], data[2:])
        lines = [f"{json.dumps(key)} = {_toml_value(value)}" for key, value in edited.items()]
        content = "\n".join(["[x]", *(line for line in lines if not line.endswith("= None"))])
        content = content.encode("utf-8", "replace")
    found = tolerant(loader.load, kind, saved(content, ".toml"))
    if found is None:
        return
    device = loader.load_device("h100-sxm")
    record = found.record(device) if kind == "engine" else found.record()
    assert type(record)._fields == tuple(LIMITS[kind])
    sound(kind, record)
    assert json.dumps(found.model_dump(mode="json"), allow_nan=False)


def config(data: bytes) -> None:
    """A ``config.json`` of Hugging Face."""
    if len(data) < 3:
        return
    if data[0] < 64:
        content = data[1:]
    else:
        names = list(CONFIGS)
        sample = CONFIGS[names[data[1] % len(names)]]
        if data[0] > 192:
            sample = sample | {"model_type": list(ARCHITECTURES)[data[2] % len(ARCHITECTURES)]}
        content = json.dumps(_edited(sample, CONFIG_KEYS, data[3:])).encode()
    found = tolerant(loader.load, "model", saved(content, ".json"))
    if found is not None:
        sound("model", found.record())


CONFIGS: Final = {
    name: case["config"]
    for name, case in json.loads(
        (HERE.parent / "data" / "hf_configs.json").read_text("utf-8")
    ).items()
}
CONFIG_KEYS: Final = sorted({key for sample in CONFIGS.values() for key in sample})


def results(data: bytes) -> None:
    """A file of results of a benchmark tool."""
    if len(data) < 3:
        return
    if data[0] < 64:
        content = data[1:]
    else:
        names = list(RESULTS)
        sample = RESULTS[names[data[1] % len(names)]]
        content = json.dumps(_edited(sample, [], data[2:])).encode()
    given = {"hardware": "h100-sxm"} if data[0] % 2 else {}
    found = tolerant(importing.read_results, [saved(content, ".json")], given)
    if found is not None:
        _same_again(found.rows)


def _same_again(rows: list[table.Measurement]) -> None:
    """Check that a table of measurements reads back as it was written."""
    path = Path(_FOLDER.name) / "table.csv"
    table.write_measurements(path, rows)
    again = [row._replace(line=0) for row in table.read_measurements(path)]
    assert again == [row._replace(line=0) for row in rows]


RESULTS: Final[dict[str, Mapping[str, object]]] = json.loads(
    (HERE / "results.json").read_text("utf-8")
)


def _csv(columns: tuple[str, ...], values: tuple[str, ...], data: bytes) -> bytes:
    """Cells that the data counts out, below columns that it counts out."""
    if not data or data[0] < 64:
        return data[1:]
    chosen = [
        name for bit, name in enumerate(columns) if data[1 + bit // 8 :][:1] and _bit(data, bit)
    ]
    lines = [",".join(chosen)]
    cells = [values[byte % len(values)] for byte in data[1 + (len(columns) + 7) // 8 :]]
    width = max(len(chosen), 1)
    lines += [",".join(cells[start : start + width]) for start in range(0, len(cells), width)]
    return "\n".join(lines).encode("utf-8", "replace")


def trace(data: bytes) -> None:
    """A trace of requests, as CSV, JSON lines or one document."""
    if len(data) < 3:
        return
    kind = data[0] % 4
    if kind == 0:
        content = _csv(TRACE_COLUMNS, TRACE_CELLS, data[1:])
    elif kind == 1:
        content = data[1:]
    else:
        samples = list(TRACES)
        records = [
            json.dumps(_edited(samples[(data[1] + place) % len(samples)], [], part)).encode()
            for place, part in enumerate((data[2:], data[1:], b""))
        ]
        content = b"\n".join(records[: 1 + data[1] % 3])
    found = tolerant(traces.read_trace, saved(content, ".csv"))
    if found is not None:
        _sound_requests(tolerant(traces.replayed, found, 2, 1.5))


def _sound_requests(requests: Requests | None) -> None:
    """Check that requests are what the simulation may be given."""
    if requests is None:
        return
    assert (np.diff(requests.arrival_s) >= 0.0).all()
    assert np.isfinite(requests.arrival_s).all()
    assert (requests.input_len >= 1).all()
    assert (requests.output_len >= 1).all()
    counts = np.diff(requests.first_block)
    assert (counts >= 0).all()
    assert (counts * requests.block_tokens <= requests.input_len).all()
    assert requests.first_block[-1] == len(requests.block_hash)
    assert (requests.block_hash >= 0).all()


TRACE_COLUMNS: Final = (
    *("arrival_s", "input_len", "output_len", "session", "prefix", "prefix_len"),
    *("TIMESTAMP", "ContextTokens", "GeneratedTokens", "priority"),
)
TRACE_CELLS: Final = (
    *("0", "1", "1", "2", "3", "16", "100", "1e3", "2.5", "0.5", "a", "b", "", "-1", "nan", "inf"),
    *("1e9", "1e18", "9" * 400, "2023-11-16 18:17:03.97", "2023-11-16 18:17:04", "1Ki", '"', "x"),
)
TRACES: Final[tuple[Mapping[str, object], ...]] = (
    {"timestamp": 5, "input_length": 1500, "output_length": 5, "hash_ids": [0, 1, 2]},
    {"timestamp": 9, "input_length": 1024, "output_length": 7, "hash_ids": [0, "x"]},
    {
        "start_times": [2.5, 1.0],
        "input_lens": [7, 8],
        "output_lens": [1, 2],
        "errors": ["", "failed"],
    },
    {
        "metadata": {"x_correlation_id": "a", "request_start_ns": 10**18, "benchmark_phase": ""},
        "metrics": {
            "input_sequence_length": {"value": 9},
            "output_sequence_length": {"value": 4.0},
        },
        "error": None,
    },
)


def _bit(data: bytes, bit: int) -> bool:
    return bool(data[1 + bit // 8] >> bit % 8 & 1)


_CELLS: Final = (
    *(
        "",
        "1",
        "8",
        "0",
        "-1",
        "0.5",
        "1e-12",
        "1e12",
        "1e13",
        "nan",
        "inf",
        "1e400",
        "1e9999999999",
    ),
    *("llama-3.1-8b", "h100-sxm", "mixtral-8x7b", "fp8", "bf16", "default", "vllm", "x", "tpot_s"),
    *("ttft_s", "prefill_tokens_per_s", "closed_loop", "saturation", "s", "tok/s", "=1+1", "@x"),
    *('"a,b"', '"', '""', '"a\nb"', "\x00", "\x1b", "\ud800", "65536", "65537", "1,2", " 3 ", "+7"),
    *("gemm", "fp8", "attn_decode", "all_reduce_custom", "1e-6", "4096", "a" * 500, "9" * 5000),
    *("./x.toml", "x.json", "x.gguf", ".", "1;2", "-", "'=1", "1 000", "1e3", "1Ki", "10 %"),
)


def claim(data: bytes) -> None:
    """A file of published claims."""
    tolerant(claims.read_claims, saved(_csv(claims.COLUMNS, _CELLS, data), ".csv"))


def measurement(data: bytes) -> None:
    """A table of measurements."""
    path = saved(_csv(table.COLUMNS, _CELLS, data), ".csv")
    found = tolerant(table.read_measurements, path)
    if found is not None:
        _same_again(found)


def kernel(data: bytes) -> None:
    """A table of times of kernels."""
    form = kernel_fits._FORM  # noqa: SLF001 - its columns
    tolerant(kernel_fits.read_kernels, saved(_csv(tuple(form.columns), _CELLS, data), ".csv"))


def _gguf_text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


_GGUF_KEYS: Final = (
    *("general.architecture", "general.file_type", "llama.block_count", "llama.embedding_length"),
    *("llama.attention.head_count", "llama.attention.head_count_kv", "llama.context_length"),
    *("llama.expert_count", "llama.expert_used_count", "llama.attention.sliding_window"),
    *(
        "llama.attention.key_length",
        "llama.feed_forward_length",
        "split.count",
        "gemma2.block_count",
    ),
    *("llama.nextn_predict_layers", "llama.attention.sliding_window_pattern", "general.name"),
    *("llama.rope.dimension_count", "llama.ssm.state_size", "tokenizer.ggml.tokens"),
)
_GGUF_VALUES: Final = (
    *(struct.pack("<II", 4, number) for number in (0, 1, 2, 4, 8, 64, 128, 2**31, 2**32 - 1)),
    *(struct.pack("<Ii", 5, number) for number in (-1, 7, -(2**31))),
    *(struct.pack("<IQ", 10, number) for number in (0, 1, 2**63, 2**64 - 1)),
    *(struct.pack("<If", 6, number) for number in (0.5, math.nan, math.inf)),
    *(struct.pack("<IB", 7, number) for number in (0, 1, 2)),
    *(struct.pack("<I", 8) + _gguf_text(text) for text in ("llama", "gemma2", "x", "", "\x1b")),
    *(struct.pack("<IIQ", 9, 4, count) + bytes(4 * min(count, 3)) for count in (0, 1, 3, 2**63)),
    *(struct.pack("<IIQ", 9, 8, count) for count in (0, 1, 2**63)),
    struct.pack("<IIQ", 9, 9, 1),
    struct.pack("<I", 99),
    b"",
)
_GGUF_TENSORS: Final = (
    *("token_embd.weight", "output.weight", "output_norm.weight", "blk.0.attn_q.weight"),
    *("blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.attn_norm"),
    *(
        "blk.0.ffn_up.weight",
        "blk.0.ffn_down.weight",
        "blk.0.ffn_gate.weight",
        "blk.1.attn_q.weight",
    ),
    *("blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight", "blk.0.ffn_down_exps.weight"),
    *("blk.999999.x", "blk.0.ssm_in.weight", "blk.0.attn_kv_a_mqa.weight", "rope_freqs.weight"),
)
_GGUF_SIZES: Final = (0, 1, 8, 32, 64, 128, 256, 2**20, 2**32, 2**63, 2**64 - 1)


def _gguf_file(data: bytes) -> bytes:
    """A header of a small model, and keys and tensors that the data counts out."""
    metadata: dict[str, bytes] = {
        "general.architecture": struct.pack("<I", 8) + _gguf_text("llama"),
        "llama.block_count": struct.pack("<II", 4, 1),
        "llama.embedding_length": struct.pack("<II", 4, 64),
        "llama.attention.head_count": struct.pack("<II", 4, 4),
        "llama.context_length": struct.pack("<II", 4, 2048),
    }
    shapes: dict[str, tuple[tuple[int, ...], int]] = {
        "token_embd.weight": ((64, 256), 1),
        "output_norm.weight": ((64,), 0),
        **{f"blk.0.attn_{name}.weight": ((64, 64), 1) for name in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{name}.weight": ((64, 128), 1) for name in ("gate", "up")},
        "blk.0.ffn_down.weight": ((128, 64), 1),
        "blk.0.attn_norm.weight": ((64,), 0),
        "blk.0.ffn_norm.weight": ((64,), 0),
    }
    for what, one, other in zip(data[::3], data[1::3], data[2::3], strict=False):
        if what % 4 == 0:
            shapes.pop(_GGUF_TENSORS[one % len(_GGUF_TENSORS)], None)
        elif what % 2:
            key = _GGUF_KEYS[one % len(_GGUF_KEYS)]
            metadata[key] = _GGUF_VALUES[other % len(_GGUF_VALUES)]
        else:
            size = _GGUF_SIZES
            shape = (size[other % 11], size[other // 11 % 11], size[other // 121])
            name = _GGUF_TENSORS[one % len(_GGUF_TENSORS)]
            shapes[name] = (shape[: 1 + what // 4 % 3], what // 16)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    for key, value in metadata.items():
        head += _gguf_text(key) + value
    for name, (shape, kind) in shapes.items():
        head += _gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", kind, 0)
    return head


def gguf(data: bytes) -> None:
    """The header of a GGUF file."""
    if not data:
        return
    content = data[1:] if data[0] < 96 else _gguf_file(data[1:])
    found = tolerant(loader.load, "model", saved(content, ".gguf"))
    if found is not None:
        sound("model", found.record())


def quantity(data: bytes) -> None:
    """A quantity with its unit, and a value of an axis."""
    if not data:
        return
    dimension = list(units.DIMENSIONS)[data[0] % len(units.DIMENSIONS)]
    text = data[1:].decode("utf-8", "surrogateescape")
    try:
        assert math.isfinite(units.parse(text, dimension))
    except ValueError as error:
        assert len(str(error)) <= LONGEST_FAULT
    faults: list[str] = []
    values = expand(text, Limits(dimension, 1e-30, 1e30), Place("file", "key", faults))
    assert (values is None) == bool(faults)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        spec,
        override,
        entry,
        config,
        gguf,
        results,
        claim,
        measurement,
        trace,
        kernel,
        quantity,
    )
}
