"""Parts of the site that are generated from the code: columns, records, catalogue, commands, API.

A page has ``<!-- generated NAME -->`` for each part, a name of ``GENERATED``. ``conf.py`` inserts
it when the site is built, so no copy is stored. All these functions return Markdown.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click
from pydantic import BaseModel

import perfcore
from perfcore import units
from perfcore.accuracy.importing import TOOLS
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
from perfcore.columns import AXES, METRICS, PAIRS, SIMULATED, TRAFFIC_AXES, Column
from perfcore.inputs import DEPLOYMENT_AXES, INPUTS, LIMITS, PAIR_AXES, RECORDS
from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.tables import Column as TableColumn
from perfcore.tables import Table, left, markdown, right
from perfcore.units import format_quantity

OWN_PLACE = {"name", "title", "aliases", "source", "estimated", "hypothetical", "notes", "quality"}
MARKS = {
    "claimed": re.compile(r"\bclaim"),
    "second-hand": re.compile(r"\bsecond-hand\b"),
}


# Markdown


def escaped(text: str) -> str:
    """Return text with Markdown escaped; code stays as it is, and addresses become links."""
    parts = re.split(r"(https?://[^\s,;)\]]+|`[^`|]+`)", " ".join(text.split()))
    return "".join(
        (part if part[0] == "`" else f"<{part}>")
        if place % 2
        else re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def table(columns: Sequence[TableColumn], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown cells; numbers are not separated from their units."""
    lines = [
        [
            cell.replace(" ", "\N{NO-BREAK SPACE}") if column.align == "right" else cell
            for cell, column in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    return markdown(Table.of(columns, lines), str)


def paragraphs(*parts: str) -> str:
    """Return the parts as paragraphs, without empty ones."""
    return "\n\n".join(part for part in parts if part)


def linked(name: str) -> str:
    """Return the name of an entry, linked to its section on the same page."""
    return f"[{escaped(name)}](#{anchor(name)})"


def anchor(name: str) -> str:
    """Return the anchor that MyST gives to a heading."""
    return re.sub(r"[^\w-]", "", name.lower())


# Nomenclature


def columns_table(columns: Iterable[Column]) -> str:
    """Return a table of the names, units and meanings of columns."""
    rows = [(f"`{column.name}`", unit(column), escaped(column.meaning)) for column in columns]
    return table(left("column", "unit", "meaning"), rows)


def unit(column: Column) -> str:
    """Return the unit of a column, ``text`` for text columns."""
    return "text" if column.text else column.unit


def axes() -> str:
    """Return the table of axes, those of other machines last."""
    return columns_table((*AXES, *PAIRS))


def metrics() -> str:
    """Return the tables of metrics: the default columns, and the others."""
    return paragraphs(
        "Written by default (see `output.columns`):",
        columns_table(column for column in METRICS if column.default),
        'Written on request, by name or with `output.columns = "all"`:',
        columns_table(column for column in METRICS if not column.default),
    )


def traffic_axes() -> str:
    """Return the table of the axes of traffic."""
    return columns_table(TRAFFIC_AXES)


def simulated() -> str:
    """Return the tables of the results of simulated rows: default columns, and the others."""
    return paragraphs(
        "Written by default:",
        columns_table(column for column in SIMULATED if column.default),
        "Written on request:",
        columns_table(column for column in SIMULATED if not column.default),
    )


def categories() -> str:
    """Return a table of the values of each text column with a fixed set of values."""
    rows = [
        (f"`{column.name}`", ", ".join(f"`{text}`" for text in column.categories))
        for column in (*AXES, *METRICS)
        if column.categories
    ]
    return table(left("column", "values"), rows)


def record_fields() -> str:
    """Return tables of the fields of every record that is an input of the physics."""
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
    axes = (*DEPLOYMENT_AXES, *PAIR_AXES.values())
    rows = [(f"`{axis.name}`", axis.meaning) for axis in axes]
    return paragraphs(*parts, "### Deployment and request", table(left("axis", "meaning"), rows))


def si_unit(dimension: str) -> str:
    """Return the SI unit of a dimension, ``1`` for pure numbers and counts."""
    return units.DIMENSIONS[dimension].unit or "1"


# Catalogue


def entries(kind: str) -> list[Entry]:
    """Return all entries of a kind in catalogue order."""
    return [loader.load(kind, name) for name in loader.names(kind)]


def marks(entry: Entry) -> list[str]:
    """Return the marks of an entry, which warn readers about its figures."""
    said = " ".join((entry.source, entry.notes, *entry.estimated.values()))
    found = ["hypothetical"] if entry.hypothetical else []
    found += ["estimated"] if entry.estimated else []
    return found + [mark for mark, words in MARKS.items() if words.search(said.lower())]


def figure(name: str, value: object) -> str:
    """Return the value of a field as text."""
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
    """Return the section of an entry: figures, derivations of estimates, sources, notes."""
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
                f"– aliases: {aliases}" if aliases else "",
            )
            if part
        ),
        " · ".join(figures),
        f"\\* estimated, because it is not published:\n\n{estimates}" if estimates else "",
        f"*Source*: {escaped(entry.source)}",
        f"*Notes*: {escaped(entry.notes)}" if entry.notes else "",
    )


def by_vendor(found: Sequence[DeviceEntry]) -> dict[str, list[DeviceEntry]]:
    """Return devices grouped by vendor, in catalogue order."""
    groups: dict[str, list[DeviceEntry]] = {}
    for entry in found:
        groups.setdefault(entry.vendor, []).append(entry)
    return groups


def devices() -> str:
    """Return an overview table of the devices of each vendor, and a section for each device."""
    groups = by_vendor(cast("list[DeviceEntry]", entries("device")))
    parts = ["## At a glance"]
    columns = (
        *left("device"),
        *right("year", "memory", "bandwidth", "TFLOP/s, 16-bit", "8-bit", "power", "USD/h"),
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
    """Return a dense arithmetic rate in TFLOP/s, or a dash if the device has no such path."""
    return f"{flops / 1e12:,.{0 if flops >= 1e15 else 1}f}" if flops else "–"


def mixers() -> str:
    """Return a table of the letters of ``layer_types``."""
    rows = ((f"`{letter}`", mixer.title) for letter, mixer in MIXERS.items())
    return table(left("letter", "layer"), rows)


def models() -> str:
    """Return an overview table of the models, and a section for each model."""
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
        "KV bytes per token are for a 16-bit cache and include layers with a window and the keys "
        "of an indexer.",
        table(columns, rows),
        "## Each model",
        *parts,
    )


def formats() -> str:
    """Return tables of weight and KV-cache formats, and published measurements of their quality."""
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
        "Published measurements. A value for one model and size says little about others.",
        table(
            (*left("format", "model", "metric"), *right("value", "at 16 bits"), *left("source")),
            quality,
        ),
        "## Each weight format",
        *map(details, weights),
    )


def engines() -> str:
    """Return a table of the constants of every engine: value, basis and source."""
    parts = []
    for entry in cast("list[EngineEntry]", entries("engine")):
        measured = ", ".join(name for names in entry.measured.values() for name in names)
        kernels = "; ".join(f"{', '.join(found)} on {key}" for key, found in entry.kernels.items())
        parts += [
            f"## {entry.name}",
            f"**{escaped(entry.title)}**",
            f"Based on [{entry.base}](#{anchor(entry.base)})." if entry.base else "",
            released(entry),
            f"Fitted on {measured}." if measured else "",
            f"Kernels fitted: {kernels}." if kernels else "",
            f"*Source*: {escaped(entry.source)}",
            f"*Notes*: {escaped(entry.notes)}" if entry.notes else "",
            constants(entry),
        ]
    return paragraphs(*parts)


def released(entry: EngineEntry) -> str:
    """Return which releases of another engine an entry describes, if it does."""
    if not entry.release_of:
        return ""
    last = f" {entry.until_version}" if entry.until_version else ""
    name = f"[{entry.release_of}](#{anchor(entry.release_of)})"
    if entry.since_version:
        return f"Releases of {name} from {entry.since_version} on."
    graphs = "" if entry.graphs else "; every step is eager"
    return f"Releases of {name} up to{last} ({entry.until}){graphs}."


def constants(entry: EngineEntry) -> str:
    """Return a table of the constants that an engine sets itself, with their scope."""
    scopes: list[tuple[str, Mapping[str, Constant], str]] = [
        ("everywhere", entry.constants, ""),
        ("everywhere", entry.factors, "× "),
    ]
    scopes += [(key, found, "× ") for key, found in entry.class_factors.items()]
    for given in (entry.device_class, entry.link, entry.device):
        scopes += [
            (key, found, "") for key, found in cast("dict[str, dict[str, Constant]]", given).items()
        ]
    scopes += [("eager", entry.eager, "× "), ("offline", entry.offline, "")]
    scopes += [
        (f"{backend}, {place}", found, "× ")
        for backend, places in entry.backend.items()
        for place, found in places.items()
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
    columns = (*left("constant", "scope"), *right("value"), *left("basis", "source"))
    return table(columns, rows) if rows else ""


def shown(name: str, constant: Constant, sign: str) -> str:
    """Return the value of a constant with its unit; factors have no unit."""
    unit = si_unit(LIMITS["engine"][name].dimension)
    return (
        f"{constant.value:g}" if sign or unit == "1" else format_quantity(constant.value, unit, 4)
    )


def intervals() -> str:
    """Return a table of the factors of the 80 % intervals, by the evidence for the stack."""
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


def hosts() -> str:
    """Return a section for each host."""
    return paragraphs(*map(details, entries("host")))


def economics() -> str:
    """Return a section for each facility and pricing model."""
    return paragraphs(*map(details, cast("list[EconomicsEntry]", entries("economics"))))


def prices() -> str:
    """Return tables of dated prices, grid intensities and overheads."""
    return facts("price")


def energy() -> str:
    """Return tables of energy constants."""
    return facts("energy")


def facts(kind: str) -> str:
    """Return tables of single numbers with sources, by category."""
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
            table((*left("name", "quantity"), *right("value"), *left("source")), rows),
        ]
    return paragraphs(*parts)


def spread(entry: FactEntry) -> str:
    """Return the value of a fact with its unit and, if known, its range."""
    value = f"{entry.value:g} {escaped(entry.unit)}"
    if entry.low is None or entry.high is None:
        return value
    return f"{value} ({entry.low:g} – {entry.high:g})"


# Commands and API


def tools() -> str:
    """Return the table of tools whose results are read."""
    rows = [(tool.name, tool.files, tool.rows, tool.states, tool.lacks) for tool in TOOLS]
    return table(left("tool", "files", "rows", "stated", "to be set"), rows)


def commands() -> str:
    """Return the help of every command."""
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
    """Return the help of a command and of its subcommands."""
    context = click.Context(command, info_name=name, parent=parent)
    found = [f"```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            below = command.get_command(context, inner)
            if below is not None:
                found += [f"### {context.command_path} {inner}", *helps(below, inner, context)]
    return found


def sweep_keys() -> str:
    """Return tables of the keys of each section of a sweep file."""
    sections: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))["properties"]
    parts = []
    for name in ("axes", "traffic", "sample", "output"):
        rows = [
            (f"`{key}`", escaped(_meaning(key, told)), _values(told), _default(told))
            for key, told in sections[name]["properties"].items()
        ]
        heading = f"### {name}"
        parts += [heading, table(left("key", "meaning", "values", "default"), rows)]
    return paragraphs(*parts)


SCHEMA = Path(perfcore.__file__).parent / "sweep.schema.json"
_MEANINGS = {  # of keys without a description
    "method": "how points are spread: `sobol` evenly",
    "n": "number of points",
    "seed": "seed of the random numbers",
}


def _meaning(key: str, told: dict[str, Any]) -> str:
    return str(told.get("description") or _MEANINGS[key])


def _values(told: dict[str, Any]) -> str:
    """Return what a key may be: its choices, or the kind and ends of its numbers."""
    kinds = {"const": _constant, "enum": _choices, "$ref": _numbers, "anyOf": _either}
    for key, words in kinds.items():
        if key in told:
            return words(told[key])
    if "minimum" in told:
        return f"whole numbers, {told['minimum']:,} to {told['maximum']:,}"
    return {"string": "text", "boolean": "`true`, `false`"}.get(told.get("type", ""), "")


def _constant(value: object) -> str:
    return f"`{value}`"


def _choices(values: list[object]) -> str:
    words = [f"`{one}`" for one in values if not isinstance(one, bool)]
    return ", ".join(words) if len(words) <= 8 else "names"


def _numbers(reference: str) -> str:
    """Return the numbers of a definition, whose name has their kind and ends."""
    found = re.search(r"values-of-(whole|real)-[\w-]+?-(\S+)-to-(\S+)$", reference)
    if found is None:
        return "names"
    return f"{'whole numbers' if found[1] == 'whole' else 'numbers'}, {found[2]} to {found[3]}"


def _either(options: list[dict[str, Any]]) -> str:
    words = dict.fromkeys(_values(one) for one in options if one.get("type") != "array")
    return " or ".join(filter(None, words)) or "names"


def _default(told: dict[str, Any]) -> str:
    default = told.get("default")
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


# Public names of the package in the order in which a reader needs them, by heading.
API = {
    "One configuration, and several": (
        *("evaluate", "compare", "Configuration", "Comparison", "load_model", "load_device"),
    ),
    "Servers under traffic": ("simulate", "size", "Traffic", "Sizing", "Fleet"),
    "Sweeps and searches": (
        *("sweep", "plan", "search", "pareto", "histogram", "open_run", "diff"),
        *("Dataset", "Run", "Space", "Plan", "Diff"),
    ),
    "Pictures, reports and pages": ("plot", "report", "explore", "Picture"),
    "Claims and accuracy": ("audit", "validate", "Finding", "Score"),
    "Errors": ("PerfcoreError", "InputError"),
}


def api() -> str:
    """Return autodoc directives for every public name of the package."""
    lines = []
    for heading, members in API.items():
        lines += [f"## {heading}", "", "```{eval-rst}"]
        for name in members:
            public = getattr(perfcore, name)
            if isinstance(public, type) and issubclass(public, BaseException):
                lines += [f".. autoexception:: perfcore.{name}"]
            elif isinstance(public, type):
                lines += [f".. autoclass:: perfcore.{name}", "   :members:"]
            else:
                lines += [f".. autofunction:: perfcore.{name}"]
            lines += [""]
        lines += ["```", ""]
    return "\n".join(lines)


def explore() -> str:
    """Return a link to the page that computes, which the site's build writes next to the first."""
    return '<a href="explore.html">Compute your own configuration in this browser</a>'


GENERATED: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        axes,
        sweep_keys,
        metrics,
        traffic_axes,
        simulated,
        categories,
        record_fields,
        devices,
        hosts,
        mixers,
        models,
        formats,
        engines,
        intervals,
        economics,
        prices,
        energy,
        tools,
        commands,
        api,
        explore,
    )
}
MARKER = re.compile(r"^<!-- generated (\w+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """Return a page with every marker replaced; an unknown name is a KeyError."""
    return MARKER.sub(lambda match: GENERATED[match[1]](), page)
