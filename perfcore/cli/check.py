"""``perfcore check``: a benchmark result compared with its bound and its prediction."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from perfcore.accuracy.checking import Finding
from perfcore.accuracy.checking import check as findings_of
from perfcore.accuracy.importing import SETTABLE, read_results, settings
from perfcore.accuracy.importing.template import typed_row
from perfcore.accuracy.table import METRICS, Measurement, read_measurements
from perfcore.cli.completion import entry_name
from perfcore.cli.parsing import Command
from perfcore.cli.text import (
    dump,
    facts,
    heading,
    json_option,
    paragraph,
    print_table,
    say,
    set_option,
)
from perfcore.errors import InputError
from perfcore.reading.files import read_text
from perfcore.tables import Table, left, right
from perfcore.units import format_quantity, parse, plural

_SPELLINGS: Final = {  # of metrics, as people type them
    "tpot": "tpot_s",
    "itl": "tpot_s",
    "ttft": "ttft_s",
    "e2e": "e2e_latency_s",
    "latency": "e2e_latency_s",
    "prefill": "prefill_tokens_per_s",
    "tokens_per_s": "output_tokens_per_s",
    "throughput": "output_tokens_per_s",
    "tok/s": "output_tokens_per_s",
    "tokens/s": "output_tokens_per_s",
    "t/s": "output_tokens_per_s",
    "power": "power_w_per_device",
    "energy": "energy_j_per_output_token",
}
_OF_ALL: Final = "output_tokens_per_s"  # of the whole system
_OF_ONE: Final = "tokens_per_s_per_user"  # the inverse of tpot_s
_WORDS: Final = (*METRICS, _OF_ALL, _OF_ONE)
_MODES: Final = {"continuous": "closed_loop", "closed-loop": "closed_loop"}
_OPTIONS: Final = (  # option, column, metavar, meaning
    ("--model", "model", "NAME", "Model of a line typed in, or of a file that does not state it."),
    ("--device", "hardware", "NAME", "Device, as above."),
    ("--engine", "engine", "NAME", "Engine, or a calibrated FILE.toml."),
    ("--engine-version", "engine_version", "VERSION", "Version of the engine."),
    ("--weight-format", "weight_format", "NAME", "Format of the weights."),
    ("--kv-format", "kv_format", "NAME", "Format of the KV cache."),
    ("--tp", "tp", "N", "Tensor-parallel degree."),
    ("--pp", "pp", "N", "Pipeline-parallel degree."),
    ("--ep", "ep", "N", "Expert-parallel degree."),
    ("--dp", "dp", "N", "Data-parallel replicas."),
    ("--concurrency", "concurrency", "N", "Sequences in flight."),
    ("--input-len", "input_len", "TOKENS", "Mean prompt length."),
    ("--output-len", "output_len", "TOKENS", "Mean output length."),
    ("--mode", "mode", "MODE", "static, closed_loop, saturation or disaggregated."),
)
_MOST_ROWS: Final = 12  # in a terminal
_MOST_SHARES: Final = 5
_EVIDENCE: Final = {
    "own": "{0} is fitted to measurements on {1}",
    "class": "{0} is fitted to measurements on devices like {1}, not on it",
    "unseen": "no measurement of {0} on devices like {1}: the interval is wide",
    "claim": "only the vendor's claims are known of {0} on {1}",
}
_TABLE: Final = frozenset(["model", "hardware", "metric", "value"])


def _options(command: click.Command) -> click.Command:
    """Add an option for each column that is often given."""
    for option, column, metavar, meaning in reversed(_OPTIONS):
        kind = {"model": "model", "hardware": "device", "engine": "engine"}.get(column)
        command = click.option(
            option,
            column,
            metavar=metavar,
            help=meaning,
            shell_complete=entry_name(kind) if kind else None,
        )(command)
    return command


@click.command(cls=Command)
@click.argument("results", metavar="RESULT|METRIC=VALUE...", nargs=-1, required=True)
@_options
@set_option("eager=true", "given")
@json_option
def check(
    results: tuple[str, ...], given: tuple[str, ...], as_json: bool, **columns: str | None
) -> None:
    """Check whether a benchmark result is to be expected.

    RESULT is a file that `perfcore measurements import` or `perfcore validate` reads. Or type a
    result in: METRIC=VALUE with a unit, e.g. tpot=10.5ms, ttft=85ms, throughput=1500 (tokens/s of
    all devices), prefill=21000, and the configuration as options, or as COLUMN=VALUE.

    For each number, check prints the physical bound, the prediction, its 80 % interval, what takes
    the time, and what would explain a difference. The exit code is 0 whatever the verdict.

    \b
    perfcore check serve.json --device h100-sxm
    perfcore check tpot=10.5ms ttft=85ms --model llama-3.1-8b --device h100-sxm \\
        --engine vllm --concurrency 16 --input-len 1024 --output-len 256
    """  # noqa: D301
    told = {column: value for column, value in columns.items() if value is not None}
    if "mode" in told:
        told["mode"] = _MODES.get(told["mode"], told["mode"])
    values = [word for word in results if _is_value(word) and not _column(word)]
    files = [word for word in results if not _is_value(word)]
    if values and files:
        raise click.UsageError("give a file, or metrics with their values, not both")
    in_words = [_column(word) for word in results if _is_value(word) and _column(word)]
    if not values and not files:
        raise click.UsageError("give a file, or a metric with its value, such as tpot=10.5ms")
    typed_in = (*(f"{column}={value}" for column, value in told.items()), *in_words, *given)
    stated = settings(typed_in)
    notes: list[str] = []
    rows = _typed(values, stated) if values else _read(files, stated, notes)
    found = findings_of(rows)
    if as_json:
        dump({"findings": [one.to_dict() for one in found], "notes": notes})
        return
    for note in notes:
        say(f"note: {note}", err=True)
    _show(found)


def _is_value(word: str) -> bool:
    name, equals, _ = word.partition("=")
    spelled = name.strip().lower() in _SPELLINGS or name.strip().replace("-", "_").isidentifier()
    return bool(equals) and spelled and not Path(word).exists()


def _column(word: str) -> str:
    """Return a column and its value, as ``--set`` has them; empty if the word is a metric."""
    name, _, value = (part.strip() for part in word.partition("="))
    column = name.replace("-", "_")
    column = {"device": "hardware"}.get(column, column)
    if column not in SETTABLE or column in _WORDS:
        return ""
    return f"{column}={_MODES.get(value, value) if column == 'mode' else value}"


def _typed(words: Sequence[str], stated: dict[str, object]) -> list[Measurement]:
    """Return the rows of metrics that were typed in."""
    faults: list[str] = []
    missing = [
        f"--{'device' if column == 'hardware' else column.replace('_', '-')}"
        for column in ("model", "hardware")
        if column not in stated
    ]
    if missing:
        faults.append(f"{' and '.join(missing)}: needed to check a number; add them")
    values: dict[str, float] = {}
    for word in words:
        name, _, text = (part.strip() for part in word.partition("="))
        metric = _SPELLINGS.get(name.lower(), name)
        if metric not in _WORDS:
            faults.append(
                f"{word}: no metric or column {name!r}; use one of {', '.join(_SPELLINGS)}"
            )
            continue
        try:
            value = _number(metric, text)
        except ValueError as error:
            faults.append(f"{word}: {error}")
            continue
        if value <= 0.0:
            faults.append(f"{word}: must be above 0; correct it")
        else:
            values[metric] = value
    if faults:
        raise InputError(faults)
    return [_row(metric, value, stated) for metric, value in values.items()]


def _number(metric: str, text: str) -> float:
    """Return a value in SI units; a bare number is in them already."""
    if METRICS.get(metric, ("tok/s",))[0] != "s":
        text = text.partition(" ")[0]
    try:
        value = float(text)
    except ValueError:
        if METRICS.get(metric) != ("s",):
            raise ValueError(f"{text!r} is not a number; write it like 1500") from None
        return float(parse(text, "time"))
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number; write it like 0.0105")
    return value


def _row(metric: str, value: float, stated: dict[str, object]) -> Measurement:
    row = typed_row(stated)
    if metric == _OF_ONE:
        return row._replace(metric="tpot_s", value=1.0 / value, unit="s")
    if metric == _OF_ALL:
        metric, value = f"{_OF_ALL}_per_device", value / row.devices
    return row._replace(metric=metric, value=value, unit=METRICS[metric][0])


def _read(files: Sequence[str], stated: dict[str, object], notes: list[str]) -> list[Measurement]:
    rows: list[Measurement] = []
    results = []
    for path in files:
        if path.endswith(".csv") and _is_table(path):
            rows += [_with(row, stated) for row in read_measurements(path)]
        else:
            results.append(path)
    if results:
        found = read_results(results, stated, keep_suspect=True)  # suspect rows are named below
        rows += found.rows
        notes += found.notes
        notes += [f"{skip.file}: left out: {skip.reason}" for skip in found.skipped]
        if found.assumed:
            notes.append(f"assumed by default: {', '.join(found.assumed)}")
    return rows


def _is_table(path: str) -> bool:
    header = read_text(path, ".csv").lstrip("\ufeff").partition("\n")[0]
    return {name.strip(' "') for name in header.strip().split(",")} >= _TABLE


def _with(row: Measurement, stated: dict[str, object]) -> Measurement:
    changed = row._replace(**stated)  # type: ignore[arg-type]
    return changed._replace(devices=changed.tp * changed.pp * changed.dp)


def _show(found: Sequence[Finding]) -> None:
    parts = [_configuration(one) for one in found]
    varying = [name for name in parts[0] if len({part[name] for part in parts}) > 1]
    common = ", ".join(text for name, text in parts[0].items() if name not in varying)
    say(common, bold=True)
    columns = (
        *left(*varying, "metric"),
        *right("measured", "bound", "expected", "80 % interval"),
        *left("verdict"),
    )
    shown = found[:_MOST_ROWS]
    print_table(Table.of(columns, [_cells(one, varying) for one in shown]))
    if len(found) > len(shown):
        paragraph(f"and {plural(len(found) - len(shown), 'row')} more; --json lists all", "")
    say()
    facts(_background(shown))
    for one in dict.fromkeys(one.suspect for one in found if one.suspect):
        paragraph(one, "")
    verdicts = Counter(one.verdict for one in found)
    if set(verdicts) == {"as expected"}:
        say("The result is as expected.", bold=True)
        return
    _show_explanations(found)


def _background(found: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Yield the bottlenecks, and the evidence for the predictions."""
    binds = dict.fromkeys(f"{one.question.measurement.metric}: {one.binds}" for one in found)
    yield "bottleneck", "; ".join(binds)
    parts = next((one.shares for one in found if one.shares), {})
    if parts:
        shown = list(parts.items())[:_MOST_SHARES]
        yield "one step", ", ".join(f"{name} {share:.0%}" for name, share in shown)
    question = found[0].question
    level = question.engine.calibration(question.device, question.weight_format)
    yield "evidence", _EVIDENCE[level].format(question.engine.name, question.device.name)
    if question.assumed:
        yield "assumed", question.assumed


def _show_explanations(found: Sequence[Finding]) -> None:
    listed: dict[str, list[str]] = {}
    for one in found:
        row = one.question.measurement
        for explanation in one.explanations:
            value = _quantity(explanation.predicted, row)
            listed.setdefault(explanation.change, []).append(f"{row.metric} {value}")
    if not listed:
        paragraph(
            "No change of one setting explains the difference: check the clock of the client, "
            "other load on the machine, and what perfcore does not model.",
            "",
        )
        return
    heading("Possible explanations, and the value that each would give")
    ranked = sorted(listed.items(), key=lambda pair: (not _narrow(pair[0], found), -len(pair[1])))
    facts((change, ", ".join(values[:3])) for change, values in ranked[:6])


def _narrow(change: str, found: Sequence[Finding]) -> bool:
    """Return whether a change is a narrower format for a number that is faster than expected."""
    fast = any("faster" in one.verdict or one.verdict == "impossible" for one in found)
    return fast and change.startswith("weight_format")


def _configuration(finding: Finding) -> dict[str, str]:
    """Return descriptions of the measured configuration by heading."""
    row, question = finding.question.measurement, finding.question
    lengths = " + ".join(
        "?" if length is None else f"{length:.6g}" for length in (row.input_len, row.output_len)
    )
    devices = f"{row.devices} x " if row.devices > 1 else ""
    full = row.concurrency is None
    return {
        "model": question.model.name,
        "weights": question.weight_format.name,
        "device": f"{devices}{question.device.name}",
        "engine": question.engine.name,
        "mode": row.mode,
        "in flight": "as many as fit" if full else f"{row.concurrency:.4g} in flight",
        "tokens": f"{lengths} tokens",
    }


def _cells(finding: Finding, varying: Sequence[str]) -> tuple[str, ...]:
    row = finding.question.measurement
    none = row.metric in ("power_w_per_device", "energy_j_per_output_token")
    parts = _configuration(finding)
    return (
        *(parts[name] for name in varying),
        row.metric,
        _quantity(row.value, row),
        "-" if none else _quantity(finding.bound, row),
        _quantity(finding.predicted, row),
        f"{_quantity(finding.low, row)} to {_quantity(finding.high, row)}",
        finding.verdict,
    )


def _quantity(value: float, row: Measurement) -> str:
    return format_quantity(value, row.unit.partition("/device")[0])
