"""Choice of the kernel for a question: the columns that it computes, all or only those needed.

A kernel for a few columns takes a third of the time of the full one, because the compiler drops
arithmetic that no column needs (``benchmarks/bench_search.py``); its results are the same. It is
worth compiling only for a large space, but once compiled it serves every question about its
columns. In a search, such a kernel may evaluate rows together that differ only in prices and the
like.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Final

from perfcore.columns import METRICS
from perfcore.errors import InputError, argument
from perfcore.kernel.layout import ALONE, TOGETHER, Late
from perfcore.runs.parquet import Buffers
from perfcore.runs.workers import Evaluator
from perfcore.space.space import Space

SMALLEST: Final = 256  # rows of a buffer: more than a tile
CHOICES: Final = ("auto", "full", "narrow", "together")
# Columns by which people choose, for which `perfcore warmup` compiles one kernel.
COMMON: Final = frozenset(
    {
        "ttft_s",
        "tpot_s",
        "e2e_latency_s",
        "tokens_per_s_per_device",
        "cost_per_mtok_output_usd",
    }
)
# Measured on one core on 2026-11-29 (bench_search.py). Both times follow the processor's speed.
COMPILE_S: Final = 18.0  # compile time in a process that has compiled nothing
AGAIN_S: Final = 4.0  # compile time in a process that also compiles the full kernel
ROW_S: Final = 11.5e-9  # time per row in the full kernel
SAVED: Final = 0.7  # share of that time that a kernel for one column saves
SAVED_PER_COLUMN: Final = 0.0175  # reduction of this share for each further column
GROUP: Final = 1.6  # time of a group of rows, relative to one row alone
GROUP_S: Final = 2.0  # further compile time of a kernel for groups
FEWEST: Final = 10_000_000  # rows that take about as long to evaluate as the formulas to look at


@dataclass(frozen=True)
class Kernel:
    """Kernel for a question: the columns that it computes, None for all, and why it was chosen."""

    computed: frozenset[str] | None
    compiled: bool  # before, by this process or another
    why: str
    late: Late = ALONE  # in what rows differ that are evaluated together

    @property
    def columns(self) -> int:
        """Number of columns that are computed."""
        return len(METRICS) if self.computed is None else len(self.computed)

    def __str__(self) -> str:
        """Return what the kernel computes."""
        together = f", once for all {', '.join(self.late.axes)}" if self.late.axes else ""
        return f"{self.columns} of {len(METRICS)} columns computed{together}"

    def to_dict(self) -> dict[str, object]:
        """Return the kernel for JSON; ``columns`` are null if all are computed."""
        columns = None if self.computed is None else sorted(self.computed)
        return {
            "columns": columns,
            "together": list(self.late.axes),
            "compiled": self.compiled,
            "why": self.why,
        }


def kernel_for(
    space: Space,
    names: Iterable[str],
    workers: int,
    choice: str = "auto",
    *,
    elsewhere: bool = False,
    rows: int | None = None,
) -> Kernel:
    """Return the kernel that evaluates ``space`` soonest, for results ``names`` and conditions.

    Parameters
    ----------
    workers
        Threads that share the rows.
    choice
        ``auto``, or ``full`` for every column, or ``narrow`` for those needed. ``together`` is for
        searches only: ``kernel_of_search``.
    elsewhere
        Whether other processes evaluate, whose compiled kernels are unknown.
    rows
        Rows to evaluate, all of the space by default.

    Raises
    ------
    InputError
        There is no such choice, or rows are simulated and ``choice`` is ``narrow``.
    """
    if choice not in CHOICES:
        raise InputError(f"{argument('kernel')}: {choice!r} is not one of {', '.join(CHOICES)}")
    if choice == "together":
        raise InputError(f"{argument('kernel')}: together is for searches of all rows; use auto")
    if space.spec.traffic is not None:
        if choice == "narrow":
            raise InputError(f"{argument('kernel')}: rows with [traffic] are simulated; use auto")
        return Kernel(None, compiled=True, why="rows are simulated")
    from perfcore.kernel.filling import compiled_fields  # noqa: PLC0415 - Numba is slow to import

    results = [column.name for column in space.results]
    every = frozenset(results)
    needed = frozenset(names) | {results[field] for field in space.rules.fields}
    available = compiled_fields(space.spec.output.dtype, other=space.other)
    if choice == "narrow" and needed:
        return Kernel(needed, needed in available, "as asked")
    if choice != "auto" or elsewhere or not needed:
        why = "other processes evaluate" if elsewhere else "none is needed"
        return Kernel(None, every in available, "as asked" if choice != "auto" else why)
    fitting = [columns for columns in available if needed <= columns < every]
    if fitting:
        least = min(fitting, key=lambda columns: (len(columns), sorted(columns)))
        return Kernel(least, compiled=True, why="compiled before")
    rows = space.rows if rows is None else rows
    saved_s = rows * saved_row_s(len(needed)) / max(min(workers, space.shards), 1)
    compile_s = COMPILE_S if every in available else AGAIN_S
    if saved_s > compile_s:
        why = f"saves {saved_s:.0f} s and takes {compile_s:.0f} s to compile"
        return Kernel(needed, compiled=False, why=why)
    why = f"one for {len(needed)} would save {saved_s:.0f} s and take {compile_s:.0f} s to compile"
    return Kernel(None, every in available, why)


def kernel_of_search(
    space: Space, names: Iterable[str], workers: int, choice: str = "auto", *, elsewhere: bool
) -> Kernel:
    """Return the kernel that searches a space soonest, as ``kernel_for``.

    Rows that differ only in prices and the like are evaluated together where that pays, or if
    ``choice`` is ``together``.

    Raises
    ------
    InputError
        As ``kernel_for``; or ``choice`` is ``together``, and rows differ in other ways, or other
        processes evaluate.
    """
    names = frozenset(names)
    asked = choice == "together"
    alone = kernel_for(space, names, workers, "narrow" if asked else choice, elsewhere=elsewhere)
    if not asked and (choice != "auto" or elsewhere or space.rows < FEWEST):
        return alone
    from perfcore.kernel.filling import compiled_fields  # noqa: PLC0415 - Numba is slow to import
    from perfcore.runs.influences import late_axes  # noqa: PLC0415

    late = late_axes(space)
    if asked and (elsewhere or not late.axes):
        why = "other processes evaluate" if elsewhere else "no axis changes just prices"
        raise InputError(f"{argument('kernel')}: together: {why}; use auto")
    needed = names | {space.results[field].name for field in space.rules.fields}
    if not late.axes or not needed:
        return alone
    dtype = space.spec.output.dtype
    there = [one for one in compiled_fields(dtype, leaves=late.leaves) if needed <= one]
    columns = min(there, key=lambda one: (len(one), sorted(one)), default=needed)
    if asked:
        return Kernel(columns, bool(there), "as asked", late)
    copies = prod(len(space.outer_dimensions[number]) for number in late.dimensions)
    share = GROUP * -(-copies // TOGETHER) / copies  # of the time of rows that are alone
    row_s = ROW_S if alone.computed is None else ROW_S - saved_row_s(len(alone.computed))
    together_s = share * (ROW_S - saved_row_s(len(columns)))
    saved_s = space.rows * (row_s - together_s) / max(min(workers, space.shards), 1)
    compile_s = GROUP_S
    if alone.compiled:
        every = frozenset(column.name for column in space.results)
        compile_s += COMPILE_S if every in compiled_fields(dtype) else AGAIN_S
    if there and saved_s > 0.0:
        return Kernel(columns, compiled=True, why="compiled before", late=late)
    if saved_s > compile_s:
        why = f"saves {saved_s:.0f} s and takes {compile_s:.0f} s to compile"
        return Kernel(columns, compiled=False, why=why, late=late)
    return alone


def saved_row_s(columns: int) -> float:
    """Return the time per row and thread that a kernel for so many columns saves. [s]"""
    return ROW_S * max(SAVED - SAVED_PER_COLUMN * (columns - 1), 0.0)


def kernel_of_run(
    space: Space, workers: int, choice: str = "auto", *, elsewhere: bool = False
) -> Kernel:
    """Return the kernel that writes a space's rows, as ``kernel_for``."""
    names = [column.name for column in space.columns]
    return kernel_for(space, names, workers, choice, elsewhere=elsewhere)


def compile_kernel(space: Space, computed: frozenset[str]) -> None:
    """Compile the kernel for some columns, or load it from the cache."""
    evaluator = Evaluator(space, [min(computed)], computed)
    evaluator.evaluate(0, 1, Buffers(space, SMALLEST, 1), lambda _: None)
