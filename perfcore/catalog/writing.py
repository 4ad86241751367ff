"""Entries as commented TOML, and additions to the user's catalogue files."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from perfcore.catalog import toml
from perfcore.catalog.entry import Entry
from perfcore.catalog.meanings import Meaning
from perfcore.catalog.names import normalise
from perfcore.errors import InputError, argument
from perfcore.reading.files import read_toml

_MARK = "\ufeff"  # byte-order mark at the start of a file
_ALWAYS = ("native_dtype", "tie_word_embeddings")
_LAST = ("notes", "source")  # a table ends with keys, so that comments belong to the next table


def table_text(
    name: str,
    table: Mapping[str, object],
    meanings: Mapping[str, Meaning],
    absent: Iterable[str] = (),
) -> str:
    """Return one table of TOML with a comment on every line.

    Parameters
    ----------
    table
        Values by field; ``estimated`` is an inner table.
    absent
        Fields without a value; they are written as comments, with an example.
    """
    written = toml.table()
    missing = set(absent)
    ordered = [field for field in meanings if field not in (*_LAST, "estimated", "name")]
    for field in (*ordered, *_LAST):
        meaning = meanings[field]
        if field in table:
            toml.add(written, field, table[field], meaning.text)
        elif field in missing:
            line = toml.line_text(field, _example(meaning), meaning.text)
            toml.add_comment(written, line)
    estimated = table.get("estimated")
    if isinstance(estimated, Mapping) and estimated:
        toml.add(written, "estimated", toml.table(estimated))
    return toml.document({name: written})


def _example(meaning: Meaning) -> object:
    if meaning.example == "true":
        return True
    return int(meaning.example) if meaning.example.isdigit() else meaning.example


def entry_table(entry: Entry) -> dict[str, object]:
    """Return the fields of an entry that differ from their defaults, and a few important ones."""
    given = entry.model_dump(exclude_defaults=True, exclude={"name"})
    given |= {name: getattr(entry, name) for name in _ALWAYS if hasattr(entry, name)}
    return {name: value for name, value in given.items() if value not in ("", (), {})}


def added(path: Path, name: str, text: str, *, replace: bool) -> str:
    """Return the text of a user's catalogue file with one more table.

    Parameters
    ----------
    path
        The file; it need not exist.
    replace
        Whether a table of this name may be replaced. Everything else stays as it is, including
        comments and line endings. The new table goes to the end.

    Raises
    ------
    InputError
        The file has faults, or it has a table of this name that may not or cannot be replaced.
    """
    if not path.exists():
        return text
    before = read_toml(path)
    old = path.read_bytes().decode("utf-8")
    twins = [known for known in before if normalise(known) == normalise(name)]
    if twins and not replace:
        raise InputError(
            f"{path}: has [{twins[0]}] already; add {argument('replace', True)} to replace it, "
            "or give another name"
        )
    mark = _MARK if old.startswith(_MARK) else ""
    kept = old.removeprefix(mark)
    try:
        for twin in twins:
            kept = toml.without(kept, twin)
    except ValueError:
        raise InputError(
            f"{path}: [{name}] cannot be replaced automatically; edit it by hand"
        ) from None
    newline = "\r\n" if "\r\n" in old else "\n"
    own = text.replace("\n", newline)
    return mark + (f"{kept.rstrip()}{newline}{newline}{own}" if kept.strip() else own)
