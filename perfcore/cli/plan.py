"""``perfcore plan``: size of a sweep, from its specification and a sample of its rows."""

from typing import TYPE_CHECKING, Final

import click

from perfcore.cli.parsing import Command
from perfcore.cli.text import (
    dump,
    duration,
    facts,
    json_option,
    paragraph,
    quantity,
    say,
    set_option,
)
from perfcore.units import plural

if TYPE_CHECKING:
    from perfcore.runs.plan import Plan

_LISTED: Final = 8


@click.command(cls=Command)
@click.argument("spec", metavar="SPEC", type=click.Path())
@set_option("axes.batch=[1,2,4]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Threads [all processors].")
@json_option
def plan(spec: str, overrides: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Estimate the size of a sweep before running it.

    plan prints the axes and how they combine, and estimates from a sample of the rows: how many can
    run, why others cannot, and the disk space, time and memory on this machine. It writes nothing.

    \b
    perfcore plan sweep.toml
    perfcore plan sweep.toml --set axes.tp=[1,8] --json
    """  # noqa: D301
    from perfcore.runs.plan import plan as planned  # noqa: PLC0415 - Arrow is slow to import

    found = planned(spec, None, workers, overrides)
    if as_json:
        _as_json(found)
    else:
        _for_people(found)


def _as_json(found: "Plan") -> None:
    from perfcore.cli import space_table  # noqa: PLC0415

    space, forecast = found.space, found.forecast
    dump(
        {
            "name": space.spec.name,
            "axes": space_table.axes(space),
            "where": space_table.conditions(space),
            "grid_rows": space.grid_points * space.inner_points,
            "outer_points": space.outer_points,
            "inner_points": space.inner_points,
            "rows": space.rows,
            "shards": space.shards,
            "rows_written": forecast.rows_written,
            "written_share": forecast.written_share,
            "left_out_shares": forecast.left_out,
            "sampled_rows": forecast.sampled_rows,
            "exact": forecast.exact,
            "bytes": forecast.bytes,
            "bytes_per_row": forecast.bytes_per_row,
            "seconds": forecast.seconds,
            "workers": forecast.workers,
            "kernel": found.kernel.to_dict(),
            "idle_axes": list(found.idle),
            "memory_bytes": forecast.memory_bytes,
            "memory_free_bytes": found.memory_free,
            "disk_free_bytes": found.disk_free,
            "fits": found.fits,
            "estimated": [estimate._asdict() for estimate in found.estimated],
            "hypothetical": list(found.hypothetical),
            "notes": list(space.notes),
        }
    )


def _for_people(found: "Plan") -> None:
    from perfcore.cli import space_table  # noqa: PLC0415

    space, forecast = found.space, found.forecast
    say(space.spec.name, bold=True)
    if space.spec.description:
        paragraph(space.spec.description, "")
    say()
    space_table.show(space)
    say()
    about = "" if forecast.exact else "about "
    kind = "all combinations" if space.spec.sample is None else f"{space.spec.sample.method} sample"
    pairs = [
        ("rows", f"{plural(space.rows, 'row')} in {plural(space.shards, 'shard')} ({kind})"),
        ("written", f"{about}{forecast.rows_written:,} ({_percent(forecast.written_share)})"),
    ]
    reasons = sorted(forecast.left_out.items(), key=lambda item: -item[1])
    pairs += [
        ("" if place else "left out", f"{about}{_percent(share)} {reason}")
        for place, (reason, share) in enumerate(reasons)
    ]
    pairs += [
        (
            "disk",
            (
                f"about {quantity(forecast.bytes, 'B', 3)} "
                f"({quantity(forecast.bytes_per_row, 'B', 3)}/row, "
                f"profile {space.spec.output.profile})"
            ),
        ),
        (
            "time",
            (
                f"about {duration(forecast.seconds)} with "
                f"{plural(forecast.workers, 'worker')} on this machine"
            ),
        ),
        ("kernel", f"{found.kernel}: {found.kernel.why}"),
        *([("idle", f"{', '.join(found.idle)}: no column depends on it")] if found.idle else []),
        ("memory", f"about {quantity(forecast.memory_bytes, 'B', 3)} at most"),
    ]
    if not found.fits:
        free = f"memory {quantity(found.memory_free, 'B', 3)}"
        free += f", disk here {quantity(found.disk_free, 'B', 3)}"
        pairs.append(("free", f"{free}: `perfcore run` refuses this without --force"))
    if not forecast.exact:
        pairs.append(("estimated", f"from a sample of {forecast.sampled_rows:,} rows"))
    facts(pairs)
    _provenance(found)


def _provenance(found: "Plan") -> None:
    by_entry: dict[str, list[str]] = {}
    for estimate in found.estimated:
        mark = " (median of others)" if estimate.fallback else ""
        by_entry.setdefault(estimate.entry, []).append(estimate.field + mark)
    if by_entry:
        say()
        say("estimated, as no vendor publishes them:")
        listed = list(by_entry.items())
        facts([(name, ", ".join(fields)) for name, fields in listed[:_LISTED]], "  ")
        if len(listed) > _LISTED:
            say(f"  and for {len(listed) - _LISTED} more entries (--json lists all)")
    if found.hypothetical:
        shown = ", ".join(found.hypothetical[:_LISTED])
        more = len(found.hypothetical) - _LISTED
        paragraph(f"hypothetical: {shown}{f' and {more} more' if more > 0 else ''}", "")


def _percent(share: float) -> str:
    return "under 0.1%" if 0.0 < share < 0.001 else f"{share:.1%}"
