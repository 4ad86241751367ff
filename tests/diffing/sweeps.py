"""Sweeps and catalogues that differ in little."""

import perfcore
from perfcore.diffing.facts import Side
from perfcore.runs.dataset import Rows

SPEC = {
    "name": "small",
    "axes": {
        "model": ["llama-3-8b", "llama-3-70b"],
        "device": ["h100-sxm", "l40s"],
        "tp": [1, 8],
        "batch": [1, 8, 64],
    },
    "output": {"columns": ["tpot_s", "network_s", "max_batch", "bound"]},
}
CHIP = """
[my-chip]
source = "{source}"
vendor = "me"
year = 2026
device_class = "datacentre-gpu-hopper"
memory_kind = "HBM"
memory_capacity = "80 GB"
memory_bandwidth = "{bandwidth}"
flops_fp16 = "500 TFLOP/s"
board_power = "500 W"
idle_power = "50 W"
link_bandwidth = "64 GB/s"
scale_up_domain = 8
network_bandwidth = "50 GB/s"
price_per_hour = "2 USD/h"
"""
OWN = """
[axes]
model = ["llama-3-8b"]
device = ["h100-sxm", "./chip.toml"]
batch = [1, 8]
"""


def side(label, spec=SPEC, **changes):
    axes = {**spec["axes"], **changes}
    return Side.of(label, perfcore.sweep({**spec, "axes": axes}))


def altered(rows, table):
    """The same sweep with other rows."""
    return Side.of("b", Rows(table.replace_schema_metadata(rows.schema.metadata), "b"))
