"""Report on a run or a sweep: findings, an explorer, pictures, assumptions, sources, errors."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from perfcore.accuracy.score_table import score_table
from perfcore.accuracy.scores import Group, Score, score
from perfcore.accuracy.table import read_measurements, shipped
from perfcore.columns import BY_NAME
from perfcore.errors import InputError, argument
from perfcore.exploring.page import acting, explorer, style, today
from perfcore.exploring.rows import embedded
from perfcore.exploring.start import Start, started
from perfcore.inputs import PURCHASES
from perfcore.output import check_output, json_text, replacing
from perfcore.physics.cost import YEAR
from perfcore.reporting.choosing import TPOT
from perfcore.reporting.drawing import Given
from perfcore.reporting.kinds import gather, kinds_of
from perfcore.reporting.opening import open_source
from perfcore.reporting.page import Page, code, details, facts, linked, paragraph, table
from perfcore.reporting.picture import Picture
from perfcore.reporting.run_source import RunSource
from perfcore.reporting.settling import settle
from perfcore.reporting.source import Source
from perfcore.reporting.wording import value_text
from perfcore.tables import Table, left, right
from perfcore.units import format_quantity

_NOT_FACTS: Final = frozenset(
    {"name", "title", "aliases", "base", "source", "estimated", "notes", "hypothetical"}
)
_AS_SAID: Final = "from its source"
ROW_BYTES: Final = 1_000_000  # of rows in a report, which has pictures, too
_SHOWN_ENDS: Final = 8  # most values of an axis that are all listed
_UNITS: Final = {  # of assumptions
    "electricity_price": "USD/kWh",
    "token_price": "USD per million output tokens",
    "carbon_intensity": "g CO2e/kWh",
}


def report(
    given: Given,
    output: str | Path | None = None,
    where: Iterable[str] = (),
    overrides: Iterable[str] = (),
    workers: int | None = None,
    *,
    again: str = "",
) -> str:
    """Return an HTML report on a run or a sweep; write it to a file if one is named.

    The page has findings, an explorer as ``perfcore.explore`` writes it, which begins with the
    sweep's values and has its rows, pictures, assumptions, sources and errors, and works offline.
    Pictures for which the source lacks axes are listed with the remedy.

    Parameters
    ----------
    given
        Directory of a run, sweep file, mapping with the same structure, or ``Space``.
    output
        File to write, ``.html``.
    where
        Conditions, e.g. ``model=llama-3-70b`` or ``tpot_s<=50ms``.
    overrides
        Settings ``key=value`` that override the sweep file.
    workers
        Number of threads, all processors by default.
    again
        Command that reproduces the page, shown in place of a call from Python.

    Raises
    ------
    InputError
        With every fault of the specification or the conditions; if no picture can be drawn, with
        the reasons for each; or if the file cannot be written.
    """
    if output is not None:
        if Path(output).suffix != ".html":
            raise InputError(f"{argument('output')}: {str(output)!r} must end in .html")
        inputs = [str(given)] if isinstance(given, str | Path) else []
        check_output(argument("output"), str(output), inputs)
    source = open_source(given, where, overrides, workers)
    text = _report(source, again or _call(source))
    if output is not None:
        with replacing(Path(output)) as part:
            part.write_text(text, encoding="utf-8", newline="")
    return text


def _report(source: Source, again: str) -> str:
    pictures, missing = _pictures(source)
    if not pictures:
        raise InputError(fault for faults in missing.values() for fault in faults)
    begun = replace(started(source), rows=_rows(source))
    page = Page(source.name)
    page.section("findings", "Summary", _findings(pictures))
    page.section("explore", "What is best, and what if?", *_explorer(begun))
    for picture in pictures:
        page.picture(picture)
    if missing:
        page.section("not-drawn", "Missing pictures and how to get them", _not_drawn(missing))
    page.section("axes", "Sweep", *_asked(source))
    page.section("assumptions", "Assumptions", *_assumptions(source))
    page.section("errors", "Accuracy", *_errors(source))
    page.section("sources", "Sources", *_sources(source))
    page.section("again", "How to reproduce this report", *_again(source, again))
    description = paragraph(source.description) if source.description else ""
    written = f"Written on {today()} by perfcore {source.facts['version']}"
    return page.html(
        f"{description}\n{paragraph(source.line, 'setting')}\n{paragraph(written, 'setting')}",
        '<p id="source"></p><p>This page works offline.</p>',
        style(),
        acting(begun, again),
    )


def _rows(source: Source) -> dict[str, Any] | None:
    """Return rows for the explorer; a sweep with traffic has none, as each is a simulation."""
    if source.simulated and not isinstance(source, RunSource):
        return None
    return embedded(source, ROW_BYTES)


def _explorer(begun: Start) -> Iterator[str]:
    if begun.computes:
        yield '<p id="finding" class="finding" aria-live="polite"></p>\n<p id="setting"></p>'
    yield f'<ul id="notes"></ul>\n{explorer(begun)}'


def _pictures(source: Source) -> tuple[list[Picture], dict[str, tuple[str, ...]]]:
    drawn, missing = [], {}
    for kind in kinds_of(source):
        try:
            drawn.append(gather(source, kind))
        except InputError as error:
            place = f"{source.given}: "
            missing[kind] = tuple(fault.removeprefix(place) for fault in error.faults)
    return drawn, missing


def _findings(pictures: list[Picture]) -> str:
    items = "\n".join(
        f"<li>{linked(f'picture-{one.kind}', f'{one.finding}.')}</li>" for one in pictures
    )
    return f"<ul>\n{items}\n</ul>"


def _not_drawn(missing: Mapping[str, tuple[str, ...]]) -> str:
    return facts((kind, "; ".join(faults)) for kind, faults in missing.items())


def _asked(source: Source) -> Iterator[str]:
    if isinstance(source, RunSource):
        left_out = source.run.manifest["dropped"]
        dropped = left_out if isinstance(left_out, dict) else {}
        evaluated = source.run.manifest["evaluated"]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "none"
        yield paragraph(
            f"{source.run.rows:,} rows of {evaluated:,} configurations; left out: {reasons}."
        )
    if source.where:
        yield paragraph(f"Only rows with {', '.join(source.where)}.")
    lines = []
    for name, values in source.axes.items():
        column = BY_NAME.get(name)
        meaning = column.meaning if column else f"what-if: {name}"
        listed = [value_text(value) for value in values]
        if len(listed) > _SHOWN_ENDS:
            listed = [*listed[:3], "…", listed[-1]]
        if name in {"tp", "pp"} and values == (0,):
            listed = ["the fewest that fit"]
        lines.append((name, f"{len(values):,}", ", ".join(listed), meaning))
    columns = (*left("axis"), *right("number"), *left("values", "meaning"))
    yield table(Table.of(columns, lines, "Axes of the sweep"))


def _assumptions(source: Source) -> Iterator[str]:
    for label in source.axes["economics"]:
        entry = source.entry("economics", label)
        estimated = entry.get("estimated", {})
        names = dict.fromkeys(name for name in entry if name not in _NOT_FACTS)
        names |= dict.fromkeys(_what_ifs(source))
        lines = [
            (name, *_assumed(source, name, entry.get(name), estimated.get(name, _AS_SAID)))
            for name in names
        ]
        title = f"Economics {label}: {entry.get('title', '')}".rstrip(": ")
        yield table(Table.of(left("quantity", "value", "why"), lines, title))
    yield paragraph(
        f"Engine: {', '.join(map(str, source.axes['engine']))}. Its constants are fitted to "
        "published measurements; the engine `ideal` is the physical bound."
    )
    for label in source.axes["engine"]:
        entry = source.entry("engine", label)
        if entry.get("notes"):
            yield paragraph(f"{label}: {entry['notes']}", "note")


def _what_ifs(source: Source) -> dict[str, str]:
    """Return the economic quantities that the sweep sets or scales, with their columns."""
    return {
        key.removeprefix("economics."): what_if["column"]
        for key, what_if in source.facts["spec"]["what_if"].items()
        if key.startswith("economics.")
    }


def _assumed(source: Source, name: str, value: object, why: str) -> tuple[str, str]:
    """Return the value of a quantity, and its origin."""
    column = _what_ifs(source).get(name)
    if column is not None:
        values = source.axes[column]
        codes = name == "purchase"
        told = [PURCHASES[int(code)] if codes else value_text(code) for code in values]
        return ", ".join(told), f"what-if {column}"
    if name == "lifetime" and isinstance(value, float):
        return f"{value / YEAR:g} years", why
    return f"{value_text(value)} {_UNITS.get(name, '')}".rstrip(), why


def _errors(source: Source) -> Iterator[str]:
    yield paragraph(
        "Every time and energy has an 80 % interval: four measurements in five lie within it. The "
        "intervals were tested on models, devices and device classes that the fit had not seen."
    )
    yield _intervals(source)
    devices = set(map(str, source.axes["device"]))
    scored = _scored()
    mine = Score(tuple(row for row in scored.rows if row.question.device.name in devices), ())
    note = (
        "Absolute errors in %: median, 90th percentile and bias of predictions; inside: share of "
        "measurements within the interval; the last three columns are the median errors of simple "
        "baselines."
    )
    yield paragraph(note, "note")
    groups = mine.groups(("device",))
    if groups:
        yield _scores(groups, ("device",), "Errors on the devices of this report")
    unmeasured = sorted(devices - {group.keys["device"] for group in groups})
    if unmeasured:
        yield paragraph(f"perfcore has no measurements of {', '.join(unmeasured)}.")
    yield details(
        "Errors on all measurements that come with perfcore",
        _scores(scored.groups(), ("source",), "Errors on all shipped measurements, by source"),
    )


def _scores(groups: list[Group], keys: tuple[str, ...], caption: str) -> str:
    return table(score_table([group for group in groups if group.rows], keys, caption))


@cache
def _scored() -> Score:
    return score(read_measurements(shipped()))


def _intervals(source: Source) -> str:
    """Return the interval of TPOT on each device."""
    if source.simulated:
        return paragraph("Columns such as ttft_p99_low_s and ttft_p99_high_s have them.", "note")
    needed = ("tpot_s", "tpot_low_s", "tpot_high_s")
    if not set(needed) <= source.metrics:
        return paragraph(
            "No intervals: the run was written without tpot_low_s and tpot_high_s.", "note"
        )
    setting = settle(source, ("device",), "fastest")
    rows = source.best(TPOT, ("device",), setting.fixed, needed)
    lines = [
        (
            str(row["device"]),
            *(format_quantity(row[name], "s", 3) for name in needed),
            " to ".join(f"{row[name] / row['tpot_s'] - 1:+.0%}" for name in needed[1:]),
        )
        for row in rows
    ]
    columns = (*left("device"), *right("TPOT", "low", "high", "interval"))
    caption = "80 % interval of the time per output token, fastest configuration of each device"
    return table(Table.of(columns, lines, caption))


def _sources(source: Source) -> Iterator[str]:
    lines: list[tuple[str, str, str]] = []
    estimates: list[tuple[str, str, str]] = []
    for axis in source.facts["entries"]:
        for label in source.axes.get(axis, ()):
            entry = source.entry(axis, label)
            title = str(entry.get("title") or label)
            mark = " (hypothetical)" if entry.get("hypothetical") else ""
            lines.append((f"{axis} {label}", f"{title}{mark}", str(entry.get("source", "-"))))
            estimates += [
                (f"{axis} {label}", name, why) for name, why in entry.get("estimated", {}).items()
            ]
    entries = left("entry", "title", "source")
    yield table(Table.of(entries, lines, "Catalogue entries and their sources"))
    if estimates:
        yield details(
            f"{len(estimates)} figures that no vendor publishes, and their estimates",
            table(Table.of(left("entry", "figure", "derivation"), estimates, "Estimated figures")),
        )


def _again(source: Source, again: str) -> Iterator[str]:
    lines = [again]
    if isinstance(source, RunSource):
        lines.insert(0, shlex.join(["perfcore", "run", f"{source.name}.toml", "-o", source.given]))
        yield paragraph("Any sweep file with the specification below gives this run.", "note")
    yield code("\n".join(lines))
    yield facts(
        [
            ("perfcore", str(source.facts["version"])),
            ("fingerprint", str(source.facts["fingerprint"])),
            ("catalogue", str(source.facts["catalog_hash"])),
        ]
    )
    path = Path(source.given)
    if path.is_file():
        yield details(f"The sweep file, {path.name}", code(path.read_text(encoding="utf-8")))
    spec: Any = source.facts["spec"]
    yield details("The specification, resolved", code(json_text(_short(spec), 1)))


def _call(source: Source) -> str:
    given = {"where": list(source.where), "overrides": list(source.overrides)}
    arguments = [repr(source.given), repr("report.html")]
    arguments += [f"{name}={value!r}" for name, value in given.items() if value]
    return f"perfcore.report({', '.join(arguments)})"


def _short(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a specification with the values of long axes abbreviated, to keep the page small."""
    axes = {
        name: values
        if not isinstance(values, list) or len(values) <= 100
        else {"count": len(values), "first": values[0], "last": values[-1]}
        for name, values in spec["axes"].items()
    }
    return {**spec, "axes": axes}
