"""``perfcore validate``: predictions held against measurements."""

import math
from collections.abc import Sequence
from pathlib import Path

import click

from perfcore.accuracy.baselines import BASELINES
from perfcore.accuracy.score_table import METRIC_TITLES, percent, score_table
from perfcore.accuracy.scores import KEYS, Errors, Group, Score, score, write_rows
from perfcore.accuracy.table import read_measurements, shipped
from perfcore.cli.output import check_output, replacing
from perfcore.cli.text import dump, facts, heading, json_option, paragraph, print_table
from perfcore.errors import InputError
from perfcore.reading.places import Place
from perfcore.tables import markdown as as_table
from perfcore.units import plural


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
        click.echo(as_table(score_table(groups, keys)))
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


def _show(found: Score, groups: Sequence[Group], keys: Sequence[str]) -> None:
    print_table(score_table(groups, keys))
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
            (" ".join((*group.keys.values(), METRIC_TITLES[group.metric])), _why(group))
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
    return f"{name}: {percent(errors.median_ape)} against {percent(group.errors.median_ape)} %"
