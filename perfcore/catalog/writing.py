"""Entries as TOML that explains itself, and files of them that are added to."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from perfcore.catalog.entry import Entry
from perfcore.catalog.meanings import Meaning
from perfcore.catalog.names import normalise
from perfcore.errors import InputError, argument
from perfcore.reading.files import read_toml

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ALWAYS = ("native_dtype", "tie_word_embeddings")
_LAST = ("notes", "source")  # a table ends with keys, so that comments belong to the one below


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
        Fields that are not given: they stand there as comments, with an example.
    """
    lines = [f"[{_key(name)}]"]
    missing = set(absent)
    ordered = [field for field in meanings if field not in (*_LAST, "estimated", "name")]
    for field in (*ordered, *_LAST):
        if field in table:
            lines.append(f"{field} = {toml_value(table[field])}  # {meanings[field].text}")
        elif field in missing:
            lines.append(f"# {field} = {_example(meanings[field])}  # {meanings[field].text}")
    estimated = table.get("estimated")
    if isinstance(estimated, Mapping) and estimated:
        lines += ["", f"[{_key(name)}.estimated]"]
        lines += [f"{_key(field)} = {toml_value(why)}" for field, why in estimated.items()]
    return "\n".join(lines) + "\n"


def _example(meaning: Meaning) -> str:
    plain = meaning.example == "true" or meaning.example.isdigit()
    return meaning.example if plain else toml_value(meaning.example)


def entry_table(entry: Entry) -> dict[str, object]:
    """Return the fields of an entry that differ from their defaults, and a few that matter."""
    given = entry.model_dump(exclude_defaults=True, exclude={"name"})
    given |= {name: getattr(entry, name) for name in _ALWAYS if hasattr(entry, name)}
    return {name: value for name, value in given.items() if value not in ("", (), {})}


def toml_value(value: object) -> str:
    """Return a text, number, flag or list of them as TOML; ``InputError`` if a text is none."""
    if isinstance(value, str):
        if value != value.encode("utf-8", "ignore").decode():
            raise InputError(f"{value!r}: has bytes that are no UTF-8 text; write it in UTF-8")
        # JSON escapes what TOML wants escaped, but for the delete character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, float) and float(f"{value:.12g}") == value:
        return f"{value:.12g}"
    return repr(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_value(name)


def added(path: Path, name: str, text: str, *, replace: bool) -> str:
    """Return the text of a user's catalogue file with one more table.

    Parameters
    ----------
    path
        The file, which need not exist.
    replace
        Whether a table of this name may be replaced. Everything else stays as it is.

    Raises
    ------
    InputError
        The file has faults, or it has such a table that may not be replaced.
    """
    if not path.exists():
        return text
    before = read_toml(path)
    old = path.read_bytes().decode("utf-8-sig")
    twins = [known for known in before if normalise(known) == normalise(name)]
    if twins and not replace:
        raise InputError(
            f"{path}: has [{twins[0]}] already; add {argument('replace', True)} to replace it, "
            "or give another name"
        )
    for twin in twins:
        old = _without(old, twin)
    new = f"{old.rstrip()}\n\n{text}" if old.strip() else text
    others = {key: value for key, value in before.items() if key not in twins}
    try:
        after = tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        after = {}
    if {key: value for key, value in after.items() if key != name} != others:
        raise InputError(f"{path}: [{name}] cannot be replaced by a program; edit it by hand")
    return new


def _without(text: str, name: str) -> str:
    """Return TOML without one of its tables; comments above the next table stay."""
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    dropped: list[str] = []
    inside = False
    for line, owner in zip(lines, _owners(lines), strict=True):
        if owner is not None:
            if inside and owner != name:
                kept += _trailing_comments(dropped)
            inside = owner == name
            dropped = []
        (dropped if inside else kept).append(line)
    if inside:
        kept += _trailing_comments(dropped)
    return "".join(kept)


def _owners(lines: list[str]) -> Iterator[str | None]:
    """Yield for each line the table that it opens, or ``None``."""
    for line in lines:
        owner = None
        if line.lstrip().startswith("["):
            try:
                owner = next(iter(tomllib.loads(line)), None)
            except tomllib.TOMLDecodeError:
                owner = None  # a line of a list
        yield owner


def _trailing_comments(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return lines[end:]
