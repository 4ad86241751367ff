"""``perfcore run``: a sweep into Parquet, with progress and a clean Ctrl-C."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perfcore.cli import INTERRUPTED
from perfcore.cli.text import duration, facts, plural, quantity, set_option
from perfcore.errors import InputError

if TYPE_CHECKING:
    from perfcore.engine import Progress
    from perfcore.run import ProgressDisplay, Run


@click.command()
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="RUN",
    type=click.Path(),
    help="Directory of the run; made if missing.",
)
@set_option("axes.batch=[1,2,4]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all processors].")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def run(
    ctx: click.Context,
    spec: str,
    output: str,
    overrides: tuple[str, ...],
    workers: int | None,
    quiet: bool,
) -> None:
    """Evaluate a sweep into Parquet files.

    SPEC is a TOML file; rows go to RUN/data, what they are to RUN/manifest.json. The same command
    goes on where an earlier one was interrupted.

    \b
    perfcore run sweep.toml -o results
    perfcore run sweep.toml -o small --set axes.batch=[1,8] --set output.dtype=float64
    """  # noqa: D301
    from perfcore.engine import Progress  # noqa: PLC0415 - Arrow is slow to import
    from perfcore.run import ProgressDisplay, sweep  # noqa: PLC0415
    from perfcore.space import Space  # noqa: PLC0415

    space = Space.from_toml(spec, overrides)
    # whatever is wrong with these is told before anything is written
    _ = space.tables, space.rules, space.inner, space.block(0, 1)
    showing = not quiet and sys.stderr.isatty()
    watched: list[Progress] = []

    def show(progress: Progress) -> ProgressDisplay:
        watched.append(progress)
        return _display(progress) if showing else ProgressDisplay()

    try:
        finished = sweep(space, output, workers, show)
    except KeyboardInterrupt:
        again = ["perfcore", "run", spec, "-o", output]
        again += [part for override in overrides for part in ("--set", override)]
        again += ["--workers", str(workers)] if workers else []
        again += ["--quiet"] if quiet else []
        click.echo(f"\ninterrupted: {_kept(output, space.shards)}", err=True)
        click.echo(f"to go on: {shlex.join(again)}", err=True)
        ctx.exit(INTERRUPTED)
    if not quiet:
        _summary(finished, watched[0])


def _kept(output: str, shards: int) -> str:
    from perfcore.run import open_run  # noqa: PLC0415

    try:
        done = open_run(output).manifest.get("shards")
    except InputError:
        done = {}
    complete = len(done) if isinstance(done, dict) else 0
    return f"{complete} of {plural(shards, 'shard')} complete in {output}"


def _display(progress: "Progress") -> "ProgressDisplay":
    from perfcore.cli.progress import Display  # noqa: PLC0415 - rich, only for terminals

    return Display(progress)


def _summary(finished: "Run", progress: "Progress") -> None:
    manifest = finished.manifest
    evaluated = manifest["evaluated"]
    dropped = manifest["dropped"]
    rows = finished.rows
    shares = dict(dropped) if isinstance(dropped, dict) else {}
    size = sum(path.stat().st_size for path in finished.data.glob("*.parquet"))
    pairs = [("rows", f"{rows:,} written of {evaluated:,} evaluated")]
    pairs += [
        ("" if place else "left out", f"{count:,} {reason}")
        for place, (reason, count) in enumerate(sorted(shares.items(), key=lambda item: -item[1]))
    ]
    rate = quantity(progress.rows / progress.seconds, digits=3)
    before = f" ({rows - progress.rows:,} rows were there before)" if rows > progress.rows else ""
    pairs.append(("time", f"{duration(progress.seconds)}, {rate} rows/s{before}"))
    each = f", {size / rows:.3g} B/row" if rows else ""
    pairs.append(("size", f"{quantity(size, 'B')}{each}"))
    pairs.append(("data", str(finished.data)))
    facts(pairs)
    if rows:
        click.echo(f"look: {_query(finished.data)}")
    else:
        click.echo("nothing can run; add devices or tp, or write with keep_infeasible = true")


def _query(data: Path) -> str:
    files = str(data / "*.parquet").replace("'", "''")
    return shlex.join(["duckdb", "-c", f"FROM '{files}' LIMIT 10"])
