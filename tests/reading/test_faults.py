"""Faults found by pydantic, as readable lines."""

import pytest
from pydantic import BaseModel, ValidationError

from perfcore.reading.faults import faults_from_validation_error


class _Inner(BaseModel, extra="forbid"):
    batch: int
    sizes: tuple[int, ...] = ()


class _Outer(BaseModel, extra="forbid"):
    inner: _Inner
    several: dict[str, _Inner] = {}


def test_nested_faults_name_their_path():
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate(
            {"inner": {"bach": 1, "sizes": [1, "x"]}, "several": {"a": {"batch": 1, "size": 2}}}
        )
    assert faults_from_validation_error(caught.value, "sweep.toml", _Outer) == [
        "sweep.toml: inner.sizes[1]: 'x' must be a whole number",
        "sweep.toml: inner: unknown key 'bach'; did you mean 'batch'?",
        "sweep.toml: several.a: unknown key 'size'; did you mean 'sizes'?",
    ]
