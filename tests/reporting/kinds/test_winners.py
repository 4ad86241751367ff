"""The picture of winners."""

import pytest

from perfcore.reporting.kinds import gather
from reporting.swept import points


@pytest.mark.parametrize(
    ("panel", "metric"),
    list(enumerate(["cost_per_mtok_output_usd", "tpot_s", "energy_per_output_token_j"])),
)
def test_winners_win(pictures, rows, panel, metric):
    for cell in points(pictures["winners"], "cell", panel):
        mine = [
            row
            for row in rows
            if row["model"] == "llama-3.1-8b"
            and f"{row['batch']:,}" == cell["y"]
            and f"{row['input_len']:,}" == cell["x"]
            and row["device_memory_bandwidth_scale"] == 1
            and row["economics_utilization"] == 0.5
        ]
        best = min(row[metric] for row in mine)
        assert cell["winner"] in {row["device"] for row in mine if row[metric] == best}


def test_winners_ask_for_the_metric_that_is_shown(source, pictures):
    asked = gather(source, "winners", metric="ttft_s")

    assert "cheapest, fastest or most energy-efficient" in pictures["winners"].question
    assert "best in time to first token at each" in asked.question
    assert asked.panels[0].title == "best in time to first token"
