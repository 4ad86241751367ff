"""The sweep file that ``perfcore init`` writes: ready to run, with the other options shown."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from perfcore.catalog import loader, toml
from perfcore.catalog.entry import Entry
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.schema import DeviceEntry
from perfcore.columns import BY_NAME
from perfcore.errors import InputError, argument
from perfcore.inputs import AXIS_INPUTS, AxisInput
from perfcore.physics.weights import weight_bytes
from perfcore.space.axes import DEGREES, located
from perfcore.space.schema import SHIPPED

MODEL: Final = "llama-3.1-8b"
DEVICE: Final = "h100-sxm"
QUESTION: Final = "Which batch is fast enough, and what does a token cost then?"
# Axes of a starter besides models and devices.
VALUES: Final[Mapping[str, object]] = {
    "weight_format": ["bf16", "fp8"],
    "batch": {"pow2": [1, 256]},
    "input_len": {"log": ["512", "32Ki"], "n": 7},
    "output_len": 512,
}
_CATALOGUES: Final = {
    "model": "perfcore models",
    "device": "perfcore devices",
    "engine": "perfcore engines",
    "weight_format": "perfcore formats",
    "kv_format": "perfcore formats",
    "economics": "perfcore economics",
}
_WIDEST: Final = 8  # devices of a server
_USABLE: Final = 0.8  # share of the memory for weights
_TEMPLATE: Final = """\
#:schema {schema}
# Every combination of the values below [axes] is one row of the result.
#   perfcore plan {file}         estimate rows, bytes and seconds before a run
#   perfcore run {file} -o RUN   evaluate all rows and write them as Parquet
# A value is a number, text with a unit ("8Ki", "50 ms"), a list, or a range:
# {{ linear = [a, b], n = 8 }}, {{ log = [a, b], n = 8 }} or {{ pow2 = [a, b] }}.

name = {name}
description = {question}

[axes]
{active}
{devices}
# Defaults; list other values to sweep them:
{others}

# A field of a catalogue entry, set or scaled: `perfcore devices show NAME` lists a device's fields.
# [what_if]
# "device.memory_bandwidth" = {{ scale = [1, 1.5, 2] }}

# Axes that vary together instead of being combined.
# [[zip]]
# axes = ["device", "tp"]

# Rows that fail a condition on a metric (`perfcore columns`) or an axis are left out.
# [[where]]
# metric = "tpot_s"
# max = "50 ms"

# Points drawn from the space instead of all combinations.
# [sample]
# n = 100_000
# method = "random"

[output]
columns = "default" # or "all", or a list of names
"""


def starter(path: Path, models: Sequence[str], devices: Sequence[str], question: str | None) -> str:
    """Return the text of a sweep file to be written to ``path``.

    Raises
    ------
    InputError
        With every name that is not in the catalogue, or a question that does not fit on one line.
    """
    faults = []
    names: dict[str, list[str]] = {}
    entries: dict[str, list[Entry]] = {"model": [], "device": []}
    for kind, given in (("model", models or (MODEL,)), ("device", devices or (DEVICE,))):
        found: set[str] = set()
        option = argument(f"{kind}s")
        for name in given:
            try:
                entry = loader.load(kind, name)
            except InputError as error:
                faults += [f"{option}: {fault}" for fault in error.faults]
                continue
            if entry.name in found:
                faults.append(f"{option}: {name!r} is a duplicate of {entry.name!r}; give it once")
            found.add(entry.name)
            entries[kind].append(entry)
        names[kind] = [_from(path.parent, name) for name in given]
    asked = QUESTION if question is None else question.strip()
    if not asked.isprintable() or not asked:
        faults.append(f"{argument('question')}: {question!r} is not a line of text; write one line")
    if not path.name.isprintable():
        faults.append(f"FILE: {path.name!r} is not printable; choose another name")
    if faults:
        raise InputError(faults)
    values = {**names, **VALUES}
    devices_line = _devices_line(entries["model"], entries["device"])
    listed = devices_line.startswith(DEGREES)
    others = _others((*values, DEGREES[0]) if listed else (*values, *DEGREES))
    return _TEMPLATE.format(
        schema=SHIPPED.as_uri(),
        file=path.name,
        name=toml.value_text(path.stem),
        question=toml.value_text(asked),
        active="\n".join(_line(AXIS_INPUTS[name], value) for name, value in values.items()),
        devices=devices_line,
        others="\n".join(f"# {line}" for line in others),
    )


def _devices_line(models: Sequence[Entry], devices: Sequence[Entry]) -> str:
    """Return the degrees of tensor parallelism, or the choice of devices.

    Degrees are listed if the largest of them holds the weights of every model on every device.
    """
    sheets = [device.record() for device in devices if isinstance(device, DeviceEntry)]
    widest = min(_WIDEST, *(int(sheet.scale_up_domain) for sheet in sheets))
    wide = loader.load_weight_format(str(AXIS_INPUTS["weight_format"].default)).record()
    most = max(
        weight_bytes(model.record(), wide) for model in models if isinstance(model, ModelEntry)
    )
    room = min(sheet.memory_capacity for sheet in sheets) * _USABLE * widest
    if widest > 1 and most <= room and not any(sheet.spatial for sheet in sheets):
        return toml.line_text(
            "tp",
            {"pow2": [1, widest]},
            'devices of a replica; or devices = "auto": the fewest',
            gap=" ",
        )
    return f'devices = "auto" # the fewest that hold the model; or list {" and ".join(DEGREES)}'


def _others(taken: Iterable[str]) -> Iterable[str]:
    return (_line(rule, rule.default) for rule in AXIS_INPUTS.values() if rule.name not in taken)


def _line(rule: AxisInput, value: object) -> str:
    hint = f"; `{_CATALOGUES[rule.name]}` lists them" if rule.name in _CATALOGUES else ""
    if rule.choices:
        hint = f": {', '.join(rule.choices)}"
    return toml.line_text(rule.name, value, f"{BY_NAME[rule.name].meaning}{hint}", gap=" ")


def _from(folder: Path, name: str) -> str:
    """Return a path relative to ``folder``; names are returned unchanged."""
    place = located(name, Path.cwd())
    if place == name and not Path(name).is_absolute():
        return name
    try:
        relative = Path(os.path.relpath(place, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return Path(place).as_posix()
    return relative if relative.startswith("..") else f"./{relative}"
