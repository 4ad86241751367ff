"""Table of the requests of a simulation."""

import json

import numpy as np
import pyarrow.parquet as pq

from perfcore.configuration.configuration import Configuration
from perfcore.traffic.server import Rules, simulate_requests
from perfcore.traffic.synthetic import Traffic
from perfcore.traffic.table import MEANINGS, request_table, write_requests

SIMULATION = simulate_requests(
    Configuration("llama-3.1-8b", "h100-sxm", scheduler="continuous"),
    Traffic(rate=4, requests=20).made(),
    Rules(),
)


def test_every_column_is_written_and_explained():
    table = request_table(SIMULATION)

    assert table.column_names == list(MEANINGS)
    assert set(MEANINGS) == set(SIMULATION.requests)
    assert all(field.metadata[b"meaning"] for field in table.schema)
    assert (table.column("finished_s").to_numpy() == SIMULATION.requests["finished_s"]).all()


def test_file(tmp_path):
    path = tmp_path / "requests.parquet"
    write_requests(path, SIMULATION, {"status": "ok", "ttft_p99_s": np.nan})
    read = pq.read_table(path)

    assert read.num_rows == 20
    assert json.loads(read.schema.metadata[b"perfcore.summary"])["ttft_p99_s"] is None
