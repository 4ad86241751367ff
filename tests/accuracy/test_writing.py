"""Fitted constants as engines."""

import math

import pytest

from perfcore import catalog
from perfcore.accuracy.fit import Parameter
from perfcore.accuracy.writing import before_fit, fitted_table


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


def test_shipped_engines_say_what_they_were_fitted_to():
    for name in ("default", "vllm", "vllm-2024", "trtllm", "sglang", "llamacpp-2024", "neuronx"):
        engine = catalog.load_engine(name)

        assert engine.fit.data[0].endswith("sha256 " + engine.fit.data[0][-16:])
        assert sum(errors.rows for errors in engine.fit.errors) >= 50
        assert all(errors.median_ape < 0.3 for errors in engine.fit.errors if errors.rows >= 20)
        assert engine.measured
