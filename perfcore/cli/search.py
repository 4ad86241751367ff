"""Commands ``search``, ``pareto`` and ``histogram``: results of a sweep that writes no rows."""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from perfcore.cli.completion import column_name
from perfcore.cli.dask import check_dask, dask_option, executor_of
from perfcore.cli.parsing import Command
from perfcore.cli.text import (
    SEARCH_KERNELS,
    bar,
    dump,
    duration,
    facts,
    json_option,
    kernel_option,
    print_table,
    quantity,
    say,
    set_option,
)
from perfcore.errors import InputError
from perfcore.output import check_output, replacing
from perfcore.reading.csvfile import csv_text
from perfcore.tables import Column, Table, left, right
from perfcore.units import significant

if TYPE_CHECKING:
    import pyarrow as pa

    from perfcore.runs.shards import ProgressDisplay
    from perfcore.runs.workers import Progress
    from perfcore.searching.objectives import Objective
    from perfcore.searching.search import Found
    from perfcore.space.space import Space

_METRICS: Final = column_name("metric", "count")
_QUALITY: Final = "perplexity_increase"  # NaN in some formats
_SUFFIXES: Final = (".parquet", ".csv", ".json")


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that the three commands share."""
    for option in reversed(
        (
            click.option(
                "--where",
                metavar="CONDITION",
                multiple=True,
                help="Keep rows with COLUMN<=VALUE (>=, <, >, =), e.g. 'tpot_s<=50ms'. Repeatable.",
            ),
            click.option(
                "--by",
                default="",
                metavar="AXES",
                shell_complete=column_name("axis"),
                help="Give a separate result for each combination of values of these axes.",
            ),
            set_option("axes.batch=[1,2,4]"),
            click.option(
                "-o",
                "--output",
                metavar="FILE",
                type=click.Path(),
                help="Also write the result to a .parquet, .csv or .json file.",
            ),
            click.option(
                "--workers", type=click.IntRange(1, 1024), help="Threads [all processors]."
            ),
            kernel_option(
                SEARCH_KERNELS,
                "Compute every column, or only those needed, of each row or of rows that differ "
                "just in prices together; auto picks the fastest.",
            ),
            dask_option,
            json_option,
        )
    ):
        command = option(command)
    return command


_prune_option = click.option(
    "--prune",
    is_flag=True,
    help="Skip blocks of the sweep in which bounds rule out any result.",
)


@click.command(cls=Command)
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.option(
    "--minimize",
    metavar="METRIC",
    shell_complete=_METRICS,
    help="Find the lowest values of this column.",
)
@click.option(
    "--maximize",
    metavar="METRIC",
    shell_complete=_METRICS,
    help="Find the highest values of this column.",
)
@_prune_option
@click.option("--top", type=int, default=1, show_default=True, help="Number of rows to return.")
@_options
def search(spec: str, minimize: str | None, maximize: str | None, top: int, **options: Any) -> None:  # noqa: ANN401
    """Find the best configurations of a sweep.

    Every configuration is evaluated, but only the best are kept, so memory use does not grow with
    the sweep. Rows have all axes and columns. Configurations that cannot run are left out. With
    --prune, blocks of a large sweep in which bounds rule out any result are skipped; the result is
    the same.

    \b
    perfcore search sweep.toml --minimize cost_per_mtok_output_usd --where 'tpot_s<=50ms'
    perfcore search sweep.toml --maximize mfu --by device,model --top 3 -o best.parquet
    """  # noqa: D301
    from perfcore.searching.objectives import Objective  # noqa: PLC0415 - Arrow is slow to import
    from perfcore.searching.search import find_best  # noqa: PLC0415 - Arrow is slow to import

    if (minimize is None) == (maximize is None):
        raise click.UsageError("give one of --minimize and --maximize")
    sense, name = ("maximize", maximize) if minimize is None else ("minimize", minimize)
    objective = Objective.named(name or "", sense, maximize=minimize is None)
    space = _prepared(spec, options)
    with executor_of(options["address"]) as executor:
        found = find_best(
            space,
            objective,
            options["where"],
            _names(options["by"]),
            top,
            options["workers"],
            _show(),
            executor,
            options["kernel"],
            prune=options["prune"],
        )
    _report(found, space, [objective], _names(options["by"]), options)


@click.command(cls=Command)
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.option(
    "--objectives",
    required=True,
    metavar="A,B[,C]",
    shell_complete=_METRICS,
    help="Columns to minimise, or to maximise with :max.",
)
@_prune_option
@_options
def pareto(spec: str, objectives: str, **options: Any) -> None:  # noqa: ANN401
    """Find the Pareto-optimal configurations of a sweep.

    A row is kept if no other row is at least as good in every objective. Of rows that are equal in
    all objectives, the first is kept. Rows have all axes and columns.

    \b
    perfcore pareto sweep.toml --objectives tpot_s,cost_per_mtok_output_usd --by model
    perfcore pareto sweep.toml --objectives tpot_s,tokens_per_s_per_device:max -o front.csv
    """  # noqa: D301
    from perfcore.searching.objectives import Objective  # noqa: PLC0415 - Arrow is slow to import
    from perfcore.searching.search import find_front  # noqa: PLC0415 - Arrow is slow to import

    wanted = [Objective.parse(text, "objectives") for text in objectives.split(",")]
    space = _prepared(spec, options)
    with executor_of(options["address"]) as executor:
        found = find_front(
            space,
            wanted,
            options["where"],
            _names(options["by"]),
            options["workers"],
            _show(),
            executor,
            options["kernel"],
            prune=options["prune"],
        )
    _report(found, space, wanted, _names(options["by"]), options)


@click.command(cls=Command)
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.option(
    "--metric",
    required=True,
    metavar="METRIC",
    shell_complete=_METRICS,
    help="Column whose values are counted.",
)
@click.option(
    "--per-decade",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Number of bins per factor of ten.",
)
@_options
def histogram(spec: str, metric: str, per_decade: int, **options: Any) -> None:  # noqa: ANN401
    """Show the distribution of a metric over a sweep.

    Rows are counted in logarithmic bins, which include their low end and exclude their high end.
    Configurations that cannot run are left out, as are empty bins. With --by, shares are relative
    to the rows of a group.

    \b
    perfcore histogram sweep.toml --metric tpot_s
    perfcore histogram sweep.toml --metric mfu --by device --per-decade 20 -o mfu.csv
    """  # noqa: D301
    from perfcore.searching.objectives import Objective  # noqa: PLC0415 - Arrow is slow
    from perfcore.searching.search import count_by_value  # noqa: PLC0415 - Arrow is slow

    column = Objective.named(metric, "metric", maximize=False)
    space = _prepared(spec, options)
    by = _names(options["by"])
    with executor_of(options["address"]) as executor:
        found = count_by_value(
            space,
            column,
            options["where"],
            by,
            per_decade,
            options["workers"],
            _show(),
            executor,
            options["kernel"],
        )
    if _written(found, options):
        return
    if found.rows.num_rows:
        rows = found.rows.to_pylist()
        largest = max(row["share"] for row in rows)
        names = found.rows.column_names[: len(by)]
        lines = [
            [
                *(str(row[name]) for name in names),
                f"{_limit(row['low'], per_decade)} to {_limit(row['high'], per_decade)}",
                f"{row['rows']:,}",
                f"{row['share']:.1%}",
                bar(row["share"] / largest),
            ]
            for row in rows
        ]
        columns = (*left(*names, metric), *right("rows", "share"), Column(whole=True))
        print_table(Table.of(columns, lines))
        say()
    _summary(found, options)
    _say_unmeasured(space, [metric], options)


def _limit(value: float | None, per_decade: int) -> str:
    return "..." if value is None else significant(value, 4 if per_decade > 100 else 3)


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _prepared(spec: str, options: dict[str, Any]) -> "Space":
    from perfcore.space.space import Space  # noqa: PLC0415 - NumPy is slow to import

    output = options["output"]
    check_dask(options["address"], options["workers"])
    if output is not None:
        if Path(output).suffix not in _SUFFIXES:
            raise InputError(f"--output: {output!r} must end in {', '.join(_SUFFIXES)}")
        check_output("--output", output, [spec])
    return Space.from_toml(spec, options["overrides"])


def _show() -> "Callable[[Progress], ProgressDisplay] | None":
    if not sys.stderr.isatty():
        return None
    from perfcore.cli.progress import Display  # noqa: PLC0415 - rich, only for terminals

    return Display


def _report(
    found: "Found",
    space: "Space",
    objectives: "Sequence[Objective]",
    by: Sequence[str],
    options: dict[str, Any],
) -> None:
    from perfcore.cli.search_table import print_rows  # noqa: PLC0415 - Arrow is slow to import
    from perfcore.searching.conditions import narrowed  # noqa: PLC0415 - Arrow is slow to import

    if _written(found, options):
        return
    if found.rows.num_rows:
        limited = [where.column for where in narrowed(space, options["where"]).spec.where]
        print_rows(found.rows, space, objectives, limited, by)
        say()
    _summary(found, options)
    _say_unmeasured(space, [one.name for one in objectives], options)


def _say_unmeasured(space: "Space", metrics: list[str], options: dict[str, Any]) -> None:
    """Name the formats without a measurement, if a search is about quality."""
    from perfcore.searching.conditions import narrowed  # noqa: PLC0415 - Arrow is slow to import

    limited = [where.column for where in narrowed(space, options["where"]).spec.where]
    if _QUALITY in (*metrics, *limited):
        for loss in space.unmeasured.values():
            say(f"{loss}: its rows are left out")


def _written(found: "Found", options: dict[str, Any]) -> bool:
    """Write the result to a file and print it as JSON, if asked to; return whether JSON was."""
    output = options["output"]
    if output is not None:
        with replacing(Path(output)) as part:
            _write(found.rows, part, Path(output).suffix)
    if options["as_json"]:
        dump(
            {
                "configs": found.configs,
                "feasible": found.feasible,
                "seconds": found.seconds,
                "kernel": found.kernel.to_dict(),
                "idle_axes": list(found.idle),
                **({} if found.pruned is None else {"pruned": found.pruned._asdict()}),
                "rows": _plain(found.rows),
            }
        )
    return bool(options["as_json"])


def _summary(found: "Found", options: dict[str, Any]) -> None:
    if not found.rows.num_rows:
        say("no configuration can run and meets the conditions")
    rate = quantity(found.configs / found.seconds, digits=3)
    total = f"{found.configs:,}, of which {found.feasible:,} run and meet the conditions"
    if found.pruned is not None:
        skipped = 1.0 - found.pruned.evaluated / found.configs
        total = (
            f"{found.configs:,}, of which {found.pruned.evaluated:,} were evaluated and "
            f"{_share(skipped)} skipped by bounds of {found.pruned.bounded:,} blocks"
        )
    facts(
        [
            ("rows", f"{found.rows.num_rows:,}"),
            ("of", total),
            ("time", f"{duration(found.seconds)}, {rate} rows/s, {found.kernel}"),
            *([("same for all", ", ".join(found.idle))] if found.idle else []),
            *([("written", str(options["output"]))] if options["output"] is not None else []),
        ]
    )


def _share(share: float) -> str:
    """Return a share in per cent, with enough digits to tell it from all."""
    digits = 1
    while digits < 9 and f"{share:.{digits}%}" == f"{1.0:.{digits}%}" and share < 1.0:
        digits += 1
    return f"{share:.{digits}%}"


def _write(rows: "pa.Table", path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import

        pq.write_table(rows, path, compression="zstd")
    elif suffix == ".csv":
        cells = (list(row.values()) for row in rows.to_pylist())
        path.write_text(csv_text([rows.column_names, *cells]), encoding="utf-8", newline="")
    else:
        path.write_text(json.dumps(_plain(rows), indent=1) + "\n", encoding="utf-8", newline="")


def _plain(rows: "pa.Table") -> list[dict[str, object]]:
    """Return rows for JSON, with null for values that are not finite."""
    return [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in rows.to_pylist()
    ]
