"""Signatures of functions whose options are the parameters of something else."""

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Final, ParamSpec, TypeVar, get_type_hints

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class _Unsaid:
    """Default of an option that has none alone."""

    def __repr__(self) -> str:
        return "..."


_UNSAID: Final = _Unsaid()


def with_parameters_of(
    constructor: Callable[_Parameters, object],
) -> Callable[[Callable[..., _Result]], Callable[_Parameters, _Result]]:
    """Return a decorator of functions with a constructor's parameters.

    Type checkers and editors know them from their types, notebooks and ``help`` from the signature.
    """

    def decorated(function: Callable[..., _Result]) -> Callable[_Parameters, _Result]:
        own = inspect.signature(function)
        taken = inspect.signature(constructor).replace(return_annotation=own.return_annotation)
        function.__signature__ = taken  # type: ignore[attr-defined]  # what inspect reads
        return function

    return decorated


def with_options(
    options: type, defaults: Mapping[str, object]
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Return a decorator of functions that take ``**options`` of a typed dictionary.

    Notebooks and ``help`` show each option; ``...`` is the default of those that have none alone.
    """

    def decorated(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        own = inspect.signature(function)
        ours = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        named = [
            Parameter(
                name, Parameter.KEYWORD_ONLY, default=defaults.get(name, _UNSAID), annotation=hint
            )
            for name, hint in get_type_hints(options).items()
        ]
        taken = own.replace(parameters=[*ours, *named])
        function.__signature__ = taken  # type: ignore[attr-defined]  # what inspect reads
        return function

    return decorated


def defaults_of(*constructors: Callable[..., object]) -> dict[str, object]:
    """Return the defaults of constructors' parameters by name; the first that has one counts."""
    found: dict[str, object] = {}
    for constructor in constructors:
        for name, one in inspect.signature(constructor).parameters.items():
            if one.default is not Parameter.empty:
                found.setdefault(name, one.default)
    return found
