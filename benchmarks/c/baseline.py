"""Compiles the C baseline and calls it on a ``Space``, as often and on as many threads as asked."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from c.translate import translated

from perfcore.kernel.flushing import STRIDE, TILE
from perfcore.kernel.layout import Output, pitch_of
from perfcore.space.space import Space

SOURCE = Path(__file__).parent / "kernel.c"
SHARED = ("-shared", "-fPIC", f"-DTILE={TILE}", f"-DSTRIDE={STRIDE}", "-w")
# Without fast-math a compiler must be told that nobody looks at errno or traps, which Numba takes
# for granted, or it vectorises no root; fused products would change results.
STRICT = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
FUSED = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
FAST = ("-O3", "-march=native", "-ffast-math")
WIDE = ("-mprefer-vector-width=512",)
FLAGS: Mapping[str, tuple[str, ...]] = {
    "-O3": STRICT,
    "-O3, 512 bit": (*STRICT, *WIDE),
    "-O3, fused": FUSED,
    "-O3, fused, 512 bit": (*FUSED, *WIDE),
    "-O3 -ffast-math": FAST,
    "-O3 -ffast-math, 512 bit": (*FAST, *WIDE),
}

Pointer = ctypes.c_void_p
Long = ctypes.c_int64


class _Sweep(ctypes.Structure):
    """``Sweep`` of kernel.c."""

    _fields_ = (
        ("tables", Pointer * 6),
        ("records", Pointer),
        ("deployments", Pointer),
        ("lengths", Pointer),
        ("axes", Pointer),
        ("points", Long),
        ("outer_axes", Long),
        ("inner_batches", Pointer),
        ("inner_lengths", Pointer),
        ("inner_axes", Pointer),
        ("inner_points", Long),
        ("inner_axis_count", Long),
        ("metric_fields", Pointer),
        ("code_fields", Pointer),
        ("metrics", Long),
        ("codes", Long),
    )


class _Output(ctypes.Structure):
    """``Output`` of kernel.c."""

    _fields_ = (
        ("axes", Pointer),
        ("metrics", Pointer),
        ("codes", Pointer),
        ("capacity", Long),
        ("pitch", Long),
    )


def compilers() -> list[str]:
    """Return the C compilers that are installed."""
    return [name for name in ("gcc", "clang") if shutil.which(name)]


def compiled(compiler: str, flags: tuple[str, ...]) -> ctypes.CDLL:
    """Return the baseline, compiled; ``openmp`` says whether the compiler has it.

    Without it (clang needs libomp-dev) the baseline runs on one thread, whatever it is told.
    """
    folder = Path(tempfile.mkdtemp())
    (folder / "physics.h").write_text(translated(), encoding="ascii")
    library = folder / "kernel.so"
    command = [compiler, *flags, *SHARED, f"-I{folder}", str(SOURCE), "-o", str(library), "-lm"]
    openmp = subprocess.run([*command, "-fopenmp"], capture_output=True, check=False)
    if openmp.returncode:
        subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.openmp = openmp.returncode == 0
    loaded.run_blocks.restype = Long
    loaded.fill_once.restype = Long
    shutil.rmtree(folder)
    return loaded


class Baseline:
    """A compiled baseline on a part of a space without rules."""

    def __init__(
        self,
        library: ctypes.CDLL,
        space: Space,
        points: int,
        part: int,
        metric_fields: npt.NDArray[np.int64],
        code_fields: npt.NDArray[np.int64],
    ) -> None:
        self.library = library
        self.part = part  # outer points that a thread takes at once
        block, inner = space.block(0, points), space.inner
        # what the pointers point at
        self.arrays = [
            *(np.ascontiguousarray(table) for table in space.tables),
            *(np.ascontiguousarray(array) for array in (*block[:4], *inner)),
            metric_fields,
            code_fields,
        ]
        address = [array.ctypes.data for array in self.arrays]
        self.sweep = _Sweep(
            (Pointer * 6)(*address[:6]),
            *address[6:10],
            points,
            len(space.varying_outer),
            *address[10:13],
            space.inner_points,
            len(space.varying_inner),
            *address[13:],
            metric_fields.size,
            code_fields.size,
        )

    def fill(self, output: Output) -> int:
        """All rows into ``output``, which has room for them; return their number."""
        given = _Output(
            output.axes.ctypes.data,
            output.metrics.ctypes.data,
            output.codes.ctypes.data,
            output.capacity,
            output.axes.shape[1],
        )
        return int(self.library.fill_once(ctypes.byref(self.sweep), ctypes.byref(given)))

    def run(self, passes: int, threads: int, capacity: int) -> int:
        """All rows ``passes`` times into buffers of ``capacity`` rows; return their number."""
        return int(
            self.library.run_blocks(
                *(ctypes.byref(self.sweep), Long(self.part), Long(passes), threads),
                *(Long(capacity), Long(pitch_of(capacity))),
            )
        )


def cpus() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0))
