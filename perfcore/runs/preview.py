"""Preview of a data set: its first rows, for a terminal and for a notebook."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import pyarrow as pa

from perfcore import tables
from perfcore.errors import InputError, one_line
from perfcore.runs.facts import read_facts
from perfcore.space.axes import DEGREES
from perfcore.tables import GAP, Column, Table, escape_html
from perfcore.units import significant

ROWS: Final = 5
WIDEST: Final = 100  # characters per line
MOST_COLUMNS: Final = 14  # in a notebook's table
MOST_NAMES: Final = 20

_Shown = tuple[Column, list[str]]  # a column, and its cells in the first rows


class Previewed(Protocol):
    """Interface of a data set that can be previewed; see ``perfcore.Dataset``."""

    @property
    def name(self) -> str:
        """Name of the rows."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""

    @property
    def evaluated(self) -> int | None:
        """Number of configurations evaluated, if known."""

    @property
    def dropped(self) -> Mapping[str, int] | None:
        """Number of configurations left out, by reason, if known."""

    def head(self, rows: int = 5) -> Any:  # noqa: ANN401 - another data set
        """Return the first rows."""


def text(dataset: Previewed) -> str:
    """Return a summary of a data set and its first rows as plain text."""
    lines = _wrapped(_paragraphs(dataset))
    columns = [(column._replace(unit=""), cells) for column, cells in _columns(dataset)]
    room = WIDEST
    fitting = 0
    for column, cells in columns:
        room -= max(map(len, (column.name, *cells))) + len(GAP)
        if room < -len(GAP):
            break
        fitting += 1
    if dataset.num_rows and fitting:
        lines += ["", tables.plain_text(_table(columns[:fitting]))]
        lines += _wrapped(_more(dataset, columns[fitting:]))
    return "\n".join(lines)


def html(dataset: Previewed) -> str:
    """Return a summary of a data set and its first rows as HTML without scripts."""
    first, *others = _paragraphs(dataset)
    parts = [f"<div><strong>{escape_html(first)}</strong></div>"]
    parts += [f"<div>{escape_html(paragraph)}</div>" for paragraph in others]
    columns = _columns(dataset)
    fitting = columns[:MOST_COLUMNS]
    if dataset.num_rows and fitting:
        parts.append(tables.html(_table(fitting), style=tables.NOTEBOOK))
        more = _more(dataset, columns[len(fitting) :])
        parts += [f"<div>{escape_html(paragraph)}</div>" for paragraph in more]
    return "\n".join(parts)


def _table(columns: Sequence[_Shown]) -> Table:
    lines = zip(*(cells for _, cells in columns), strict=True)
    return Table.of([column for column, _ in columns], lines)


def _paragraphs(dataset: Previewed) -> list[str]:
    """Return the size, the counts of rows left out, and the axes with one value."""
    rows, columns = dataset.num_rows, len(dataset.columns)
    evaluated = dataset.evaluated
    of = "" if evaluated is None else f" of {evaluated:,}"
    plural = "" if (evaluated or rows) == 1 else "s"
    size = f"{rows:,}{of} row{plural}, {columns} column{'' if columns == 1 else 's'}"
    paragraphs = [f"{dataset.name}: {size}"]
    if dataset.dropped:
        reasons = sorted(dataset.dropped.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
        paragraphs.append(f"left out: {listed}")
    shared = _shared(dataset)
    if shared:
        listed = ", ".join(f"{name} {value}" for name, value in shared.items())
        paragraphs.append(f"all rows: {listed}")
    return paragraphs


def _shared(dataset: Previewed) -> dict[str, str]:
    """Return the axes that have a single value."""
    try:
        axes = read_facts(dataset.name, dataset.schema).spec["axes"]
    except InputError:  # e.g. rows of a query, which have a preview all the same
        axes = {}
    shared = {}
    for name in dataset.columns:
        values = axes.get(name)
        chosen = name in DEGREES and values == [0]  # chosen for each row
        if isinstance(values, list) and len(values) == 1 and not chosen:
            shared[name] = str(values[0])
    return shared


def _columns(dataset: Previewed) -> list[_Shown]:
    """Return the columns that vary, with the cells of the first rows."""
    shared = _shared(dataset)
    rows = dataset.head(ROWS).to_arrow()
    found = []
    for field, array in zip(rows.schema, rows.columns, strict=True):
        if field.name not in shared:
            unit = (field.metadata or {}).get(b"unit", b"").decode(errors="replace")
            number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
            column = Column(
                one_line(field.name),
                "" if unit == "1" else unit,
                align="right" if number else "left",
            )
            found.append((column, [_cell(value) for value in array.to_pylist()]))
    return found


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return significant(value) if isinstance(value, float) else one_line(str(value))


def _more(dataset: Previewed, hidden: list[_Shown]) -> list[str]:
    """Return the rows and columns that the table omits."""
    paragraphs = []
    if dataset.num_rows > ROWS:
        more = dataset.num_rows - ROWS
        paragraphs.append(f"... {more:,} more row{'' if more == 1 else 's'}")
    if hidden:
        names = ", ".join(column.name for column, _ in hidden[:MOST_NAMES])
        names += ", ..." if len(hidden) > MOST_NAMES else ""
        paragraphs.append(f"and {len(hidden)} more column{'s'[: len(hidden) > 1]}: {names}")
    return paragraphs


def _wrapped(paragraphs: list[str]) -> list[str]:
    return [
        line
        for paragraph in paragraphs
        for line in textwrap.wrap(one_line(paragraph), WIDEST, subsequent_indent=GAP)
    ]
