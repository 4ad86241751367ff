"""Names of pictures, for help that comes at once."""

from typing import Final

KINDS: Final = {
    "roofline": "arithmetic intensity and FLOP/s of decode, under each device's roofs",
    "pareto": "latency against throughput: what no configuration of a device beats",
    "winners": "which device or format is cheapest, fastest, most frugal by batch and context",
    "memory_wall": "the memory wall: terms of TPOT against context",
    "cost": "price of a token against utilisation, with break-even lines",
    "energy": "energy of a token: decode, prefill, facility",
    "quantisation": "what narrower weights gain, by batch",
    "bandwidth": "what more memory bandwidth alone buys",
}
# What kinds were called before.
FORMER: Final = {"timeline": "memory_wall", "hbm4": "bandwidth"}
SUFFIXES: Final = (".png", ".svg", ".html")
