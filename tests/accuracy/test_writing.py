"""Fitted constants as engines."""

import math
import tomllib
from pathlib import Path

import pytest

from perfcore import catalog
from perfcore.accuracy.fit import Parameter
from perfcore.accuracy.writing import (
    before_fit,
    dump_engine,
    fitted_table,
    read_engine,
    with_intervals,
)


def test_a_fit_can_be_taken_back():
    table = {"base": "default", "factors": {"launch": {"value": 2.0, "source": "read"}}}
    parameter = Parameter("x launch", ("launch", "launch_fp8"), 1.0, ("x",))
    fit = type("F", (), {"parameters": (parameter,), "logs": [0.5], "errors": [0.1]})

    fitted = fitted_table("x", table, fit)

    assert fitted["factors"]["launch"]["value"] == pytest.approx(2 * math.exp(0.5), rel=1e-3)
    assert fitted["factors"]["launch"]["start"] == 2.0
    assert before_fit(fitted)["factors"]["launch"] == {
        "value": 2.0,
        "basis": "assumption",
        "source": "read",
    }
    assert "launch_fp8" not in before_fit(fitted)["factors"]


def test_constants_of_places_without_measurements_are_left_alone():
    """They rest on evidence of their own, which a fit elsewhere says nothing about."""
    table = {
        "constants": {"launch": {"value": "2 us", "source": "read"}},
        "device_class": {
            place: {"launch": {"value": "3 us", "source": "read"}}
            for place in ("consumer-gpu", "apple-silicon")
        },
        "measured": {"consumer-gpu": ["rtx-4090"]},
    }
    parameter = Parameter("x launch", ("launch",), 1.0, ("x",))
    fit = type("F", (), {"parameters": (parameter,), "logs": [0.5], "errors": [0.1]})

    places = fitted_table("x", table, fit)["device_class"]

    assert places["consumer-gpu"]["launch"]["start"] == "3 us"
    assert places["apple-silicon"] == table["device_class"]["apple-silicon"]


def test_shipped_engines_say_what_they_were_fitted_to():
    for name in ("default", "vllm", "vllm-2024", "trtllm", "sglang", "llamacpp-2024", "neuronx"):
        engine = catalog.load_engine(name)

        assert engine.fit.data[0].endswith("sha256 " + engine.fit.data[0][-16:])
        assert sum(errors.rows for errors in engine.fit.errors) >= 50
        assert all(errors.median_ape < 0.3 for errors in engine.fit.errors if errors.rows >= 20)
        # what all engines share was not measured with an engine of that name
        assert bool(engine.measured) == bool(engine.kernels) == (name != "default")


ENGINES = Path(catalog.__file__).parent / "engines"
BY_HAND = {"ideal", "kernels", "llamacpp", "llamacpp-2024"}


@pytest.mark.parametrize("name", sorted({path.stem for path in ENGINES.glob("*.toml")} - BY_HAND))
def test_fitted_engines_are_as_a_calibration_writes_them(name):
    path = ENGINES / f"{name}.toml"

    assert dump_engine(*read_engine(path)) == path.read_text("utf-8")


def test_intervals_are_replaced_and_nothing_else():
    text = (ENGINES / "kernels.toml").read_text("utf-8")
    table = tomllib.loads(text)["kernels"]
    own = {"own": table["intervals"]["own"]}
    written = with_intervals(text, "kernels", own)

    assert with_intervals(text, "kernels", table["intervals"]) == text
    assert tomllib.loads(written) == {"kernels": table | {"intervals": own}}
    assert text.startswith(written.rstrip("\n"))


def test_any_text_of_an_engine_is_valid():
    text = 'a "b"\t\\ \x00 \x7f\r\n½'
    table = {"base": "default", "source": text, "measured": {"x y": [text]}}

    assert tomllib.loads(dump_engine("mine", table)) == {"mine": table}
