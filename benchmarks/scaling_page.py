"""Page of ``bench_scaling.py``: figures, limits, bottlenecks and extrapolations."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from machine import BUSY, Machine

from perfcore.cli.text import duration
from perfcore.tables import Column, Table, markdown
from perfcore.units import format_quantity

LARGE: Final = 10_000_000  # rows from which start-up is negligible
TASKS: Final = ("search", "run")
# Twelve channels of DDR5-4800, eight bytes per transfer, as in a many-core socket. [B/s]
SOCKET_BYTES_PER_S: Final = 12 * 4.8e9 * 8
CORES: Final = 64
NODES: Final = 100
PROCESSOR: Final = "the processor (kernel, then encoder)"
WIDTH: Final = 100
IDLE: Final = "."
LOADED: Final = ", so the figures are worse than the machine allows: measure again when it is idle."


class Size(NamedTuple):
    """Measurement of a search or a run of one size."""

    rows: int
    shards: int
    threads: int  # with a shard to work on
    seconds: float
    peak_rss_bytes: int
    file_bytes: int  # 0 for a search

    @property
    def ns_per_row_core(self) -> float:
        """Processor time per row. [ns]"""
        return self.seconds * self.threads / self.rows * 1e9


class Cost(NamedTuple):
    """Cost of a row in the kernel for a number of axes or inner points."""

    count: int
    ns: float


class Columns(NamedTuple):
    """Cost of a row on one thread for a number of metrics."""

    label: str
    metrics: int
    kernel_ns: float
    run_ns: float
    file_bytes_per_row: float


class Rates(NamedTuple):
    """Combined rates of a number of threads: rows per second, and bytes copied per second."""

    threads: int
    kernel_one: float  # one column
    kernel_default: float  # the default columns
    search: float
    encoder: float
    run: float
    copy_bytes_per_s: float  # read and written, both counted


class MainSweep(NamedTuple):
    """The main sweep to disk, with all threads."""

    evaluated: int
    rows: int
    seconds: float
    file_bytes: int


class Bytes(NamedTuple):
    """Bytes per row."""

    search: int  # columns, group and position between kernel and selection
    run: float  # in Arrow
    file: float


class Question(NamedTuple):
    """Searches of one space, as ``bench_search.py`` measures them. [s]"""

    configs: int
    full_s: float  # with every column computed
    narrow_s: float  # with one column computed
    all_values_s: float  # all values of an axis that does not change the objective
    idle_s: float  # one value of that axis
    peak_rss_bytes: int


class Pruned(NamedTuple):
    """Search that skips blocks, as ``bench_prune.py`` measures it."""

    configs: int
    seconds: float
    evaluated: int
    boxes: int
    part_configs: int
    part_every_s: float  # every configuration of a part evaluated
    part_pruned_s: float  # blocks of it skipped


class Simulated(NamedTuple):
    """Simulation of a server, as ``bench_traffic.py`` measures it on one core."""

    name: str
    batch: float  # mean
    steps: int
    steps_per_s: float


class Compiled(NamedTuple):
    """Kernel compiled in a separate process, as ``bench_compile.py`` measures it. [s]"""

    name: str
    processor_s: float
    wall_s: float


class Answers(NamedTuple):
    """Measurements by other benchmarks."""

    question: Question
    pruned: Pruned
    simulated: list[Simulated]
    compiled: list[Compiled]


class Figures(NamedTuple):
    """All measurements."""

    command: str
    date: str
    machine: Machine
    others: float  # share of the processors that other programs used
    search: list[Size]
    run: list[Size]
    main_sweep: MainSweep
    axes: list[Cost]
    inner_points: list[Cost]
    columns: list[Columns]
    rates: list[Rates]  # by threads, one first
    disk_bytes_per_s: float
    bytes: Bytes
    answers: Answers | None  # None if only small sizes are measured


class Limit(NamedTuple):
    """Rows per second that one resource alone allows."""

    name: str
    measured: str
    bytes_per_row: float | None
    rows_per_s: float
    binds: bool  # an upper limit of the task; False for a part of the processor's work


class Projection(NamedTuple):
    """Extrapolated rows per second of another machine."""

    task: str
    machine: str
    nodes: int
    law: str
    processor: float  # rows/s of a node that its cores allow
    memory: float  # rows/s of a node that its memory allows
    disk: float | None  # rows/s of a node that its disk allows
    rows_per_s: float  # of all nodes
    limit: str


def efficiency(figures: Figures, task: str) -> float:
    """Return the rate of all threads over that of one times their number; at most 1."""
    one, every = figures.rates[0], figures.rates[-1]
    return min(1.0, getattr(every, task) / (getattr(one, task) * every.threads))


def serial_share(figures: Figures, task: str) -> float:
    """Return the serial share of the time if Amdahl's law explains the whole loss."""
    threads = figures.rates[-1].threads
    if threads == 1:
        return 0.0
    return min(1.0, (1.0 / efficiency(figures, task) - 1.0) / (threads - 1))


def memory_capacity(figures: Figures, task: str) -> float:
    """Return the bytes of memory traffic per row.

    For a search: one write and one read, as if the blocks did not stay in the cache. For a run: the
    columns, written by the kernel and read by the encoder, and the bytes of the file, written,
    copied into the page cache, and read from there by the disk.
    """
    if task == "search":
        return 2.0 * figures.bytes.search
    return 2.0 * figures.bytes.run + 4.0 * figures.bytes.file


def limits(figures: Figures, task: str) -> list[Limit]:
    """Return the limits of this machine with all threads."""
    rates = figures.rates[-1]
    moved = memory_capacity(figures, task)
    copied = rates.copy_bytes_per_s
    memory = Limit("memory bandwidth", _bandwidth(copied), moved, copied / moved, binds=True)
    if task == "search":
        kernel = Limit("the kernel alone with one column", "", None, rates.kernel_one, binds=True)
        return [kernel, memory]
    both = 1.0 / (1.0 / rates.kernel_default + 1.0 / rates.encoder)
    written, disk = figures.bytes.file, figures.disk_bytes_per_s
    return [
        Limit("the kernel alone", "", None, rates.kernel_default, binds=False),
        Limit("the Parquet encoder alone", "", None, rates.encoder, binds=False),
        Limit(PROCESSOR, "", None, both, binds=True),
        memory,
        Limit("the disk", _bandwidth(disk), written, disk / written, binds=True),
    ]


def binding(figures: Figures, task: str) -> Limit:
    """Return the lowest limit."""
    return min(
        (limit for limit in limits(figures, task) if limit.binds),
        key=lambda limit: limit.rows_per_s,
    )


def projections(figures: Figures) -> list[Projection]:
    """Return the measured rates, and extrapolations to 64 cores and 100 nodes of 64 cores."""
    found = []
    last = figures.rates[-1]
    for task in TASKS:
        one, every = getattr(figures.rates[0], task), getattr(last, task)
        here = _projection(figures, task, "measured", every, last.copy_bytes_per_s)
        found.append(here._replace(machine=f"this one, {_plural(last.threads, 'core')}"))
        share = serial_share(figures, task)
        laws = {
            "efficiency as here": one * CORES * efficiency(figures, task),
            "Amdahl": one / (share + (1.0 - share) / CORES),
        }
        for nodes in (1, NODES):
            for law, processor in laws.items():
                node = _projection(figures, task, law, processor, memory_of_socket(figures))
                name = f"{CORES} cores" if nodes == 1 else f"{nodes} nodes of {CORES} cores"
                total = nodes * node.rows_per_s
                found.append(node._replace(machine=name, nodes=nodes, rows_per_s=total))
    return found


def memory_of_socket(figures: Figures) -> float:
    """Return the same bandwidth per core as here, at most that of a socket. [B/s]"""
    last = figures.rates[-1]
    return min(SOCKET_BYTES_PER_S, last.copy_bytes_per_s / last.threads * CORES)


def _projection(
    figures: Figures, task: str, law: str, processor: float, bandwidth: float
) -> Projection:
    """Return a node whose cores do ``processor`` rows/s and memory ``bandwidth`` bytes/s."""
    memory = bandwidth / memory_capacity(figures, task)
    disk = figures.disk_bytes_per_s / figures.bytes.file if task == "run" else None
    allowed = {"cores": processor, "memory": memory}
    if disk is not None and law != "measured":  # the page cache may absorb writes
        allowed["disk"] = disk
    limit = min(allowed, key=lambda name: allowed[name])
    return Projection(task, "", 1, law, processor, memory, disk, allowed[limit], limit)


def document(figures: Figures) -> dict[str, object]:
    """Return the figures and everything derived from them as a JSON document."""
    plain = {
        name: [entry._asdict() for entry in value] if isinstance(value, list) else value
        for name, value in figures._asdict().items()
    }
    for kind in TASKS:
        plain[kind] = [
            {**size._asdict(), "ns_per_row_core": round(size.ns_per_row_core, 3)}
            for size in getattr(figures, kind)
        ]
    return {
        **plain,
        "machine": figures.machine._asdict(),
        "main_sweep": figures.main_sweep._asdict(),
        "bytes": figures.bytes._asdict(),
        "answers": _plain_answers(figures.answers),
        "efficiency": {task: efficiency(figures, task) for task in TASKS},
        "limits": {task: [limit._asdict() for limit in limits(figures, task)] for task in TASKS},
        "binds": {task: binding(figures, task).name for task in TASKS},
        "projections": [projection._asdict() for projection in projections(figures)],
    }


def _plain_answers(answers: Answers | None) -> dict[str, object] | None:
    if answers is None:
        return None
    return {
        "question": answers.question._asdict(),
        "pruned": answers.pruned._asdict(),
        "simulated": [one._asdict() for one in answers.simulated],
        "compiled": [one._asdict() for one in answers.compiled],
    }


def page(figures: Figures) -> str:
    """Return the whole page in Markdown."""
    parts: tuple[Callable[[Figures], Iterator[str]], ...] = (
        _opening,
        _rows,
        _shape,
        _columns,
        _threads,
        _question,
        _pruned,
        _simulated,
        _compiled,
        _limits,
        _larger,
    )
    return "\n\n".join(_wrapped(block) for part in parts for block in part(figures)) + "\n"


def _wrapped(block: str) -> str:
    """Return text wrapped to the line width; tables and lists stay as they are."""
    if "\n" in block or block.startswith("#"):
        return block
    return textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False)


def _bullet(text: str) -> str:
    return textwrap.fill(
        f"- {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _opening(figures: Figures) -> Iterator[str]:
    made = figures.machine
    versions = ", ".join(f"{name} {number}" for name, number in made.versions.items())
    search, run = figures.search[-1], figures.run[-1]
    yield "# Performance"
    if "--quick" in figures.command:
        yield "**Made with `--quick` for a test: the sizes are too small for meaningful figures.**"
    yield (
        f"This page is generated by `{figures.command}`; edit the script, not the page. "
        f"Measured on {figures.date}: {made.processor}, {_plural(made.cores, 'core')}, {versions}. "
        f"Other programs used {figures.others * 100:.0f} % of the processors during that time"
        f"{IDLE if figures.others < BUSY else LOADED}"
    )
    yield (
        f"A search through {_count(search.rows)} rows takes {_time(search.seconds)}, "
        f"{search.ns_per_row_core:.1f} ns per row and core, and {_size(search.peak_rss_bytes)} of "
        f"memory. A run that writes {_count(run.rows)} rows takes {_time(run.seconds)}, "
        f"{run.ns_per_row_core:.1f} ns per row and core, and {_size(run.peak_rss_bytes)}. "
        f"{_binds(figures, 'search')} {_binds(figures, 'run')}"
    )
    yield (
        "The rows cover one dense model on four devices. Batch sizes, prompt lengths and output "
        "lengths are the inner points of the kernel; what-ifs on bandwidth and utilisation "
        "multiply the outer points. All rows are feasible; *row* means a row that is evaluated "
        "and, in a run, written. Processes are warm: the times exclude compilation, which happens "
        "once per version of the sources. Measurements are repeated in turn, and the fastest "
        "counts, because other load can only slow them down."
    )


def _rows(figures: Figures) -> Iterator[str]:
    yield "## Rows"
    yield (
        "A search keeps the cheapest row of each device and writes nothing; a run writes the "
        "default columns as Parquet. Each thread takes one shard of about two million rows at a "
        "time, so a job of one shard keeps only one thread busy; the cost counts only busy "
        "threads. The sizes of a table are measured one after another in one process; peak RSS is "
        "the peak of that process so far."
    )
    yield f"Search:\n\n{_sizes(figures.search, written=False)}"
    yield _flat(figures.search)
    yield f"Run:\n\n{_sizes(figures.run, written=True)}"
    yield _flat(figures.run)
    main = figures.main_sweep
    yield (
        f"The main sweep (`sweeps/memory_wall.toml`) evaluates {main.evaluated:,} rows and writes "
        f"the {main.rows:,} feasible ones in {_time(main.seconds)}: "
        f"{_rate(main.rows / main.seconds)} written, "
        f"{main.file_bytes / main.rows:.1f} bytes per row. `bench_run.py` has more measurements of "
        "it."
    )


def _shape(figures: Figures) -> Iterator[str]:
    yield "## Axes and inner points"
    yield (
        "Cost of the kernel on one thread, with every column. All spaces have the same number of "
        "rows. In the first table, 256 prompt lengths are the inner points, and the outer points "
        "are spread over a varying number of axes. The second table varies the number of inner "
        "points: an outer point is prepared once for all of its inner points."
    )
    yield _table(
        ("axes with more than one value", "ns/row"),
        [(str(cost.count), f"{cost.ns:.1f}") for cost in figures.axes],
    )
    yield (
        f"From {figures.axes[0].count} to {figures.axes[-1].count} axes, the cost changes by a "
        f"factor of {figures.axes[-1].ns / figures.axes[0].ns:.2f}."
    )
    yield _table(
        ("inner points", "ns/row"),
        [(str(cost.count), f"{cost.ns:.1f}") for cost in figures.inner_points],
    )
    short, long = figures.inner_points[0], figures.inner_points[-1]
    each, once = _preparation(short, long)
    yield (
        f"With {short.count} inner points, a row costs {short.ns / long.ns:.2f} times as much as "
        f"with {long.count}: a row takes about {each:.1f} ns, and an outer point {once:.0f} ns."
    )


def _preparation(short: Cost, long: Cost) -> tuple[float, float]:
    """Return the costs of a row and of an outer point that explain both measurements. [ns]"""
    once = (short.ns - long.ns) / (1.0 / short.count - 1.0 / long.count)
    return long.ns - once / long.count, once


def _columns(figures: Figures) -> Iterator[str]:
    yield "## Columns"
    yield (
        "Measured on one thread. A run always writes the axes in addition to the selected metrics."
    )
    yield _table(
        ("columns", "metrics", "kernel, ns/row", "run, ns/row", "bytes/row on disk"),
        [
            (
                found.label,
                str(found.metrics),
                f"{found.kernel_ns:.1f}",
                f"{found.run_ns:.0f}",
                f"{found.file_bytes_per_row:.2f}",
            )
            for found in figures.columns
        ],
    )
    few, many = figures.columns[0], figures.columns[-1]
    metrics = many.metrics - few.metrics
    yield (
        f"Each additional metric costs {(many.kernel_ns - few.kernel_ns) / metrics:.2f} ns per row "
        f"in the kernel, and {(many.run_ns - few.run_ns) / metrics:.1f} ns in a run."
    )


RATES: Final = (
    ("kernel_default", "kernel"),
    ("search", "search"),
    ("encoder", "encoder"),
    ("run", "run"),
)


def _threads(figures: Figures) -> Iterator[str]:
    one, last = figures.rates[0], figures.rates[-1]
    yield "## Threads"
    yield (
        "Million rows per second and, in brackets, the parallel efficiency: the rate divided by "
        "that of one thread and by the number of threads. *Kernel* fills the default columns into "
        "buffers that are not read; *encoder* writes such rows from memory, as a run does."
    )
    yield _table(
        ("threads", *(title for _, title in RATES), "copy in memory"),
        [
            (
                str(rates.threads),
                *(
                    f"{getattr(rates, name) / 1e6:.1f} "
                    f"({getattr(rates, name) / getattr(one, name) / rates.threads:.2f})"
                    for name, _ in RATES
                ),
                _bandwidth(rates.copy_bytes_per_s),
            )
            for rates in figures.rates
        ],
    )
    if last.threads == 1:
        yield "This machine has one core, so the efficiency of several threads is unknown."
        return
    worst = min(RATES, key=lambda rate: getattr(last, rate[0]) / getattr(one, rate[0]))
    yield (
        f"On {last.threads} threads, the {worst[1]} has the lowest efficiency: it is "
        f"{getattr(last, worst[0]) / getattr(one, worst[0]):.2f} times as fast as on one thread."
    )


UNMEASURED: Final = "Not measured with `--quick`."


def _question(figures: Figures) -> Iterator[str]:
    yield "## Kernels for a question"
    if figures.answers is None:
        yield UNMEASURED
        return
    found = figures.answers.question
    yield (
        f"A search through {found.configs:,} configurations of one dense model on four devices, by "
        f"`bench_search.py`. The search for the cheapest row runs with the kernel for every column "
        f"and with one for the objective alone. The search for the fastest row runs over all "
        f"values of the utilisation and over one of them, since time does not depend on it. The "
        f"rows found are the same. The searches take {_size(found.peak_rss_bytes)} of memory."
    )
    yield _table(
        ("search", "time", "M rows/s"),
        [
            (name, _time(seconds), f"{found.configs / seconds / 1e6:.0f}")
            for name, seconds in (
                ("cheapest row, every column computed", found.full_s),
                ("cheapest row, one column computed", found.narrow_s),
                ("fastest row, all values of the utilisation", found.all_values_s),
                ("fastest row, one value", found.idle_s),
            )
        ],
    )
    yield (
        f"Computing one column is {found.full_s / found.narrow_s:.1f} times as fast as computing "
        f"all of them, and evaluating one value {found.all_values_s / found.idle_s:.1f} times as "
        f"fast as evaluating all."
    )


def _pruned(figures: Figures) -> Iterator[str]:
    yield "## Skipping blocks"
    if figures.answers is None:
        yield UNMEASURED
        return
    found = figures.answers.pruned
    yield (
        f"A search with `--prune` through {found.configs:,} configurations of a design space of "
        f"accelerators, by `bench_prune.py`. In a part of {found.part_configs:,} configurations, "
        f"it finds the same rows as an exhaustive search."
    )
    yield _table(
        ("configurations", "time", "evaluated", "skipped", "blocks bounded"),
        [
            (
                f"{found.configs:,}",
                _time(found.seconds),
                f"{found.evaluated:,}",
                f"{1.0 - found.evaluated / found.configs:.5%}",
                f"{found.boxes:,}",
            )
        ],
    )
    yield (
        f"That part takes {_time(found.part_pruned_s)} with `--prune` and "
        f"{_time(found.part_every_s)} with every configuration evaluated."
    )


def _simulated(figures: Figures) -> Iterator[str]:
    yield "## Simulation"
    if figures.answers is None:
        yield UNMEASURED
        return
    yield (
        "Simulated steps of servers per second on one core, by `bench_traffic.py`. *Spans* "
        "computes the steps between two events together; the results are the same."
    )
    yield _table(
        ("server", "mean batch", "steps", "M steps/s"),
        [
            (one.name, f"{one.batch:.1f}", f"{one.steps:,}", f"{one.steps_per_s / 1e6:.2f}")
            for one in figures.answers.simulated
        ],
    )


def _compiled(figures: Figures) -> Iterator[str]:
    yield "## Compilation"
    if figures.answers is None:
        yield UNMEASURED
        return
    yield (
        "Time to compile a kernel in a process that has compiled nothing else (except in the last "
        "row), by `bench_compile.py`. This happens once per version of the sources and per machine."
    )
    yield _table(
        ("kernel", "CPU time, s", "elapsed, s"),
        [
            (COMPILED[one.name], f"{one.processor_s:.1f}", f"{one.wall_s:.1f}")
            for one in figures.answers.compiled
        ],
    )


COMPILED: Final = {
    "float32": "every column, float32",
    "float64": "every column, float64",
    "pairs": "pairs of prefill and decode pools",
    "one": "one column",
    "again": "one column, after every column",
}


def _limits(figures: Figures) -> Iterator[str]:
    last = figures.rates[-1]
    yield "## Physical limits"
    yield (
        f"Measured in the same run, with {_plural(last.threads, 'thread')}. Memory bandwidth is a "
        "copy between two arrays too large for the caches, counting bytes read and bytes written. "
        "The disk is measured with one large file, written sequentially and flushed (`fsync`). "
        "Each line shows the rows per second that this limit alone would allow."
    )
    for task in TASKS:
        reached = getattr(last, task)
        lines = [
            (
                limit.name,
                limit.measured or "-",
                "-" if limit.bytes_per_row is None else f"{limit.bytes_per_row:.1f}",
                f"{limit.rows_per_s / 1e6:.1f}",
                f"{reached / limit.rows_per_s * 100:.0f} %",
            )
            for limit in limits(figures, task)
        ]
        header = ("limit", "measured", "bytes/row", "M rows/s", f"reached by the {task}")
        yield f"{task.capitalize()}, {_rate(reached)}:\n\n{_table(header, lines)}"
        yield _binds(figures, task)
    yield (
        f"Memory traffic per row: a search writes and reads {figures.bytes.search} bytes. This "
        "assumes that blocks of rows leave the cache, which they do not, so the limit is lower "
        f"than the true one. In a run, the kernel writes and the encoder reads "
        f"{figures.bytes.run:.0f} bytes of columns; {figures.bytes.file:.2f} bytes of the file are "
        "written, copied into the page cache (one read, one write), and read by the disk. Traffic "
        "within the encoder is assumed to stay in the cache, so this limit is higher than the true "
        "one."
    )
    main = figures.main_sweep
    each = main.file_bytes / main.rows
    allowed = figures.disk_bytes_per_s / each
    yield (
        f"The rows of the main sweep take {each:.1f} bytes each, for which the disk allows "
        f"{_rate(allowed)}; the sweep reaches "
        f"{main.rows / main.seconds / allowed * 100:.0f} % of that. A run does not wait for the "
        "disk while the page cache has room, so a short run may be faster than the disk."
    )


def _larger(figures: Figures) -> Iterator[str]:
    yield f"## Extrapolation to {CORES} cores and {NODES} nodes"
    yield (
        "**The figures for other machines are extrapolated from those above, not measured.** The "
        "assumptions:"
    )
    yield "\n".join(_bullet(" ".join(words.split())) for words in _assumptions(figures))
    for task in TASKS:
        found = [one for one in projections(figures) if one.task == task]
        yield f"{task.capitalize()}:\n\n{_projected(found, figures.bytes.file)}"
        yield _taken_over(found)


def _assumptions(figures: Figures) -> Iterator[str]:
    threads = figures.rates[-1].threads
    socket = memory_of_socket(figures)
    per_core = socket < SOCKET_BYTES_PER_S
    same = "the same per core as here" if per_core else "the limit of twelve channels"
    yield """Shards are independent: none reads the output of another. Each node runs a part of an
        axis (`--set`) and shares nothing with the others, so their rates add up."""
    yield f"A core is as fast as a single core of this machine: {_each(figures)}."
    yield f"""*Efficiency as here*: {CORES} cores have the efficiency of {threads} here,
        `r(c)=r(1)·c·e` with `e=r(n)/(n·r(1))`, at most 1, and n = {threads}:
        {_both(figures, efficiency, 2)}."""
    yield f"""*Amdahl*: all of the loss is due to serial work,
        `r(c)=r(1)/(s+(1-s)/c)` with `s=(1/e-1)/(n-1)`, at most 1:
        {_both(figures, serial_share, 3)}. There is almost no serial work (handing out
        shards, and holding the interpreter lock between batches of many rows), but threads do
        share caches, memory and a host, so this is a lower estimate."""
    yield f"""Memory allows `B/b`: B = {_bandwidth(socket)} ({same}; twelve channels of DDR5-4800
        carry 12·4.8·8 GB/s = {_bandwidth(SOCKET_BYTES_PER_S)}), b =
        {memory_capacity(figures, "search"):.0f} bytes per row for a search and
        {memory_capacity(figures, "run"):.0f} for a run, as above."""
    yield f"""The disk of a node allows `D/f`: D = {_bandwidth(figures.disk_bytes_per_s)} as
        measured here, f = {figures.bytes.file:.2f} bytes per row. The last column is the D above
        which the disk is no longer the bottleneck; a file system shared by all nodes needs it per
        node."""


def _projected(found: Iterable[Projection], file_bytes: float) -> str:
    lines = []
    disks = False
    for one in found:
        line = [one.machine, one.law, _short(one.processor), _short(one.memory)]
        if one.disk is not None:
            disks = True
            line.append(_short(one.disk))
        line += [f"**{_short(one.rows_per_s)}**", one.limit, _time(1e12 / one.rows_per_s)]
        if one.disk is not None:
            line.append(_bandwidth(min(one.processor, one.memory) * file_bytes))
        lines.append(line)
    header = ["machine", "law", "cores allow", "memory allows"]
    header += [*(["disk allows"] if disks else []), "rows/s", "limit", "10¹² rows in"]
    header += ["disk needed per node"] if disks else []
    return _table(header, lines, left=(0, 1, len(header) - (3 if disks else 2)))


def _taken_over(found: Sequence[Projection]) -> str:
    names = {"cores": "the cores", "memory": "memory bandwidth", "disk": "the disk"}
    by_law = {one.law: names[one.limit] for one in found if one.nodes > 1}
    if len(set(by_law.values())) == 1:
        return f"Under both laws, the bottleneck of a node is {next(iter(by_law.values()))}."
    said = " and ".join(f"{what} under the law *{law}*" for law, what in by_law.items())
    return f"The bottleneck of a node is {said}."


def _sizes(sizes: Iterable[Size], *, written: bool) -> str:
    header = ["rows", "shards", "threads busy", "time", "M rows/s", "ns/row and core", "peak RSS"]
    lines = []
    for size in sizes:
        line = [_count(size.rows), str(size.shards), str(size.threads), _time(size.seconds)]
        line += [f"{size.rows / size.seconds / 1e6:.1f}", f"{size.ns_per_row_core:.1f}"]
        line.append(_size(size.peak_rss_bytes))
        if written:
            line.append(f"{size.file_bytes / size.rows:.2f}")
        lines.append(line)
    return _table([*header, *(["bytes/row on disk"] if written else [])], lines, left=())


def _start(sizes: Sequence[Size]) -> str:
    """Return a sentence on the start-up time of a job, from the sizes of one shard."""
    short = [size for size in sizes if size.shards == 1]
    if len(short) < 2:
        return ""
    few, many = short[0], short[-1]
    slope = (many.seconds - few.seconds) / (many.rows - few.rows)
    start = max(0.0, few.seconds - slope * few.rows)
    return f"A job takes {_time(start)} to start, which matters for small jobs. "


def _flat(sizes: Sequence[Size]) -> str:
    """Return a sentence on how cost and memory change between the largest sizes."""
    large = [size for size in sizes if size.rows >= LARGE]
    if len(large) < 2:
        return f"{_start(sizes)}Larger sizes are not measured with `--quick`."
    costs = [size.ns_per_row_core for size in large]
    memory = large[-1].peak_rss_bytes - large[0].peak_rss_bytes
    return (
        f"{_start(sizes)}From {_count(large[0].rows)} to {_count(large[-1].rows)} rows, the cost "
        f"per row varies by {(max(costs) / min(costs) - 1) * 100:.0f} %, and peak memory grows by "
        f"{_size(memory)}."
    )


def _binds(figures: Figures, task: str) -> str:
    """Return a sentence on the bottleneck of a search or a run."""
    bound = binding(figures, task)
    last = figures.rates[-1]
    reached = getattr(last, task) / bound.rows_per_s * 100
    said = (
        f"The lowest limit of the {task} is {bound.name}; the {task} reaches {reached:.0f} % of it."
    )
    if bound.name == PROCESSOR:
        share = bound.rows_per_s / last.encoder * 100
        said += f" The encoder takes {share:.0f} % of the processor time, the kernel the rest."
    return said


def _each(figures: Figures) -> str:
    one = figures.rates[0]
    return " and ".join(f"{_rate(getattr(one, task))} for a {task}" for task in TASKS)


def _both(figures: Figures, value: Callable[[Figures, str], float], digits: int) -> str:
    return " and ".join(f"{value(figures, task):.{digits}f} ({task})" for task in TASKS)


def _table(
    header: Sequence[str], lines: Iterable[Sequence[str]], left: Sequence[int] = (0,)
) -> str:
    columns = [
        Column(name, align="left" if place in left else "right")
        for place, name in enumerate(header)
    ]
    return markdown(Table.of(columns, lines), str)


def _count(rows: int) -> str:
    power = len(str(rows)) - 1
    return f"10{str(power).translate(_RAISED)}" if rows == 10**power else f"{rows:,}"


_RAISED: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    return duration(seconds)


def _size(amount: float) -> str:
    return f"{amount / 2**20:,.0f} MiB"


def _rate(rows_per_s: float) -> str:
    return f"{rows_per_s / 1e6:.1f} M rows/s"


def _short(rows_per_s: float) -> str:
    """Return a rate as ``8.41M`` or ``26.9B``, for large machines too."""
    return format_quantity(rows_per_s, "", 3)


def _bandwidth(bytes_per_s: float) -> str:
    return format_quantity(bytes_per_s, "B/s", 3)
