"""The commands ``search`` and ``pareto``: the best rows of a sweep, without writing the rest."""

import csv
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from perfcore.cli.output import check_output, replacing
from perfcore.cli.text import dump, duration, facts, json_option, quantity, set_option, table
from perfcore.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from perfcore.engine import Progress
    from perfcore.run import ProgressDisplay
    from perfcore.searching import Found
    from perfcore.space import Space

_SUFFIXES: Final = (".parquet", ".csv", ".json")
_SHOWN: Final = 20  # lines of the table


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands have."""
    for option in reversed(
        (
            click.option(
                "--where",
                "conditions",
                metavar="CONDITION",
                multiple=True,
                help="Keep rows of which COLUMN<=VALUE, >= or =, e.g. 'tpot_s<=50ms'. Repeatable.",
            ),
            click.option(
                "--by", default="", metavar="AXES", help="A result for each value of these axes."
            ),
            set_option("axes.batch=[1,2,4]"),
            click.option(
                "-o", "--output", metavar="FILE", help="Also write .parquet, .csv or .json."
            ),
            click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all]."),
            json_option,
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("spec", metavar="SPEC")
@click.option("--minimize", metavar="METRIC", help="Column of which the least is best.")
@click.option("--maximize", metavar="METRIC", help="Column of which the most is best.")
@click.option(
    "--top", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Rows to keep."
)
@_options
def search(spec: str, minimize: str | None, maximize: str | None, top: int, **options: Any) -> None:  # noqa: ANN401
    """Find the best rows of a sweep.

    Every configuration is evaluated, none is written: a search takes the memory of its result.
    Rows come with every axis and column; those that cannot run are left out.

    \b
    perfcore search sweep.toml --minimize cost_per_mtok_output_usd --where 'tpot_s<=50ms'
    perfcore search sweep.toml --maximize mfu --by device,model --top 3 -o best.parquet
    """  # noqa: D301
    from perfcore.searching import Objective, find_best  # noqa: PLC0415 - Arrow is slow to import

    if (minimize is None) == (maximize is None):
        raise click.UsageError("give one of --minimize and --maximize")
    option, name = ("--minimize", minimize) if minimize else ("--maximize", maximize or "")
    objective = Objective.named(name, option, maximize=minimize is None)
    space = _prepared(spec, options)
    found = find_best(
        space,
        objective,
        options["conditions"],
        _names(options["by"]),
        top,
        options["workers"],
        _show(),
    )
    _report(found, [name], _names(options["by"]), options)


@click.command()
@click.argument("spec", metavar="SPEC")
@click.option(
    "--objectives",
    required=True,
    metavar="A,B[,C]",
    help="Columns, of each the least is best, or with :max the most.",
)
@_options
def pareto(spec: str, objectives: str, **options: Any) -> None:  # noqa: ANN401
    """Find the rows of a sweep that no other row beats.

    A row stays if no other is at least as good in every objective; of rows that are alike in all
    of them the first stays. Rows come with every axis and column.

    \b
    perfcore pareto sweep.toml --objectives tpot_s,cost_per_mtok_output_usd --by model
    perfcore pareto sweep.toml --objectives tpot_s,tokens_per_s_per_device:max -o front.csv
    """  # noqa: D301
    from perfcore.searching import Objective, find_front  # noqa: PLC0415 - Arrow is slow to import

    wanted = [Objective.parse(text, "--objectives") for text in objectives.split(",")]
    space = _prepared(spec, options)
    found = find_front(
        space,
        wanted,
        options["conditions"],
        _names(options["by"]),
        options["workers"],
        _show(),
    )
    _report(found, [objective.name for objective in wanted], _names(options["by"]), options)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _prepared(spec: str, options: dict[str, Any]) -> "Space":
    from perfcore.space import Space  # noqa: PLC0415 - NumPy is slow to import

    output = options["output"]
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
    found: "Found", objectives: Sequence[str], by: Sequence[str], options: dict[str, Any]
) -> None:
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
                "rows": found.rows.to_pylist(),
            }
        )
        return
    if found.rows.num_rows:
        _table(found.rows, objectives, by)
        click.echo()
    else:
        click.echo("no row meets the conditions and can run")
    rate = quantity(found.configs / found.seconds, digits=3)
    facts(
        [
            ("rows", f"{found.rows.num_rows:,}"),
            ("of", f"{found.configs:,}, of which {found.feasible:,} run and meet the conditions"),
            ("time", f"{duration(found.seconds)}, {rate} rows/s"),
            *([("written", str(output))] if output is not None else []),
        ]
    )


def _table(rows: "pa.Table", objectives: Sequence[str], by: Sequence[str]) -> None:
    """Print the axes that differ or name groups, then the objectives."""
    from perfcore.columns import BY_NAME  # noqa: PLC0415

    axes = [
        name for name in rows.column_names if name not in BY_NAME or BY_NAME[name].kind == "axis"
    ]
    several = rows.num_rows > 1
    shown = [name for name in axes if name in by or not several or len(rows[name].unique()) > 1]
    texts = [
        [*(str(row[name]) for name in shown), *(f"{row[name]:.4g}" for name in objectives)]
        for row in rows.slice(0, _SHOWN).to_pylist()
    ]
    if several:
        table([*shown, *objectives], texts)
    else:
        facts(zip([*shown, *objectives], texts[0], strict=True))
    if rows.num_rows > _SHOWN:
        click.echo(f"... {rows.num_rows - _SHOWN:,} more; write them with -o FILE.csv")


def _write(rows: "pa.Table", path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import

        pq.write_table(rows, path, compression="zstd")
    elif suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows.column_names)
        writer.writerows(row.values() for row in rows.to_pylist())
        path.write_text(text.getvalue(), encoding="utf-8")
    else:
        import json  # noqa: PLC0415

        path.write_text(json.dumps(rows.to_pylist(), indent=1) + "\n", encoding="utf-8")
