"""``perfcore point``: one configuration explained term by term, with its physical bound."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from perfcore.catalog import stack
from perfcore.cli.completion import Completer, entry_name, words
from perfcore.cli.document import markdown, show
from perfcore.cli.parsing import Command
from perfcore.cli.text import dump, json_option, markdown_option, rendered, set_option
from perfcore.columns import BY_NAME
from perfcore.configuration.configuration import NUMBERS, Configuration, told
from perfcore.configuration.parameters import NATIVE
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES, RECORDS, AxisInput
from perfcore.reading.places import Place
from perfcore.space import overrides as command_line

EXAMPLE: Final = "device.memory_bandwidth='4 TB/s' or 'device.memory_bandwidth={scale=2}'"
OVERRIDES: Final = re.compile("^overrides: ")  # faults of --set, not of a file
_STACK_METAVARS: Final = {
    "engine_version": "VERSION",
    "backend": "|".join(stack.BACKENDS),
    "runner": "|".join(stack.RUNNERS),
    "prefill_chunk": "TOKENS",
    "power_limit": "W|SHARE%",
    "host": "NAME",
}
_METAVARS: Final = {
    "prefix_hit": "SHARE",
    "acceptance": "SHARE",
    "acceptance_decay": "SHARE",
    "input_len": "TOKENS",
    "output_len": "TOKENS",
    "prefill_ratio": "RATIO",
    "prefill_link": "BANDWIDTH",
    "expert_link": "BANDWIDTH",
    "draft_link": "BANDWIDTH",
}
_TOLD: Final = {"gpu_layers": "all", "cpu_moe_layers": "all"}  # defaults that no model exceeds
_ARGUMENTS: Final = ("model", "device")
CHOSEN: Final = ("tp", "pp")  # by perfcore unless given
_ALSO: Final = {  # names of llama.cpp
    "gpu_layers": ("-ngl",),
    "cpu_moe_layers": ("-ncmoe", "--n-cpu-moe"),
}


def _names(rule: AxisInput) -> Completer | None:
    """Return the completer of an axis' names, if it has any."""
    if rule.choices:
        return words(rule.choices)
    return entry_name(rule.entry) if rule.limits is None else None


def default_of(name: str) -> str:
    """Return the default of an axis' option; weights are as published."""
    return NATIVE if name == "weight_format" else str(AXIS_INPUTS[name].default)


def axis_options(
    names: Sequence[str], *, several: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds one option per axis, declared by the axis itself.

    With ``several``, an option takes a comma-separated list and has no default.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            rule = AXIS_INPUTS.get(name) or PAIR_AXES[name]
            metavar = _METAVARS.get(name, "NAME" if rule.limits is None else "N")
            meaning = BY_NAME[name].meaning
            default = "" if rule.default is None else f" [{_TOLD.get(name) or default_of(name)}]"
            default = " [chosen]" if name in CHOSEN else default
            optional = several or name in CHOSEN or name in PAIR_AXES
            command = click.option(
                name,
                *_ALSO.get(name, ()),
                f"--{name.replace('_', '-')}",
                default=None if optional else default_of(name),
                metavar=f"{metavar},..." if several else "|".join(rule.choices) or metavar,
                help=f"{meaning[:1].upper()}{meaning[1:]}{default}.",
                shell_complete=None if several else _names(rule),
            )(command)
        return command

    return decorate


def stack_options(*, several: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options of the engine's stack and the power limit.

    With ``several``, an option takes a comma-separated list and has no default.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, meaning in reversed(stack.MEANINGS.items()):
            option = f"--{name.replace('_', '-')}"
            text = f"{meaning[:1].upper()}{meaning[1:]}."
            if several:
                metavar = _STACK_METAVARS.get(name, "true|false")
                command = click.option(option, metavar=f"{metavar},...", help=text)(command)
            elif name in _STACK_METAVARS:
                command = click.option(
                    option, default="", metavar=_STACK_METAVARS[name], help=text
                )(command)
            else:
                command = click.option(option, is_flag=True, help="Run without CUDA graphs.")(
                    command
                )
        return command

    return decorate


def devices_option(*, several: bool = False) -> Callable[..., Any]:
    """Return a decorator that adds the option for the number of devices."""
    return click.option(
        "--devices",
        default=None if several else "",
        metavar="N|auto,..." if several else "N|auto",
        help="Choose tp and pp: for N devices, or the fewest that fit [auto unless one is given].",
    )


@click.command(cls=Command)
@click.argument("model", metavar="MODEL", shell_complete=entry_name("model"))
@click.argument("device", metavar="DEVICE", shell_complete=entry_name("device"))
@axis_options([name for name in (*AXIS_INPUTS, *PAIR_AXES) if name not in _ARGUMENTS])
@devices_option()
@stack_options()
@set_option(EXAMPLE)
@click.option("--sources", is_flag=True, help="Show the source of every figure.")
@json_option
@markdown_option
def point(
    overrides: tuple[str, ...],
    sources: bool,
    as_json: bool,
    as_markdown: bool,
    **options: object,
) -> None:
    """Explain one configuration, term by term.

    point shows the time, energy and cost of a token, the bottleneck, the distance from the physical
    bound, and what more bandwidth or compute would gain.

    MODEL and DEVICE are names from the catalogue (see `perfcore models` and `perfcore devices`) or
    TOML files. MODEL may also be a Hugging Face config.json or the directory that holds one, a GGUF
    file, or hf:ORG/NAME.

    \b
    perfcore point llama-3-70b h100-sxm --tp 4 --batch 32 --input-len 8Ki
    perfcore point llama-3-70b h100-sxm --devices auto --batch 200 --scheduler continuous
    perfcore point llama-3-8b rtx-4090 --weight-format q4_0 --set economics.utilization=0.1
    perfcore point ./my-moe/config.json h200-sxm --tp 8
    perfcore point llama-3.3-70b h20 --scheduler disaggregated --batch 64 --prefill-device h100
    perfcore point llama-3-8b a100-80gb-sxm --engine vllm --engine-version 0.7.3 --eager
    """  # noqa: D301
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    if as_json and sources:
        raise click.UsageError("--json and --sources exclude each other; give one")
    _check_single(options)
    changed, faults = parse_overrides(overrides)
    try:
        configuration = Configuration(**options, overrides=changed)  # type: ignore[arg-type]  # it checks
    except InputError as error:
        raise InputError(
            [*faults, *(OVERRIDES.sub("--set: ", fault) for fault in error.faults)]
        ) from None
    if faults:
        raise InputError(faults)
    if as_json:
        dump(told(configuration.to_dict()))
        return
    from perfcore.cli.card import card  # noqa: PLC0415 - JSON needs no card

    blocks = card(configuration, sources=sources)
    if as_markdown:
        rendered(markdown(blocks))
    else:
        show(blocks)


def _check_single(options: Mapping[str, object]) -> None:
    """Refuse lists, which are for compare; thousands may have commas, and so may files."""
    listed = {
        name: given
        for name, given in options.items()
        if isinstance(given, str) and "," in given and not Path(given).exists()
    }
    faults = []
    for name, given in listed.items():
        values = given.split(",")
        thousands = all(re.fullmatch(r"\d{3}", value) for value in values[1:])
        if not all(value.strip() for value in values) or (name in NUMBERS and thousands):
            continue
        place = name.upper() if name in _ARGUMENTS else f"--{name.replace('_', '-')}"
        faults.append(
            f"{place}: {given!r} has {len(values)} values, and point takes one; "
            "`perfcore compare` takes several"
        )
    if faults:
        raise InputError(faults)


def parse_overrides(texts: tuple[str, ...]) -> tuple[dict[str, object], list[str]]:
    """Return the overrides by key, and the faults of invalid ones."""
    faults: list[str] = []
    found: dict[str, object] = {}
    for text in texts:
        place = Place("--set", text if text.isprintable() else repr(text), faults)
        parsed = command_line.parse(text, place)
        if parsed is None:
            continue
        path, value = parsed
        path = path[1:] if path[0] in ("axes", "what_if") and len(path) > 1 else path
        if (path[0] in AXIS_INPUTS or path[0] in PAIR_AXES) and len(path) == 1:
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
