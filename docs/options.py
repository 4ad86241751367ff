"""The typed options of ``perfcore.compare``, ``simulate`` and ``size``, as Python.

Type checkers and editors read types from source only, so that the options of functions that take
the parameters of other things are written down: by ``python docs/generate.py``.
"""

import inspect
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from perfcore.configuration.comparison import VARIED
from perfcore.configuration.configuration import Configuration
from perfcore.configuration.simulation import OF_CONFIGURATION, OF_RULES, OF_TRAFFIC
from perfcore.fleets.inputs import CHOSEN, FIXED
from perfcore.traffic.server import Rules
from perfcore.traffic.synthetic import Traffic

HEAD = '''"""Options of functions, typed as the parameters that they are.

Written by ``python docs/generate.py`` from ``Configuration``, ``Traffic`` and ``Rules``: change
those.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

{imports}
'''


def _parts(hint: object) -> tuple[object, ...]:
    """Return the types of a union, or the only one."""
    return get_args(hint) if get_origin(hint) in {UnionType, Union} else (hint,)


def _told(hint: object) -> str:
    """Return a type as Python."""
    if len(_parts(hint)) > 1:
        return " | ".join(_told(one) for one in _parts(hint))
    if hint is NoneType:
        return "None"
    if get_origin(hint) is not None:
        inner = ", ".join(_told(one) for one in get_args(hint))
        return f"{get_origin(hint).__name__}[{inner}]"
    return hint.__name__


def _hints(constructor: type) -> dict[str, Any]:
    known = get_type_hints(constructor)
    return {name: known[name] for name in inspect.signature(constructor).parameters}


def _class(name: str, meaning: str, fields: Mapping[str, Any], listed: Iterable[str] = ()) -> str:
    lines = [f"class {name}(TypedDict, total=False):", f'    """{meaning}"""', ""]
    for field, hint in fields.items():
        several = f"Sequence[{_told(hint)}]" if field in listed else ""
        parts = [_told(one) for one in _parts(hint) if one is not NoneType]
        none = "None" if NoneType in _parts(hint) else ""
        lines.append(f"    {field}: {' | '.join(filter(None, (*parts, several, none)))}")
    return "\n".join(lines) + "\n"


def source() -> str:
    """Return the module ``perfcore.configuration.options``."""
    ours, rules, traffic = (_hints(one) for one in (Configuration, Rules, Traffic))
    simulated = {name: traffic[name] for name in OF_TRAFFIC}
    simulated |= {name: rules[name] for name in OF_RULES}
    simulated |= {name: ours[name] for name in OF_CONFIGURATION}
    sized = {name: ours[name] | None for name in CHOSEN}
    sized |= {name: ours[name] for name in FIXED} | {"disaggregate": bool}
    classes = (
        _class(
            *("Compared", "Parameters of configurations, with the values to compare."),
            *({name: ours[name] for name in VARIED}, VARIED),
        ),
        _class("Simulated", "Parameters of traffic, rules and a configuration.", simulated),
        _class("Sized", "Machines that ``perfcore.size`` chooses from.", sized, CHOSEN),
    )
    text = "\n\n".join(classes)
    entries = {
        part.__name__: part.__module__
        for hint in ours.values()
        for part in get_args(hint)
        if isinstance(part, type) and part.__module__.startswith("perfcore.")
    }
    homes: dict[str, list[str]] = {}
    for name, home in sorted(entries.items()):
        if name in text:
            homes.setdefault(home, []).append(name)
    imports = "\n".join(
        f"from {home} import {', '.join(homes[home])}"
        if len(homes[home]) < 4
        else f"from {home} import (\n    " + ",\n    ".join(homes[home]) + ",\n)"
        for home in sorted(homes)
    )
    return HEAD.format(imports=imports) + "\n\n" + text
