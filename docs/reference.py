"""What the pages of the site show of the code itself: columns, records, catalogue, commands, API.

A page holds ``<!-- generated NAME -->`` where one of ``GENERATED`` belongs; ``conf.py`` puts it in
when the site is built, so that no copy is kept. All functions return Markdown.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import click
from pydantic import BaseModel

import perfcore
from perfcore import units
from perfcore.catalog import loader
from perfcore.catalog.engine_entry import CALIBRATIONS, Constant, EngineEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.mixers import MIXERS
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import active_parameter_count, parameter_count
from perfcore.catalog.schema import (
    DeviceEntry,
    EconomicsEntry,
    FactEntry,
    KVFormatEntry,
    WeightFormatEntry,
)
from perfcore.cli import program
from perfcore.cli.catalogue import number_text
from perfcore.columns import AXES, METRICS, Column
from perfcore.inputs import DEPLOYMENT_AXES, INPUTS, LIMITS, RECORDS
from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.tables import Column as TableColumn
from perfcore.tables import Table, left, markdown, right
from perfcore.units import format_quantity

OWN_PLACE = {"name", "title", "aliases", "source", "estimated", "hypothetical", "notes", "quality"}
MARKS = {
    "claimed": re.compile(r"\bclaim"),
    "second-hand": re.compile(r"\bsecond-hand\b"),
    "recalled": re.compile(r"\brecalled\b"),
}


# Markdown


def escaped(text: str) -> str:
    """Text as it is, whatever Markdown would make of it; code stays, addresses become links."""
    parts = re.split(r"(https?://[^\s,;)\]]+|`[^`|]+`)", " ".join(text.split()))
    return "".join(
        (part if part[0] == "`" else f"<{part}>")
        if place % 2
        else re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def table(columns: Sequence[TableColumn], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; numbers stay beside their units."""
    lines = [
        [
            cell.replace(" ", "\N{NO-BREAK SPACE}") if column.align == "right" else cell
            for cell, column in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    return markdown(Table.of(columns, lines), str)


def paragraphs(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def linked(name: str) -> str:
    """The name of an entry, linked to its section of the same page."""
    return f"[{escaped(name)}](#{anchor(name)})"


def anchor(name: str) -> str:
    """What MyST makes of a heading's text for links to it."""
    return re.sub(r"[^\w-]", "", name.lower())


# Nomenclature


def columns_table(columns: Iterable[Column]) -> str:
    """Names, units and meanings of columns."""
    rows = [(f"`{column.name}`", unit(column), escaped(column.meaning)) for column in columns]
    return table(left("column", "unit", "meaning"), rows)


def unit(column: Column) -> str:
    """The unit of a column, or that it is text."""
    return "text" if column.text else column.unit


def axes() -> str:
    """What a row is about."""
    return columns_table(AXES)


def metrics() -> str:
    """What a row says: the default columns, and the others."""
    return paragraphs(
        "Written unless `output.columns` says otherwise:",
        columns_table(column for column in METRICS if column.default),
        'Written if they are asked for, by name or with `output.columns = "all"`:',
        columns_table(column for column in METRICS if not column.default),
    )


def categories() -> str:
    """Every text that a column of codes may hold."""
    rows = [
        (f"`{column.name}`", ", ".join(f"`{text}`" for text in column.categories))
        for column in (*AXES, *METRICS)
        if column.categories
    ]
    return table(left("column", "values"), rows)


def record_fields() -> str:
    """Every field of every record that the physics works on."""
    parts = []
    for kind, record in RECORDS.items():
        rows = [
            (f"`{name}`", si_unit(one.limits.dimension), escaped(one.meaning))
            for name, one in INPUTS[kind].items()
        ]
        parts += [
            f"### {record.__name__}",
            inspect.getdoc(record) or "",
            table(left("field", "unit", "meaning"), rows),
        ]
    rows = [(f"`{axis.name}`", axis.meaning) for axis in DEPLOYMENT_AXES]
    return paragraphs(*parts, "### Deployment and request", table(left("axis", "meaning"), rows))


def si_unit(dimension: str) -> str:
    """The SI unit of a dimension, ``1`` for pure numbers and counts."""
    return units.DIMENSIONS[dimension].unit or "1"


# Catalogue


def entries(kind: str) -> list[Entry]:
    """All entries of a kind, in the order of the catalogue."""
    return [loader.load(kind, name) for name in loader.names(kind)]


def marks(entry: Entry) -> list[str]:
    """What a reader should know before relying on an entry's figures."""
    said = " ".join((entry.source, entry.notes, *entry.estimated.values()))
    found = ["hypothetical"] if entry.hypothetical else []
    found += ["estimated"] if entry.estimated else []
    return found + [mark for mark, words in MARKS.items() if words.search(said.lower())]


def figure(name: str, value: object) -> str:
    """A field of an entry as text."""
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, int | float):
        return number_text(name, value)
    if isinstance(value, tuple | list):
        return ", ".join(figure("", item) for item in value)
    if isinstance(value, BaseModel):
        return "; ".join(f"{key} {item}" for key, item in value if item is not None)
    return str(value)


def details(entry: Entry, computed: Mapping[str, str] | None = None) -> str:
    """All that an entry says: figures, which of them are estimated and how, sources, notes."""
    given = entry.model_dump(exclude_defaults=True)
    figures = [f"{escaped(name)} {text}" for name, text in (computed or {}).items()]
    for name in given:
        if name not in OWN_PLACE and getattr(entry, name) not in (None, False, "", 0, ()):
            star = r"\*" if name in entry.estimated else ""
            shown = escaped(figure(name, getattr(entry, name)))
            figures.append(f"`{name}` {shown}{star}")
    aliases = ", ".join(f"`{alias}`" for alias in entry.aliases)
    estimates = "\n".join(
        f"- `{name}`: {escaped(why)}" for name, why in sorted(entry.estimated.items())
    )
    return paragraphs(
        f"### {entry.name}",
        " ".join(
            part
            for part in (
                f"**{escaped(entry.title)}**" if entry.title else "",
                f"({', '.join(marks(entry))})" if marks(entry) else "",
                f"– also {aliases}" if aliases else "",
            )
            if part
        ),
        " · ".join(figures),
        f"\\* estimated, as nobody publishes it:\n\n{estimates}" if estimates else "",
        f"*Source*: {escaped(entry.source)}",
        f"*Notes*: {escaped(entry.notes)}" if entry.notes else "",
    )


def by_vendor(found: Sequence[DeviceEntry]) -> dict[str, list[DeviceEntry]]:
    """Devices by their vendor, in the order of the catalogue."""
    groups: dict[str, list[DeviceEntry]] = {}
    for entry in found:
        groups.setdefault(entry.vendor, []).append(entry)
    return groups


def devices() -> str:
    """A table of the devices of each vendor, and all about each."""
    groups = by_vendor(cast("list[DeviceEntry]", entries("device")))
    parts = ["## At a glance"]
    columns = (
        *left("device"),
        *right("year", "memory", "bandwidth", "TFLOP/s, 16 bit", "8 bit", "power", "USD/h"),
        *left("marks"),
    )
    for vendor, found in groups.items():
        rows = [
            (
                linked(entry.name),
                str(entry.year),
                format_quantity(entry.memory_capacity, "B", 3),
                format_quantity(entry.memory_bandwidth, "B/s", 3),
                rate(entry.flops_fp16),
                rate(max(entry.flops_fp8, entry.flops_int8)),
                f"{entry.board_power:,.0f} W",
                f"{entry.price_per_hour:.2f}",
                ", ".join(marks(entry)),
            )
            for entry in found
        ]
        parts += [f"**{escaped(vendor)}**", table(columns, rows)]
    for vendor, found in groups.items():
        parts += [f"## {escaped(vendor)}", *map(details, found)]
    return paragraphs(*parts)


def rate(flops: float) -> str:
    """A dense arithmetic rate in TFLOP/s, or a dash where there is no such path."""
    return f"{flops / 1e12:,.{0 if flops >= 1e15 else 1}f}" if flops else "–"


def mixers() -> str:
    """A table of the letters of ``layer_types``."""
    rows = ((f"`{letter}`", mixer.title) for letter, mixer in MIXERS.items())
    return table(left("letter", "layer"), rows)


def models() -> str:
    """A table of the models, and all about each."""
    found = cast("list[ModelEntry]", entries("model"))
    columns = (
        *left("model"),
        *right("parameters", "active", "layers", "KV/token", "context"),
        *left("release", "marks"),
    )
    whole = loader.load_kv_format("bf16").record()
    rows, parts = [], []
    for entry in found:
        cache = kv_bytes_per_sequence(entry.record(), whole, 1.0)
        rows.append(
            (
                linked(entry.name),
                format_quantity(parameter_count(entry), "", 3),
                format_quantity(active_parameter_count(entry), "", 3),
                str(entry.num_hidden_layers),
                format_quantity(cache, "B", 3),
                f"{entry.max_position_embeddings:,}" if entry.max_position_embeddings else "–",
                entry.release or "–",
                ", ".join(marks(entry)),
            )
        )
        parts.append(details(entry))
    return paragraphs(
        "## At a glance",
        "KV bytes per token are those of a 16-bit cache, layers with a window and keys of an "
        "indexer included.",
        table(columns, rows),
        "## Each model",
        *parts,
    )


def formats() -> str:
    """Tables of weight and KV-cache formats, what open measurements say of their quality."""
    weights = cast("list[WeightFormatEntry]", entries("weight_format"))
    caches = cast("list[KVFormatEntry]", entries("kv_format"))
    quality = [
        (
            linked(entry.name),
            escaped(measured.model),
            escaped(measured.metric),
            f"{measured.value:g}",
            "–" if measured.reference is None else f"{measured.reference:g}",
            escaped(measured.source),
        )
        for entry in weights
        for measured in entry.quality
    ]
    return paragraphs(
        "## Weights",
        table(
            (
                *left("format"),
                *right("bits", "embedding bits"),
                *left("kernel", "arithmetic", "layout"),
            ),
            [
                (
                    linked(entry.name),
                    f"{entry.bits:g}",
                    f"{entry.embedding_bits:g}",
                    entry.kernel,
                    entry.arithmetic,
                    escaped(entry.layout),
                )
                for entry in weights
            ],
        ),
        "## KV cache",
        table(
            (*left("format"), *right("bits"), *left("layout", "source")),
            [(f"`{e.name}`", f"{e.bits:g}", escaped(e.layout), escaped(e.source)) for e in caches],
        ),
        "## Quality",
        "Open measurements; a value of one model and size says little about others.",
        table(
            (*left("format", "model", "metric"), *right("value", "at 16 bit"), *left("source")),
            quality,
        ),
        "## Each weight format",
        *map(details, weights),
    )


def engines() -> str:
    """Every constant of every engine: its value, what it rests on, and from where."""
    parts = []
    for entry in cast("list[EngineEntry]", entries("engine")):
        measured = ", ".join(name for names in entry.measured.values() for name in names)
        parts += [
            f"## {entry.name}",
            f"**{escaped(entry.title)}**",
            f"Stands on [{entry.base}](#{anchor(entry.base)})." if entry.base else "",
            f"Fitted on {measured}." if measured else "",
            f"*Source*: {escaped(entry.source)}",
            f"*Notes*: {escaped(entry.notes)}" if entry.notes else "",
            constants(entry),
        ]
    return paragraphs(*parts)


def constants(entry: EngineEntry) -> str:
    """The constants that an engine gives itself, and where they hold."""
    scopes: list[tuple[str, Mapping[str, Constant], str]] = [
        ("everywhere", entry.constants, ""),
        ("everywhere", entry.factors, "× "),
    ]
    scopes += [(key, found, "× ") for key, found in entry.class_factors.items()]
    for given in (entry.device_class, entry.link, entry.device):
        scopes += [
            (key, found, "") for key, found in cast("dict[str, dict[str, Constant]]", given).items()
        ]
    rows = [
        (
            f"`{name}`",
            escaped(scope),
            f"{sign}{shown(name, constant, sign)}",
            constant.basis,
            escaped(constant.source),
        )
        for scope, found, sign in scopes
        for name, constant in found.items()
    ]
    columns = (*left("constant", "on"), *right("value"), *left("basis", "source"))
    return table(columns, rows) if rows else ""


def shown(name: str, constant: Constant, sign: str) -> str:
    """The value of a constant with its unit; factors have none."""
    unit = si_unit(LIMITS["engine"][name].dimension)
    return (
        f"{constant.value:g}" if sign or unit == "1" else format_quantity(constant.value, unit, 4)
    )


def intervals() -> str:
    """How wide the 80 % intervals are, by what a prediction rests on."""
    levels = cast("EngineEntry", loader.load("engine", "kernels")).intervals
    names = sorted({name.split("_", 1)[1] for name in levels[CALIBRATIONS[0]]})
    rows = [
        (
            f"`{name}`",
            *(
                " – ".join(f"{levels[level][f'{end}_{name}'].value:.2f}" for end in ("low", "high"))
                for level in CALIBRATIONS
            ),
        )
        for name in names
    ]
    return table((*left("interval"), *right(*CALIBRATIONS)), rows)


def economics() -> str:
    """Facilities and how they pay."""
    return paragraphs(*map(details, cast("list[EconomicsEntry]", entries("economics"))))


def prices() -> str:
    """Dated prices, grid intensities and overheads."""
    return facts("price")


def energy() -> str:
    """Energy constants."""
    return facts("energy")


def facts(kind: str) -> str:
    """Single sourced numbers, by what they are of."""
    groups: dict[str, list[FactEntry]] = {}
    for entry in cast("list[FactEntry]", entries(kind)):
        groups.setdefault(entry.category, []).append(entry)
    parts = []
    for category, found in groups.items():
        rows = [
            (
                f"`{entry.name}`",
                "; ".join(escaped(text) for text in (entry.title, entry.condition) if text),
                spread(entry),
                "; ".join(
                    escaped(text)
                    for text in (entry.provenance, entry.date, entry.source, entry.notes)
                    if text
                ),
            )
            for entry in found
        ]
        parts += [
            f"### {escaped(category)}",
            table((*left("name", "what"), *right("value"), *left("source")), rows),
        ]
    return paragraphs(*parts)


def spread(entry: FactEntry) -> str:
    """The value of a fact with its unit, and from where to where others put it."""
    value = f"{entry.value:g} {escaped(entry.unit)}"
    if entry.low is None or entry.high is None:
        return value
    return f"{value} ({entry.low:g} – {entry.high:g})"


# Commands and API


def commands() -> str:
    """The help of every command."""
    root = click.Context(program, info_name="perfcore", terminal_width=96, max_content_width=96)
    parts = []
    for name in program.list_commands(root):
        command = program.get_command(root, name)
        if command is None:
            raise LookupError(f"command {name!r} is listed but cannot be loaded")
        parts.append(f"## perfcore {name}")
        parts += helps(command, name, root)
    return paragraphs(*parts)


def helps(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """The help of a command and of those below it."""
    context = click.Context(command, info_name=name, parent=parent)
    found = [f"```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            below = command.get_command(context, inner)
            if below is not None:
                found += [f"### {context.command_path} {inner}", *helps(below, inner, context)]
    return found


def api() -> str:
    """Directives for every public name of the package."""
    lines = ["```{eval-rst}"]
    for name in perfcore.__all__:
        public = getattr(perfcore, name)
        if isinstance(public, type) and issubclass(public, BaseException):
            lines += [f".. autoexception:: perfcore.{name}"]
        elif isinstance(public, type):
            lines += [f".. autoclass:: perfcore.{name}", "   :members:"]
        elif callable(public):
            lines += [f".. autofunction:: perfcore.{name}"]
        lines += [""]
    return "\n".join([*lines, "```"])


GENERATED: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        axes,
        metrics,
        categories,
        record_fields,
        devices,
        mixers,
        models,
        formats,
        engines,
        intervals,
        economics,
        prices,
        energy,
        commands,
        api,
    )
}
MARKER = re.compile(r"^<!-- generated (\w+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """A page with everything generated in its place; an unknown name is a KeyError."""
    return MARKER.sub(lambda match: GENERATED[match[1]](), page)
