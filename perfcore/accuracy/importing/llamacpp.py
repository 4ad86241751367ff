"""llama.cpp: ``llama-bench`` with ``-o md`` (its default), ``json``, ``jsonl``, ``csv`` or ``sql``.

Sources of the fields: tools/llama-bench/llama-bench.cpp and README.md of ggml-org/llama.cpp. Source
of the names of file types: src/llama-model-loader.cpp.
"""

import csv
import re
from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing.documents import Record, cell_value
from perfcore.accuracy.importing.fields import Reading, Run, Tool, count, measured, text_of
from perfcore.accuracy.importing.names import native_format
from perfcore.accuracy.importing.tables import cells_of
from perfcore.catalog import loader
from perfcore.catalog.parameters import parameter_count
from perfcore.errors import InputError, argument, show

_KEYS: Final = {"model_filename", "model_type", "n_prompt", "n_gen", "avg_ts"}
_FILE_TYPE: Final = re.compile(
    r"(all F32|BF16|F16|MXFP4 MoE|NVFP4|I?Q\d_\w+|TQ\d_\d)(?: - (Small|Medium|Large)\b| (mix)\b)?"
)
_FLOATS: Final = {"all F32": "fp32", "F16": "fp16", "BF16": "bf16", "MXFP4 MoE": "mxfp4"}
_SIZES: Final = {"Small": "_s", "Medium": "_m", "Large": "_l", None: ""}
_SEPARATOR: Final = re.compile(r", *|/(?! )")  # between devices; older releases write a slash

_COLUMNS: Final = {  # of the Markdown table, and of JSON
    "model": "model_type",
    "backend": "backends",
    "ngl": "n_gpu_layers",
    "n_gpu_layers": "n_gpu_layers",
    "fa": "flash_attn",
    "type_k": "type_k",
    "type_v": "type_v",
    "n_batch": "n_batch",
    "n_ubatch": "n_ubatch",
    "threads": "n_threads",
    "sm": "split_mode",
    "dev": "devices",
    "ts": "tensor_split",
    "ot": "tensor_buft_overrides",
    "ncmoe": "n_cpu_moe",
    "n_cpu_moe": "n_cpu_moe",
    "nkvo": "no_kv_offload",
    "nopo": "no_op_offload",
    "rpc_servers": "rpc_servers",
    "embd": "embeddings",
}
_DEFAULTS: Final = {"type_k": "f16", "type_v": "f16", "split_mode": "layer"}  # not in the table
_SIZE: Final = re.compile(r"([\d.]+) ([KMG])iB")
_COUNT: Final = re.compile(r"([\d.]+) ([KMBT])")
_POWERS: Final = {"K": 1, "M": 2, "G": 3}
_COUNTS: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_TEST: Final = re.compile(r"(?:pp ?(\d+))?\+?(?:tg ?(\d+))?(?: ?@ ?d ?(\d+))?")
_RATE: Final = re.compile(r"([\d.]+)(?: ?(?:±|\+/?-) ?([\d.]+))?")
_BUILD: Final = re.compile(r"build: ([0-9a-f]{6,}) \((\d+)\)")
_DEVICES: Final = (  # lines of the log before the table, by back end
    re.compile(r"^ *Device \d+: ([^,\n]+),", re.MULTILINE),
    re.compile(r"^ggml_vulkan: \d+ = ([^|\n]+?) \|", re.MULTILINE),
    re.compile(r"^ggml_metal_\w+: GPU name: +(\S.*)$", re.MULTILINE),
)
_INSERT: Final = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \((.*)\);")
_SAME_BITS: Final = 0.6  # least bits per weight over those of the named format
_OPTIONS: Final = ("flash_attn", "n_ubatch", "n_threads")  # that no column holds
_ALIKE: Final = 0.01  # share of parameters by which a table's model may differ, as it rounds them
_AUTO: Final = "-1"  # of an option that llama-bench chooses itself
_OUTPUT_FIRST: Final = "2025-12-18"  # of -ngl, the output layer is one (ggml-org/llama.cpp#18148)
_ALL_EXPERTS: Final = re.compile(  # of -ot, as --cpu-moe and users write it
    r"(?:blk\\?\.)?(?:\.\*|\\d\+|\[0-9\]\+|\(\[0-9\]\+\))?\\?\.?(?:ffn_)?"
    r"(?:\.\*_?|\(up\|down\|gate\)_|\(up\|down\|gate\)_\(ch\|\))?exps\\?\.?(?:weight)?=CPU"
)


def matches(record: Record) -> bool:
    """Return whether a record is a test of llama-bench."""
    return record.keys() >= _KEYS


def printed(text: str) -> list[dict[str, object]]:
    """Return the tests of a Markdown table or of SQL statements."""
    return [*_markdown(text), *_sql(text)]


def _markdown(text: str) -> Iterator[dict[str, object]]:
    build = _BUILD.search(text)
    gpus = next(filter(None, (pattern.findall(text) for pattern in _DEVICES)), [])
    for row in cells_of(text):
        if not {"model", "size", "params", "test", "t/s"} <= row.keys():
            continue
        size, parameters = _SIZE.search(str(row["size"])), _COUNT.search(str(row["params"]))
        test, rate = _TEST.fullmatch(str(row["test"])), _RATE.match(str(row["t/s"]))
        record: dict[str, object] = {
            "model_filename": "",
            **_DEFAULTS,
            **{key: row[name] for name, key in _COLUMNS.items() if name in row},
        }
        if size and parameters and test and rate:
            prompt, answer, depth = (int(group or 0) for group in test.groups())
            record |= {
                "model_size": float(size[1]) * 1024.0 ** _POWERS[size[2]],
                "model_n_params": float(parameters[1]) * _COUNTS[parameters[2]],
                "n_prompt": prompt,
                "n_gen": answer,
                "n_depth": depth,
                "avg_ts": float(rate[1]),
                "build_commit": build[1] if build else "",
                "build_number": int(build[2]) if build else 0,
                "gpu_info": ", ".join(gpus),
                "backends": str(row.get("backend", "")),
            }
        yield record


def _sql(text: str) -> Iterator[dict[str, object]]:
    for table, names, values in _INSERT.findall(text):
        if table != "test" and "avg_ts" not in names:
            continue
        cells = next(csv.reader([values], quotechar="'", skipinitialspace=True))
        columns = [name.strip() for name in names.split(",")]
        if len(cells) == len(columns):
            yield {name: cell_value(cell) for name, cell in zip(columns, cells, strict=True)}


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a test, or the reason why it is left out."""
    size, parameters, rate = (
        measured(record, key, reading.place) for key in ("model_size", "model_n_params", "avg_ts")
    )
    if size is None or parameters is None or rate is None:
        return
    file = text_of(record, "model_filename")
    model = reading.names.model(file, parameters)
    placed = _placed(record, str(reading.given.get("model", model)), reading)
    reason = _reason(record) or (placed if isinstance(placed, str) else "")
    if reason or isinstance(placed, str):
        yield reason
        return
    hardware, devices = _hardware(record, reading)
    if placed:
        _note_host(hardware, reading)
    split = text_of(record, "split_mode")
    build = count(record, "build_number")
    stated: dict[str, object] = {
        "mode": "static",
        "date": text_of(record, "test_time")[:10],
        "engine": "llamacpp",
        "engine_version": f"b{build:.0f}" if build else "",
        "backend": _backend(record, hardware),
        "hardware": hardware,
        "model": model or file,
        "weight_format": _format(record, model, 8.0 * size / parameters, reading),
        "weight_bits": round(8.0 * size / parameters, 4),
        "kv_format": text_of(record, "type_k"),
        "tp": devices if split in ("row", "tensor") else 1,
        "pp": devices if split in ("layer", "") else 1,
        "concurrency": 1.0,
        **placed,
    }
    if count(record, "n_gen"):
        lengths = {"input_len": count(record, "n_depth"), "output_len": count(record, "n_gen")}
        values: dict[str, float | None] = {"tpot_s": 1.0 / rate}
    else:
        lengths = {"input_len": count(record, "n_prompt"), "output_len": 1.0}
        values = {"prefill_tokens_per_s": rate}
    unnamed = not (model or file or "model" in reading.given)
    doubts = {"model": _like(text_of(record, "model_type"), parameters)} if unnamed else {}
    yield Run(stated | lengths, values, note=_note(record), doubts=doubts)


def _like(printed_name: str, parameters: float) -> str:
    """Return the models of the catalogue that a table may mean, by their size and first letters."""
    family = re.match(r"[a-z]+", printed_name.lower())
    if family is None:
        return ""
    apart = {
        name: abs(parameter_count(loader.load_model(name)) / parameters - 1.0)
        for name in loader.names("model")
        if name.startswith(family[0])
    }
    near = sorted((far, name) for name, far in apart.items() if far < _ALIKE)
    listed = " or ".join(name for _, name in near[:4])
    shown = show(printed_name)
    return (
        f" ({shown} has the size of {listed})" if listed else f" ({shown} is not in the catalogue)"
    )


def _note(record: Record) -> str:
    """Return the back end and the options without a column, which distinguish rows."""
    options = (
        f"{name} {'auto' if str(record[name]) == _AUTO else int(count(record, name))}"
        for name in _OPTIONS
        if record.get(name) is not None
    )
    return ", ".join(filter(None, (text_of(record, "backends"), *options)))


def _format(record: Record, model: str, bits: float, reading: Reading) -> str:
    """Return the weight format of a file, by its name unless its size contradicts that."""
    named = weight_format(text_of(record, "model_type"))
    wide = {"fp32": 32.0, "fp16": 16.0, "bf16": 16.0}.get(named)
    if wide is None or bits >= _SAME_BITS * wide:
        return named
    known = str(reading.given.get("model", model))
    try:
        native = native_format(known) if known else ""
    except InputError:
        native = ""
    reading.notes[
        f"{reading.place.file}: the file calls itself {named} and has {bits:.2f} bits per weight"
        + (f": {native}, as published" if native else "; set weight_format")
    ] = None
    return native or named


def weight_format(model_type: str) -> str:
    """Return the weight format at the end of a description like ``llama 8B Q4_K - Medium``.

    Unknown formats are returned unchanged.
    """
    found = _FILE_TYPE.search(model_type)
    if found is None:
        return model_type
    kind, size, mix = found.groups()
    if mix:
        return "iq3_m"  # "IQ3_S mix", the only one
    if kind == "Q2_K" and size == "Medium":
        return "q2_k"
    return _FLOATS.get(kind, kind.lower()) + _SIZES[size]


def _reason(record: Record) -> str:
    """Return why a test cannot be a row, or ``""``."""
    prompt, answer = count(record, "n_prompt"), count(record, "n_gen")
    keys, values = text_of(record, "type_k"), text_of(record, "type_v")
    shares = set(text_of(record, "tensor_split").split("/"))
    reasons = {
        "one rate for prompt and answer together (pg)": prompt and answer,
        "neither a prompt nor an answer": not prompt and not answer,
        "a prompt after a filled context": prompt and count(record, "n_depth"),
        f"keys in {show(keys)} and values in {show(values)}": keys != values,
        "tensors placed by hand": text_of(record, "tensor_buft_overrides") not in ("", "none")
        and not _experts_by_hand(record),
        "embeddings, not answers": count(record, "embeddings"),
        "the KV cache on the host": count(record, "no_kv_offload"),
        "an uneven tensor split": len(shares) > 1,
        "devices of other machines (RPC)": "RPC" in text_of(record, "backends")
        or text_of(record, "rpc_servers"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _experts_by_hand(record: Record) -> bool:
    """Return whether tensors are placed by hand as ``--cpu-moe`` places them."""
    return bool(_ALL_EXPERTS.fullmatch(text_of(record, "tensor_buft_overrides")))


def _placed(record: Record, model: str, reading: Reading) -> dict[str, object] | str:
    """Return the columns of layers and experts on the CPU, or why no row can express them."""
    if not _has_gpu(record):
        return {}
    try:
        entry = loader.load_model(model)
    except InputError:
        return {}  # the user must name the model anyway
    layers, moe = entry.num_hidden_layers, count(record, "n_cpu_moe")
    columns: dict[str, object] = {}
    if entry.num_experts and (moe or _experts_by_hand(record)):
        columns["offload"] = "experts"
        if moe < layers and not _experts_by_hand(record):
            columns["cpu_moe_layers"] = moe
    asked = record.get("n_gpu_layers")
    if isinstance(asked, int | float) and 0 <= asked <= layers:  # -1 and more mean all
        date = text_of(record, "test_time")[:10]
        on_gpu = asked if date and date < _OUTPUT_FIRST else asked - 1
        if on_gpu < 1:
            return f"{asked:.0f} of {layers + 1} layers on the GPU"
        if on_gpu < layers:
            columns["gpu_layers"] = on_gpu
            output = "" if date else ", of which the output layer is one"
            reading.notes[
                f"{reading.place.file}: -ngl {asked:.0f} of {layers + 1} layers{output}: "
                f"gpu_layers {on_gpu:.0f}"
            ] = None
    if columns:
        if count(record, "n_prompt") and record.get("no_op_offload") in (1, True):
            return "a prompt that the CPU computes although copies would be faster (no_op_offload)"
        columns["prefill_chunk"] = count(record, "n_ubatch") or None
    return columns


def _note_host(hardware: str, reading: Reading) -> None:
    """Ask for the memory of the machine, which no file states, unless the device shares it."""
    name = str(reading.given.get("hardware") or hardware)
    try:
        shares = loader.load_device(name).shares_memory
    except InputError:
        return  # which is a fault of its own
    if "host" not in reading.given and not shares:
        reading.notes[
            f"{reading.place.file}: the memory beside the device, which holds weights, is not "
            f"stated: add {argument('given', {'host': 'NAME'})} (perfcore hosts lists all)"
        ] = None


def _gpus(record: Record) -> list[str]:
    """Return the GPUs that may have run; none if a build with GPU support was run without them."""
    if text_of(record, "devices") == "none":
        return []
    return [name for name in _SEPARATOR.split(text_of(record, "gpu_info")) if name]


def _has_gpu(record: Record) -> bool:
    """Return whether a GPU may have run, also if the log with its name is not there."""
    if text_of(record, "devices") == "none":
        return False
    backends = set(_SEPARATOR.split(text_of(record, "backends"))) - {"", "CPU", "BLAS", "RPC"}
    return bool(_gpus(record) or backends)


def _backend(record: Record, hardware: str) -> str:
    """Return the back end, ``""`` for the one of the device's vendor."""
    if _has_gpu(record):
        return "vulkan" if text_of(record, "backends") == "Vulkan" else ""
    try:
        own = loader.load_device(hardware).backends
    except InputError:
        return ""  # the user must name the device anyway
    return "" if "cpu" in own[:1] else "cpu"  # the CPU of a chip whose GPU the catalogue describes


def _hardware(record: Record, reading: Reading) -> tuple[str, int]:
    """Return the device, under the file's name if unknown, and the number of devices that ran."""
    gpus = _gpus(record)
    if not gpus:
        names = _SEPARATOR.split(text_of(record, "cpu_info"))
        known = next(filter(None, map(reading.names.device, names)), "")
        return known or ", ".join(names), 1
    chosen = text_of(record, "devices")
    devices = len(gpus) if chosen in ("", "auto") else len(chosen.split("/"))
    kinds = {reading.names.device(name) or name for name in gpus}
    return ", ".join(sorted(kinds)), devices


TOOL: Final = Tool(
    name="llama-bench",
    files="Markdown, JSON, JSON lines, CSV, SQL; a log before them",
    rows="tpot_s of tg tests, prefill_tokens_per_s of pp tests (static, 1)",
    states="engine, version, weight_format and bits, lengths, back end; model and hardware",
    lacks="model of Markdown; hardware of Markdown without its log",
    matches=matches,
    read=read,
    printed=printed,
)
