"""Settings of a picture: one fixed workload, and the best deployment for it.

A sweep has more axes than a picture. Axes that pose a question (model, lengths, scheduler, prices,
what-ifs) are held at one value. Axes that a deployer chooses (formats, parallel degrees) take the
best value at every point, or one best value if a picture must compare like with like. The picture
states both.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from perfcore.columns import BY_NAME
from perfcore.errors import InputError, argument
from perfcore.inputs import AXIS_INPUTS
from perfcore.reporting.source import Row, Source
from perfcore.reporting.wording import listing, value_text
from perfcore.searching.objectives import Objective
from perfcore.space.axes import Value

CHOICES: Final = ("device", "weight_format", "kv_format", "offload", "tp", "pp", "dp", "ep")
SIMULATED_CHOICES: Final = (  # of those who run servers under traffic
    *("replicas", "routing", "admission", "budget", "max_sequences", "chunked", "block_tokens"),
    *("watermark", "prefix_cache"),
)
_MIDDLE: Final = ("batch", "input_len", "output_len", "request_rate", "clients")
_ALWAYS: Final = ("model", "device", "weight_format", "batch", "input_len", "output_len")


class Setting(NamedTuple):
    """Setting with axes held at one value, and axes that take the best value at every point."""

    fixed: dict[str, Value]
    free: tuple[str, ...]
    by: str  # the meaning of best, e.g. "cheapest"

    def held(self, source: Source) -> dict[str, Value]:
        """Return the fixed axes that have other values in the source, too."""
        return {name: value for name, value in self.fixed.items() if len(source.axes[name]) > 1}

    def text(self, source: Source) -> str:
        """Return the setting as one line of text."""
        parts = []
        for name in source.axes:
            if name not in self.fixed:
                continue
            value = self.fixed[name]
            default = AXIS_INPUTS[name].default if name in AXIS_INPUTS else None
            if name in _ALWAYS or len(source.axes[name]) > 1 or value != default:
                parts.append(said(name, value))
        if self.free:
            parts.append(f"{self.by} {listing(self.free, 5)}")
        return " · ".join(parts)


def said(name: str, value: Value) -> str:
    """Return an axis with a value as text."""
    if isinstance(value, str):
        return value if name in {"model", "device", "weight_format"} else f"{name} {value}"
    unit = BY_NAME[name].unit if name in BY_NAME else ""
    return f"{name} {value_text(value)}{' tokens' if unit == 'tokens' else ''}"


class LackError(InputError):
    """Source without columns, or without axes, that a picture needs.

    Parameters
    ----------
    settings
        Overrides of a sweep that add the axes, if all of these are what-ifs.
    """

    def __init__(
        self,
        faults: Sequence[str],
        columns: Sequence[str] = (),
        axes: Sequence[str] = (),
        settings: Sequence[str] = (),
    ) -> None:
        super().__init__(faults)
        self.columns = tuple(columns)
        self.axes = tuple(axes)
        self.settings = tuple(settings)


def need_axes(source: Source, kind: str, needed: dict[str, str]) -> None:
    """Refuse a source that has fewer than two values of an axis; ``needed`` has examples."""
    faults = []
    missing = [name for name in needed if len(source.axes.get(name, ())) < 2]
    for name, example in needed.items():
        values = source.axes.get(name, ())
        if name in missing:
            has = f"only {name} = {value_text(values[0])}" if values else f"no {name}"
            faults.append(
                f"{source.given}: {kind} needs several values of {name}, but there is {has}; "
                f"{source.axis_remedy(example)}"
            )
    if faults:
        absent = all(name not in source.axes for name in missing)
        settings = [needed[name] for name in missing]
        known = absent and not any(text.startswith("axes.") for text in settings)
        raise LackError(faults, axes=missing, settings=settings if known else ())


def need_columns(source: Source, kind: str, columns: Sequence[str]) -> None:
    """Refuse a source without some columns."""
    missing = [name for name in columns if name not in source.metrics]
    if missing:
        fault = (
            f"{source.given}: {kind} needs {listing(missing, 9)}, which the run does not have; "
            f"{source.remedy}"
        )
        raise LackError([fault], columns=missing)


def settle(source: Source, shown: Sequence[str], by: str = "best") -> Setting:
    """Return the setting of a picture: axes that are not shown are fixed, or free if choices."""
    fixed: dict[str, Value] = {}
    free: list[str] = []
    for name, values in source.axes.items():
        if name in shown:
            continue
        chosen = name in (*CHOICES, *SIMULATED_CHOICES) or name in source.zipped
        if len(values) > 1 and chosen:
            free.append(name)
        elif values != (0,) or name not in {"tp", "pp"}:
            fixed[name] = _usual(name, values)
    return Setting(fixed, tuple(free), by)


def pinned(
    source: Source, kind: str, setting: Setting, objective: Objective, at: dict[str, Value]
) -> Setting:
    """Return the setting with its free axes fixed at the values of one best row.

    ``at`` has the values of shown axes at which that row is chosen.
    """
    if not setting.free:
        return setting
    row = first_row(source, kind, objective, {**setting.fixed, **at})
    chosen = {name: row[name] for name in setting.free}
    return Setting({**setting.fixed, **chosen}, (), setting.by)


def first_row(source: Source, kind: str, objective: Objective, fixed: dict[str, Value]) -> Row:
    """Return the best row with fixed values; raise ``InputError`` if nothing runs."""
    found = source.best(objective, (), fixed, (objective.name,))
    if not found:
        raise nothing_runs(source, kind, fixed)
    return found[0]


def nothing_runs(source: Source, kind: str, fixed: dict[str, Value]) -> InputError:
    """Return the error for a picture without rows."""
    several = {name: value for name, value in fixed.items() if len(source.axes[name]) > 1}
    held = ", ".join(said(name, value) for name, value in several.items()) or "these conditions"
    sample = " (a sample has few rows that share values)" if source.sampled else ""
    return InputError(
        f"{source.given}: {kind}: nothing runs with {held}{sample}; "
        f"choose other values with {argument('where', ['AXIS=VALUE'])}"
    )


def middle(values: Sequence[Value]) -> Value:
    """Return the middle value, the lower one of two."""
    return sorted(values, key=float)[(len(values) - 1) // 2]


def spread(values: Sequence[Value], most: int = 3) -> list[Value]:
    """Return at most ``most`` evenly spaced values, the first and the last among them."""
    ordered = sorted(values, key=float)
    if len(ordered) <= most:
        return ordered
    places = [round(place * (len(ordered) - 1) / (most - 1)) for place in range(most)]
    return [ordered[place] for place in places]


def _usual(name: str, values: tuple[Value, ...]) -> Value:
    """Return the value at which an axis is held: the middle size, neutral scale, or first value."""
    if name in _MIDDLE and not isinstance(values[0], str):
        return middle(values)
    if name.endswith("_scale"):
        return min(values, key=lambda value: abs(float(value) - 1.0))
    if name == "economics_utilization":
        return middle(values)
    return values[0]
