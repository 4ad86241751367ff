"""A run, pages, and one browser for all tests."""

import pytest
from reporting.parsed import EVIL

import perfcore
from exploring.browser import CHROMIUM, Browser

OWN = f"""
[own-chip]
title = '''{EVIL}'''
vendor = '''us {EVIL}'''
year = 2026
device_class = "asic"
memory_kind = "HBM3"
memory_capacity = "80 GB"
memory_bandwidth = "3 TB/s"
flops_fp16 = "500 TFLOP/s"
board_power = "500 W"
idle_power = "50 W"
link_bandwidth = "100 GB/s"
scale_up_domain = 8
network_bandwidth = "50 GB/s"
price_per_hour = "2 USD/h"
source = "a data sheet"
"""
SPEC = f"""
name = "small <b>&amp; bold</b>"
description = '''{EVIL}'''
[axes]
model = ["llama-3.1-8b", "gpt-oss-120b"]
device = ["h100-sxm", "./it's own.toml"]
weight_format = ["bf16", "mxfp4"]
tp = [1, 4]
batch = [1, 8, 64]
input_len = [128, 1024, 8192]
output_len = 128
scheduler = "continuous"
[what_if]
"device.memory_bandwidth" = {{ scale = [1, 1.5] }}
"economics.utilization" = [0.5]
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("explore")
    (path / "it's own.toml").write_text(OWN)
    (path / "small.toml").write_text(SPEC)
    perfcore.sweep(path / "small.toml", path / "run")
    return path


@pytest.fixture(scope="session")
def page(folder):
    perfcore.explore(["llama-3.3-70b"], folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="session")
def run_page(folder):
    perfcore.explore(folder / "run", folder / "run.html")
    return folder / "run.html"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()
