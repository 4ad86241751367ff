"""Conversion between records and entries: fields from a record's declarations, and back."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, create_model

from perfcore import units
from perfcore.inputs import INPUTS, RECORDS, Input
from perfcore.limits import FLAG, Limits

R = TypeVar("R", bound=tuple[Any, ...])


def quantity(limits: Limits) -> Callable[[object], float]:
    """Return a parser of quantities in human units or SI that checks limits."""

    def parse(value: object) -> float:
        number = units.parse(value, limits.dimension)  # type: ignore[arg-type]  # it checks
        if not limits.admits(number):
            raise ValueError(f"{value!r} must be {limits.demand(number)}")
        return number

    return parse


def sheet_of(record: type[Any], base: type[BaseModel]) -> Any:  # noqa: ANN401 - a class
    """Return a subclass of ``base`` with a field for every field of a record.

    A flag is true or false, a code one of its names, everything else a quantity within its limits.
    """
    (kind,) = (kind for kind, known in RECORDS.items() if known is record)
    fields: dict[str, Any] = {name: _field(one) for name, one in INPUTS[kind].items()}
    return create_model(f"{record.__name__}Sheet", __base__=base, __doc__=record.__doc__, **fields)


def _field(one: Input) -> tuple[Any, Any]:
    limits = one.limits
    kind: Any = Annotated[float, BeforeValidator(quantity(limits))]
    example = units.DIMENSIONS[limits.dimension].example.split(" or ")[0].split(",")[0]
    default: Any = ... if one.absent is None else one.absent.value
    if limits.choices:
        kind, example = Literal[limits.choices], limits.choices[0]
        default = default if default is ... else limits.choices[int(default)]
    elif limits == FLAG:
        kind, example = bool, "true"
        default = default if default is ... else bool(default)
    elif default is None:
        kind = kind | None
    return kind, Field(default, description=one.meaning, examples=[example])


def record_of(record: type[R], entry: BaseModel) -> R:
    """Return a record of an entry's fields; absent fields are 0, to be replaced by the caller."""
    (kind,) = (kind for kind, known in RECORDS.items() if known is record)
    codes = {name: _code(one, getattr(entry, name)) for name, one in INPUTS[kind].items()}
    return record(**codes)


def _code(one: Input, value: Any) -> float:  # noqa: ANN401 - of any field
    if one.limits.choices:
        return float(one.limits.choices.index(value))
    return float(value or 0.0)
