"""Generate the tables of README and docs, the pictures of README, and typed options.

    python docs/generate.py            write them
    python docs/generate.py --check    fail if a table is out of date

Tables are between ``<!-- table NAME -->`` and ``<!-- end NAME -->``; do not edit them by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import perfcore
from perfcore.accuracy.intervals import NAMES
from perfcore.accuracy.left_out import HELD_OUT
from perfcore.accuracy.score_table import METRIC_TITLES, score_table
from perfcore.accuracy.scores import score
from perfcore.accuracy.table import METRICS, read_measurements, shipped
from perfcore.catalog import load_device, load_engine, names
from perfcore.catalog.engine_entry import CALIBRATIONS, FitEvidence, StrangerErrors
from perfcore.reporting.kinds import gather
from perfcore.reporting.opening import open_source
from perfcore.reporting.vega import png
from perfcore.tables import Column, Table, left, markdown, right

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
ACCURACY = ROOT / "docs" / "accuracy.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
FAULTS = ROOT / "docs" / "faults.json"
IMAGES = ROOT / "docs" / "img"
OPTIONS = ROOT / "perfcore" / "configuration" / "options.py"

ARTICLE = {
    "8 × H100 SXM, bf16": ("h100-sxm", "bf16", 8, 1),
    "8 × H100 SXM, fp8": ("h100-sxm", "fp8", 8, 1),
    "8 × B200, fp8": ("b200", "fp8", 8, 1),
    "8 × MI300X, bf16": ("mi300x", "bf16", 8, 1),
    "8 × TPU v5p, bf16": ("tpu-v5p", "bf16", 8, 1),
    "8 × Inferentia2, bf16": ("inferentia2", "bf16", 8, 1),
    "576 × Groq LPU, fp8": ("groq-lpu", "fp8", 1, 576),
    "4 × WSE-3, bf16": ("wse-3", "bf16", 1, 4),
    "1 × M3 Ultra, Q4_0": ("m3-ultra", "q4_0", 1, 1),
}

# Accuracy targets of the project: reach and aim in %, and the sources and metrics to test them on.
TARGETS: dict[str, tuple[str, str, tuple[tuple[str, str, bool | None], ...]]] = {
    "static batch, end to end or TPOT": (
        "9",
        "7",
        (
            ("argonne", "e2e_latency_s", None),
            ("trtllm_perf", "e2e_latency_s", None),
            ("aws_neuron", "tpot_s", None),
        ),
    ),
    "decode, one device, batch 1": (
        "9",
        "5",
        (
            ("xiongjiedai", "tpot_s", None),
            ("gpt_fast", "tpot_s", None),
            ("autoawq", "tpot_s", None),
        ),
    ),
    "TPOT under load, lengths known": ("11", "8", (("inferencex", "tpot_s", False),)),
    "TPOT under load, lengths fitted": ("11", "8", (("ml_energy_v3", "tpot_s", None),)),
    "TPOT, mixtures of experts": (
        "15",
        "11",
        (("inferencex", "tpot_s", True), ("ml_energy_v3", "tpot_s", True)),
    ),
    "saturation throughput": (
        "8",
        "5",
        (("trtllm_perf", "output_tokens_per_s_per_device", None),),
    ),
    "prefill, TTFT of a static batch": (
        "13",
        "10",
        (
            ("xiongjiedai", "prefill_tokens_per_s", None),
            ("trtllm_perf", "ttft_s", None),
            ("aws_neuron", "ttft_s", None),
        ),
    ),
    "TTFT under load": ("30", "22", (("inferencex", "ttft_s", None),)),
    "energy per output token": (
        "16",
        "11",
        (
            ("ml_energy_v3", "energy_j_per_output_token", None),
            ("ml_energy_v2", "energy_j_per_output_token", None),
        ),
    ),
    "mean board power": ("12", "9", (("ml_energy_v3", "power_w_per_device", None),)),
}

# Pictures of README: file name, kind of plot, axes of the sweep.
PICTURES: dict[str, tuple[str, dict[str, object]]] = {
    "memory_wall": (
        "memory_wall",
        {
            "model": ["llama-3.1-70b"],
            "device": ["h100-sxm"],
            "weight_format": ["fp8"],
            "tp": [8],
            "batch": [1, 16, 64],
            "input_len": {"log": [128, 130_000], "n": 80},
            "output_len": [256],
        },
    ),
    "frontier": (
        "pareto",
        {
            "model": ["llama-3-70b"],
            "device": ["h100-sxm", "h200-sxm", "b200", "mi300x", "tpu-v5p", "gaudi3", "trainium2"],
            "weight_format": ["fp8"],
            "tp": [8],
            "batch": {"log": [1, 1024], "n": 50},
            "input_len": [1024],
            "output_len": [1024],
        },
    ),
    "quantisation": (
        "quantisation",
        {
            "model": ["llama-3.1-8b"],
            "device": ["h100-sxm"],
            "weight_format": ["bf16", "fp8", "int8", "int4-g128", "q4_0"],
            "batch": {"log": [1, 512], "n": 25},
            "input_len": [512],
            "output_len": [128],
        },
    ),
}


def article_table() -> str:
    """Return the table of predictions for Llama 3 70B at batch 1."""
    lines = []
    for title, (device, weights, tp, pp) in ARTICLE.items():
        options = {"weight_format": weights, "tp": tp, "pp": pp}
        point = perfcore.evaluate("llama-3-70b", device, **options)
        bound = perfcore.evaluate("llama-3-70b", device, engine="ideal", **options)
        lines.append(
            (
                title,
                f"{point['tpot_s'] * 1e3:.2f}",
                f"{bound['tpot_s'] * 1e3:.2f}",
                f"{1 / point['tpot_s']:.0f}",
                f"{point['energy_per_output_token_j']:.1f}",
                f"{point['cost_per_mtok_output_usd']:.2f}",
                point["bound"].replace("_", " "),
            )
        )
    columns = (
        *left("Llama 3 70B, batch 1"),
        *right("ms/token"),
        Column("bound", "ms", align="right"),
        *right("tokens/s", "J/token", "$/Mtok"),
        *left("bottleneck"),
    )
    return as_it_is(columns, lines)


def as_it_is(columns: Sequence[Column], lines: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are Markdown already."""
    return markdown(Table.of(columns, lines), str)


def catalogue_table() -> str:
    """Return the numbers of entries in the catalogue."""
    kinds = {
        "model": "models",
        "device": "devices",
        "weight_format": "weight formats",
        "kv_format": "KV-cache formats",
        "engine": "engines",
    }
    estimated = sum(bool(load_device(name).estimated) for name in names("device"))
    columns = right(*kinds.values(), "devices with an estimated figure")
    return as_it_is(columns, [[*(str(len(names(kind))) for kind in kinds), str(estimated)]])


def validate_table() -> str:
    """Return the output of `perfcore validate --markdown`."""
    found = score(read_measurements(shipped()))
    return markdown(score_table(found.groups(), ("source",)))


def published_table() -> str:
    """Return the scores on results published by others, by engine and device."""
    rows = read_measurements(ROOT / "tests" / "data" / "published.csv")
    keys = ("engine", "device")
    return markdown(score_table(score(rows).groups(keys), keys))


def metrics_table() -> str:
    """Return the scores on the shipped measurements, by metric."""
    return markdown(score_table(score(read_measurements(shipped())).groups(()), ()))


def _evidence() -> FitEvidence:
    evidence = load_engine("default").fit
    if evidence is None:
        raise SystemExit("engine default has no fit errors; run perfcore calibrate")
    return evidence


def strangers_table() -> str:
    """Return the errors on sources that the fit has not seen, by metric."""
    found = {(one.left_out, one.metric): one for one in _evidence().strangers if one.level == "all"}
    lines = []
    for metric in METRICS:
        cells = [_stranger(found.get((kind, metric))) for kind in (HELD_OUT, "sources", "engines")]
        lines.append((METRIC_TITLES[metric], *(cell for three in cells for cell in three)))
    columns = (
        *left("metric"),
        *right("new rows", "median", "inside"),
        *right("source left out: rows", "median", "inside"),
        *right("engine left out: rows", "median", "inside"),
    )
    return as_it_is(columns, lines)


def _stranger(one: StrangerErrors | None) -> tuple[str, str, str]:
    """Return the number of rows, the median error and the share inside the interval."""
    if one is None:
        return ("-", "-", "-")
    return (f"{one.rows:,}", f"{one.median_ape * 100:.0f}", f"{one.inside * 100:.0f}")


def levels_table() -> str:
    """Return the share of rows inside their interval, by the evidence for the stack."""
    lines = []
    for level in CALIBRATIONS:
        cells = []
        for kind in (HELD_OUT, "sources"):
            rows = [
                one for one in _evidence().strangers if (one.left_out, one.level) == (kind, level)
            ]
            total = sum(one.rows for one in rows)
            inside = sum(one.rows * one.inside for one in rows)
            cells += [f"{total:,}", f"{100 * inside / total:.0f}" if total else "-"]
        if any(cell not in "0-" for cell in cells):
            lines.append((f"*{level}*", *cells))
    columns = (*left("level"), *right("new rows", "inside", "source left out: rows", "inside"))
    return as_it_is(columns, lines)


def evidence_table() -> str:
    """Return the errors of the joint fit, as stored in the catalogue."""
    order = list(METRICS)
    lines = []
    ranked = sorted(_evidence().errors, key=lambda e: (e.source, order.index(e.metric), e.experts))
    for errors in ranked:
        shares = (
            errors.left_out_sources,
            errors.left_out_engines,
            errors.left_out_devices,
            errors.left_out_models,
            errors.median_ape,
        )
        cells = ["-" if share is None else f"{share * 100:.1f}" for share in shares]
        models = "experts" if errors.experts else "dense"
        lines.append((errors.source, f"`{errors.metric}`", models, f"{errors.rows:,}", *cells))
    columns = (
        *left("source", "metric", "models"),
        *right("rows", "source left out", "engine", "device", "model", "fit"),
    )
    return as_it_is(columns, lines)


def targets_table() -> str:
    """Return the targets next to the errors on left-out models and devices, by source."""
    lines = []
    for regime, (reach, aim, labels) in TARGETS.items():
        cells = [
            ", ".join(
                f"{_left_out(source, metric, experts, place):.1f} ({source})"
                for source, metric, experts in labels
            )
            for place in ("left_out_models", "left_out_devices")
        ]
        lines.append((regime, reach, aim, *cells))
    unseen = left("unseen model", "unseen device")
    return as_it_is((*left("regime"), *right("reach", "aim"), *unseen), lines)


def _left_out(source: str, metric: str, experts: bool | None, place: str) -> float:
    """Return a median error in %, averaged over both kinds of models weighted by rows."""
    evidence = load_engine("default").fit
    found = [
        (errors.rows, getattr(errors, place))
        for errors in (evidence.errors if evidence else ())
        if (errors.source, errors.metric) == (source, metric)
        and experts in (None, errors.experts)
        and getattr(errors, place) is not None
    ]
    return 100.0 * sum(n * value for n, value in found) / sum(n for n, _ in found)


def intervals_table() -> str:
    """Return the factors of the 80 % intervals, by the evidence for the device."""
    levels = load_engine("kernels").intervals
    lines = []
    for name in NAMES:
        cells = [
            f"{levels[level][f'low_{name}'].value:.2f} – {levels[level][f'high_{name}'].value:.2f}"
            for level in CALIBRATIONS
        ]
        lines.append((f"`{name}`", *cells))
    return as_it_is((*left("interval"), *right(*CALIBRATIONS)), lines)


def faults_table() -> str:
    """Return the results of the fault-injection tests."""
    lines = []
    for found in json.loads(FAULTS.read_text(encoding="utf-8")):
        same = "the same" if found["same_bytes"] else "DIFFER"
        sees = found["sees"] if found["sees"] == "nothing" else f"`{found['sees']}`"
        counts = (str(found[key]) for key in ("injected", "rows_lost", "rows_duplicated"))
        lines.append((found["fault"], *counts, same, sees))
    columns = (
        *left("fault"),
        *right("times", "rows lost", "rows duplicated"),
        *left("bytes", "message to the user"),
    )
    return as_it_is(columns, lines)


TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {
        "article": article_table,
        "catalogue": catalogue_table,
        "strangers": strangers_table,
        "metrics": metrics_table,
    },
    ACCURACY: {
        "strangers": strangers_table,
        "levels": levels_table,
        "validate": validate_table,
        "published": published_table,
        "evidence": evidence_table,
        "targets": targets_table,
        "intervals": intervals_table,
    },
    RELIABILITY: {"faults": faults_table},
}


def filled(path: Path) -> str:
    """Return the text of a page with every marked table regenerated."""
    text = path.read_text(encoding="utf-8")
    for name, table in TABLES[path].items():
        marked = re.compile(f"(<!-- table {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"{path.name}: no markers for table {name!r}; restore them")
        new = table()
        text = marked.sub(lambda match: f"{match[1]}{new}\n{match[2]}", text)  # noqa: B023
    return text


def draw_pictures() -> None:
    """Draw the pictures of README as `perfcore plot` does."""
    IMAGES.mkdir(exist_ok=True)
    for name, (kind, axes) in PICTURES.items():
        source = open_source({"name": name.replace("_", "-"), "axes": axes})
        (IMAGES / f"{name}.png").write_bytes(png(gather(source, kind)))


def main() -> int:
    """Write the tables, options and pictures, or check the tables."""
    from options import source  # noqa: PLC0415 - beside this script, which tests import alone

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only check tables")
    check = parser.parse_args().check
    stale = [path for path in TABLES if path.read_text(encoding="utf-8") != filled(path)]
    if check:
        for path in stale:
            print(f"{path.name}: tables are stale; run python docs/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(filled(path), encoding="utf-8")
    OPTIONS.write_text(source(), encoding="utf-8")
    draw_pictures()
    return 0


if __name__ == "__main__":
    sys.exit(main())
