"""``perfcore run``: a sweep written as Parquet, with progress and clean handling of Ctrl-C."""

import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from perfcore.cli.dask import check_dask, dask_option, executor_of
from perfcore.cli.parsing import Command
from perfcore.cli.process import INTERRUPTED, TERMINATED, Terminated
from perfcore.cli.text import KERNELS, duration, facts, kernel_option, quantity, say, set_option
from perfcore.errors import InputError
from perfcore.units import plural

if TYPE_CHECKING:
    from perfcore.runs.run import Run
    from perfcore.runs.shards import ProgressDisplay
    from perfcore.runs.workers import Progress


@click.command(cls=Command)
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="RUN",
    type=click.Path(),
    help="Directory to write, created if missing, or s3://BUCKET/NAME, gs://BUCKET/NAME.",
)
@set_option("axes.batch=[1,2,4]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all processors].")
@click.option("--shard", "part", metavar="I/N", help="Run only part I of N, to split a run [1/1].")
@kernel_option(KERNELS, "Compute every column, or only those needed; auto picks the faster.")
@dask_option
@click.option("--force", is_flag=True, help="Run even if memory or disk space is too small.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def run(
    ctx: click.Context,
    spec: str,
    output: str,
    overrides: tuple[str, ...],
    workers: int | None,
    part: str | None,
    kernel: str,
    address: str | None,
    force: bool,
    quiet: bool,
) -> None:
    """Run a sweep and write its rows to Parquet files.

    SPEC is a TOML file (`perfcore init` writes one). Rows are written to RUN/data, and their
    description to RUN/manifest.json. Repeat the command to resume an interrupted run or to repair a
    damaged one. With --shard, several machines split a run; `perfcore finalize RUN` then combines
    the parts. Paths in SPEC are relative to its directory, paths in --set to the current one.

    \b
    perfcore run sweep.toml -o results
    perfcore run sweep.toml -o small --set axes.batch=[1,8] --set output.dtype=float64
    perfcore run sweep.toml -o s3://bucket/results --shard 3/16
    perfcore run sweep.toml -o /shared/results --dask tcp://scheduler:8786
    """  # noqa: D301
    from perfcore.runs.check import spans  # noqa: PLC0415
    from perfcore.runs.run import sweep  # noqa: PLC0415
    from perfcore.runs.shards import ProgressDisplay  # noqa: PLC0415
    from perfcore.runs.workers import Progress  # noqa: PLC0415 - Arrow is slow to import
    from perfcore.space.space import Space  # noqa: PLC0415

    if not output.strip():  # e.g. an unset shell variable
        raise InputError(f"--output: {output!r} is empty; name a directory")
    share = _part(part) if part else (1, 1)
    check_dask(address, workers)
    space = Space.from_toml(spec, overrides)
    # computed here so that their faults are reported before anything is written
    _ = space.tables, space.rules, space.inner, space.block(0, 1)
    if not force:
        from perfcore.runs.preflight import shortages  # noqa: PLC0415

        short = shortages(space, output, workers, share, here=address is None)
        if short:
            raise InputError(f"{shortage}, or --force" for shortage in short)
    showing = not quiet and sys.stderr.isatty()
    watched: list[Progress] = []

    def show(progress: Progress) -> ProgressDisplay:
        watched.append(progress)
        return _display(progress) if showing else ProgressDisplay()

    try:
        with executor_of(address) as executor:
            finished = sweep(
                space, output, workers, show, part=share, executor=executor, kernel=kernel
            )
    except KeyboardInterrupt as stop:
        say(err=True)
        say(f"interrupted: {_kept(output, space.shards)}", err=True)
        say(f"to resume: {_again(ctx.params)}", err=True)
        ctx.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)
    if not quiet:
        _summary(finished, watched[0], share)
    missing = finished.missing(share)
    if missing:
        raise InputError(
            f"{finished.location}: {plural(len(missing), 'shard')} missing: {spans(missing)}; run "
            "the same command again to compute them"
        )


def _again(given: dict[str, Any]) -> str:
    """Return the command that resumes a run."""
    words = ["perfcore", "run", given["spec"], "-o", given["output"]]
    words += [part for override in given["overrides"] for part in ("--set", override)]
    for option, name in (("--workers", "workers"), ("--shard", "part"), ("--dask", "address")):
        words += [option, str(given[name])] if given[name] is not None else []
    words += ["--kernel", given["kernel"]] if given["kernel"] != "auto" else []
    words += [f"--{name}" for name in ("force", "quiet") if given[name]]
    return shlex.join(words)


def _part(text: str) -> tuple[int, int]:
    matched = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", text)
    if matched is None:
        raise InputError(f"--shard: {text!r} is not of the form I/N; write 1/8, 2/8, … 8/8")
    part = int(matched[1]), int(matched[2])
    if part[0] > part[1]:
        raise InputError(f"--shard: {text!r} is beyond the last part; write 1/{part[1]} and so on")
    return part


def _kept(output: str, shards: int) -> str:
    from perfcore.runs.run import open_run  # noqa: PLC0415

    try:
        done = open_run(output).manifest.get("shards")
    except InputError:
        done = {}
    complete = len(done) if isinstance(done, dict) else 0
    return f"{complete} of {plural(shards, 'shard')} complete in {output}"


def _display(progress: "Progress") -> "ProgressDisplay":
    from perfcore.cli.progress import Display  # noqa: PLC0415 - rich, only for terminals

    return Display(progress)


def _summary(finished: "Run", progress: "Progress", part: tuple[int, int]) -> None:
    manifest = finished.manifest
    evaluated = manifest["evaluated"]
    dropped = manifest["dropped"]
    rows = finished.rows
    shares = dict(dropped) if isinstance(dropped, dict) else {}
    size = finished.bytes
    pairs = [("rows", f"{rows:,} written of {evaluated:,} evaluated")]
    pairs += [
        ("" if place else "left out", f"{count:,} {reason}")
        for place, (reason, count) in enumerate(sorted(shares.items(), key=lambda item: -item[1]))
    ]
    rate = quantity(progress.rows / progress.seconds, digits=3)
    before = f" ({rows - progress.rows:,} rows already existed)" if rows > progress.rows else ""
    pairs.append(("time", f"{duration(progress.seconds)}, {rate} rows/s{before}"))
    each = f", {quantity(size / rows, 'B', 3)}/row" if rows else ""
    pairs.append(("size", f"{quantity(size, 'B')}{each}"))
    pairs.append(("data", f"{finished.location}/data"))
    if part != (1, 1):
        pairs.append(("part", f"{part[0]} of {part[1]}, {plural(progress.shards, 'shard')}"))
    facts(pairs)
    if not manifest["complete"]:
        say(f"when all parts have run: {shlex.join(['perfcore', 'finalize', finished.location])}")
    elif rows:
        say(f"next: {_query(finished)}")
    else:
        say("no configuration can run; add devices or tp, or set keep_infeasible = true")


def _query(finished: "Run") -> str:
    if finished.duckdb_source is None:
        run = f"perfcore.open_run({finished.location!r})"
        return shlex.join(["python", "-c", f"import perfcore; print({run})"])
    return shlex.join(["duckdb", "-c", f"FROM {finished.duckdb_source} LIMIT 10"])
