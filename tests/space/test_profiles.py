"""Profiles of the output: encoding of rows, and bits kept of a metric."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import perfcore
from perfcore.columns import BY_NAME, METRICS
from perfcore.errors import InputError
from perfcore.space.profiles import PROFILES
from perfcore.space.space import Space
from perfcore.testing import spaces

SWEEP = {
    "name": "profiles",
    "axes": {
        "model": ["llama-3-8b", "mixtral-8x7b"],
        "device": ["h100-sxm", "mi300x"],
        "tp": [1, 2],
        "batch": [1, 4, 16, 64],
        "input_len": {"log": [128, 8192], "n": 40},
    },
}
EXACT = {"columns": "all", "dtype": "float64"}
REAL = [column.name for column in METRICS if column.kind == "metric"]


def swept(**output):
    return perfcore.sweep({**SWEEP, "output": output})


@given(sweep=spaces(), bits=st.integers(4, 24))
@example(sweep=SWEEP, bits=24)
@example(sweep=SWEEP, bits=4)
def test_metrics_are_rounded_to_the_nearest(sweep, bits):
    """Values change by at most half a unit of the last bit kept, and keep their order."""
    keep = {"keep_infeasible": True}
    exact = perfcore.sweep({**sweep, "output": {**EXACT, **keep}})
    short = perfcore.sweep(
        {**sweep, "output": {"columns": "all", "significant_bits": bits, **keep}}
    )
    for name in REAL:
        true = exact[name].to_numpy()
        kept = short[name].to_numpy()
        known = ~np.isnan(true)  # a format's loss of quality may be unknown
        assert np.all(known == ~np.isnan(kept))
        true, kept = true[known], kept[known]

        half = np.abs(true) * (2.0**-bits + 2.0**-24) + np.finfo(np.float32).tiny
        assert np.all(np.abs(kept - true) <= half)
        order = np.argsort(true, kind="stable")
        assert np.all(np.diff(kept[order]) >= 0.0)
        mantissa, _ = np.frexp(kept.astype(np.float64))
        assert np.all(np.ldexp(mantissa, bits) % 1.0 == 0.0)


def test_bits_are_set_by_column():
    bits = {"default": 8, "tpot_s": 24}
    table = swept(columns=["tpot_s", "ttft_s"], significant_bits=bits)
    exact = swept(**EXACT)

    assert table["tpot_s"].equals(exact["tpot_s"].cast(pa.float32()))
    assert len(table["ttft_s"].unique()) < len(exact["ttft_s"].unique())


def test_doubles_keep_all_bits():
    spec = Space.from_dict({**SWEEP, "output": EXACT}).spec

    assert not any(spec.output.dropped_bits(name) for name in REAL)
    assert Space.from_dict(SWEEP).spec.output.dropped_bits("tpot_s") == 8


@pytest.mark.parametrize("bound", ["max", "min"])
def test_conditions_hold_for_what_is_written(bound):
    """Conditions compare the rounded value, so that readers of the file find the same rows."""
    limit = float(swept()["tpot_s"][7].as_py())
    where = [{"metric": "tpot_s", bound: limit}]
    kept = perfcore.sweep({**SWEEP, "where": where})["tpot_s"].to_numpy()
    every = swept()["tpot_s"].to_numpy()
    expected = every[every <= limit] if bound == "max" else every[every >= limit]

    assert limit in kept
    assert np.array_equal(kept, expected)


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_write_what_they_say(tmp_path, name):
    run = perfcore.sweep({**SWEEP, "output": {"profile": name}}, tmp_path / name)
    file = pq.ParquetFile(next(run.data.iterdir()))
    group = file.metadata.row_group(0)
    profile = PROFILES[name]
    for number, field in enumerate(file.schema_arrow):
        chunk = group.column(number)

        assert chunk.compression == profile.compression.upper()
        split = profile.split_bytes and BY_NAME[field.name].kind == "metric"
        assert ("BYTE_STREAM_SPLIT" in chunk.encodings) == split
    tpot = run.to_arrow()["tpot_s"].to_numpy()
    mantissa, _ = np.frexp(tpot.astype(np.float64))
    assert np.all(np.ldexp(mantissa, profile.significant_bits) % 1.0 == 0.0)


def test_fewer_bits_take_fewer_bytes(tmp_path):
    sizes = []
    for bits in (24, 16, 12, 8):
        sweep = {**SWEEP, "output": {"profile": "small", "significant_bits": bits}}
        run = perfcore.sweep(sweep, tmp_path / str(bits))
        group = pq.ParquetFile(next(run.data.iterdir())).metadata.row_group(0)
        columns = range(group.num_columns)
        sizes.append(sum(group.column(number).total_compressed_size for number in columns))

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.5 * sizes[2]


@pytest.mark.parametrize(
    ("output", "place", "value"),
    [
        ({"profile": "tiny"}, "output.profile", "'tiny'"),
        ({"significant_bits": 3}, "output.significant_bits", "3"),
        ({"significant_bits": 25}, "output.significant_bits", "from 4 to 24"),
        ({"significant_bits": 12.5}, "output.significant_bits", "12.5"),
        ({"significant_bits": {"tpot": 12}}, "output.significant_bits", "did you mean 'tpot_s'"),
        ({"significant_bits": {"status": 12}}, "output.significant_bits", "'status'"),
        ({"significant_bits": {"tpot_s": "12"}}, "output.significant_bits.tpot_s", "'12'"),
        ({"dtype": "float64", "significant_bits": 54}, "output.significant_bits", "from 4 to 53"),
    ],
)
def test_faults_name_place_value_and_remedy(output, place, value):
    with pytest.raises(InputError) as caught:
        Space.from_dict({**SWEEP, "output": output})

    assert len(caught.value.faults) == 1
    assert place in caught.value.faults[0]
    assert value in caught.value.faults[0]


def test_rounding_stays_far_below_the_model_s_own_error():
    """Rounding errors are at most a thousandth of the smallest median error of the model, 3 %."""
    assert all(math.ldexp(1.0, -profile.significant_bits) < 3e-4 for profile in PROFILES.values())
