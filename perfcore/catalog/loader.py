"""Find, read and check catalogue entries: built-in, from the user's catalogue, or from one file.

Only the files of the requested kind are parsed, and only the requested entry is checked. A user's
file is checked as a whole, so that all its faults are reported at once.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import platformdirs
from pydantic import ValidationError

from perfcore import records
from perfcore.catalog import printed as printed_names
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.entry import Entry
from perfcore.catalog.hosts import HostEntry
from perfcore.catalog.names import is_foreign, is_name, normalise
from perfcore.catalog.schema import (
    DeviceEntry,
    EconomicsEntry,
    EnergyEntry,
    KVFormatEntry,
    PriceEntry,
    WeightFormatEntry,
)
from perfcore.errors import MOST_FAULTS, InputError
from perfcore.reading.faults import faults_from_validation_error
from perfcore.reading.files import read_toml
from perfcore.reading.words import nearest, suggest

if TYPE_CHECKING:
    from perfcore.catalog.model_entry import ModelEntry

_BUILT_IN = Path(__file__).parent


class _Kind(NamedTuple):
    noun: str
    built_in: str  # glob below the built-in catalogue
    user: str  # file in the user's catalogue
    command: str  # command that lists all entries


_KINDS = {
    "model": _Kind("model", "models/*.toml", "models.toml", "perfcore models"),
    "device": _Kind("device", "devices/*.toml", "devices.toml", "perfcore devices"),
    "weight_format": _Kind(
        "weight format", "formats.toml", "weight_formats.toml", "perfcore formats"
    ),
    "kv_format": _Kind("KV-cache format", "kv_formats.toml", "kv_formats.toml", "perfcore formats"),
    "engine": _Kind("engine", "engines/*.toml", "engines.toml", "perfcore engines"),
    "economics": _Kind("economics", "economics.toml", "economics.toml", "perfcore economics"),
    "host": _Kind("host", "hosts.toml", "hosts.toml", "perfcore hosts"),
    "energy": _Kind("energy constant", "energy.toml", "energy.toml", ""),
    "price": _Kind("price", "prices.toml", "prices.toml", ""),
}
KINDS = tuple(_KINDS)


class _Found(NamedTuple):
    file: Path
    place: str  # the file as messages name it
    name: str
    built_in: bool


_ENTRY_CLASSES: dict[str, type[Entry]] = {
    "device": DeviceEntry,
    "weight_format": WeightFormatEntry,
    "kv_format": KVFormatEntry,
    "engine": EngineEntry,
    "economics": EconomicsEntry,
    "host": HostEntry,
    "energy": EnergyEntry,
    "price": PriceEntry,
}


def _entry_class(kind: str) -> type[Entry]:
    if kind == "model":
        # imported only here: architectures are not needed to load a device
        from perfcore.catalog.model_entry import ModelEntry  # noqa: PLC0415

        return ModelEntry
    return _ENTRY_CLASSES[kind]


def user_directory() -> Path | None:
    """Return the directory of the user's own catalogue; ``PERFCORE_CATALOG`` overrides it.

    It is None without the variable and without a home directory.
    """
    given = os.environ.get("PERFCORE_CATALOG")
    if given and not Path(given).is_dir():
        raise InputError(
            f"PERFCORE_CATALOG: {given!r} is not a directory; create it, or unset the variable"
        )
    if given:
        return Path(given)
    try:
        directory = Path(platformdirs.user_config_dir("perfcore"))
    except RuntimeError:
        return None
    # older versions of platformdirs return "~/.config/..."
    return directory / "catalog" if directory.is_absolute() else None


def _user_file(kind: _Kind) -> Path | None:
    """Return the user's file of entries; None if there is none, or not where this user may look."""
    directory = user_directory()
    path = directory / kind.user if directory else None
    return path if path and os.path.exists(path) else None  # noqa: PTH110 - Path.exists may raise


def _kind(kind: str) -> _Kind:
    if kind not in _KINDS:
        raise InputError(f"unknown kind of entry {kind!r}{suggest(kind, _KINDS)}")
    return _KINDS[kind]


def _files(kind: str) -> Iterator[tuple[Path, bool]]:
    known = _kind(kind)
    user = _user_file(known)
    if user:
        yield user, False
    for path in sorted(_BUILT_IN.glob(known.built_in)):
        yield path, True


@cache
def _read_built_in(path: Path) -> dict[str, object]:
    return read_toml(path)


def _tables(path: Path, *, built_in: bool) -> dict[str, object]:
    return _read_built_in(path) if built_in else read_toml(path)


def _aliases_of(table: object) -> tuple[str, ...]:
    given = table.get("aliases", ()) if isinstance(table, dict) else ()
    return tuple(str(alias) for alias in given) if isinstance(given, list) else ()


def _index(kind: str) -> dict[str, _Found]:
    """Return the location of every entry by normalised name or alias.

    The user's entries take precedence over built-in ones, and names over aliases.
    """
    user = _user_file(_kind(kind))
    built_in = _built_in_index(kind)
    if not user:
        return built_in
    own = _index_of([(user, False)])
    return own | built_in | own  # in this order, which messages keep


@cache
def _built_in_index(kind: str) -> dict[str, _Found]:
    return _index_of([(path, True) for path in sorted(_BUILT_IN.glob(_kind(kind).built_in))])


def _index_of(files: Iterable[tuple[Path, bool]]) -> dict[str, _Found]:
    """Return the location of every entry of some files by normalised name or alias."""
    index: dict[str, _Found] = {}
    for path, built_in in files:
        tables = _tables(path, built_in=built_in)
        place = path.name if built_in else str(path)
        found = {name: _Found(path, place, name, built_in) for name in tables}
        own = {normalise(name): entry for name, entry in found.items()}
        index |= _new(own, index)
        for name, table in tables.items():
            for alias in _aliases_of(table):
                index.setdefault(normalise(alias), found[name])
    return index


def _new(own: dict[str, _Found], index: dict[str, _Found]) -> dict[str, _Found]:
    """Return the names that the index lacks, or has only as an alias."""
    return {
        key: entry
        for key, entry in own.items()
        if key not in index or normalise(index[key].name) != key
    }


def names(kind: str) -> list[str]:
    """Return the names of all entries of a kind, the user's first."""
    found: dict[str, None] = {}
    for path, built_in in _files(kind):
        found |= dict.fromkeys(_tables(path, built_in=built_in))
    return list(found)


def is_built_in(kind: str, name: str) -> bool:
    """Return whether a built-in entry has this name."""
    return any(
        normalise(known) == normalise(name)
        for path, built_in in _files(kind)
        if built_in
        for known in _tables(path, built_in=True)
    )


def aliases(kind: str) -> dict[str, str]:
    """Return every alias of a kind with the name it stands for."""
    found: dict[str, str] = {}
    for path, built_in in _files(kind):
        for name, table in _tables(path, built_in=built_in).items():
            for alias in _aliases_of(table):
                found.setdefault(alias, name)
    return found


def load(kind: str, name: str) -> Entry:
    """Return one entry.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    name
        A name or alias, in upper or lower case and with ``_`` or blanks for ``-``; or the path of
        a TOML file with one table per entry, ``file.toml`` or ``file.toml:name``. A model may also
        be the path of a Hugging Face ``config.json`` or its directory, the path of a GGUF file, or
        ``hf:org/name``.

    Raises
    ------
    InputError
        There is no such entry, or its file has faults; all of them are listed, one per line.
    """
    known = _kind(kind)
    if not name.strip():
        raise InputError(f"a {known.noun} needs a name{_listing(known)}")
    path, _, inner = _split_path(name)
    if path:
        return _load_file(kind, path, inner)
    if kind == "model" and is_foreign(name):
        return _import_model(name)
    index = _index(kind)
    found = index.get(normalise(name))
    if found is None and kind == "model" and os.path.isdir(name):  # noqa: PTH112 - Path raises
        return _import_model(name)
    if found is None:
        printed = _as_printed(kind, name)
        if printed is not None:
            return printed
        raise InputError(f"unknown {known.noun} {name!r}{_hint(kind, name)}{_listing(known)}")
    if found.built_in:
        return _load_built_in(kind, found.file, found.name)
    return _checked(kind, found.place, _tables(found.file, built_in=False))[found.name]


@cache
def spellings() -> dict[printed_names.Words, str]:
    """Return the devices of the built-in catalogue by the words of each of their spellings."""
    found: dict[printed_names.Words, str] = {}
    for path, built_in in _files("device"):
        for name, table in _tables(path, built_in=built_in).items() if built_in else ():
            title = table.get("title", "") if isinstance(table, dict) else ""
            for spelling in (name, *_aliases_of(table), str(title)):
                found.setdefault(printed_names.words(spelling), name)
    for text, name in printed_names.PRINTED.items():
        found.setdefault(printed_names.words(text), name)
    found.pop((), None)
    return found


def printed_device(text: str) -> str:
    """Return the device that a driver, a tool or a cloud means with a text, or ``""``."""
    return printed_names.device_of(text, spellings())


def matching(kind: str, text: str) -> list[Entry]:
    """Return the entries whose name, title or alias contains a text.

    A whole name of a device, as tools print it, means that device, or one that differs in a size.
    """
    wanted = normalise(text)
    known = [load(kind, name) for name in names(kind)]
    printed = printed_device(text) if kind == "device" else ""
    whole = kind == "device" and printed_names.is_full(text)
    found = [
        entry
        for entry in known
        if (whole and printed_names.may_be(text, entry.title))
        or (not whole and any(wanted in normalise(t) for t in _words_of(entry)))
    ]
    if printed and (whole or not found):
        return [entry for entry in known if entry.name == printed]
    return found


def _words_of(entry: Entry) -> tuple[str, ...]:
    return (entry.name, entry.title, *entry.aliases)


def _as_printed(kind: str, name: str) -> Entry | None:
    """Return the entry that a name means as tools print it, or publishers name their models.

    A model whose name says that it is quantised is the catalogue's in that format; if it does not
    say how, the user has to.
    """
    if kind == "device":
        device = printed_device(name)
        return load(kind, device) if device else None
    if kind != "model":
        return None
    stem, fallback = printed_names.model_of(name)
    suffixes: list[str] = []
    while normalise(stem) not in _index(kind):
        shorter = printed_names.SUFFIX.sub("", stem)
        if shorter == stem:
            return None
        suffixes.append(stem[len(shorter) + 1 :])
        stem = shorter
    entry = load_model(stem)
    implied = "" if printed_names.is_whole(suffixes) or "4" in entry.native_dtype else fallback
    dtype = printed_names.format_of(suffixes, entry.native_dtype) or implied
    if not dtype:
        return entry
    form = dtype if dtype in names("weight_format") else ""
    return entry.model_copy(update={"native_dtype": dtype, "native_format": form})


def _import_model(source: str) -> Entry:
    # imported only here: most models are in the catalogue
    from perfcore.catalog.importing import SIZE, NotModelledError, import_model  # noqa: PLC0415

    try:
        return import_model(source)
    except NotModelledError as error:
        alike = [
            name
            for name in names("model")
            for entry in (load_model(name),)
            if tuple(getattr(entry, key) for key in SIZE) == error.size
        ]
        if not alike:
            raise
        listed = " or ".join(map(repr, alike[:3]))
        first, *rest = error.faults
        raise InputError([f"{first}; the catalogue has {listed}", *rest]) from None


def _hint(kind: str, name: str) -> str:
    """Return a suggestion: the kind that it is, the nearest name, or that of an alias' entry."""
    for other in ("model", "device"):
        if other != kind and normalise(name) in _index(other):
            return f"; it is a {other}"
    if kind == "engine" and normalise(name) in printed_names.OTHER_ENGINES:
        return "; no measurements support an entry"
    known = aliases(kind)
    strict = kind in ("model", "device")
    listed = (*names(kind), *known)
    near = nearest(
        name,
        (
            each
            for each in listed
            if not strict
            or (_may_mean(name, each) and (kind != "device" or printed_names.goes_on(name, each)))
        ),
    )
    owner = known.get(near, near)
    shown = owner if normalise(owner)[:3] == normalise(near)[:3] else near
    return f"; did you mean {shown!r}?" if shown else ""


def _may_mean(word: str, candidate: str) -> bool:
    """Return whether a word may be a misspelled or unfinished name: a 4070 Ti is no 5070 Ti."""
    said, meant = (normalise(each).replace(":", "-") for each in (word, candidate))
    if meant.replace("-", "").startswith(said.replace("-", "")):
        return True
    pairs = list(zip(said.split("-"), meant.split("-"), strict=False))
    return len(pairs) == said.count("-") + 1 and all(_alike(*pair) for pair in pairs)


@lru_cache(100_000)
def _alike(one: str, other: str) -> bool:
    """Return whether a word may mean another; with digits, it has to be its beginning."""
    if re.search(r"\d", one + other):
        return other.startswith(one)
    return bool(difflib.get_close_matches(one, [other], cutoff=0.5))


def _listing(known: _Kind) -> str:
    return f" ({known.command} lists all)" if known.command else ""


def _split_path(name: str) -> tuple[str, str, str]:
    """Split ``file.toml:name`` into path, ``:`` and inner name; no path if it is not a file."""
    if name.lower().endswith(".toml"):
        return name, "", ""
    head, colon, inner = name.rpartition(":")
    return (head, colon, inner) if head.lower().endswith(".toml") else ("", "", name)


@cache
def _load_built_in(kind: str, path: Path, name: str) -> Entry:
    return _checked(kind, path.name, {name: _read_built_in(path)[name]})[name]


def _load_file(kind: str, path: str, inner: str) -> Entry:
    known = _KINDS[kind]
    tables = read_toml(path)
    if not tables:
        raise InputError(f"{path}: has no entry; add a table [name] for the {known.noun}")
    entries = _checked(kind, path, tables)
    if inner:
        by_name = {normalise(name): entry for name, entry in entries.items()}
        by_name = {
            normalise(alias): entry for entry in entries.values() for alias in entry.aliases
        } | by_name
        if normalise(inner) not in by_name:
            raise InputError(
                f"{path}: has no {known.noun} {inner!r}"
                f"{suggest(inner, entries) or '; it has ' + ', '.join(entries)}"
            )
        return by_name[normalise(inner)]
    if len(entries) > 1:
        raise InputError(
            f"{path}: has {len(entries)} entries ({', '.join(entries)}); "
            f"say which one, e.g. {path}:{next(iter(entries))}"
        )
    return next(iter(entries.values()))


def _checked(kind: str, place: str, tables: dict[str, object]) -> dict[str, Entry]:
    """Return all entries of a file, or raise all its faults."""
    entry_class = _entry_class(kind)
    entries: dict[str, Entry] = {}
    faults: list[str] = []
    for name, table in tables.items():
        if len(faults) > MOST_FAULTS:
            break
        where = f"{place}: [{name}]"
        if not isinstance(table, dict):
            faults.append(
                f"{place}: key {name!r} is outside any table; "
                f"put it below a line [name] that names the {_KINDS[kind].noun}"
            )
            continue
        if not is_name(name):
            faults.append(
                f"{where}: a name may contain only lower-case letters, digits, '-', '.', '_' and "
                f"'+'; rename it"
            )
        try:
            completed = _over_base(place, name, table) if kind == "economics" else table
            entries[name] = entry_class.model_validate({**completed, "name": name})
        except InputError as error:
            faults += error.faults
        except ValidationError as error:
            faults += faults_from_validation_error(error, where, entry_class)
    if faults:
        raise InputError(faults)
    if kind == "engine":
        return {
            name: _with_base(cast("EngineEntry", entry), place, ())
            for name, entry in entries.items()
        }
    return entries


_OWN = ("title", "aliases", "source", "notes", "hypothetical", "estimated")  # not inherited


def _over_base(
    place: str, name: str, table: dict[str, object], seen: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return a table of economics, completed by its base's values and their derivations."""
    given = table.get("base", "")
    if not given or not isinstance(given, str):
        return table
    if normalise(given) in {*map(normalise, seen), normalise(name)}:
        raise InputError(
            f"{place}: [{name}]: base {given!r} leads back to itself; "
            f"name another entry, or give all keys"
        )
    found = _index("economics").get(normalise(given))
    if found is None:
        hint = suggest(given, names("economics"))
        raise InputError(f"{place}: [{name}]: base: unknown economics {given!r}{hint}")
    base = _tables(found.file, built_in=found.built_in)[found.name]
    if not isinstance(base, dict):
        raise InputError(f"{found.place}: {found.name!r} is not a table")
    base = _over_base(place, found.name, base, (*seen, name))
    inherited = {key: value for key, value in base.items() if key not in _OWN}
    own = table.get("estimated", {})
    reasons = base.get("estimated", {})
    if isinstance(own, dict) and isinstance(reasons, dict):
        own = {key: why for key, why in reasons.items() if key not in table} | own
    return inherited | table | {"estimated": own}


def _with_base(entry: EngineEntry, place: str, seen: tuple[str, ...]) -> EngineEntry:
    if not entry.base:
        return entry
    if normalise(entry.base) in {*map(normalise, seen), normalise(entry.name)}:
        raise InputError(
            f"{place}: [{entry.name}]: base {entry.base!r} leads back to itself; "
            f"name another engine, or give all constants"
        )
    try:
        base = _load_base(entry.base, place, (*seen, entry.name))
    except InputError as error:
        raise InputError(f"{place}: [{entry.name}]: base: {error.faults[0]}") from None
    return entry.over(base)


def _load_base(name: str, place: str, seen: tuple[str, ...]) -> EngineEntry:
    found = _index("engine").get(normalise(name))
    if found is None:
        hint = suggest(name, names("engine"))
        raise InputError(f"unknown engine {name!r}{hint}{_listing(_KINDS['engine'])}")
    table = _tables(found.file, built_in=found.built_in)[found.name]
    if not isinstance(table, dict):
        raise InputError(f"{found.place}: {found.name!r} is not a table")
    try:
        entry = EngineEntry.model_validate({**table, "name": found.name})
    except ValidationError as error:
        where = f"{found.place}: [{found.name}]"
        raise InputError(faults_from_validation_error(error, where, EngineEntry)) from None
    return _with_base(entry, place, seen)


def load_model(name: str) -> "ModelEntry":
    """Return a model by name, alias or file; see ``load``."""
    return cast("ModelEntry", load("model", name))


def load_device(name: str) -> DeviceEntry:
    """Return a device by name, alias or file; see ``load``."""
    return cast("DeviceEntry", load("device", name))


def load_weight_format(name: str) -> WeightFormatEntry:
    """Return a weight format by name, alias or file; see ``load``."""
    return cast("WeightFormatEntry", load("weight_format", name))


def load_kv_format(name: str) -> KVFormatEntry:
    """Return a KV-cache format by name, alias or file; see ``load``."""
    return cast("KVFormatEntry", load("kv_format", name))


def load_engine(name: str) -> EngineEntry:
    """Return an engine by name, alias or file; see ``load``."""
    return cast("EngineEntry", load("engine", name))


def default_economics() -> records.Economics:
    """Return the economics that apply if a sweep names none."""
    return cast("EconomicsEntry", load("economics", "default")).record()
