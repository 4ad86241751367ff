"""``perfcore point``: one configuration explained, term by term, against its physical bound."""

from collections.abc import Callable
from typing import Final

import click

from perfcore import overrides as command_line
from perfcore.axes import RULES
from perfcore.bounds import RECORDS
from perfcore.cli.card import show
from perfcore.cli.text import dump, json_option, set_option
from perfcore.columns import BY_NAME
from perfcore.configuration import Configuration
from perfcore.errors import InputError
from perfcore.ranges import Place

_EXAMPLE: Final = "device.memory_bandwidth='4 TB/s' or 'device.memory_bandwidth={scale=2}'"
_METAVARS: Final = {
    "prefix_hit": "SHARE",
    "acceptance": "SHARE",
    "input_len": "TOKENS",
    "output_len": "TOKENS",
}
_ARGUMENTS: Final = ("model", "device")


def _axis_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option an axis: names, defaults and help are the axis' own."""
    for rule in reversed(RULES.values()):
        if rule.name in _ARGUMENTS:
            continue
        metavar = _METAVARS.get(rule.name, "NAME" if rule.bound is None else "N")
        meaning = BY_NAME[rule.name].meaning
        command = click.option(
            f"--{rule.name.replace('_', '-')}",
            default=str(rule.default),
            metavar="|".join(rule.choices) or metavar,
            help=f"{meaning[:1].upper()}{meaning[1:]} [{rule.default}].",
        )(command)
    return command


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("device", metavar="DEVICE")
@_axis_options
@click.option("--devices", default="", metavar="auto", help="Choose tp and pp: as few as fit.")
@set_option(_EXAMPLE)
@json_option
def point(overrides: tuple[str, ...], as_json: bool, **options: str) -> None:
    """Explain one configuration, term by term.

    What a token costs in time, energy and money, what it waits for, how far that is from the
    physical bound, and what more bandwidth or arithmetic would buy. MODEL and DEVICE are names
    of the catalogue, or TOML files; MODEL may be a config.json of Hugging Face or its directory,
    a GGUF file, or hf:ORG/NAME.

    \b
    perfcore point llama-3-70b h100-sxm --tp 4 --batch 32 --input-len 8Ki
    perfcore point llama-3-70b h100-sxm --devices auto --batch 200 --scheduler continuous
    perfcore point llama-3-8b rtx-4090 --weight-format q4_0 --set economics.utilization=0.1
    perfcore point ./my-moe/config.json h200-sxm --tp 8
    """  # noqa: D301
    changed, faults = parse_overrides(overrides)
    try:
        configuration = Configuration(**options, overrides=changed)
    except InputError as error:
        raise InputError(
            [*faults, *(fault.replace("overrides: ", "--set: ", 1) for fault in error.faults)]
        ) from None
    if faults:
        raise InputError(faults)
    if as_json:
        dump(configuration.to_dict())
    else:
        show(configuration)


def parse_overrides(texts: tuple[str, ...]) -> tuple[dict[str, object], list[str]]:
    """Return the overrides by key, and the faults of those that are none."""
    faults: list[str] = []
    found: dict[str, object] = {}
    for text in texts:
        place = Place("--set", text if text.isprintable() else repr(text), faults)
        parsed = command_line.parse(text, place)
        if parsed is None:
            continue
        path, value = parsed
        path = path[1:] if path[0] in ("axes", "what_if") and len(path) > 1 else path
        if path[0] in RULES and len(path) == 1:
            option = path[0].replace("_", "-")
            place.fault("is an axis", f"use {_usage_of(option)}")
        elif len(path) > 2 and path[0] in RECORDS:
            inner: object = value
            for key in reversed(path[2:]):
                inner = {key: inner}
            found[".".join(path[:2])] = inner
        else:
            found[".".join(path)] = value
    return found, faults


def _usage_of(option: str) -> str:
    return f"the argument {option.upper()}" if option in _ARGUMENTS else f"--{option}"
