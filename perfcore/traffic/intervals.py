"""Intervals of simulated figures: the engine's errors on measured servers, as factors."""

from collections.abc import Mapping

from perfcore.records import Engine
from perfcore.traffic.results import STATISTICS


def intervals(engine: Engine, found: Mapping[str, float | str]) -> dict[str, float]:
    """Return the ends of 80 % intervals: ``ttft_p99_low_s`` and ``_high_s``, and so on.

    TTFT and times between tokens have the factors of a server in steady state, which come from
    measurements; end-to-end latency has both, each for its part. Queues close to saturation vary
    more than that.
    """
    ends = {
        "low": (engine.low_ttft_served, engine.low_tpot_served, engine.low_energy),
        "high": (engine.high_ttft_served, engine.high_tpot_served, engine.high_energy),
    }
    ranges: dict[str, float] = {}
    for end, (of_ttft, of_tpot, of_energy) in ends.items():
        for statistic in STATISTICS:
            ttft, tpot, itl, e2e = (
                float(found[f"{latency}_{statistic}_s"])
                for latency in ("ttft", "tpot", "itl", "e2e")
            )
            ranges |= {
                f"ttft_{statistic}_{end}_s": ttft * of_ttft,
                f"tpot_{statistic}_{end}_s": tpot * of_tpot,
                f"itl_{statistic}_{end}_s": itl * of_tpot,
                f"e2e_{statistic}_{end}_s": ttft * of_ttft + (e2e - ttft) * of_tpot,
            }
        energy = float(found["energy_per_output_token_j"])
        ranges[f"energy_per_output_token_{end}_j"] = energy * of_energy
    return ranges
