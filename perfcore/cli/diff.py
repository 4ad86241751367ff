"""``perfcore diff``: rows that differ between two sweeps, by how much and why."""

from typing import TYPE_CHECKING, Any, Final

import click

from perfcore.cli.completion import column_name
from perfcore.cli.parsing import Command
from perfcore.cli.text import (
    dump,
    facts,
    heading,
    json_option,
    paragraph,
    print_table,
    say,
    set_option,
)
from perfcore.tables import Table, left, right
from perfcore.units import plural

if TYPE_CHECKING:
    from perfcore.diffing.facts import Change, Side
    from perfcore.diffing.rows import Diff, OnlyIn

DIFFERENT: Final = 1
_LISTED: Final = 20  # most constants that are printed
_LONG: Final = 40  # most characters of a value


@click.command(cls=Command)
@click.argument("before", metavar="RUN1", type=click.Path())
@click.argument("after", metavar="RUN2", type=click.Path())
@click.option(
    "--metric",
    "metrics",
    metavar="COLUMN",
    multiple=True,
    shell_complete=column_name("code", "count", "metric"),
    help="Compare only this column [all that both have]. Repeatable.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Ignore relative changes up to this share [0].",
)
@set_option("economics.pue=1.2")
@json_option
@click.pass_context
def diff(
    ctx: click.Context,
    before: str,
    after: str,
    metrics: tuple[str, ...],
    tolerance: float,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare two runs: rows that changed, and why.

    RUN1 and RUN2 are each the directory of a run, or a sweep file, which is evaluated in memory.
    Rows are paired by their axes; axes with a single value on each side are ignored. The output
    lists which rows changed and what differs between the runs: versions, settings, and constants of
    the catalogue that the rows depend on. --set applies to the last sweep file.

    Exit code 0: every row is in both runs and none changed. 1: rows changed, or are in one run
    only. 2: an error.

    \b
    perfcore diff old new
    perfcore diff old sweep.toml --tolerance 0.001
    perfcore diff sweep.toml sweep.toml --set economics.pue=1.1 --metric cost_per_mtok_output_usd
    """  # noqa: D301
    from perfcore.api import diff as found_by  # noqa: PLC0415 - Arrow is slow to import

    found = found_by(before, after, metrics, tolerance, overrides)
    if as_json:
        dump(found.to_dict())
    else:
        _for_people(found)
    if not found.equal:
        ctx.exit(DIFFERENT)


def _for_people(found: "Diff") -> None:
    facts(
        [
            (title, f"{side.label}: {plural(side.data.num_rows, 'row')}{_unfinished(side)}")
            for title, side in (("before", found.before), ("after", found.after))
        ]
        + [("pairs", f"{found.pairs:,}, of which {found.moved:,} changed")]
        + _only("only before", found.only_before)
        + _only("only after", found.only_after)
    )
    _metrics(found)
    _reasons(found)
    for side, names in zip(("before", "after"), found.uncompared.values(), strict=True):
        if names:
            paragraph(f"only {side}, not compared: {', '.join(names)}", "")
    if found.equal:
        say("equal")


def _unfinished(side: "Side") -> str:
    return "" if side.complete else ", from an unfinished run"


def _only(title: str, rows: "OnlyIn") -> list[tuple[str, str]]:
    if not rows.rows:
        return []
    beyond = rows.rows - rows.left_out
    parts = [f"{rows.left_out:,} that the other left out"] if rows.left_out else []
    parts += [f"{beyond:,} with values that the other's axes lack"] if beyond else []
    lines = [(title, f"{plural(rows.rows, 'row')}: {', '.join(parts)}")]
    if rows.examples:
        lines.append(("", f"e.g. {_coordinates(rows.examples[0])}"))
    return lines


def _metrics(found: "Diff") -> None:
    if found.metrics:
        say()
        lines = [
            (
                moved.metric,
                f"{moved.rows:,}",
                f"{moved.rose / moved.rows:.0%}",
                "-" if moved.median is None else f"{moved.median:.3%}",
                "-" if moved.largest is None else f"{moved.largest:+.3%}",
            )
            for moved in found.metrics
        ]
        columns = (*left("metric"), *right("rows", "rose", "median change", "largest"))
        print_table(Table.of(columns, lines))
        worst = max(found.metrics, key=lambda moved: abs(moved.largest or 0.0))
        heading(f"largest changes of {worst.metric}")
        for row in worst.worst:
            change = row["change"]
            share = f" ({change:+.3%})" if isinstance(change, float) else ""
            where = {key: row[key] for key in found.keys if key in row}
            before, after = (f"{row[side]:.5g}" for side in ("before", "after"))
            paragraph(f"{_coordinates(where) or 'the only row'}: {before} to {after}{share}")
    if found.switches:
        say()
        switches = [(s.metric, s.before, s.after, f"{s.rows:,}") for s in found.switches[:_LISTED]]
        print_table(Table.of((*left("column", "before", "after"), *right("rows")), switches))


def _reasons(found: "Diff") -> None:
    changes = [change for change in found.changes if not change.words]
    words = len(found.changes) - len(changes)
    if changes:
        heading("what differs")
        entries = [change for change in changes if change.kind != "spec"]
        if entries:
            lines = [
                (
                    change.place,
                    change.field,
                    _value(change, change.before),
                    _value(change, change.after),
                    f"{change.rows:,}" if change.kind == "entry" else "",
                )
                for change in sorted(entries, key=lambda c: -c.rows)[:_LISTED]
            ]
            columns = (*left("where", "what", "before", "after"), *right("rows changed"))
            print_table(Table.of(columns, lines))
        if len(entries) > _LISTED:
            say(f"and {len(entries) - _LISTED} more (--json lists all)")
        for change in changes:
            if change.kind == "spec":
                paragraph(f"{change.field} {_from_to(change)}", "")
    if words:
        say()
        many = f"{words:,} texts differ; they affect no row (--json lists them)"
        one = "1 text differs; it affects no row (--json lists it)"
        say(many if words > 1 else one)
    if found.unexplained:
        say()
        paragraph(
            f"{plural(found.unexplained, 'row')} changed although their constants are equal: "
            "settings or perfcore's formulas changed",
            "",
        )


def _value(change: "Change", value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _short(value)
    from perfcore.cli.catalogue import number_text  # noqa: PLC0415 - only where there is one

    return number_text(change.field, value)


def _from_to(change: "Change") -> str:
    from perfcore.diffing.facts import added_and_removed  # noqa: PLC0415

    lists = added_and_removed(change.before, change.after)
    if lists is None:
        return f"from {_short(change.before)} to {_short(change.after)}"
    gained, lost = lists
    if len(gained) == len(lost) == 1:
        return f"from {_short(lost[0])} to {_short(gained[0])}"
    parts = [f"gained {_listed(gained)}"] if gained else []
    return " and ".join([*parts, *([f"lost {_listed(lost)}"] if lost else [])])


def _listed(values: Any) -> str:  # noqa: ANN401 - of any axis
    texts = [_short(value) for value in values[:_LISTED]]
    return ", ".join(texts) + (" …" if len(values) > _LISTED else "")


def _short(value: object) -> str:
    from perfcore.diffing.facts import shown  # noqa: PLC0415

    text = f"{value:.6g}" if isinstance(value, float) else shown(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _coordinates(row: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
