"""Calibrations of an engine."""

import numpy as np
import pytest

from perfcore import catalog
from perfcore.accuracy.calibration import calibrate_one
from perfcore.accuracy.prediction import batch_of, engine_table, evaluate_points, predicted
from perfcore.accuracy.writing import dump_engine
from perfcore.errors import InputError


def test_a_calibration_is_an_engine(simulated, tmp_path):
    found = calibrate_one(
        simulated, None, "vllm", "datacentre-gpu-hopper", "mine", ["made.csv: 64 rows"]
    )
    path = tmp_path / "mine.toml"
    path.write_text(dump_engine("mine", found.tables["mine"]))

    engine = catalog.load_engine(str(path))

    device = catalog.load_device("h100-sxm")
    assert engine.calibration(device) == "own"
    assert engine.calibration(catalog.load_device("gh200-96gb")) == "class"
    assert engine.fit.errors[0].median_ape < 0.02
    batch = batch_of([q._replace(engine=engine) for q in simulated])
    values = predicted(batch, evaluate_points(batch, engine_table(batch)))
    measured = [q.measurement.value for q in simulated]
    assert np.median(np.abs(values / measured - 1)) < 0.02
    elsewhere = catalog.load_device("a100-80gb-sxm")
    other = catalog.load_engine("vllm").record(elsewhere)
    assert engine.record(elsewhere).launch == other.launch


def test_two_rows_move_what_they_can(simulated):
    found = calibrate_one(
        simulated[:2], None, "vllm", "datacentre-gpu-hopper", "mine", ["x: 2 rows"]
    )

    (report,) = found.reports
    assert report.in_sample.median_ape < 0.1
    assert report.left_out == {}
    widths = np.array([parameter.width for parameter in found.fit.parameters])
    assert (np.abs(found.fit.logs) < 2.5 * widths).all()


def test_no_row_is_refused(simulated):
    with pytest.raises(InputError, match="vllm on tpu: no row to fit"):
        calibrate_one(simulated, None, "vllm", "tpu", "mine", ["x: 64 rows"])
