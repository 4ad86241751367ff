"""``perfcore validate``: predictions held against measurements."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from perfcore.accuracy.baselines import BASELINES
from perfcore.accuracy.scores import KEYS, Errors, Group, Score, score, write_rows
from perfcore.accuracy.table import read_measurements, shipped
from perfcore.cli.output import check_output, replacing
from perfcore.cli.text import dump, facts, heading, json_option, paragraph, plural, table
from perfcore.errors import InputError
from perfcore.ranges import Place

_NONE: Final = "-"
_METRICS: Final = {  # short enough for a column
    "e2e_latency_s": "end to end",
    "tpot_s": "TPOT",
    "ttft_s": "TTFT",
    "prefill_tokens_per_s": "prefill rate",
    "output_tokens_per_s_per_device": "saturation",
    "energy_j_per_output_token": "J/token",
    "power_w_per_device": "board power",
}


@click.command()
@click.option(
    "--measurements",
    "files",
    metavar="FILE.csv",
    multiple=True,
    help="Measurements to score; the shipped ones if none is named. May be repeated.",
)
@click.option(
    "--by",
    default="source",
    metavar="KEYS",
    help=f"Groups, comma-separated: {', '.join(KEYS)} [source].",
)
@click.option("--rows", "output", metavar="OUT.csv", help="Also write every row with its score.")
@click.option("--markdown", is_flag=True, help="Print a table in Markdown.")
@json_option
def validate(
    files: tuple[str, ...], by: str, output: str | None, markdown: bool, as_json: bool
) -> None:
    """Hold predictions against measurements.

    Every row is evaluated exactly as it was configured: engine and release, scheduler,
    parallelism, formats, concurrency, lengths. Per group and metric, never pooled: rows; median and
    90th percentile of the absolute percentage error; bias, the median of prediction over
    measurement less 1; coverage, the share of rows inside the predicted 80 % interval; and the
    median errors of three baselines on the same rows. Rows that cannot be evaluated are counted
    with the reason. In JSON, errors, bias and coverage are fractions: 0.07 is 7 %.

    \b
    perfcore validate
    perfcore validate --measurements mine.csv --by device,engine
    perfcore validate --rows scored.csv --json
    """  # noqa: D301
    if as_json and markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    keys = _keys(by)
    if output is not None:
        check_output("--rows", output, files)
    found = _scored(files)
    if output is not None:
        with replacing(Path(output)) as part:
            write_rows(part, found)
    groups = found.groups(keys)
    if as_json:
        dump(
            {
                "groups": [as_dict(group) for group in groups],
                "skipped": found.reasons,
                "assumed": found.assumed,
            }
        )
    elif markdown:
        click.echo(markdown_table(groups))
    else:
        _show(found, groups, keys)


def _scored(files: Sequence[str]) -> Score:
    faults: list[str] = []
    rows = []
    for name in files or (str(shipped()),):
        try:
            rows += read_measurements(name)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return score(rows)


def _keys(by: str) -> tuple[str, ...]:
    faults: list[str] = []
    place = Place("--by", "", faults)
    keys = tuple(dict.fromkeys(word.strip() for word in by.split(",") if word.strip()))
    for key in keys:
        if key not in KEYS:
            place.unknown("key", key, KEYS)
    if not keys:
        place.fault("is empty", f"give one or more of {', '.join(KEYS)}")
    if faults:
        raise InputError(faults)
    return keys


def as_dict(group: Group) -> dict[str, object]:
    """Return a group by name, for programs."""
    return {
        **group.keys,
        "metric": group.metric,
        "rows": group.rows,
        "skipped": group.skipped,
        **_numbers(group.errors),
        "coverage": _finite(group.coverage),
        "baselines": {name: _numbers(errors) for name, errors in group.baselines.items()},
    }


def _numbers(errors: Errors) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in errors._asdict().items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cells(group: Group) -> list[str]:
    return [
        *group.keys.values(),
        _METRICS[group.metric],
        f"{group.rows:,}",
        _percent(group.errors.median_ape),
        _percent(group.errors.p90_ape),
        _percent(group.errors.bias, "+"),
        _percent(group.coverage),
        *(_percent(group.baselines[name].median_ape) for name in BASELINES),
    ]


def _header(keys: Sequence[str]) -> list[str]:
    measures = ("rows", "median", "p90", "bias", "inside", "roofline", "60 %", "80 %+70us")
    return [*keys, "metric", *measures]


def _show(found: Score, groups: Sequence[Group], keys: Sequence[str]) -> None:
    header = _header(keys)
    table(header, map(_cells, groups), right=set(range(len(keys) + 1, len(header))))
    click.echo()
    paragraph(
        "Absolute errors in %, of the prediction and, in the last three columns, of baselines: "
        f"{', '.join(BASELINES)}. inside: share of rows in the predicted 80 % interval.",
        "",
    )
    worse = [group for group in groups if group.rows and _beaten(group)]
    if worse:
        heading("Where a baseline is nearer")
        facts(
            (" ".join((*group.keys.values(), _METRICS[group.metric])), _why(group))
            for group in worse
        )
    if found.assumed:
        heading("Evaluated with something else")
        facts((f"{count:,}", remark) for remark, count in found.assumed.items())
    if found.skipped:
        heading(f"{plural(len(found.skipped), 'row')} could not be evaluated")
        facts((f"{count:,}", reason) for reason, count in found.reasons.items())


def _beaten(group: Group) -> bool:
    best = min(errors.median_ape for errors in group.baselines.values())
    return best < group.errors.median_ape


def _why(group: Group) -> str:
    name, errors = min(group.baselines.items(), key=lambda item: item[1].median_ape)
    return f"{name}: {_percent(errors.median_ape)} against {_percent(group.errors.median_ape)} %"


def markdown_table(groups: Sequence[Group]) -> str:
    """Return the groups as a table in Markdown."""
    return "\n".join(_markdown(groups))


def _markdown(groups: Sequence[Group]) -> Iterator[str]:
    keys = list(groups[0].keys) if groups else []
    header = _header(keys)
    yield f"| {' | '.join(header)} |"
    yield f"| {' | '.join(['---'] * (len(keys) + 1) + ['---:'] * (len(header) - len(keys) - 1))} |"
    for group in groups:
        yield f"| {' | '.join(_cells(group))} |"


def _percent(value: float, sign: str = "") -> str:
    return _NONE if not math.isfinite(value) else f"{value * 100:{sign}.0f}"
