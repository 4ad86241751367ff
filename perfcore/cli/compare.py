"""``perfcore compare``: several configurations side by side, the best of each metric marked."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import click

from perfcore.cli.card import BINDS, TERMS, setting
from perfcore.cli.document import Block, Paragraph, Title, markdown, show
from perfcore.cli.parsing import Command
from perfcore.cli.point import (
    EXAMPLE,
    OVERRIDES,
    axis_options,
    devices_option,
    parse_overrides,
    stack_options,
)
from perfcore.cli.text import dump, json_option, markdown_option, rendered, set_option, width
from perfcore.columns import SOUGHT, STATUS
from perfcore.configuration.comparison import Comparison
from perfcore.configuration.comparison import compare as compare_configurations
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS, PAIR_AXES
from perfcore.records import UNMEASURED
from perfcore.tables import GAP, Row, Table, left, right
from perfcore.units import significant

_MS: Final = 1e3
_RATIO: Final = 7  # width of a ratio to the first
_NONE: Final = "-"
_WHAT_IF: Final = re.compile(r"\w+\.(\w+) ([x=] \S+)")  # in a configuration's name
_QUALITY: Final = "quality"  # shown if formats differ


class _Line(NamedTuple):
    """Row of a metric: its name with its unit, and the format of its values."""

    name: str
    metric: str
    text: Callable[[float], str]
    scale: float = 1.0


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _use(value: float) -> str:
    return f"{value:.1%}" if value <= 1.0 else ">100%"


def _increase(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:+.1%}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _gigabytes(value: float) -> str:
    return significant(value / 1e9)


def _terms() -> tuple[_Line, ...]:
    return tuple(_Line(f"{name}, ms", column, significant, _MS) for column, name, _ in TERMS)


_SECTIONS: Final = (
    (
        "verdict",
        (
            _Line("TPOT, ms", "tpot_s", significant, _MS),
            _Line("TPOT low, ms", "tpot_low_s", significant, _MS),
            _Line("TPOT high, ms", "tpot_high_s", significant, _MS),
            _Line("TTFT, ms", "ttft_s", significant, _MS),
            _Line("tokens/s/user", "tokens_per_s_per_user", significant),
            _Line("tokens/s/device", "tokens_per_s_per_device", significant),
            _Line("J/token", "energy_per_output_token_j", significant),
            _Line("$/Mtok out", "cost_per_mtok_output_usd", significant),
            _Line("$/Mtok in", "cost_per_mtok_input_usd", significant),
            _Line("bottleneck", "bound", significant),
        ),
    ),
    ("time per token", _terms()),
    (
        "memory per device",
        (
            _Line("weights, GB", "weight_bytes_per_device", _gigabytes),
            _Line("KV cache, GB", "kv_bytes_per_device", _gigabytes),
            _Line("max batch", "max_batch", _count),
        ),
    ),
    (
        "physical bound",
        (
            _Line("bound, ms", "bound_tpot_s", significant, _MS),
            _Line("TPOT / bound", "times_bound", _times),
            _Line("bandwidth (MBU)", "mbu", _share),
            _Line("FLOP/s (MFU)", "mfu", _share),
        ),
    ),
    (
        _QUALITY,
        (_Line("perplexity", "perplexity_increase", _increase),),
    ),
    (
        "cost",
        (
            _Line("break-even use", "break_even_utilization", _use),
            _Line("CO2e, g/Mtok out", "carbon_per_mtok_output_g", significant),
        ),
    ),
)
_ALWAYS: Final = ("weight_bytes_per_device", "kv_bytes_per_device")  # if it cannot run, too


@click.command(cls=Command)
@click.argument("subjects", nargs=-1, metavar="[FILE|MODEL]...")
@axis_options([*AXIS_INPUTS, *PAIR_AXES], several=True)
@devices_option(several=True)
@stack_options(several=True)
@set_option(EXAMPLE)
@json_option
@markdown_option
def compare(
    subjects: tuple[str, ...],
    overrides: tuple[str, ...],
    as_json: bool,
    as_markdown: bool,
    **options: str | None,
) -> None:
    """Compare several configurations side by side.

    MODEL is a model in the catalogue. FILE is a TOML file with one configuration: its keys are the
    options of point, such as model, device, tp and weight_format; it may also have a name, and
    what-ifs in a table overrides. An option may have several values, separated by commas; each
    value makes a configuration. Options override files.

    What-ifs (--set) may have several values, too. A single configuration with a what-if is compared
    with the same configuration without it.

    The best value of each metric is marked, among configurations that can run. Ratios are relative
    to the first configuration.

    \b
    perfcore compare llama-3-70b --device h100-sxm,b200,mi300x --tp 8 --batch 16
    perfcore compare llama-3-8b qwen3-8b --device rtx-4090 --weight-format q4_0,q8_0
    perfcore compare today.toml tomorrow.toml --batch 32
    perfcore compare qwen3-8b --device h100-sxm --set 'device.memory_bandwidth={scale=[1, 1.5, 2]}'
    perfcore compare qwen3-8b --device h100-sxm --engine vllm --power-limit 400,700
    """  # noqa: D301
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    changed, faults = parse_overrides(overrides)
    given: dict[str, Any] = {
        name: [value.strip() for value in text.split(",")]
        for name, text in options.items()
        if text is not None
    }
    if changed:
        given["overrides"] = changed
    try:
        comparison = compare_configurations(*subjects, **given)
    except InputError as error:
        raise InputError(
            [*faults, *(OVERRIDES.sub("--set: ", fault) for fault in error.faults)]
        ) from None
    if faults:
        raise InputError(faults)
    if as_json:
        dump(comparison.to_dict())
    elif as_markdown:
        rendered(markdown(list(_blocks(comparison, abreast=len(comparison.names)))))
    else:
        show(list(_blocks(comparison, abreast=None)))


def _blocks(comparison: Comparison, abreast: int | None) -> Iterator[Block]:
    """Yield the title, tables of as many columns as fit, and why some cannot run."""
    told = [setting(configuration) for configuration in comparison.configurations]
    common = [text for text in told[0] if all(text in other for other in told)]
    for axis in ("device", "model"):
        if axis not in comparison.differing:
            common.insert(0, str(comparison.rows[0][axis]))
    yield Title(f"{len(comparison.names)} configurations side by side")
    yield Paragraph(", ".join(common), "dim")
    shared = set.intersection(*({*c.what_ifs} for c in comparison.configurations))
    for what_if in comparison.configurations[0].what_ifs:
        if what_if in shared:
            sign = " x" if what_if.mode == "scale" else " ="
            yield Paragraph(f"what if {what_if.key}{sign} {what_if.values[0]:g}", "doubt")
    lines = list(_lines(comparison))
    parts = [_stacked(name) for name in comparison.names]
    start = 0
    while start < len(comparison.names):
        stop = start + (abreast or _fitting(lines, parts, start))
        if start:
            yield Paragraph("")
        yield _table(lines, parts, start, stop, stacked=abreast is None)
        start = stop
    yield Paragraph("* best of those that run; x: ratio to the first", "dim")
    yield Paragraph(f"devices paid: {', '.join(_paid(comparison))}", "dim")
    ones = comparison.configurations
    remarks = [remark for one in ones for remark in (one.in_the_rent, *one.unreal) if remark]
    yield from (Paragraph(remark, "doubt") for remark in dict.fromkeys(remarks))
    if "weight_format" in comparison.differing:
        yield from map(Paragraph, _losses(comparison))
    for name, configuration, runs in zip(
        comparison.names, comparison.configurations, comparison.runs, strict=True
    ):
        if not runs:
            status = STATUS[int(configuration.evaluate().status)]
            yield Paragraph(f"{name}: {status}: {configuration.remedy}", "doubt")


def _paid(comparison: Comparison) -> list[str]:
    """Return the ways in which devices are paid, with their economics if there are several."""
    found = {
        str(configuration.labels["economics"]): configuration.purchase
        for configuration in comparison.configurations
    }
    if len(set(found.values())) == 1:
        return list(dict.fromkeys(found.values()))
    return [f"{way} ({name})" for name, way in found.items()]


def _stacked(name: str) -> list[str]:
    """Return the parts of a configuration's name, a what-if's field above its value."""
    return [line for part in name.split(", ") for line in _WHAT_IF.sub(r"\1\n\2", part).split("\n")]


def _losses(comparison: Comparison) -> Iterator[str]:
    """Yield notes on the perplexity, and on formats without a measurement."""
    yield "perplexity: increase of Llama 3 8B on wikitext-2; other models lose more or less"
    forms = [configuration.entries.weight_format for configuration in comparison.configurations]
    for form in {form.name: form for form in forms}.values():
        if form.record().perplexity_increase == UNMEASURED:
            yield form.loss


class _Filled(NamedTuple):
    """Row with a cell for each configuration, and the places of the best cells."""

    name: str
    cells: tuple[str, ...]
    best: tuple[int, ...] = ()
    section: bool = False


def _lines(comparison: Comparison) -> Iterator[_Filled]:
    count = len(comparison.names)
    parts = [name.split(", ") for name in comparison.names]
    told = {
        what_if.column_name
        for configuration, name in zip(comparison.configurations, comparison.names, strict=True)
        for what_if in configuration.what_ifs
        if what_if.key in name
    }
    for key, values in comparison.differing.items():
        if key in told:
            continue
        shown = [_setting(value) for value in values]
        if not all(
            {text, f"{key} {text}"} & set(part) for text, part in zip(shown, parts, strict=True)
        ):
            yield _Filled(key, tuple(f"{text}{_pad(n)}" for n, text in enumerate(shown)))
    runs = tuple(f"{'yes' if runs else 'no'}{_pad(n)}" for n, runs in enumerate(comparison.runs))
    yield _Filled("runs", runs)
    rows: list[dict[str, float | str]] = [
        {
            **row,
            "bound_tpot_s": bound.tpot_s,
            "times_bound": configuration.evaluate().tpot_s / bound.tpot_s,
        }
        for row, bound, configuration in zip(
            comparison.rows, comparison.bounds, comparison.configurations, strict=True
        )
    ]
    for section, members in _SECTIONS:
        if section == _QUALITY and "weight_format" not in comparison.differing:
            continue
        yield _Filled(section, ("",) * count, section=True)
        for line in members:
            found = [row[line.metric] for row in rows]
            if any(value != 0.0 for value in found):
                yield _filled(comparison, line, found)
    if "device" in comparison.differing:  # a wafer is not a card
        yield from _of_devices(comparison)


def _of_devices(comparison: Comparison) -> Iterator[_Filled]:
    """Yield the power and price of each device, for figures per device."""
    yield _Filled("one device", ("",) * len(comparison.names), section=True)
    sheets = [configuration.records.device for configuration in comparison.configurations]
    drawn = [f"{sheet.board_power:,.0f}" for sheet in sheets]
    paid = [f"{sheet.price_per_hour:,.2f}" for sheet in sheets]
    for name, texts in (("board power, W", drawn), ("rent, $/h", paid)):
        yield _Filled(name, tuple(f"{text}{_pad(n)}" for n, text in enumerate(texts)))


def _setting(value: float | str | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _filled(comparison: Comparison, line: _Line, values: Sequence[float | str]) -> _Filled:
    known = line.metric in SOUGHT
    best = comparison.best(line.metric) if known else ()
    ratios = comparison.ratios(line.metric) if known else (None,) * len(values)
    cells = []
    for number, (value, ratio) in enumerate(zip(values, ratios, strict=True)):
        if not comparison.runs[number] and line.metric not in _ALWAYS:
            cells.append(f"{_NONE}{_pad(number)}")
            continue
        text = BINDS[value] if isinstance(value, str) else line.text(value * line.scale)
        never = line.text is _use and isinstance(value, float) and value > 1.0
        told = "" if ratio is None or number == 0 or never else _ratio(ratio)
        mark = "*" if number in best and not never else " "
        cells.append(f"{text}{told:>{_RATIO}}{mark}" if number else f"{text}{mark}")
    return _Filled(line.name, tuple(cells), best)


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 10.0 else f"{significant(ratio, 3)}x"


def _pad(number: int) -> str:
    """Return blanks for a missing ratio and mark; the first column has marks only."""
    return " " * (_RATIO + 1 if number else 1)


def _fitting(lines: Sequence[_Filled], parts: Sequence[Sequence[str]], start: int) -> int:
    """Return the number of columns, at least one, that fit next to the row names."""
    room = width() - max(len(line.name) for line in lines)
    fitting = 0
    for number in range(start, len(parts)):
        room -= len(GAP) + max(
            *(len(line.cells[number]) for line in lines),
            *(len(part) + len(_pad(number)) for part in parts[number]),
        )
        if room < 0:
            break
        fitting += 1
    return max(fitting, 1)


def _table(
    lines: Sequence[_Filled],
    parts: Sequence[Sequence[str]],
    start: int,
    stop: int,
    *,
    stacked: bool,
) -> Table:
    """Return columns ``start`` to ``stop``; names are stacked in rows, or form the header."""
    places = range(start, min(stop, len(parts)))
    header = [", ".join(parts[place]) for place in places]
    rows = []
    if stacked:
        header = [""] * len(header)
        rows = [
            Row(
                (
                    "",
                    *(
                        f"{parts[place][level]}{_pad(place)}" if level < len(parts[place]) else ""
                        for place in places
                    ),
                ),
                "bold",
            )
            for level in range(max(len(parts[place]) for place in places))
        ]
    styles: dict[tuple[int, int], str] = {}
    for line in lines:
        for column, place in enumerate(places, 1):
            if place in line.best:
                styles[len(rows), column] = "good"
        cells = (line.name, *(line.cells[place] for place in places))
        rows.append(Row(cells, "bold" if line.section else ""))
    return Table((*left(""), *right(*header)), rows, styles=styles)
