"""``perfcore point``: one configuration explained, term by term, against its physical bound."""

from typing import Final

import click

from perfcore import overrides as command_line
from perfcore.axes import RULES
from perfcore.bounds import RECORDS
from perfcore.cli.card import show
from perfcore.cli.text import dump, json_option, set_option
from perfcore.configuration import Configuration
from perfcore.errors import InputError
from perfcore.ranges import Place

_EXAMPLE: Final = "device.memory_bandwidth='4 TB/s' or 'device.memory_bandwidth={scale=2}'"


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("device", metavar="DEVICE")
@click.option("--engine", default="default", metavar="NAME", help="Engine [default].")
@click.option("--weight-format", default="bf16", metavar="NAME", help="Format of weights [bf16].")
@click.option("--kv-format", default="bf16", metavar="NAME", help="Format of the KV cache [bf16].")
@click.option("--tp", default="1", metavar="N", help="Tensor-parallel degree [1].")
@click.option("--pp", default="1", metavar="N", help="Pipeline-parallel degree [1].")
@click.option("--batch", default="1", metavar="N", help="Sequences that start together [1].")
@click.option("--input-len", default="1024", metavar="TOKENS", help="Prompt length [1024].")
@click.option("--output-len", default="256", metavar="TOKENS", help="Generated length [256].")
@click.option("--economics", default="default", metavar="NAME", help="Facility [default].")
@set_option(_EXAMPLE)
@json_option
def point(overrides: tuple[str, ...], as_json: bool, **options: str) -> None:
    """Explain one configuration, term by term.

    What a token costs in time, energy and money, what it waits for, how far that is from the
    physical bound, and what more bandwidth or arithmetic would buy. MODEL and DEVICE are names
    of the catalogue, or TOML files.

    \b
    perfcore point llama-3-70b h100-sxm --tp 4 --batch 32 --input-len 8Ki
    perfcore point llama-3-8b rtx-4090 --weight-format q4_0 --set economics.utilization=0.1
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
    return f"the argument {option.upper()}" if option in ("model", "device") else f"--{option}"
