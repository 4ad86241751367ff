"""``perfcore calibrate``: engine constants fitted to measurements."""

import math
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from perfcore.accuracy.calibration import (
    Calibrated,
    Stranger,
    calibrate_all,
    calibrate_one,
    describe,
    leave_out,
)
from perfcore.accuracy.kernel_fits import read_kernels
from perfcore.accuracy.left_out import GROUPS, HELD_OUT, OF_ONE, STRANGERS
from perfcore.accuracy.prediction import Question, questions
from perfcore.accuracy.sanity import Suspect, check_rows, summary, warnings
from perfcore.accuracy.score_table import METRIC_TITLES
from perfcore.accuracy.table import read_measurements, shipped
from perfcore.accuracy.writing import dump_engine, read_engine, with_intervals
from perfcore.cli.parsing import Command
from perfcore.cli.text import dump, heading, json_option, paragraph, print_table, say
from perfcore.cli.validate import show_suspects
from perfcore.errors import InputError
from perfcore.output import check_output, replacing
from perfcore.tables import Table, left, right
from perfcore.units import plural

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._+-]*")
_ENGINES: Final = Path(__file__).parents[1] / "catalog" / "engines"
_METRICS: Final = {False: "{}", True: "{}, experts"}
_KINDS: Final = {kind.removesuffix("s"): kind for kind in GROUPS if kind != "classes"}
_SHOWN: Final = 0.02  # smallest logarithm of a factor that is shown


@click.command(cls=Command)
@click.option(
    "--measurements",
    "files",
    metavar="FILE.csv",
    multiple=True,
    help="Measurements to fit [those shipped with perfcore]. Repeatable.",
)
@click.option(
    "--kernels", metavar="FILE.csv", help="Timings of isolated kernels, which are fitted first."
)
@click.option(
    "--engine", metavar="NAME", help="Engine to fit, if there are measurements of several."
)
@click.option(
    "--device-class", metavar="CLASS", help="Device class, if there are measurements of several."
)
@click.option("--name", metavar="NAME", help="Name of the fitted engine [ENGINE-fitted].")
@click.option("-o", "--output", metavar="FILE.toml", help="Write the fitted engine to this file.")
@click.option(
    "--all-engines",
    is_flag=True,
    help="Fit every engine, as the shipped ones were; -o is then a directory.",
)
@click.option(
    "--leave-out",
    "left_out",
    type=click.Choice(sorted(_KINDS)),
    help="Only score: fit every engine without one source (engine, model, device) at a time.",
)
@click.option(
    "--held-out",
    metavar="FILE.csv",
    multiple=True,
    help="Measurements to score but not to fit, with --leave-out or --all-engines. Repeatable.",
)
@click.option(
    "--keep-suspect",
    is_flag=True,
    help="Also fit rows that look wrong, and accept implausible factors.",
)
@json_option
def calibrate(
    files: tuple[str, ...],
    kernels: str | None,
    engine: str | None,
    device_class: str | None,
    name: str | None,
    output: str | None,
    all_engines: bool,
    left_out: str | None,
    held_out: tuple[str, ...],
    keep_suspect: bool,
    as_json: bool,
) -> None:
    """Fit an engine's constants to measurements.

    The constants are those of one engine on one device class: launch latency, efficiency at each
    precision, communication, host time and power. Each is fitted as a factor on the catalogue's
    value. A prior keeps the factor near 1, so a few rows change little. Kernel timings, if
    given, set the starting values.

    Rows that look wrong (beyond the physical bound, a thousand times off, contradicting each other)
    are named and left out, and implausible factors are refused, unless --keep-suspect is given.
    Constants that the rows do not determine keep the catalogue's value.

    The output lists the errors of the fit, and those of fits that left out a whole model or device
    (or a load, if there is only one model and device). --leave-out prints the errors to expect
    elsewhere: on rows of a source (or engine, model, device) that the fit has not seen, by metric
    and by the evidence for engine and device.
    The same input always gives the same output. The TOML file is an engine; use it with --engine
    FILE.toml.

    \b
    perfcore calibrate --measurements mine.csv -o mine.toml
    perfcore point llama-3.1-8b h100-sxm --engine mine.toml
    perfcore calibrate --measurements all.csv --engine vllm --device-class datacentre-gpu-hopper
    perfcore calibrate --measurements all.csv --leave-out source
    """  # noqa: D301
    if find_spec("scipy") is None and kernels is not None:
        raise InputError("--kernels: fitting needs scipy; pip install scipy")
    if all_engines and (engine or device_class or name or kernels):
        raise click.UsageError(
            "--all-engines fits every engine; "
            "leave out --engine, --device-class, --name and --kernels"
        )
    _check_left_out(
        left_out,
        held_out,
        all_engines=all_engines,
        others=any((engine, device_class, name, kernels, output)),
    )
    if name is not None and not _NAME.fullmatch(name):
        raise InputError(f"--name: {name!r}: use lower-case letters, digits, '-', '.', '_', '+'")
    _check_output(output, files, directory=all_engines)
    paths = [Path(path) for path in files] or [shipped()]
    read = [read_measurements(path) for path in paths]
    data = [describe(path, rows) for path, rows in zip(paths, read, strict=True)]
    every, skipped = questions([row for rows in read for row in rows])
    asked, suspects = check_rows(every, keep=keep_suspect)
    _check_sound(asked, suspects)
    apart, _ = questions([row for path in held_out for row in read_measurements(path)])
    if left_out is not None:
        found = leave_out(asked, _KINDS[left_out], apart)
    elif all_engines:
        found = calibrate_all(asked, _ENGINES, data, apart)
    else:
        engine_name = _only("--engine", engine, [question.engine.name for question in asked])
        of_engine = [question for question in asked if question.engine.name == engine_name]
        chosen = _only(
            "--device-class", device_class, [question.device.device_class for question in of_engine]
        )
        found = calibrate_one(
            asked,
            read_kernels(kernels) if kernels else None,
            engine_name,
            chosen,
            name or f"{engine_name}-fitted",
            data,
            keep_suspect=keep_suspect,
        )
    if output is not None:
        _write(found, Path(output), directory=all_engines)
    if as_json:
        dump(as_dict(found, len(skipped)) | {"suspects": summary(suspects)})
    else:
        show_suspects(suspects, warnings(asked), kept=keep_suspect)
        _show(found, len(skipped), output)


def _check_sound(asked: Sequence[Question], suspects: Sequence[Suspect]) -> None:
    if suspects and not asked:
        lines = summary(suspects)
        more = f" and {len(lines) - 3:,} more" if len(lines) > 3 else ""
        raise InputError(
            f"--measurements: every row looks wrong: {'; '.join(lines[:3])}{more}; correct them, "
            "or give --keep-suspect"
        )


def _check_left_out(
    left_out: str | None, held_out: Sequence[str], *, all_engines: bool, others: bool
) -> None:
    if left_out and (all_engines or others):
        raise click.UsageError(
            "--leave-out scores a fit of every engine and writes none; give only --measurements "
            "and --held-out with it"
        )
    if held_out and not left_out and not all_engines:
        raise click.UsageError("--held-out needs --leave-out or --all-engines")


def _check_output(output: str | None, files: Sequence[str], *, directory: bool) -> None:
    if output is None:
        return
    path = Path(output)
    if directory:
        if not path.is_dir():
            raise InputError(f"--output: {output!r} is not a directory; create it first")
    elif path.suffix != ".toml":
        raise InputError(f"--output: {output!r} must end in .toml")
    else:
        check_output("--output", output, files)


def _only(option: str, given: str | None, found: Sequence[str]) -> str:
    """Return the value that an option chooses, or the only one that the measurements have."""
    known = sorted(set(found))
    if given is not None:
        if given in known:
            return given
        listed = ", ".join(known) or "none"
        raise InputError(f"{option}: no measurement of {given!r}; there are: {listed}")
    if len(known) == 1:
        return known[0]
    if not known:
        raise InputError("no measurement can be evaluated; `perfcore validate` says why")
    raise InputError(f"{option} is needed: the measurements have {', '.join(known)}")


def _write(found: Calibrated, output: Path, *, directory: bool) -> None:
    for name, entry in found.tables.items():
        path = output / f"{name}.toml" if directory else output
        shipped_file = _ENGINES / f"{name}.toml"
        if not directory:
            text = dump_engine(name, entry, "Written by `perfcore calibrate`.")
        elif set(entry) == {"intervals"}:
            text = with_intervals(shipped_file.read_text("utf-8"), name, entry["intervals"])
        else:
            text = dump_engine(name, entry, read_engine(shipped_file)[2])
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8", newline="")


def as_dict(found: Calibrated, skipped: int) -> dict[str, object]:
    """Return a calibration as data for JSON."""
    return {
        "engines": found.tables,
        "errors": [
            {
                "source": report.source,
                "metric": report.metric,
                "experts": report.experts,
                "rows": report.rows,
                "in_sample": report.in_sample._asdict(),
                "left_out": {kind: errors._asdict() for kind, errors in report.left_out.items()},
            }
            for report in found.reports
        ],
        "strangers": [{**one._asdict(), "errors": one.errors._asdict()} for one in found.strangers],
        "undetermined": found.fit.undetermined,
        "at_limit": found.fit.at_limit,
        "kernels": [fit._asdict() for fit in found.kernels],
        "intervals": {
            level: {name: interval._asdict() for name, interval in of_level.items()}
            for level, of_level in found.intervals.items()
        },
        "skipped": skipped,
    }


def _show_strangers(strangers: Sequence[Stranger]) -> None:
    kinds = {one.kind for one in strangers}
    shown = kinds if len(kinds) <= len(STRANGERS) else {*STRANGERS, "engines"}
    heading("Errors on rows of groups that the fit has not seen, %")
    columns = (*left("left out", "metric", "level"), *right("rows", "groups", "median", "p90"))
    lines = [
        (
            one.kind,
            METRIC_TITLES[one.metric],
            one.level,
            f"{one.rows:,}",
            str(one.groups),
            f"{one.errors.median_ape * 100:.1f}",
            f"{one.errors.p90_ape * 100:.0f}",
            f"{one.inside * 100:.0f}",
        )
        for one in sorted(strangers, key=lambda one: one.kind != HELD_OUT)
        if one.kind in shown
    ]
    print_table(Table.of((*columns, *right("inside")), lines))


def _show(found: Calibrated, skipped: int, output: str | None) -> None:
    if found.strangers:
        _show_strangers(found.strangers)
    for fit in found.kernels:
        values = ", ".join(
            f"{name} {value:.3g}" for name, value in zip(fit.constants, fit.values, strict=True)
        )
        paragraph(
            f"{plural(fit.rows, 'kernel')}, median error {fit.median_error:.1%}: {values}", ""
        )
    heading("Factors on the catalogue's constants")
    rows = [
        (parameter.name, f"{math.exp(log):.3f}", f"{error:.0%}", f"{parameter.width:.0%}")
        for parameter, log, error in zip(
            found.fit.parameters, found.fit.logs, found.fit.errors, strict=True
        )
        if abs(log) >= _SHOWN
    ]
    if rows:
        print_table(Table.of((*left("constants"), *right("factor", "error", "prior")), rows))
        paragraph(
            "factor: fitted multiple of the catalogue's value; error: its standard error; prior: "
            "how far it was expected to differ. If error and prior are close, the rows say little "
            "about a constant.",
            "",
        )
    else:
        say("none: the rows change no constant, and predictions stay as they are")
    if found.fit.undetermined:
        heading("Left at the catalogue's value, as not determined by these rows")
        paragraph(", ".join(found.fit.undetermined), "")
        if not found.strangers:
            paragraph(
                "To determine more of them, measure tpot_s and ttft_s at concurrency 1, 8 and 64 "
                "and at two prompt lengths.",
                "",
            )
    if found.fit.at_limit:
        heading("At the end of the plausible range")
        paragraph(", ".join(found.fit.at_limit), "")
    heading("Errors: median and 90th percentile, %")
    kinds = [kind for kind in OF_ONE if any(kind in report.left_out for report in found.reports)]
    kinds = kinds or ["loads"]
    columns = (
        *left("source", "metric"),
        *right("rows", "fit", ""),
        *(column for kind in kinds for column in right(f"{kind.removesuffix('s')} left out", "")),
    )
    lines = [
        (
            report.source,
            _METRICS[report.experts].format(report.metric),
            f"{report.rows:,}",
            *(
                cell
                for errors in (report.in_sample, *map(report.left_out.get, kinds))
                for cell in (
                    ("-", "-")
                    if errors is None
                    else (f"{errors.median_ape * 100:.1f}", f"{errors.p90_ape * 100:.0f}")
                )
            ),
        )
        for report in found.reports
    ]
    print_table(Table.of(columns, lines))
    if not any(report.left_out for report in found.reports):
        paragraph(
            "All rows have the same load, so nothing could be left out to test the fit; its own "
            "error says nothing about other loads.",
            "",
        )
    if skipped:
        paragraph(
            f"{plural(skipped, 'row')} could not be evaluated; `perfcore validate` says why.", ""
        )
    if output is not None:
        say()
        say(f"written: {output}")
