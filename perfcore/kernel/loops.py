"""Loops over a space. No formulas and no column names: the physics is a set of functions.

The kernel visits the outer points of a block and prepares each once. Its inner points, combinations
of batch and lengths, become rows of a tile. Vectorised loops compute first what fits into memory,
then the batch, then everything else. Rows that cannot run are removed before the last, expensive
loop, which writes its results directly to their place in the output.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from perfcore import physics
from perfcore.kernel import jit
from perfcore.kernel.flushing import (
    STRIDE,
    TILE,
    Codes,
    Reals,
    Results,
    Target,
    Tile,
    Whole,
    flush_tile,
)
from perfcore.kernel.layout import (
    CACHE_LINE,
    TOGETHER,
    VECTOR,
    Block,
    Inner,
    Output,
    Rules,
)
from perfcore.physics import fused
from perfcore.physics.sizing import AUTO, fewest_devices, of_prompts
from perfcore.physics.stages.batch import RunningBatch, batch_at, runnable
from perfcore.physics.stages.beside import (
    ExpertSide,
    apart_at,
    drafted_at,
    expert_side,
    of_draft,
    with_draft,
    with_experts,
)
from perfcore.physics.stages.capacity import Capacity, capacity_at, with_prompts
from perfcore.physics.stages.passes import Prefill, Step, pool_of, prefill_at, step_at
from perfcore.physics.stages.point import Point, point_at, point_beside
from perfcore.physics.stages.replica import OK, Replica, prepare
from perfcore.records import (
    OFFLOAD_NONE,
    SCHEDULER_DISAGGREGATED,
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    WeightFormat,
)

# All modules of formulas, in order of dependency; `fma` becomes an instruction.
FORMULAS = tuple(module for module in jit.modules_of(physics) if module is not fused)
jit.fuse(fused.fma)
jit.register(*FORMULAS)


class Asked(NamedTuple):
    """Request lengths and number of requests of a row."""

    input_len: float
    output_len: float
    requested: float


ASKED_FIELDS = len(Asked._fields)
POINT_FIELDS = len(Point._fields)
CAPACITY_FIELDS = len(Capacity._fields)
RUNNING_FIELDS = len(RunningBatch._fields)
REPLICA_LEAVES = len(jit.paths_of(Replica))


class Source(NamedTuple):
    """Points to evaluate: a block of outer points, and the inner points of each."""

    models: Reals  # records as rows
    devices: Reals
    engines: Reals
    weight_formats: Reals
    kv_formats: Reals
    economics: Reals
    deployments: Reals
    records: Whole  # (6, points) rows in the tables, and more of other machines (``Block``)
    outer_points: int
    lengths: Reals  # (2, points)
    labels: Codes  # (axes, points)
    degrees: Whole  # (2,) indices of the axes of chosen tp and pp
    inner_points: int
    inner_batches: Reals
    inner_lengths: Reals  # (2, points)


SOURCE_FIELDS = len(Source._fields)
TARGET_FIELDS = len(Target._fields)


class Scratch(NamedTuple):
    """Intermediate results between loops, stored by field, ``STRIDE`` numbers each.

    Each stage has its own array, so that the compiler sees that a loop's input and output do not
    overlap.
    """

    asked: Reals
    fits: Reals
    runs: Reals
    first: Whole  # first row of each stretch of rows with the same batch, and the end
    batches: Reals  # of each stretch
    requests: Reals
    distinct: Reals  # ``RunningBatch`` of each stretch
    ran: Reals  # (2,) batch and requests shared by all ``runs``, else 0
    dropped: Whole  # rows left out, by status


# Values of fields for which the compiler specialises the loops: terms that they switch off cost
# nothing.
STATIC = {"deployment.scheduler": SCHEDULER_STATIC}
ONE_STAGE = {"layout.stages": 1.0, "layout.micro_batches": 1.0}
PLAIN = {
    "model.experts": 0.0,
    "layout.expert_slots": 0.0,
    "model.window_kv_elements": 0.0,
    "model.index_topk": 0.0,
    "operators.shared.weights": 0.0,
    "operators.experts.weights": 0.0,
    "expert_reduces": 0.0,
    "deployment.offload": OFFLOAD_NONE,
    **ONE_STAGE,
}

UNDRAFTED = {"deployment.draft_len": 0.0}
ON_DEVICES = {"on_cpu": 0.0, "waits": 0.0}
UNCAPPED = {"capped": 0.0, **ON_DEVICES}
UNSIZED = {"deployment.prefill_ratio": 0.0}  # of all but pairs

has_static, as_static = jit.constants(Replica, STATIC)
has_plain, as_plain = jit.constants(Replica, PLAIN)
has_undrafted, as_undrafted = jit.constants(Replica, UNDRAFTED)
has_on_devices, as_on_devices = jit.constants(Replica, ON_DEVICES)
has_uncapped, as_uncapped = jit.constants(Replica, UNCAPPED)
has_one_stage, as_one_stage = jit.constants(Replica, ONE_STAGE)
_, as_unsized = jit.constants(Replica, UNSIZED)
spread = jit.Spread(
    (
        *("asked", "fits", "distinct", "runs"),
        *(column for copy in range(TOGETHER) for column in jit.columns(Point, copy)),
    )
)
load_asked, store_asked = spread.fields_of(Asked, "asked", STRIDE)
load_capacity, store_capacity = spread.fields_of(Capacity, "fits", STRIDE)
load_running, store_running = spread.fields_of(RunningBatch, "runs", STRIDE)
load_distinct, store_distinct = spread.fields_of(RunningBatch, "distinct", STRIDE)
find_columns, store_point = spread.columns_of(Point)
_, store_second = spread.columns_of(Point, 1)
_, store_third = spread.columns_of(Point, 2)
_, store_fourth = spread.columns_of(Point, 3)
take_leaves, with_leaves = jit.leaves_of(Replica)
take_source = jit.taken(Source)
take_target = jit.taken(Target)
put = jit.put
load_record = jit.load_record
pointer = jit.pointer
shifted = jit.shifted
aligned_pointer = jit.aligned_pointer
align_stack = jit.align_stack
keep = jit.keep

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@jit.inlined
def whole_vectors(rows: int) -> int:
    """Return ``rows`` rounded up to whole vectors, so that loops have no scalar remainder."""
    return (rows + VECTOR - 1) & -VECTOR


class Kind(NamedTuple):
    """Kind of work on additional machines, if any: at most one of these is not None.

    The compiler drops the loops of the others.
    """

    prompts: int | None = None
    draft: int | None = None
    experts: int | None = None


@jit.inlined
def fit_requests(
    replica: Replica,
    other: Replica,
    prompts: int | None,
    draft: int | None,
    experts: int | None,
    lacks: float,
    scratch: Scratch,
    start: int,
    count: int,
) -> None:
    """Store how much of what rows request fits into memory, including that of other machines.

    ``lacks`` is the status of experts on devices of their own.
    """
    for row in range(start, start + whole_vectors(count)):
        asked = load_asked(scratch.asked, row)
        runs = runnable(replica.engine, replica.deployment, asked.requested)
        fit = capacity_at(replica, runs, asked.input_len, asked.output_len)
        if prompts is not None:
            fit = with_prompts(fit, capacity_at(other, 1.0, asked.input_len, 1.0))
        if draft is not None:
            one = capacity_at(other, 1.0, asked.input_len, asked.output_len)
            fit = with_draft(replica, fit, one)
        if experts is not None:
            fit = with_experts(fit, lacks)
        store_capacity(scratch.fits, row, fit)


@jit.inlined
def fit_rows(
    replica: Replica,
    other: Replica,
    prompts: int | None,
    draft: int | None,
    experts: int | None,
    source: Source,
    outer: int,
    first: int,
    scratch: Scratch,
    tile: Tile,
    start: int,
    count: int,
) -> None:
    """Store what rows request, and how much of it fits into memory."""
    input_len = source.lengths[outer]
    output_len = source.lengths[source.outer_points + outer]
    batch = replica.deployment.batch
    for row in range(count):
        inner = first + row
        asked = Asked(
            source.inner_lengths[inner] + input_len,
            source.inner_lengths[source.inner_points + inner] + output_len,
            source.inner_batches[inner] + batch,
        )
        store_asked(scratch.asked, start + row, asked)
        tile.outer_of[start + row] = outer
        tile.inner_of[start + row] = inner
    lacks = OK
    if experts is not None:
        lacks = prepare_experts(source, outer, replica).status
    if has_on_devices(replica):
        plain = as_on_devices(replica)
        fit_requests(plain, other, prompts, draft, experts, lacks, scratch, start, count)
    else:
        fit_requests(replica, other, prompts, draft, experts, lacks, scratch, start, count)


@jit.inlined
def drop_rows(scratch: Scratch, tile: Tile, start: int, count: int) -> int:
    """Compact the rows that can run; return their number."""
    failing = 0
    for row in range(start, start + count):
        failing += load_capacity(scratch.fits, row).status > OK
    if failing == 0:
        return count
    kept = start
    for row in range(start, start + count):
        fit = load_capacity(scratch.fits, row)
        store_capacity(scratch.fits, kept, fit)
        store_asked(scratch.asked, kept, load_asked(scratch.asked, row))
        tile.inner_of[kept] = tile.inner_of[row]
        scratch.dropped[int(fit.status)] += fit.status > OK
        kept += fit.status == OK
    return kept - start


@jit.inlined
def find_stretches(scratch: Scratch, start: int, count: int) -> int:
    """Find stretches of rows with the same requested and running batch; return their number."""
    batch = load_capacity(scratch.fits, start).batch
    requested = load_asked(scratch.asked, start).requested
    changes = 0
    for row in range(start, start + count):
        changes += load_capacity(scratch.fits, row).batch != batch
        changes += load_asked(scratch.asked, row).requested != requested
    if changes == 0:
        scratch.first[0] = start
        scratch.first[1] = start + count
        scratch.batches[0] = batch
        scratch.requests[0] = requested
        return 1
    stretches = 0
    batch = -1.0
    requested = -1.0
    for row in range(start, start + count):
        ran = load_capacity(scratch.fits, row).batch
        asked = load_asked(scratch.asked, row).requested
        scratch.first[stretches] = row
        scratch.batches[stretches] = ran
        scratch.requests[stretches] = asked
        stretches += int(ran != batch) | int(asked != requested)
        batch = ran
        requested = asked
    scratch.first[stretches] = start + count
    return stretches


@jit.inlined
def run_stretches(replica: Replica, scratch: Scratch, stretches: int) -> None:
    """Compute the batch of each stretch of rows."""
    for stretch in range(whole_vectors(stretches)):
        running = batch_at(replica, scratch.batches[stretch], scratch.requests[stretch])
        store_distinct(scratch.distinct, stretch, running)


@jit.inlined
def run_rows(replica: Replica, scratch: Scratch, start: int, count: int) -> None:
    """Compute the batch of rows, once for each stretch of rows with the same batch."""
    stretches = find_stretches(scratch, start, count)
    ran = scratch.ran
    batch = scratch.batches[0]
    requested = scratch.requests[0]
    if stretches == 1 and ran[0] == batch and ran[1] == requested:
        return
    if not has_undrafted(replica):
        run_stretches(replica, scratch, stretches)
    elif has_plain(replica):
        run_stretches(as_plain(as_undrafted(replica)), scratch, stretches)
    else:
        run_stretches(as_undrafted(replica), scratch, stretches)
    ran[0] = 0.0
    if stretches == 1:
        running = load_distinct(scratch.distinct, 0)
        for row in range(STRIDE):
            store_running(scratch.runs, row, running)
        ran[0] = batch
        ran[1] = requested
    elif stretches == count:
        for row in range(whole_vectors(count)):
            store_running(scratch.runs, start + row, load_distinct(scratch.distinct, row))
    else:
        for stretch in range(stretches):
            running = load_distinct(scratch.distinct, stretch)
            first = scratch.first[stretch]
            for row in range(first, first + whole_vectors(scratch.first[stretch + 1] - first)):
                store_running(scratch.runs, row, running)


class Copies(NamedTuple):
    """Copies of outer points, whose replicas differ in leaves that only their results depend on."""

    values: Reals  # (TOGETHER, leaves)
    bound: Whole  # addresses, as written by ``bind``
    leaves: Any  # pointer whose type names the leaves


@jit.inlined
def copies_of(values: Floats, bound: Integers, leaves: npt.NDArray[Any] | None) -> Copies | None:
    """Return where copies are, if there are any."""
    if leaves is None:
        return None
    return Copies(values=pointer(values), bound=pointer(bound), leaves=pointer(leaves))


@jit.inlined
def result_of(
    replica: Replica,
    running: RunningBatch,
    fit: Capacity,
    asked: Asked,
    prefill: Prefill,
    step: Step,
) -> Point:
    """Stage 4 of a row whose replica runs its own prompts."""
    ahead = pool_of(replica)
    return point_at(replica, ahead, running, fit, asked.input_len, asked.output_len, prefill, step)


@jit.inlined
def copy_of(tile: Tile, late: Copies, copy: int, stored: Results) -> Tile:
    """Return the tile of a copy's rows."""
    target = take_target(late.bound, SOURCE_FIELDS + copy * TARGET_FIELDS, stored)
    return Tile(
        values=target.metrics,
        places=shifted(tile.places, copy * POINT_FIELDS),
        outer_of=tile.outer_of,
        inner_of=tile.inner_of,
        kept=tile.kept,
        unmet=tile.unmet,
    )


@jit.inlined
def evaluate_rows(
    replica: Replica,
    late: Copies | None,
    scratch: Scratch,
    tile: Tile,
    stored: Results,
    start: int,
    count: int,
) -> None:
    """Compute the results of rows and store them, or some of them, at their places.

    The compiler computes once what results of copies have in common: all that does not depend on
    the leaves in which their replicas differ.
    """
    columns = find_columns(tile.values, tile.places, stored)
    if late is not None:
        second = with_leaves(replica, late.values, 1, late.leaves)
        third = with_leaves(replica, late.values, 2, late.leaves)
        fourth = with_leaves(replica, late.values, 3, late.leaves)
        of_second = copy_of(tile, late, 1, stored)
        of_third = copy_of(tile, late, 2, stored)
        of_fourth = copy_of(tile, late, 3, stored)
        columns_second = find_columns(of_second.values, of_second.places, stored)
        columns_third = find_columns(of_third.values, of_third.places, stored)
        columns_fourth = find_columns(of_fourth.values, of_fourth.places, stored)
    for row in range(start, start + whole_vectors(count)):
        asked = load_asked(scratch.asked, row)
        running = load_running(scratch.runs, row)
        fit = load_capacity(scratch.fits, row)
        prefill = prefill_at(replica, running, asked.input_len, asked.output_len)
        step = step_at(replica, running, asked.input_len, asked.output_len)
        result = result_of(replica, running, fit, asked, prefill, step)
        store_point(columns, row, result, stored)
        if late is not None:
            result = result_of(second, running, fit, asked, prefill, step)
            store_second(columns_second, row, result, stored)
            result = result_of(third, running, fit, asked, prefill, step)
            store_third(columns_third, row, result, stored)
            result = result_of(fourth, running, fit, asked, prefill, step)
            store_fourth(columns_fourth, row, result, stored)


@jit.inlined
def evaluate_pair(
    replica: Replica,
    ahead: Replica,
    scratch: Scratch,
    tile: Tile,
    stored: Results,
    start: int,
    count: int,
) -> None:
    """Compute the results of rows whose prompts run on ``ahead``."""
    pool = pool_of(ahead)
    columns = find_columns(tile.values, tile.places, stored)
    for row in range(start, start + whole_vectors(count)):
        asked = load_asked(scratch.asked, row)
        running = load_running(scratch.runs, row)
        fit = load_capacity(scratch.fits, row)
        before = batch_at(ahead, running.batch, asked.requested)
        prefill = prefill_at(ahead, before, asked.input_len, asked.output_len)
        step = step_at(replica, running, asked.input_len, asked.output_len)
        result = point_at(
            replica, pool, running, fit, asked.input_len, asked.output_len, prefill, step
        )
        store_point(columns, row, result, stored)


@jit.inlined
def evaluate_drafted(
    replica: Replica,
    drafter: Replica,
    scratch: Scratch,
    tile: Tile,
    stored: Results,
    start: int,
    count: int,
) -> None:
    """Compute the results of rows whose draft runs on ``drafter``."""
    columns = find_columns(tile.values, tile.places, stored)
    for row in range(start, start + whole_vectors(count)):
        asked = load_asked(scratch.asked, row)
        running = load_running(scratch.runs, row)
        fit = load_capacity(scratch.fits, row)
        work = drafted_at(replica, drafter, running, asked.input_len, asked.output_len)
        result = point_beside(replica, running, fit, asked.input_len, asked.output_len, work)
        store_point(columns, row, result, stored)


@jit.inlined
def evaluate_apart(
    replica: Replica,
    source: Source,
    outer: int,
    scratch: Scratch,
    tile: Tile,
    stored: Results,
    start: int,
    count: int,
) -> None:
    """Compute the results of rows whose experts are on devices of their own."""
    side = prepare_experts(source, outer, replica)
    columns = find_columns(tile.values, tile.places, stored)
    for row in range(start, start + whole_vectors(count)):
        asked = load_asked(scratch.asked, row)
        running = load_running(scratch.runs, row)
        fit = load_capacity(scratch.fits, row)
        work = apart_at(replica, side, running, asked.input_len, asked.output_len)
        result = point_beside(replica, running, fit, asked.input_len, asked.output_len, work)
        store_point(columns, row, result, stored)


@jit.inlined
def evaluate_replica(
    replica: Replica,
    other: Replica,
    prompts: int | None,
    draft: int | None,
    experts: int | None,
    late: Copies | None,
    source: Source,
    outer: int,
    scratch: Scratch,
    tile: Tile,
    stored: Results,
    start: int,
    count: int,
) -> None:
    """Compute the results of rows, in the loop that is specialised for the replica."""
    run_rows(replica, scratch, start, count)
    if prompts is not None:
        evaluate_pair(replica, other, scratch, tile, stored, start, count)
        return
    if draft is not None:
        evaluate_drafted(replica, other, scratch, tile, stored, start, count)
        return
    if experts is not None:
        evaluate_apart(replica, source, outer, scratch, tile, stored, start, count)
        return
    replica = as_unsized(replica)
    if not has_uncapped(replica):
        evaluate_rows(replica, late, scratch, tile, stored, start, count)
        return
    replica = as_uncapped(replica)
    if not has_one_stage(replica):
        evaluate_rows(replica, late, scratch, tile, stored, start, count)
        return
    replica = as_one_stage(replica)
    if has_static(replica):
        if has_plain(replica):
            evaluate_rows(as_plain(as_static(replica)), late, scratch, tile, stored, start, count)
        else:
            evaluate_rows(as_static(replica), late, scratch, tile, stored, start, count)
    elif has_plain(replica):
        evaluate_rows(as_plain(replica), late, scratch, tile, stored, start, count)
    else:
        evaluate_rows(replica, late, scratch, tile, stored, start, count)


@jit.kernel
def choose_devices(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    length: float,
) -> Deployment:
    """Compiled ``fewest_devices``, not inlined, because the search is rarely needed."""
    return fewest_devices(model, device, engine, weight_format, kv_format, deployment, length)


@jit.inlined
def prepare_point(source: Source, outer: int) -> Replica:
    """Stage 1 of an outer point. Chosen degrees are written to the block's axes."""
    points = source.outer_points
    rows = source.records
    model = load_record(Model, source.models, rows[outer])
    device = load_record(Device, source.devices, rows[points + outer])
    engine = load_record(Engine, source.engines, rows[2 * points + outer])
    weight_format = load_record(WeightFormat, source.weight_formats, rows[3 * points + outer])
    kv_format = load_record(KVFormat, source.kv_formats, rows[4 * points + outer])
    economics = load_record(Economics, source.economics, rows[5 * points + outer])
    deployment = load_record(Deployment, source.deployments, outer)
    if deployment.tp == AUTO:
        length = source.lengths[outer] + source.lengths[points + outer]
        deployment = choose_devices(
            model, device, engine, weight_format, kv_format, deployment, length
        )
        source.labels[source.degrees[0] * points + outer] = int(deployment.tp)
        source.labels[source.degrees[1] * points + outer] = int(deployment.pp)
    return prepare(model, device, engine, weight_format, kv_format, deployment, economics)


@jit.inlined
def prepare_copies(source: Source, outer: int, late: Copies | None) -> None:
    """Store in what replicas of a group of outer points differ."""
    if late is not None:
        for copy in range(TOGETHER):
            take_leaves(prepare_point(source, outer + copy), late.values, copy, late.leaves)


@jit.inlined
def prepare_draft(source: Source, outer: int, replica: Replica) -> Replica:
    """Stage 1 of the draft of an outer point."""
    points = source.outer_points
    rows = source.records
    device = load_record(Device, source.devices, rows[7 * points + outer])
    return prepare(
        load_record(Model, source.models, rows[6 * points + outer]),
        device,
        load_record(Engine, source.engines, rows[8 * points + outer]),
        replica.weight_format,
        replica.kv_format,
        of_draft(replica.deployment, device),
        replica.economics,
    )


@jit.inlined
def prepare_experts(source: Source, outer: int, replica: Replica) -> ExpertSide:
    """Stage 1 of the experts of an outer point."""
    points = source.outer_points
    rows = source.records
    return expert_side(
        load_record(Model, source.models, rows[outer]),
        replica,
        load_record(Device, source.devices, rows[6 * points + outer]),
        load_record(Engine, source.engines, rows[7 * points + outer]),
        replica.weight_format,
        replica.economics,
    )


@jit.inlined
def prepare_other(
    source: Source,
    outer: int,
    replica: Replica,
    prompts: int | None,
    draft: int | None,
) -> Replica:
    """Stage 1 of the machine that runs prompts or drafts of an outer point; else the replica."""
    if prompts is not None:
        return prepare_ahead(source, outer, replica)
    if draft is not None:
        return prepare_draft(source, outer, replica)
    return replica


@jit.inlined
def prepare_ahead(source: Source, outer: int, replica: Replica) -> Replica:
    """Stage 1 of the machine that runs the prompts of an outer point: the pool if disaggregated."""
    points = source.outer_points
    rows = source.records
    device = replica.device
    engine = replica.engine
    deployment = replica.deployment
    if deployment.scheduler == SCHEDULER_DISAGGREGATED:
        device = load_record(Device, source.devices, rows[6 * points + outer])
        engine = load_record(Engine, source.engines, rows[7 * points + outer])
        deployment = of_prompts(deployment)
    return prepare(
        replica.model,
        device,
        engine,
        replica.weight_format,
        replica.kv_format,
        deployment,
        replica.economics,
    )


@jit.inlined
def place_columns(bound: Whole, stored: Results, copies: int, places: Whole, rows: Whole) -> None:
    """Place the columns of outputs at their first row, for the fields of tiles."""
    for copy in range(copies):
        rows[copy] = 0
        target = take_target(bound, SOURCE_FIELDS + copy * TARGET_FIELDS, stored)
        for field in range(POINT_FIELDS):
            places[copy * POINT_FIELDS + field] = target.places[field]


@jit.inlined
def fullest(rows: Whole, copies: int) -> int:
    """Return the rows of the fullest output."""
    most = 0
    for copy in range(copies):
        most = max(most, rows[copy])
    return most


@jit.inlined
def flush_copies(
    first: Tile, late: Copies | None, filled: int, target: Target, rows: Whole, stored: Results
) -> None:
    """Write the rows of a tile, and of its copies, to their outputs; update their ``rows``."""
    rows[0] += flush_tile(first, filled, target, rows[0])
    if late is not None:
        for copy in range(1, TOGETHER):
            target = take_target(late.bound, SOURCE_FIELDS + copy * TARGET_FIELDS, stored)
            tile = copy_of(first, late, copy, stored)
            rows[copy] += flush_tile(tile, filled, target, rows[copy])


@jit.kernel
def bind(
    tables: tuple[Floats, Floats, Floats, Floats, Floats, Floats],
    block: Block,
    inner: Inner,
    rules: Rules,
    output: Output,
    places: Integers,
    moves: Integers,
    bound: Integers,
    copy: int,
) -> None:
    """Write all addresses to ``bound``; ``places`` and ``moves`` are those of ``Target``.

    The target is that of a copy: the points behind the first of each group of copies.
    """
    source = Source(
        models=pointer(tables[0]),
        devices=pointer(tables[1]),
        engines=pointer(tables[2]),
        weight_formats=pointer(tables[3]),
        kv_formats=pointer(tables[4]),
        economics=pointer(tables[5]),
        deployments=pointer(block.deployments),
        records=pointer(block.records),
        outer_points=block.records.shape[1],
        lengths=pointer(block.lengths),
        labels=pointer(block.axes),
        degrees=pointer(block.degrees),
        inner_points=inner.batches.size,
        inner_batches=pointer(inner.batches),
        inner_lengths=pointer(inner.lengths),
    )
    target = Target(
        rules=rules.fields.size,
        rule_fields=pointer(rules.fields),
        rule_dropped_bits=pointer(rules.dropped_bits),
        rule_ranges=pointer(rules.ranges),
        rule_masks=pointer(rules.masks),
        outer_points=block.axes.shape[1],
        outer_axes=block.axes.shape[0],
        outer_labels=shifted(pointer(block.axes), copy),
        inner_points=inner.axes.shape[1],
        inner_axes=inner.axes.shape[0],
        inner_labels=pointer(inner.axes),
        capacity=output.capacity,
        pitch=output.axes.shape[1],
        axes=pointer(output.axes),
        metrics=pointer(output.metrics),
        fields=places.size,
        places=pointer(places),
        moves=pointer(moves),
        codes=pointer(output.codes),
        metric_columns=output.metric_fields.size,
        metric_fields=pointer(output.metric_fields),
        metric_dropped_bits=pointer(output.dropped_bits),
        all_dropped_bits=output.dropped_bits.sum(),
        code_columns=output.code_fields.size,
        code_fields=pointer(output.code_fields),
    )
    put(pointer(bound), 0, source)
    put(pointer(bound), SOURCE_FIELDS + copy * TARGET_FIELDS, target)


@jit.kernel
def fill_columns(
    bound: Integers,
    stored: Floats,
    keep_infeasible: bool,
    cursor: Integers,
    dropped: Integers,
    written: Integers,
    prompts: int | None = None,
    draft: int | None = None,
    experts: int | None = None,
    leaves: npt.NDArray[Any] | None = None,
) -> None:
    """Evaluate outer points from ``cursor`` on until the output is full or the block ends.

    Parameters
    ----------
    bound
        Addresses written by ``bind``; the arrays must still exist.
    stored
        Array whose type says what is computed: every field of ``Point`` if its elements are numbers
        of the output's dtype, and the fields of its elements if they are records of such numbers.
    cursor
        (2,) next outer and inner position; updated.
    dropped
        Rows left out, by status; the last element counts rows excluded by rules; updated.
    written
        (1,) or (TOGETHER,) rows written from position 0 of each output; replaced.
    prompts, draft, experts
        None if no prefill pool differs from its decode replicas, and no draft or experts are on
        devices of their own: their loops are then not compiled, and cost the others nothing.
    leaves
        Array whose type says that outer points come in groups of ``TOGETHER``, and in which leaves
        their replicas differ; None if each point is alone.
    """
    align_stack()
    # the loops use pointers to these arrays; `keep` below keeps them alive
    stages = np.empty((ASKED_FIELDS + CAPACITY_FIELDS + RUNNING_FIELDS) * STRIDE + CACHE_LINE)
    places = np.empty(TOGETHER * POINT_FIELDS, np.int64)
    values = np.empty(TOGETHER * REPLICA_LEAVES)
    positions = np.arange(TILE)
    points_of = np.empty(2 * STRIDE, np.int64)
    ran = np.zeros(2)
    first = np.empty(STRIDE, np.int64)
    stretches = np.ones((2 + RUNNING_FIELDS) * STRIDE + CACHE_LINE)
    source = take_source(pointer(bound), 0, pointer(stored))
    target = take_target(pointer(bound), SOURCE_FIELDS, pointer(stored))
    scratch = Scratch(
        asked=aligned_pointer(stages, 0),
        fits=aligned_pointer(stages, ASKED_FIELDS * STRIDE),
        runs=aligned_pointer(stages, (ASKED_FIELDS + CAPACITY_FIELDS) * STRIDE),
        first=pointer(first),
        batches=aligned_pointer(stretches, 0),
        requests=aligned_pointer(stretches, STRIDE),
        distinct=aligned_pointer(stretches, 2 * STRIDE),
        ran=pointer(ran),
        dropped=pointer(dropped),
    )
    tile = Tile(
        values=target.metrics,
        places=pointer(places),
        outer_of=pointer(points_of),
        inner_of=pointer(points_of[STRIDE:]),
        kept=pointer(positions),
        unmet=pointer(dropped[dropped.size - 1 :]),
    )
    late = copies_of(values, bound, leaves)
    rows = pointer(written)
    place_columns(pointer(bound), pointer(stored), written.size, pointer(places), rows)
    filled = 0
    outer = cursor[0]
    position = cursor[1]
    while outer < source.outer_points and target.capacity - fullest(rows, written.size) >= TILE:
        replica = prepare_point(source, outer)
        prepare_copies(source, outer, late)
        other = prepare_other(source, outer, replica, prompts, draft)
        scratch.ran[0] = 0.0
        if replica.status > OK and not keep_infeasible:
            scratch.dropped[int(replica.status)] += source.inner_points - position
            position = source.inner_points
        start = filled
        while (
            position < source.inner_points and target.capacity - fullest(rows, written.size) >= TILE
        ):
            count = min(source.inner_points - position, TILE - filled)
            fit_rows(
                replica,
                other,
                prompts,
                draft,
                experts,
                source,
                outer,
                position,
                scratch,
                tile,
                filled,
                count,
            )
            position += count
            if not keep_infeasible:
                count = drop_rows(scratch, tile, filled, count)
            filled += count
            if filled > start and (filled == TILE or position == source.inner_points):
                evaluate_replica(
                    replica,
                    other,
                    prompts,
                    draft,
                    experts,
                    late,
                    source,
                    outer,
                    scratch,
                    tile,
                    pointer(stored),
                    start,
                    filled - start,
                )
            if filled == TILE:
                flush_copies(tile, late, filled, target, rows, pointer(stored))
                filled = 0
                start = 0
        if position == source.inner_points:
            outer += written.size
            position = 0
    if outer == source.outer_points:
        flush_copies(tile, late, filled, target, rows, pointer(stored))
    cursor[0] = outer
    cursor[1] = position
    keep((stages, places, values, positions, points_of, ran, first, stretches))
