"""``perfcore models add`` and ``perfcore devices add``: user entries, as commented TOML."""

import shlex
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast, get_args

import click
from pydantic import ValidationError

from perfcore.catalog import loader
from perfcore.catalog.entry import Entry
from perfcore.catalog.meanings import MODEL, meanings_of
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.names import is_name
from perfcore.catalog.schema import DeviceClass, DeviceEntry
from perfcore.cli.parsing import Command
from perfcore.cli.text import facts, paragraph, quantity, say
from perfcore.errors import InputError
from perfcore.inputs import INPUTS
from perfcore.output import check_output, replacing
from perfcore.reading.faults import faults_from_validation_error

_USER_FILE: Final = {"model": "models.toml", "device": "devices.toml"}

output_option: Callable[[Any], Any] = click.option(
    "-o", "--output", metavar="FILE.toml", help="Write to this file instead of your catalogue."
)
force_option: Callable[[Any], Any] = click.option(
    "--force", "replace", is_flag=True, help="Replace an existing file or entry."
)


def _target(output: str | None, kind: str, *, replace: bool) -> Path:
    """Return the file to write to, checked to be writable."""
    if output is None:
        directory = loader.user_directory()
        if directory is None:
            raise InputError(
                "there is no home directory for your catalogue; set PERFCORE_CATALOG to a "
                "directory, or name a file with --output"
            )
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{directory}: cannot be created: {error.strerror}; name a file with --output"
            ) from None
        path = directory / _USER_FILE[kind]
        check_output("your catalogue", str(path))
        return path
    if Path(output).suffix.lower() != ".toml":
        raise InputError(f"--output: {output!r} must end in .toml")
    check_output("--output", output)
    if Path(output).exists() and not replace:
        raise InputError(f"--output: {output!r} exists; add --force to replace it, or name another")
    return Path(output)


def _write(path: Path, name: str, text: str, *, own_file: bool, replace: bool) -> None:
    from perfcore.catalog.writing import added  # noqa: PLC0415 - tomlkit, only to write

    whole = text if own_file else added(path, name, text, replace=replace)
    with replacing(path) as part:
        part.write_text(whole, encoding="utf-8", newline="")


def _say_wrote(path: Path, kind: str, name: str, *, own_file: bool) -> None:
    say(f"wrote [{name}] into {path}")
    if not own_file and loader.is_built_in(kind, name):
        say(f"  from now on {name} means this entry, not the built-in {kind}")


def _next(output: str | None, name: str, kind: str) -> None:
    say("next")
    say(f"  {shlex.join(['perfcore', f'{kind}s', 'show', output or name])}")


def _name(given: str | None, default: str) -> str:
    if given is None:
        return default
    if not is_name(given):
        raise InputError(
            f"--name: {given!r} is not a valid name; "
            "use lower-case letters, digits, '-', '.', '_' and '+'"
        )
    return given


# Models


@click.command("add", cls=Command)
@click.argument("source", metavar="SOURCE")
@click.option("--name", metavar="NAME", help="Name of the entry [taken from SOURCE].")
@output_option
@force_option
def add_model(source: str, name: str | None, output: str | None, replace: bool) -> None:
    """Add a model to your catalogue, or write it to a file.

    SOURCE is a Hugging Face config.json or the directory that holds one, a GGUF file, hf:ORG/NAME,
    or a model in the catalogue to copy. The entry is TOML, with a comment that explains each field.

    \b
    perfcore models add ./my-moe/config.json --name my-moe
    perfcore models add hf:Qwen/Qwen3-8B
    perfcore models add llama-3.1-8b --name my-llama -o my-llama.toml
    """  # noqa: D301
    from perfcore.catalog.writing import entry_table, table_text  # noqa: PLC0415 - tomlkit

    entry = loader.load_model(source)
    chosen = _name(name, entry.name)
    if chosen != entry.name:  # aliases stay with the original
        entry = entry.model_copy(update={"name": chosen, "aliases": ()})
    path = _target(output, "model", replace=replace)
    _write(
        path,
        chosen,
        table_text(chosen, entry_table(entry), MODEL),
        own_file=output is not None,
        replace=replace,
    )
    _say_wrote(path, "model", chosen, own_file=output is not None)
    _report_model(entry)
    _next(output, chosen, "model")


def _report_model(entry: ModelEntry) -> None:
    from perfcore.catalog.parameters import active_parameter_count, parameter_count  # noqa: PLC0415

    facts(
        [
            ("parameters", quantity(parameter_count(entry))),
            ("active per token", quantity(active_parameter_count(entry))),
            ("layers", str(entry.num_hidden_layers)),
        ],
        "  ",
    )
    _warn(entry)
    if entry.notes:
        paragraph(f"note: {entry.notes}", "  ")


def _warn(entry: Entry) -> None:
    if entry.estimated:
        say("estimated; check these:")
        facts(entry.estimated.items(), "  ")


# Devices

_MEANINGS: Final = meanings_of(DeviceEntry)
_SHORT: Final = {"device_class": "class"}
_FLAGS: Final = ("spatial", "purchase_price_whole")
_HIDDEN: Final = ("name", "aliases", "estimated", "hypothetical")
_FIELDS: Final = tuple(field for field in DeviceEntry.model_fields if field not in _HIDDEN)
_NUMBERS: Final = ("year", "process_nm", "scale_up_domain")
_NEEDED: Final = (
    "source",
    "device_class",
    "memory_capacity",
    "memory_bandwidth",
    "board_power",
    "price_per_hour",
)
_RATES: Final = ("flops_fp32", "flops_fp16", "flops_fp8", "flops_int8")
_NOT_GIVEN: Final = "not given"

# Assumptions about options that are left out, the same as in the catalogue.
_IDLE_SHARE: Final = 0.2  # of the board power
_ASSUMED: Final[Mapping[str, tuple[object, str]]] = {
    "link_bandwidth": ("31.5 GB/s", "PCIe Gen4 x16, one direction, as no scale-up link was given"),
    "scale_up_domain": (8, "devices in a common server"),
    "network_bandwidth": ("12.5 GB/s", "100 Gb/s per device, usual for PCIe servers"),
}


def _option(field: str) -> str:
    """Return the shortest option that sets a field."""
    return _options(field)[-1]


def _options(field: str) -> tuple[str, ...]:
    """Return the options that set a field: its name, and a shorter label if there is one."""
    known = INPUTS["device"].get(field)
    names = dict.fromkeys((field, known.label if known else _SHORT.get(field, field)))
    return tuple(f"--{name.replace('_', '-')}" for name in names)


def _device_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option to a command for each field of a data sheet."""
    for field in reversed(_FIELDS):
        meaning = _MEANINGS[field]
        text = meaning.text[:1].upper() + meaning.text[1:]
        if field in _FLAGS:
            command = click.option(*_options(field), field, is_flag=True, help=f"{text}.")(command)
            continue
        shown = f"{text}." if meaning.example == "…" else f"{text}, e.g. {meaning.example!r}."
        if field == "device_class":
            shown = f"{text}: {', '.join(get_args(DeviceClass))}."
        shown += " Required." if field in _NEEDED else ""
        command = click.option(*_options(field), field, metavar="VALUE", help=shown)(command)
    return command


@click.command("add", cls=Command)
@click.argument("name", metavar="NAME")
@_device_options
@output_option
@force_option
def add_device(name: str, output: str | None, replace: bool, **given: Any) -> None:  # noqa: ANN401 - click's
    """Add a device to your catalogue, or write it to a file.

    Memory capacity, memory bandwidth, one arithmetic rate, power, price, class and source are
    required. Every other field is written as a comment to fill in, or as an estimate with its
    origin.

    \b
    perfcore devices add my-chip --memory '80 GB' --memory-bandwidth '3.35 TB/s' \\
        --fp16 '989 TFLOP/s' --power '700 W' --price '2.50 USD/h' --class asic \\
        --source 'data sheet of 2026-05'
    """  # noqa: D301
    from perfcore.catalog.writing import table_text  # noqa: PLC0415 - tomlkit, only to write

    if not is_name(name):
        raise InputError(
            f"NAME: {name!r} is not a valid name; "
            "use lower-case letters, digits, '-', '.', '_' and '+'"
        )
    table, faults = _device_table(given)
    text = table_text(name, table, _MEANINGS, absent=[f for f in _FIELDS if f not in table])
    entry: DeviceEntry | None = None
    try:
        entry = DeviceEntry.model_validate({**tomllib.loads(text)[name], "name": name})
    except ValidationError as error:
        faults += [
            _as_option(fault) for fault in faults_from_validation_error(error, "", DeviceEntry)
        ]
    if entry is None or faults:
        raise InputError(dict.fromkeys(faults))
    path = _target(output, "device", replace=replace)
    _write(path, name, text, own_file=output is not None, replace=replace)
    _say_wrote(path, "device", name, own_file=output is not None)
    _warn(entry)
    _next(output, name, "device")


def _device_table(given: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
    """Return the table of the given values, with estimates for missing ones, and the faults."""
    table: dict[str, object] = {}
    faults: list[str] = []
    for field, value in given.items():
        if value is None or value is False:
            continue
        table[field] = _number(field, value, faults) if field in _NUMBERS else value
    if not any(rate in table for rate in _RATES):
        listed = ", ".join(_option(rate) for rate in _RATES)
        faults.append(f"no arithmetic rate is given; add one of {listed}, e.g. '989 TFLOP/s'")
        table["flops_fp32"] = "1 TFLOP/s"  # so that validation does not report it again
    if table.get("status") == "hypothetical":
        table["hypothetical"] = True
    table["estimated"] = _stand_in(table)
    return table, faults


def _stand_in(table: dict[str, object]) -> dict[str, str]:
    """Fill in estimates of fields that were not given; return the origin of each."""
    for field in ("vendor", "memory_kind"):
        table.setdefault(field, _NOT_GIVEN)
    estimates = {
        "idle_power": (
            _idle_power(table.get("board_power")),
            "0.2 x board power; measured devices idle at 0.10 to 0.20 of it",
        ),
        **_ASSUMED,
        "year": (datetime.now(UTC).year, "the year in which this entry was written"),
    }
    taken = {field: found for field, found in estimates.items() if field not in table}
    table |= {field: value for field, (value, _) in taken.items()}
    return {field: why for field, (_, why) in taken.items()}


def _number(field: str, value: str, faults: list[str]) -> object:
    try:
        number = float(value)
    except ValueError:
        faults.append(f"{_option(field)}: {value!r} is not a number; write e.g. 8")
        return 2000.0  # valid for every field, so that validation does not report it again
    return int(number) if number.is_integer() else number


def _idle_power(board_power: object) -> str:
    """Return a share of the board power; an invalid power is reported for its own option only."""
    from perfcore import units  # noqa: PLC0415

    try:
        watts = units.parse(cast("str", board_power), "power")
    except (ValueError, ArithmeticError):
        return "1 mW"
    return f"{_IDLE_SHARE * watts:g} W"


def _as_option(fault: str) -> str:
    """Return a fault of a key as a fault of the option that sets it."""
    for field in sorted(_FIELDS, key=len, reverse=True):
        if fault.partition("; ")[0].endswith(f"key {field!r} is missing"):
            return f"{_option(field)} is missing; give it, e.g. {_MEANINGS[field].example!r}"
        if fault.startswith((f"{field}: ", f": {field}: ")):
            return f"{_option(field)}: {fault.partition(f'{field}: ')[2]}"
    return fault.removeprefix(": ")
