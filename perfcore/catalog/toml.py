"""TOML in the layout of the catalogue, written with tomlkit: values, lines, tables and files."""

from collections.abc import Iterable, Mapping
from itertools import takewhile

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Comment, Float, InlineTable, Item, Table, Trivia, Whitespace

from perfcore.errors import InputError


def value_text(value: object) -> str:
    """Return a value as TOML text, formatted as by `add`."""
    return _item(value).as_string()


def line_text(key: str, value: object, comment: str, gap: str = "  ") -> str:
    """Return a line of TOML, formatted as by `add`, without its line break."""
    line = tomlkit.document()
    add(line, key, value, comment, gap)
    return line.as_string().rstrip("\n")


def table(values: Mapping[str, object] | None = None) -> Table:
    """Return a table with a header line, ``[name]``, and values formatted as by `add`."""
    made = tomlkit.table(is_super_table=False)
    for key, value in (values or {}).items():
        add(made, key, value)
    return made


def group(tables: Mapping[str, Mapping[str, object]]) -> Table:
    """Return a table without a header line that holds other tables."""
    made = tomlkit.table(is_super_table=True)
    for name, values in tables.items():
        made.append(name, table(values))
    return made


def add(to: Table | Container, key: str, value: object, comment: str = "", gap: str = "  ") -> None:
    """Add a key, or a table within the table.

    Parameters
    ----------
    value
        A text, a number, a flag, a list or mapping of these, or a table. A float is written with
        12 significant digits if they are exact, a mapping on the line of its key.
    comment
        Comment after the value, separated by ``gap``.

    Raises
    ------
    InputError
        A text has bytes that are not UTF-8.
    """
    item = _item(value)
    if comment:
        item.comment(comment)
        item.trivia.comment_ws = gap
    to.append(key, item)


def add_comment(to: Table, text: str) -> None:
    """Add a comment line."""
    to.append(None, tomlkit.comment(text))


def lines(values: Iterable[object]) -> Array:
    """Return a list with one line per value."""
    made = tomlkit.array()
    for value in values:
        made.add_line(_item(value), indent="  ")
    made.add_line(indent="")
    return made


def document(tables: Mapping[str, Table], comment: str = "") -> str:
    """Return the text of a file that holds tables, below a comment."""
    made = tomlkit.document()
    for name, inner in tables.items():
        made.append(name, inner)
    head = "".join(tomlkit.comment(line).as_string() for line in comment.splitlines())
    return head + made.as_string()


def without(text: str, *path: str) -> str:
    """Return the text of a file without one of its tables; the rest stays as it is.

    Comments at the end of the table stay, since they describe what follows.

    Parameters
    ----------
    path
        Names of the enclosing tables, outermost first, then the name of the table.

    Raises
    ------
    ValueError
        tomlkit would change other lines (some arrays of tables), or cannot read the text (lists
        nested a hundred deep).
    """
    try:
        made = tomlkit.parse(text)
        kept = made.as_string() == text
    except (TOMLKitError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not kept:
        raise ValueError("tomlkit would change other lines")
    _remove(made, path)
    return made.as_string()


def _remove(container: Container, path: tuple[str, ...]) -> None:
    first, *rest = path
    body = container.body
    for place, (key, item) in reversed(list(enumerate(body))):
        if key is None or key.key != first:
            continue
        if rest and isinstance(item, Table):
            _remove(item.value, tuple(rest))
        elif not rest:
            body[place : place + 1] = [(None, line) for line in _last_comments(item)]


def _last_comments(item: Item) -> list[Item]:
    """Return the comments and blank lines at the end of a table."""
    if isinstance(item, AoT):
        return _last_comments(item.body[-1])
    if not isinstance(item, Table):
        return []
    values = [value for _, value in item.value.body]
    if values and isinstance(values[-1], AoT | Table):
        return _last_comments(values[-1])
    found = takewhile(lambda value: isinstance(value, Comment | Whitespace), reversed(values))
    return list(found)[::-1]


def _item(value: object) -> Item:
    if isinstance(value, Item):
        return value
    if isinstance(value, str):
        if value != value.encode("utf-8", "ignore").decode():
            raise InputError(f"{value!r}: has bytes that are not UTF-8; write it in UTF-8")
        return tomlkit.string(value)
    if isinstance(value, float):
        digits = f"{value:.12g}"
        return Float(value, Trivia(), digits if float(digits) == value else repr(value))
    if isinstance(value, Mapping):
        return _inline(value)
    if isinstance(value, list | tuple):
        made = tomlkit.array()
        made.extend(_item(inner) for inner in value)
        return made
    return tomlkit.item(value)


def _inline(values: Mapping[str, object]) -> InlineTable:
    """Return a mapping on one line, with blanks inside its braces."""
    made = tomlkit.inline_table()
    items = {key: _item(value) for key, value in values.items()}
    if items:
        *_, last = items.values()
        next(iter(items.values())).trivia.indent = " "
        last.trivia.trail = " "
    for key, item in items.items():
        made.append(key, item)
    return made
