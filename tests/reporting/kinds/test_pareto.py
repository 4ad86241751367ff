"""The picture of undominated rows."""

from reporting.swept import points


def test_pareto_holds_what_nothing_beats(pictures, rows):
    mine = [
        (row["device"], row["tpot_s"] * 1e3, row["tokens_per_s_per_device"])
        for row in rows
        if row["model"] == "llama-3.1-8b"
        and row["input_len"] == 1024
        and row["device_memory_bandwidth_scale"] == 1
        and row["economics_utilization"] == 0.5
    ]
    front = {
        (device, tpot, rate)
        for device, tpot, rate in mine
        if not any(
            other == device and t <= tpot and r >= rate and (t, r) != (tpot, rate)
            for other, t, r in mine
        )
    }

    drawn = {(p["series"], p["x"], p["y"]) for p in points(pictures["pareto"], "step")}
    assert drawn == front
