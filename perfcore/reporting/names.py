"""Names of the kinds of pictures, in a module that is fast to import for help texts."""

from typing import Final

KINDS: Final = {
    "roofline": "FLOP/s against arithmetic intensity of decode, under each device's roofline",
    "pareto": "Pareto fronts of latency against throughput, one per device",
    "winners": "cheapest, fastest and most energy-efficient device by batch and context length",
    "memory_wall": "time per output token against context length, split into its terms",
    "cost": "cost per token against utilisation, with break-even points",
    "energy": "energy per token: decode, prefill and facility",
    "quantisation": "gain from quantised weights, by batch",
    "bandwidth": "gain from more memory bandwidth alone",
}
# Kinds of sweeps with traffic, whose rows are simulated.
SIMULATED_KINDS: Final = {
    "pareto": "Pareto fronts of p99 TTFT against cost, one per device",
    "load": "p99 TTFT, or another metric, against the load: request_rate, clients or speed",
}
# Former names of kinds, and their present ones.
FORMER: Final = {"timeline": "memory_wall", "hbm4": "bandwidth"}
SUFFIXES: Final = (".png", ".svg", ".html")
