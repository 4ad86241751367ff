"""``perfcore validate``: predictions scored against measurements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from perfcore.accuracy.baselines import BASELINES
from perfcore.accuracy.sanity import Suspect, summary
from perfcore.accuracy.score_table import METRIC_TITLES, percent, score_table
from perfcore.accuracy.scores import KEYS, Group, Score, check_keys, write_rows
from perfcore.accuracy.scores import validate as score_of
from perfcore.cli.parsing import Command
from perfcore.cli.text import (
    dump,
    facts,
    heading,
    json_option,
    paragraph,
    print_table,
    rendered,
    say,
)
from perfcore.errors import InputError
from perfcore.output import check_output, replacing
from perfcore.tables import markdown as as_table
from perfcore.units import plural

_MOST_LINES: Final = 12  # of rows that look wrong, in a terminal


@click.command(cls=Command)
@click.option(
    "--measurements",
    "files",
    metavar="FILE.csv",
    multiple=True,
    help="Measurements to compare with [those shipped with perfcore]. Repeatable.",
)
@click.option(
    "--by",
    default="source",
    metavar="KEYS",
    help=f"Keys to group by, comma-separated: {', '.join(KEYS)} [source].",
)
@click.option("--rows", "output", metavar="OUT.csv", help="Also write every row with its score.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@click.option(
    "--engine",
    metavar="NAME",
    help="Engine that predicts every row, such as a calibrated FILE.toml [that of the row].",
)
@click.option("--keep-suspect", is_flag=True, help="Also score rows that look wrong.")
@json_option
def validate(
    files: tuple[str, ...],
    by: str,
    output: str | None,
    markdown: bool,
    engine: str | None,
    keep_suspect: bool,
    as_json: bool,
) -> None:
    """Score predictions against measurements.

    Every measurement is predicted with its own configuration: engine and release, scheduler,
    parallelism, formats, concurrency and lengths. For each group and metric, validate prints the
    number of rows, the median and 90th percentile of the absolute percentage error, the bias (the
    median of prediction / measurement - 1), the coverage (the share of rows within the predicted
    80 % interval), and the median errors of three baselines. Metrics are never pooled.

    Rows that look wrong are named and left out: values that beat the physical bound, are a thousand
    times off or contradict each other, and configurations that cannot run. Measurements that cannot
    be predicted are counted by reason. In JSON, errors, bias and coverage
    are fractions: 0.07 is 7 %.

    \b
    perfcore validate
    perfcore validate --measurements mine.csv --by device,engine
    perfcore validate --measurements mine.csv --engine mine.toml
    perfcore validate --rows scored.csv --json
    """  # noqa: D301
    if as_json and markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    keys = _keys(by)
    if output is not None:
        check_output("--rows", output, files)
    found = score_of(files or None, engine=engine, keep_suspect=keep_suspect)
    if output is not None:
        with replacing(Path(output)) as part:
            write_rows(part, found)
    groups = found.groups(keys)
    if as_json:
        dump(
            {
                "groups": [group.to_dict() for group in groups],
                "skipped": found.reasons,
                "suspects": [
                    {**one.measurement._asdict(), "reason": one.reason} for one in found.suspects
                ],
                "warnings": list(found.warnings),
                "assumed": found.assumed,
            }
        )
    elif markdown:
        rendered(as_table(score_table(groups, keys)))
    else:
        _show(found, groups, keys, keep_suspect)


def _keys(by: str) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(word.strip() for word in by.split(",") if word.strip()))
    if not keys:
        raise InputError(f"--by: is empty; give one or more of {', '.join(KEYS)}")
    check_keys(keys)
    return keys


def _show(found: Score, groups: Sequence[Group], keys: Sequence[str], kept: bool) -> None:
    show_suspects(found.suspects, found.warnings, kept=kept)
    print_table(score_table(groups, keys))
    say()
    paragraph(
        "Absolute errors in %, of the prediction and, in the last three columns, of baselines: "
        f"{', '.join(BASELINES)}. inside: share of rows within the predicted 80 % interval.",
        "",
    )
    worse = [group for group in groups if group.nearer]
    if worse:
        heading("Where a baseline is closer")
        facts(
            (" ".join((*group.keys.values(), METRIC_TITLES[group.metric])), _why(group))
            for group in worse
        )
    if found.assumed:
        heading("Evaluated with substitutes")
        facts((f"{count:,}", remark) for remark, count in found.assumed.items())
    if found.skipped:
        heading(f"{plural(len(found.skipped), 'row')} could not be evaluated")
        facts((f"{count:,}", reason) for reason, count in found.reasons.items())


def show_suspects(suspects: Sequence[Suspect], remarks: Sequence[str], *, kept: bool) -> None:
    """Print rows that look wrong, each with its reason, and remarks on the others."""
    if suspects:
        many = plural(len(suspects), "row")
        looks = "looks" if len(suspects) == 1 else "look"
        use = "used all the same" if kept else "left out; --keep-suspect uses them all the same"
        say(f"{many} {looks} wrong, {use}", bold=True)
        for line in summary(suspects)[:_MOST_LINES]:
            paragraph(line)
        if len(suspects) > _MOST_LINES:
            paragraph(f"and {len(suspects) - _MOST_LINES:,} more; --json lists all")
    for remark in remarks[:_MOST_LINES]:
        paragraph(f"note: {remark}", "")
    if suspects or remarks:
        say()


def _why(group: Group) -> str:
    nearer, own = group.baselines[group.nearer].median_ape, group.errors.median_ape
    return f"{group.nearer}: {percent(nearer)} against {percent(own)} %"
