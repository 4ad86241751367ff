"""``perfcore models|devices|formats|engines|economics|columns``: lists and single entries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import click
from pydantic import BaseModel

from perfcore.catalog import loader
from perfcore.catalog.engine_entry import Constant, EngineEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.estimates import HOST
from perfcore.catalog.hosts import HostEntry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.names import is_foreign
from perfcore.catalog.schema import (
    DeviceClass,
    DeviceEntry,
    EconomicsEntry,
    KVFormatEntry,
    WeightFormatEntry,
)
from perfcore.cli.adding import add_device, add_model
from perfcore.cli.completion import column_name, entry_name
from perfcore.cli.parsing import Command, Group
from perfcore.cli.text import (
    dump,
    duration,
    facts,
    heading,
    json_option,
    paragraph,
    print_table,
    quantity,
    say,
)
from perfcore.columns import AXES, BY_NAME, METRICS, PAIRS, SIMULATED, TRAFFIC_AXES, Column
from perfcore.errors import InputError
from perfcore.inputs import LIMITS
from perfcore.reading.words import suggest
from perfcore.tables import Column as TableColumn
from perfcore.tables import Table, left, right
from perfcore.units import DIMENSIONS, plural

_LONG: Final = 2.0**19  # tokens: beyond every window
_CACHE: Final = "bf16"  # KV-cache format for which bytes per token are shown
_COMPUTED: Final = {  # units of computed figures, and of fields that no record has
    "on_chip_memory": "B",
    "on_chip_bandwidth": "B/s",
    "link_latency": "s",
    "published_params": "",
    "published_active": "",
    "params": "",
    "active_params": "",
    "kv_bytes_per_token": "B",
    "kv_bytes_per_further_token": "B",
    "state_bytes_per_sequence": "B",
    "bits": "bit",
    "embedding_bits": "bit",
    "body_bits": "bit",
    "process_nm": "nm",
    "flops": "FLOP/s",
}
_PLAIN: Final = ("bit", "nm", "g/kWh")
_LAST: Final = ("source", "notes", "estimated")

match_option: Callable[[Any], Any] = click.option(
    "--match", default="", metavar="TEXT", help="List only names and descriptions with TEXT."
)


def _marked(entry: Entry) -> str:
    """Return the name, with ``*`` if a figure is estimated and ``?`` if it is hypothetical."""
    return entry.name + ("*" if entry.estimated else "") + ("?" if entry.hypothetical else "")


def _list(
    header: Sequence[TableColumn], rows: Sequence[Sequence[str]], entries: Sequence[Entry] = ()
) -> None:
    """Print a table of entries with a legend of its marks, or that there are none."""
    if rows:
        print_table(Table.of(header, rows, footnotes=_legend(entries)))
    else:
        say("no entries; leave out --match")


def _legend(entries: Sequence[Entry]) -> list[str]:
    """Return the meanings of the marks in use, as one line at most."""
    parts = []
    if any(entry.estimated for entry in entries):
        parts.append("* has estimated figures (`show` lists them)")
    if any(entry.hypothetical for entry in entries):
        parts.append("? hypothetical")
    return ["; ".join(parts)] if parts else []


def _data(entry: Entry, **computed: object) -> dict[str, object]:
    return {**entry.model_dump(mode="json"), **computed}


def _print_entry(entry: Entry, computed: Mapping[str, object]) -> None:
    """Print all fields of an entry, with units, estimates and the source."""
    say(f"{entry.name}  {entry.title}".rstrip(), bold=True)
    if entry.hypothetical:
        say("hypothetical: this does not exist")
    pairs = [(name, _value(name, value)) for name, value in computed.items()]
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        if name in ("name", "title", "hypothetical", *_LAST) or _absent(value):
            continue
        mark = "  (estimated)" if name in entry.estimated else ""
        pairs.append((name, _value(name, value) + mark))
    facts(pairs)
    if entry.estimated:
        heading("estimated, as they are not published")
        facts(list(entry.estimated.items()), "  ")
    heading("source")
    paragraph(entry.source)
    if entry.notes:
        heading("notes")
        paragraph(entry.notes)


def _absent(value: object) -> bool:
    return value is None or value is False or value in ("", 0, (), {})


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, int | float):
        return number_text(name, value)
    if isinstance(value, tuple | list):
        return ", ".join(_value("", item) for item in value)
    if isinstance(value, BaseModel):
        return " ".join(f"{key} {_value(key, item)};" for key, item in value if not _absent(item))
    return str(value)


def number_text(name: str, value: float) -> str:
    """Return the number of an entry's field, in a customary unit."""
    if name == "lifetime":
        return duration(value)
    unit = _unit(name)
    if unit in _PLAIN:
        return f"{value:g} {unit}"
    if unit is None:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return quantity(value, unit)


def _unit(name: str) -> str | None:
    """Return the unit of an entry's field; None for a pure number, shown without a prefix."""
    if name in _COMPUTED:
        return _COMPUTED[name]
    declared = (fields[name] for fields in LIMITS.values() if name in fields)
    return next((DIMENSIONS[limits.dimension].unit for limits in declared), "") or None


def _inherit(ctx: click.Context, as_json: bool) -> bool:
    """Return whether ``--json`` was given before or after ``show``."""
    return as_json or bool(ctx.parent and ctx.parent.params.get("as_json"))


# Models


def _model_facts(entry: ModelEntry) -> dict[str, object]:
    from perfcore.catalog.parameters import active_parameter_count, parameter_count  # noqa: PLC0415
    from perfcore.physics.attention import kv_bytes_per_sequence, state_bytes_per_sequence  # noqa: PLC0415 - only for models

    record, cache = entry.record(), loader.load_kv_format(_CACHE).record()
    return {
        "params": parameter_count(entry),
        "active_params": active_parameter_count(entry),
        "kv_bytes_per_token": kv_bytes_per_sequence(record, cache, 1.0),
        "kv_bytes_per_further_token": (
            kv_bytes_per_sequence(record, cache, 2.0 * _LONG)
            - kv_bytes_per_sequence(record, cache, _LONG)
        )
        / _LONG,
        "state_bytes_per_sequence": state_bytes_per_sequence(record),
    }


_LAYOUTS: Final = {
    "any": "all",
    "tp-pp": "tp and pp; no attention groups (dp), no expert parallelism (ep)",
    "dp-single": "attention groups (dp) of one device each, or tp; ep within them",
    "ep-all": "experts on all tp x dp devices (ep) or tensor-parallel (ep 1)",
}


@click.group(cls=Group, invoke_without_command=True)
@match_option
@json_option
@click.pass_context
def models(ctx: click.Context, match: str, as_json: bool) -> None:
    """List models, show one, or add one.

    \b
    perfcore models --match qwen
    perfcore models show llama-3-70b
    perfcore models add hf:Qwen/Qwen3-8B
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    found = cast("list[ModelEntry]", loader.matching("model", match))
    if as_json:
        dump([_data(entry, **_model_facts(entry)) for entry in found])
        return
    rows = []
    for entry in found:
        made = _model_facts(entry)
        rows.append(
            (
                _marked(entry),
                quantity(cast("float", made["params"])),
                quantity(cast("float", made["active_params"])),
                str(entry.num_hidden_layers),
                quantity(cast("float", made["kv_bytes_per_further_token"]), "B"),
                f"{entry.max_position_embeddings:,}" if entry.max_position_embeddings else "-",
                entry.release or "-",
            )
        )
    numbers = right("params", "active", "layers", "KV/token", "context")
    _list((*left("model"), *numbers, *left("release")), rows, found)


@models.command("show")
@click.argument("name", shell_complete=entry_name("model"))
@json_option
@click.pass_context
def show_model(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a model's architecture, parameter counts and KV cache.

    NAME is a model in the catalogue, a TOML file, a Hugging Face config.json or the directory that
    holds one, a GGUF file, or hf:ORG/NAME. KV bytes per token are those of a 16-bit cache, with
    windows and indexer keys; KV bytes per further token are those of a long context, beyond all
    windows.

    \b
    perfcore models show mixtral-8x7b --json
    perfcore models show ./my-moe/config.json
    """  # noqa: D301
    entry = loader.load_model(name)
    computed = _model_facts(entry)
    if _inherit(ctx, as_json):
        dump(_data(entry, **computed))
    else:
        _print_entry(entry, computed)


models.add_command(add_model)


# Devices


def _device_facts(entry: DeviceEntry) -> dict[str, object]:
    made = entry.record()
    names = ("spot_price_per_hour", "purchase_price", "rated_power")
    return {
        **{name: getattr(made, name) for name in (*names, "energy_per_bit", "energy_per_flop")},
        "fallbacks": entry.fallbacks,
        "energies": {name: joules.why for name, joules in entry.energies.items()},
    }


@click.group(cls=Group, invoke_without_command=True)
@match_option
@click.option(
    "--class",
    "device_class",
    type=click.Choice(get_args(DeviceClass)),
    metavar="CLASS",
    help=f"List only devices of one class: {', '.join(get_args(DeviceClass))}.",
)
@json_option
@click.pass_context
def devices(ctx: click.Context, match: str, device_class: str | None, as_json: bool) -> None:
    """List devices, show one, or add one.

    \b
    perfcore devices --class tpu
    perfcore devices show h100-sxm
    perfcore devices add --help
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    found = [
        entry
        for entry in cast("list[DeviceEntry]", loader.matching("device", match))
        if device_class in (None, entry.device_class)
    ]
    if as_json:
        dump([_data(entry, **_device_facts(entry)) for entry in found])
        return
    rows = [
        (
            _marked(entry),
            str(entry.year),
            quantity(entry.memory_capacity, "B", 3),
            quantity(entry.memory_bandwidth, "B/s", 3),
            quantity(entry.flops_fp16 or entry.flops_fp32, "", 3).replace("kT", "P"),
            f"{entry.board_power:,.0f} W",
            f"{entry.price_per_hour:.2f}",
        )
        for entry in found
    ]
    numbers = right("year", "memory", "bandwidth", "FLOP/s", "power", "USD/h")
    _list((*left("device"), *numbers), rows, found)


@devices.command("show")
@click.argument("name", shell_complete=entry_name("device"))
@json_option
@click.pass_context
def show_device(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a device's data sheet, with estimates and sources.

    \b
    perfcore devices show mi300x
    """  # noqa: D301
    entry = loader.load_device(name)
    if _inherit(ctx, as_json):
        dump(_data(entry, **_device_facts(entry)))
        return
    _print_entry(entry, {})
    made = entry.record()
    groups = {
        "figures and prices that are not listed, and what is used instead": [
            field for field in entry.fallbacks if field not in HOST
        ],
        "the host, unless another is given": [field for field in entry.fallbacks if field in HOST],
    }
    for title, fields in groups.items():
        if fields:
            heading(title)
            told = {name: number_text(name, getattr(made, name)) for name in fields}
            facts([(n, f"{text}, {entry.fallbacks[n]}") for n, text in told.items()], "  ")
    if entry.energies:
        heading("energies that are not listed, and what is used instead")
        facts([(field, joules.why) for field, joules in entry.energies.items()], "  ")


devices.add_command(add_device)


# Formats


@click.group(cls=Group, invoke_without_command=True)
@match_option
@json_option
@click.pass_context
def formats(ctx: click.Context, match: str, as_json: bool) -> None:
    """List weight and KV-cache formats, or show one.

    \b
    perfcore formats --match int4
    perfcore formats show q4_0
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    weights = cast("list[WeightFormatEntry]", loader.matching("weight_format", match))
    caches = cast("list[KVFormatEntry]", loader.matching("kv_format", match))
    if as_json:
        dump([_data(entry, kind=entry.kind) for entry in (*weights, *caches)])
        return
    if weights or not caches:
        _list(
            (
                *left("weight format"),
                *right("bits", "embedding"),
                *left("kernel", "arithmetic", "layout"),
            ),
            [
                (
                    _marked(entry),
                    f"{entry.bits:g}",
                    f"{entry.embedding_bits:g}",
                    entry.kernel,
                    entry.arithmetic,
                    _short(entry.layout),
                )
                for entry in weights
            ],
            () if caches else weights,
        )
    if weights and caches:
        say()
    if caches:
        _list(
            (*left("KV format"), *right("bits"), *left("layout")),
            [(_marked(entry), f"{entry.bits:g}", _short(entry.layout, 50)) for entry in caches],
            [*weights, *caches],
        )


def _short(text: str, length: int = 28) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


@formats.command("show")
@click.argument("name", shell_complete=entry_name("weight_format", "kv_format"))
@json_option
@click.pass_context
def show_format(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a weight format or a KV-cache format, or both if they share a name.

    \b
    perfcore formats show fp8
    """  # noqa: D301
    found: list[Entry] = []
    faults: list[str] = []
    for kind in ("weight_format", "kv_format"):
        try:
            found.append(loader.load(kind, name))
        except InputError as error:
            faults += error.faults
    if not found:
        raise InputError(faults[:1])
    if _inherit(ctx, as_json):
        dump({entry.kind: _data(entry) for entry in found})
        return
    for number, entry in enumerate(found):
        if number:
            say()
        say("weight format" if entry.kind == "weight_format" else "KV-cache format")
        _print_entry(entry, {})


# Engines


@click.group(cls=Group, invoke_without_command=True)
@match_option
@json_option
@click.pass_context
def engines(ctx: click.Context, match: str, as_json: bool) -> None:
    """List inference engines, or show one.

    \b
    perfcore engines
    perfcore engines show default
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    found = cast("list[EngineEntry]", loader.matching("engine", match))
    if as_json:
        dump([_data(entry) for entry in found])
        return
    rows = []
    for entry in found:
        measured = sum(len(devices) for devices in entry.measured.values())
        rows.append((_marked(entry), entry.base, str(measured), _calibrated(entry), entry.title))
    header = (*left("engine", "base"), *right("devices"), *left("fitted to", "title"))
    _list(header, rows, found)


@engines.command("show")
@click.argument("name", shell_complete=entry_name("engine"))
@click.option(
    "--device",
    metavar="NAME",
    shell_complete=entry_name("device"),
    help="Show the constants that apply to this device.",
)
@json_option
@click.pass_context
def show_engine(ctx: click.Context, name: str, device: str | None, as_json: bool) -> None:
    """Show an engine's constants, and whether each was fitted or assumed.

    \b
    perfcore engines show vllm
    perfcore engines show vllm --device h100-sxm
    """  # noqa: D301
    entry = loader.load_engine(name)
    if device is not None:
        _on_device(entry, loader.load_device(device), as_json=_inherit(ctx, as_json))
        return
    if _inherit(ctx, as_json):
        dump(_data(entry))
        return
    say(f"{entry.name}  {entry.title}".rstrip(), bold=True)
    if entry.aliases:
        say(f"aliases: {', '.join(entry.aliases)}")
    _tables(entry)
    heading("source")
    paragraph(entry.source)
    if entry.notes:
        heading("notes")
        paragraph(entry.notes)


def _tables(entry: EngineEntry) -> None:
    """Print an engine's own tables: constants, factors on its base, intervals, evidence."""
    if entry.base:
        say(f"based on: {entry.base}")
    if entry.constants:
        _constants("constants", entry.constants)
    if entry.factors:
        _factors(f"factors on {entry.base}", entry.factors)
    for key, factors in cast("dict[str, dict[str, Constant]]", entry.class_factors).items():
        _factors(f"factors on class {key}", factors)
    for noun, tables in (
        ("on class", entry.device_class),
        ("on link", entry.link),
        ("on device", entry.device),
        ("80 % intervals, calibration", entry.intervals),
    ):
        for key, constants in cast("dict[str, dict[str, Constant]]", tables).items():
            _constants(f"{noun} {key}", constants)
    _limits_of(entry)
    _evidence(entry)


def _calibrated(entry: EngineEntry) -> str:
    """Return the number of rows and sources behind an engine's fit."""
    if entry.fit is None:
        return "-"
    rows = sum(errors.rows for errors in entry.fit.errors)
    sources = {errors.source for errors in entry.fit.errors}
    return f"{rows:,} rows from {plural(len(sources), 'source')}"


def _on_device(entry: EngineEntry, device: DeviceEntry, *, as_json: bool) -> None:
    constants = entry.constants_for(device)
    if as_json:
        dump({name: constant.model_dump() for name, constant in constants.items()})
        return
    level = entry.calibration(device)
    say(f"{entry.name} on {device.name}: calibration {level}", bold=True)
    _constants("constants", constants)


def _factors(title: str, factors: Mapping[str, Constant]) -> None:
    heading(title)
    facts(
        (
            (name, f"{factor.value:g}  ({factor.basis}, {factor.source})")
            for name, factor in factors.items()
        ),
        "  ",
    )


def _limits_of(entry: EngineEntry) -> None:
    """Tell which layouts and formats an engine can run, if not all of them."""
    if entry.can is None:
        return
    heading("what it can run")
    kernels = ", ".join(entry.can.kernels) or "all"
    told = (
        ("layouts", f"{entry.can.layouts}: {_LAYOUTS[entry.can.layouts]}"),
        ("formats", f"kernels {kernels}"),
        ("source", entry.can.source),
    )
    facts(told, "  ")


def _evidence(entry: EngineEntry) -> None:
    if entry.measured:
        heading("measured on")
        measured = cast("dict[str, tuple[str, ...]]", entry.measured)
        facts(((key, ", ".join(devices)) for key, devices in measured.items()), "  ")
    if entry.kernels:
        heading("kernels measured, by vendor of the device")
        facts(((key, ", ".join(kernels)) for key, kernels in entry.kernels.items()), "  ")
    if entry.fit is None:
        return
    heading("errors of the fit, median %")
    rows = [
        (
            errors.source,
            f"{errors.metric}, experts" if errors.experts else errors.metric,
            f"{errors.rows:,}",
            *(
                "-" if value is None else f"{value * 100:.1f}"
                for value in (errors.median_ape, errors.left_out_models, errors.left_out_devices)
            ),
        )
        for errors in entry.fit.errors
    ]
    header = (*left("source", "metric"), *right("rows", "fit", "model left out", "device left out"))
    print_table(Table.of(header, rows))


def _constants(title: str, constants: Mapping[str, Constant]) -> None:
    heading(title)
    pairs = []
    for name, constant in constants.items():
        unit = DIMENSIONS[LIMITS["engine"][name].dimension].unit
        value = quantity(constant.value, unit) if unit else f"{constant.value:g}"
        why = f", {constant.source}" if constant.source else ""
        pairs.append((name, f"{value}  ({constant.basis}{why})"))
    facts(pairs, "  ")


# Economics


@click.group(cls=Group, invoke_without_command=True)
@match_option
@json_option
@click.pass_context
def economics(ctx: click.Context, match: str, as_json: bool) -> None:
    """List facilities and their prices, or show one.

    \b
    perfcore economics
    perfcore economics show owned
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    found = cast("list[EconomicsEntry]", loader.matching("economics", match))
    if as_json:
        dump([_data(entry) for entry in found])
        return
    rows = [
        (
            _marked(entry),
            entry.purchase,
            f"{entry.utilization:.0%}",
            f"{entry.pue:g}",
            f"{entry.carbon_intensity:g}",
            entry.title,
        )
        for entry in found
    ]
    header = (
        *left("economics", "purchase"),
        *right("utilisation", "PUE", "g/kWh"),
        *left("title"),
    )
    _list(header, rows, found)


@economics.command("show")
@click.argument("name", shell_complete=entry_name("economics"))
@json_option
@click.pass_context
def show_economics(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a facility's prices and overheads, with estimates and sources.

    \b
    perfcore economics show hyperscaler
    """  # noqa: D301
    entry = loader.load("economics", name)
    if _inherit(ctx, as_json):
        dump(_data(entry))
    else:
        _print_entry(entry, {})


# Hosts


@click.group(cls=Group, invoke_without_command=True)
@match_option
@json_option
@click.pass_context
def hosts(ctx: click.Context, match: str, as_json: bool) -> None:
    """List hosts of devices, or show one.

    Host memory may hold layers and experts, which the host's CPU computes.

    \b
    perfcore hosts
    perfcore hosts show desktop-ddr5-6000
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    found = cast("list[HostEntry]", loader.matching("host", match))
    if as_json:
        dump([_data(entry) for entry in found])
        return
    rows = [
        (
            _marked(entry),
            quantity(entry.memory_capacity, "B"),
            quantity(entry.memory_bandwidth, "B/s"),
            quantity(entry.flops, "FLOP/s"),
            entry.title,
        )
        for entry in found
    ]
    header = (*left("host"), *right("memory", "bandwidth", "16 bit"), *left("title"))
    _list(header, rows, found)


@hosts.command("show")
@click.argument("name", shell_complete=entry_name("host"))
@json_option
@click.pass_context
def show_host(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show the memory and the CPU of a host, with sources.

    \b
    perfcore hosts show epyc-9004
    """  # noqa: D301
    entry = loader.load("host", name)
    if _inherit(ctx, as_json):
        dump(_data(entry))
    else:
        _print_entry(entry, {})


# Columns


def _column(column: Column) -> dict[str, object]:
    return {
        "name": column.name,
        "unit": column.unit,
        "kind": column.kind,
        "meaning": column.meaning,
        "default": column.default,
        "better": column.better,
        "categories": list(column.categories),
    }


@click.group(cls=Group, invoke_without_command=True)
@match_option
@click.option("--traffic", is_flag=True, help="List those of sweeps with traffic.")
@json_option
@click.pass_context
def columns(ctx: click.Context, match: str, traffic: bool, as_json: bool) -> None:
    """List the output columns, or show one.

    Columns marked + are written by default; a sweep may choose others. Sweeps with traffic have
    other results.

    \b
    perfcore columns --match energy
    perfcore columns show tpot_s
    """  # noqa: D301
    if ctx.invoked_subcommand:
        return
    wanted = match.lower()
    results = (*TRAFFIC_AXES, *SIMULATED) if traffic else METRICS
    known = (*AXES, *PAIRS, *results)
    found = [c for c in known if wanted in c.name or wanted in c.meaning.lower()]
    if as_json:
        dump([_column(column) for column in found])
        return
    _list(
        left("column", "", "unit", "kind", "meaning"),
        [(c.name, "+" if c.default else "", c.unit, c.kind, c.meaning) for c in found],
    )


@columns.command("show")
@click.argument("name", shell_complete=column_name("axis", "code", "count", "metric"))
@json_option
@click.pass_context
def show_column(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a column's meaning, unit and kind, and the values of a code.

    \b
    perfcore columns show status
    """  # noqa: D301
    column = BY_NAME.get(name)
    if column is None:
        hint = suggest(name, BY_NAME)
        raise InputError(f"unknown column {name!r}{hint} (perfcore columns lists all)")
    if _inherit(ctx, as_json):
        dump(_column(column))
        return
    say(column.name, bold=True)
    pairs = [("meaning", column.meaning), ("unit", column.unit or "text"), ("kind", column.kind)]
    pairs.append(("written", "by default" if column.default else "if the sweep names it"))
    if column.better:
        pairs.append(("better", "lower" if column.better == "least" else "higher"))
    if column.categories:
        pairs.append(("values", ", ".join(column.categories)))
    facts(pairs)


# Anything


_SHOWN: Final = {
    "model": show_model,
    "device": show_device,
    "weight_format": show_format,
    "kv_format": show_format,
    "engine": show_engine,
    "economics": show_economics,
    "host": show_host,
}


@click.command(cls=Command)
@click.argument("name", shell_complete=entry_name(*_SHOWN))
@json_option
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a model, a device, or anything else by its name.

    NAME may also be a host, an engine, a format, economics or an output column.

    \b
    perfcore show h100-sxm
    perfcore show tpot_s
    """  # noqa: D301
    if is_foreign(name):
        ctx.invoke(show_model, name=name, as_json=as_json)
        return
    found = dict.fromkeys(command for kind, command in _SHOWN.items() if _is_entry(kind, name))
    commands = [*found, *([show_column] if name in BY_NAME else [])]
    if not commands:
        known = [*BY_NAME, *(each for kind in _SHOWN for each in loader.names(kind))]
        raise InputError(
            f"unknown name {name!r}{suggest(name, known)} (perfcore models, devices, hosts, "
            "engines, formats, economics and columns list all)"
        )
    if as_json and len(commands) > 1:
        raise InputError(
            f"{name!r} names several things; use `show` of models, devices, hosts, engines, "
            "formats, economics or columns for --json"
        )
    for number, command in enumerate(commands):
        if number:
            say()
        ctx.invoke(command, name=name, as_json=as_json)


def _is_entry(kind: str, name: str) -> bool:
    try:
        loader.load(kind, name)
    except InputError:
        return False
    return True
