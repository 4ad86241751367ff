"""Energy per bit and per FLOP of devices whose data sheets do not state them.

No data sheet does. Energy per bit follows from the kind of memory: measurements of whole boards,
or the energy of the DRAM alone times the ratio of the two where both are known. Energy per FLOP
follows from the power limit and the peak rate, which a vendor designs together: process nodes
cannot tell chips of one node apart. ``energy.toml`` has the measurements and their sources.
"""

from typing import Final, NamedTuple

MEMORY_SHARE: Final = 0.35  # of board power at full bandwidth; memory of unknown kind


class Joules(NamedTuple):
    """An energy and its derivation."""

    value: float
    why: str


_ANTEPARA = "board power regressed, Antepara et al., SC'25 (doi 10.1145/3712285.3759815), Table 3"
# By the beginning of `memory_kind`, longer names first. [pJ/bit]
_PER_BIT: Final = {
    "HBM2E": (13.6, f"MI250X, {_ANTEPARA}"),
    "HBM2": (13.1, f"A100, {_ANTEPARA}"),
    "HBM3E": (10.1, "HBM3 x 3.44 / 3.97 pJ/bit of the DRAM alone (energy.toml)"),
    "HBM3": (11.7, f"GH200, {_ANTEPARA}; MI300A 14.7"),
    "HBM4": (8.5, "between HBM3E and HBM3 x 2.4 / 3.97 pJ/bit of the DRAM alone, a roadmap"),
    "GDDR7": (18.6, "GDDR6X x 4.5 / 7.25 pJ/bit of the DRAM alone (energy.toml)"),
    "GDDR6X": (30.0, "RTX 3090, board power regressed (energy.toml)"),
    "GDDR6": (31.0, "GDDR6X x 7.5 / 7.25 pJ/bit of the DRAM alone (energy.toml)"),
    "LPDDR4": (16.0, "LPDDR5X x 8 / 5 pJ/bit of the DRAM alone (energy.toml)"),
    "LPDDR": (10.0, "DRAM and its interfaces, arXiv:2411.17309, Table 1"),
    "SRAM": (0.3, "a 1 MB array at 7 nm, 0.22 pJ/bit, and a millimetre of wire (energy.toml)"),
}


def energy_per_bit(memory_kind: str, board_power: float, bandwidth: float) -> Joules:
    """Return the energy to move a bit between memory and cores, controllers included. [J/bit]

    ``board_power`` [W] and ``bandwidth`` [bytes/s] are used for memory of unknown kind.
    """
    kind = memory_kind.upper()
    for name, (picojoules, why) in _PER_BIT.items():
        if kind.startswith(name):
            return Joules(picojoules * 1e-12, f"{picojoules:g} pJ/bit of {name}: {why}")
    why = f"{MEMORY_SHARE:g} x board power at full bandwidth: memory of unknown kind"
    return Joules(MEMORY_SHARE * board_power / (8.0 * bandwidth), why)


def energy_per_flop(board_power: float, peak_flops: float) -> Joules:
    """Return the energy of a FLOP at the peak rate, if arithmetic takes all board power. [J/FLOP]

    0.71 pJ on an H100 (700 W, 989 TFLOP/s), 1.28 pJ on an A100, 2.4 pJ on a V100.
    """
    return Joules(board_power / peak_flops, "board power / peak rate, which are designed together")
