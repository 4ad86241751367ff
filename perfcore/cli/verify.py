"""Commands ``verify`` and ``finalize``: a check of a run, and the manifest of its parts."""

import shlex
from typing import TYPE_CHECKING

import click

from perfcore.cli.parsing import Command
from perfcore.cli.text import dump, facts, json_option, quantity, say
from perfcore.errors import InputError
from perfcore.units import plural

if TYPE_CHECKING:
    from perfcore.runs.check import CheckResult


@click.command(cls=Command)
@click.argument("location", metavar="RUN")
@click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all processors].")
@json_option
@click.pass_context
def verify(ctx: click.Context, location: str, workers: int | None, as_json: bool) -> None:
    """Check every shard of a run for damage.

    RUN is a directory written by `perfcore run`, or s3://BUCKET/NAME. Each shard must exist and
    have the right size, SHA-256 checksum, footer, rows, columns and fingerprint. verify changes
    nothing. To repair a run, repeat its `perfcore run`: it computes only the missing and damaged
    shards again.

    \b
    perfcore verify results
    perfcore verify s3://bucket/results --json
    """  # noqa: D301
    from perfcore.runs.check import verify as check  # noqa: PLC0415 - Arrow is slow to import

    verdict = check(location, workers)
    if as_json:
        _dump(verdict)
    elif not verdict.faults:
        facts(
            [
                ("run", f"{verdict.location} ({verdict.name})"),
                ("shards", f"{verdict.shards:,}, all intact"),
                ("rows", f"{verdict.rows:,}"),
                ("size", quantity(verdict.bytes, "B")),
            ]
        )
        return
    for line in _lines(verdict):
        say(line, err=True)
    if verdict.faults:
        ctx.exit(2)


def _dump(verdict: "CheckResult") -> None:
    dump(
        {
            "run": verdict.location,
            "name": verdict.name,
            "ok": not verdict.faults,
            "shards": verdict.shards,
            "rows": verdict.rows,
            "bytes": verdict.bytes,
            "faults": [fault._asdict() for fault in verdict.faults],
            "rerun": list(verdict.rerun),
        }
    )


def _lines(verdict: "CheckResult") -> list[str]:
    """Return a line for each damaged file, one for all missing shards, and the remedy."""
    from perfcore.runs.check import spans  # noqa: PLC0415

    place = verdict.location
    missing = [fault.shard for fault in verdict.faults if fault.problem == "missing"]
    absent = [shard for shard in missing if shard is not None]
    lines = [
        f"error: {place}/{fault.file}: {fault.problem}"
        for fault in verdict.faults
        if fault.problem != "missing"
    ]
    if absent:
        lines.append(f"error: {place}: {plural(len(absent), 'shard')} missing: {spans(absent)}")
    if verdict.rerun:
        lines.append(
            f"to repair, with the sweep file of {verdict.name!r} for SPEC: "
            f"perfcore run SPEC -o {shlex.quote(place)}"
        )
        lines.append(
            f"shards to run again, {len(verdict.rerun):,} of {verdict.shards:,}: "
            f"{spans(verdict.rerun)}"
        )
    elif any(fault.file == "manifest.json" for fault in verdict.faults):
        lines.append(f"to repair: perfcore finalize {shlex.quote(place)}")
    return lines


@click.command(cls=Command)
@click.argument("location", metavar="RUN")
@json_option
def finalize(location: str, as_json: bool) -> None:
    """Combine the parts of a run made with --shard.

    finalize reads the receipts of all shards in RUN/shards, writes RUN/manifest.json, and lists
    missing shards, if any. It is safe to repeat, even while parts are still running.

    \b
    perfcore run sweep.toml -o results --shard 1/2
    perfcore run sweep.toml -o results --shard 2/2
    perfcore finalize results
    """  # noqa: D301
    from perfcore.runs.check import spans  # noqa: PLC0415
    from perfcore.runs.manifest import finalize as sum_up  # noqa: PLC0415 - Arrow is slow to import
    from perfcore.runs.store import open_store  # noqa: PLC0415

    store = open_store(location)
    manifest, shards, there = sum_up(store)
    missing = [shard for shard in shards if shard not in there]
    if as_json:
        dump(
            {
                "run": store.location,
                "complete": not missing,
                "shards": len(shards),
                "rows": manifest["rows"],
                "bytes": manifest["bytes"],
                "missing": missing,
            }
        )
    if missing:
        raise InputError(
            f"{store.location}: {len(missing):,} of {plural(len(shards), 'shard')} missing: "
            f"{spans(missing)}; run the parts that have not finished again, or without --shard"
        )
    if not as_json:
        facts(
            [
                ("run", f"{store.location} ({manifest['name']})"),
                ("shards", f"{len(shards):,}, complete"),
                ("rows", f"{manifest['rows']:,}"),
                ("size", quantity(sum(receipt.bytes for receipt in there.values()), "B")),
            ]
        )
