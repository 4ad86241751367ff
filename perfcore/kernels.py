"""The loops. No formula and no column name: physics comes in as functions, columns as numbers.

A kernel walks the outer points of a block (everything but sequence lengths), prepares each once,
and runs the lengths in an innermost loop that the compiler vectorises. Results go to a tile that
stays in the first-level cache, and from there, compacted to the rows that are kept, to one
contiguous array per column.
"""

import numpy as np
import numpy.typing as npt

from perfcore import _jit
from perfcore.physics import (
    attention,
    collectives,
    cost,
    decode,
    energy,
    memory,
    moe,
    operators,
    parallelism,
    point,
    roofline,
    rounding,
    serving,
    sizing,
    speculation,
    weights,
)
from perfcore.physics import (
    prefill as prefill_physics,
)
from perfcore.physics.point import (
    OK,
    Point,
    Prefill,
    Step,
    at_lengths,
    evaluate_running,
    must_wait,
    prefill_at,
    prefill_experts,
    prepare,
    running_batch,
    with_batch,
)
from perfcore.physics.sizing import AUTO, fewest_devices
from perfcore.records import (
    SCHEDULER_STATIC,
    Deployment,
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    WeightFormat,
)

_jit.register(
    attention,
    collectives,
    cost,
    decode,
    energy,
    memory,
    moe,
    operators,
    parallelism,
    point,
    prefill_physics,
    roofline,
    rounding,
    serving,
    sizing,
    speculation,
    weights,
)

FIELDS = len(Point._fields)
STATUS = Point._fields.index("status")
MAX_BATCH = Point._fields.index("max_batch")

SCRATCH = 3 + len(Prefill._fields)  # rows between the loops: lengths, experts, a prefill's fields
TILE = 128  # rows; 44 columns of float32 take 22 KiB, so that a tile stays in a 32 KiB cache

ANY = -1  # a mask that excludes no code

store_fields = _jit.store_fields
load_record = _jit.load_record

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@_jit.kernel
def select_rows(
    tile: Floats,
    filled: int,
    keep_infeasible: bool,
    where: Integers,
    where_range: Floats,
    where_mask: Integers,
    dropped: Integers,
    kept: Integers,
) -> int:
    """Positions of the tile's rows that are kept, into ``kept``; return how many there are."""
    count = 0
    unmet = dropped.size - 1
    for row in range(filled):
        status = int(tile[STATUS * TILE + row])
        if status > 0 and not keep_infeasible:
            dropped[status] += 1
            continue
        met = True
        for rule in range(where.size):
            value = tile[where[rule] * TILE + row]
            met = met and where_range[rule, 0] <= value <= where_range[rule, 1]
            if where_mask[rule] != ANY:
                met = met and (where_mask[rule] >> int(value)) & 1 == 1
        if met:
            kept[count] = row
            count += 1
        else:
            dropped[unmet] += 1
    return count


@_jit.kernel
def copy_metrics(
    tile: Floats,
    kept: Integers,
    filled: int,
    metrics: Integers,
    codes: Integers,
    metric_out: Floats,
    code_out: Integers,
    rows: int,
) -> None:
    """Append the kept rows of a tile to the columns of real and of whole numbers."""
    count = kept.size
    for column in range(metrics.size):
        values = tile[metrics[column] * TILE : (metrics[column] + 1) * TILE]
        out = metric_out[column, rows : rows + count]
        if count == filled:
            for row in range(count):
                out[row] = values[row]
        else:
            for row in range(count):
                out[row] = values[kept[row]]
    for column in range(codes.size):
        values = tile[codes[column] * TILE : (codes[column] + 1) * TILE]
        out_codes = code_out[column, rows : rows + count]
        for row in range(count):
            out_codes[row] = np.int32(values[kept[row]])


@_jit.kernel
def copy_axes(
    outer_of: Integers,
    inner_of: Integers,
    kept: Integers,
    outer_axes: Integers,
    inner_axes: Integers,
    axis_out: Integers,
    rows: int,
) -> None:
    """Append the coordinates of a tile's kept rows: outer ones in runs, as they rarely change."""
    count = kept.size
    outers = outer_axes.shape[0]
    start = 0
    while start < count:
        outer = outer_of[kept[start]]
        stop = start + 1
        while stop < count and outer_of[kept[stop]] == outer:
            stop += 1
        for axis in range(outers):
            label = outer_axes[axis, outer]
            out_codes = axis_out[axis, rows + start : rows + stop]
            for row in range(out_codes.size):
                out_codes[row] = label
        start = stop
    for axis in range(inner_axes.shape[0]):
        labels = inner_axes[axis]
        out_codes = axis_out[outers + axis, rows : rows + count]
        for row in range(count):
            out_codes[row] = labels[inner_of[kept[row]]]


@_jit.kernel
def flush_tile(
    tile: Floats,
    outer_of: Integers,
    inner_of: Integers,
    filled: int,
    keep_infeasible: bool,
    where: Integers,
    where_range: Floats,
    where_mask: Integers,
    dropped: Integers,
    kept: Integers,
    outer_axes: Integers,
    inner_axes: Integers,
    metrics: Integers,
    codes: Integers,
    axis_out: Integers,
    metric_out: Floats,
    code_out: Integers,
    rows: int,
) -> int:
    """Append the rows of a tile that are kept to the output; return how many."""
    count = select_rows(
        tile, filled, keep_infeasible, where, where_range, where_mask, dropped, kept
    )
    chosen = kept[:count]
    copy_metrics(tile, chosen, filled, metrics, codes, metric_out, code_out, rows)
    copy_axes(outer_of, inner_of, chosen, outer_axes, inner_axes, axis_out, rows)
    return count


@_jit.kernel
def evaluate_waiting(
    step: Step, input_len: float, output_len: float, tile: Floats, place: int
) -> None:
    """Replace a row whose requests do not all fit by one where the others wait."""
    result = evaluate_running(
        step.model,
        step.device,
        step.engine,
        step.weight_format,
        step.kv_format,
        with_batch(step.deployment, np.float64(tile[MAX_BATCH * TILE + place])),
        step.economics,
        input_len,
        output_len,
        step.requested,
    )
    store_fields(tile, TILE, place, result)


@_jit.inlined
def evaluate_rows(
    step: Step, scratch: Floats, tile: Floats, filled: int, count: int, served: bool
) -> None:
    """Results of a prepared point at the lengths in ``scratch``: the vectorised loops.

    Prefill and decode together in one loop would keep the processor from overlapping one row with
    the next (28 against 20 M rows/s). ``served`` is a constant where this is inlined.
    """
    input_len, output_len, experts = scratch[0], scratch[1], scratch[2]
    prompts, memory_s, compute_s = scratch[3], scratch[4], scratch[5]
    transfer_s, latency_s, power_w = scratch[6], scratch[7], scratch[8]
    at_once = scratch[9]
    for row in range(count):
        prefill = prefill_at(step, input_len[row], output_len[row], experts[row], served)
        prompts[row] = prefill.prompts
        at_once[row] = prefill.at_once
        memory_s[row] = prefill.memory_s
        compute_s[row] = prefill.compute_s
        transfer_s[row] = prefill.transfer_s
        latency_s[row] = prefill.latency_s
        power_w[row] = prefill.power_w
    for row in range(count):
        prefill = Prefill(
            prompts[row],
            at_once[row],
            memory_s[row],
            compute_s[row],
            transfer_s[row],
            latency_s[row],
            power_w[row],
        )
        result = at_lengths(step, input_len[row], output_len[row], prefill, served)
        store_fields(tile, TILE, filled + row, result)


@_jit.inlined
def evaluate_lengths(
    step: Step,
    lengths: Floats,
    outer_input: float,
    outer_output: float,
    scratch: Floats,
    tile: Floats,
    filled: int,
) -> None:
    """Results of a prepared point at some lengths, into the tile from row ``filled`` on.

    Three loops, of which the last two are vectorised: ``exp`` would end it, and prefill and decode
    together keep the processor from overlapping one row with the next (28 against 20 M rows/s).
    """
    count = lengths.shape[1]
    input_len, output_len, experts = scratch[0], scratch[1], scratch[2]
    for row in range(count):
        input_len[row] = lengths[0, row] + outer_input
        output_len[row] = lengths[1, row] + outer_output
    if step.model.experts > 0.0:
        for row in range(count):
            experts[row] = prefill_experts(step, input_len[row], output_len[row])
    else:
        experts[:count] = 0.0
    if step.deployment.scheduler == SCHEDULER_STATIC:
        evaluate_rows(step, scratch, tile, filled, count, False)
        return
    evaluate_rows(step, scratch, tile, filled, count, True)
    for row in range(count):
        place = filled + row
        if must_wait(step.deployment, tile[STATUS * TILE + place], tile[MAX_BATCH * TILE + place]):
            evaluate_waiting(step, input_len[row], output_len[row], tile, place)


@_jit.kernel
def choose_devices(
    model: Model,
    device: Device,
    engine: Engine,
    weight_format: WeightFormat,
    kv_format: KVFormat,
    deployment: Deployment,
    length: float,
) -> Deployment:
    """``fewest_devices``, compiled once and called: it is a search, and rare."""
    return fewest_devices(model, device, engine, weight_format, kv_format, deployment, length)


@_jit.kernel
def fill_columns(
    tables: tuple[Floats, Floats, Floats, Floats, Floats, Floats],
    records: Integers,
    deployments: Floats,
    outer_lengths: Floats,
    lengths: Floats,
    outer_axes: Integers,
    inner_axes: Integers,
    degree_axes: Integers,
    metrics: Integers,
    codes: Integers,
    where: Integers,
    where_range: Floats,
    where_mask: Integers,
    keep_infeasible: bool,
    cursor: Integers,
    axis_out: Integers,
    metric_out: Floats,
    code_out: Integers,
    dropped: Integers,
) -> int:
    """Evaluate outer points from ``cursor`` on until the output is full or the block ends.

    Parameters
    ----------
    tables
        Records as rows: models, devices, engines, weight formats, KV formats, economics.
    records
        (6, outer) row of each table for each outer point.
    deployments
        (outer, fields) a ``Deployment`` for each outer point.
    outer_lengths
        (2, outer) input and output length where they are not inner, else 0. [tokens]
    lengths
        (2, inner) input and output length; one that is outer is 0 here. [tokens]
    outer_axes, inner_axes
        (axes, outer) and (axes, inner) what to write into the axis columns; of a point whose
        devices are chosen here, its degrees are updated.
    degree_axes
        (2,) outer axes that hold the tensor- and the pipeline-parallel degree.
    metrics, codes
        Fields of ``Point`` to write as real and as whole numbers.
    where, where_range, where_mask
        Fields with a condition, (rules, 2) the ranges that they must lie in, and of codes the
        allowed ones as bits.
    cursor
        (2,) next outer and inner position; updated.
    axis_out, metric_out, code_out
        (columns, capacity) output; the capacity is at least one tile.
    dropped
        Rows left out, by status, and last those that a rule excludes; updated.

    Returns
    -------
    int
        Rows written from position 0 of the output.
    """
    tile = np.empty(FIELDS * TILE, metric_out.dtype)
    scratch = np.empty((SCRATCH, TILE))
    outer_of = np.empty(TILE, np.uintp)  # unsigned: no test for a negative index
    inner_of = np.empty(TILE, np.uintp)
    kept = np.empty(TILE, np.uintp)
    capacity = axis_out.shape[1]
    inner_points = lengths.shape[1]
    outer_points = records.shape[1]
    rows = 0
    filled = 0
    outer = cursor[0]
    inner = cursor[1]
    while outer < outer_points:
        model = load_record(Model, tables[0], records[0, outer])
        device = load_record(Device, tables[1], records[1, outer])
        engine = load_record(Engine, tables[2], records[2, outer])
        weight_format = load_record(WeightFormat, tables[3], records[3, outer])
        kv_format = load_record(KVFormat, tables[4], records[4, outer])
        deployment = load_record(Deployment, deployments, outer)
        if deployment.tp == AUTO:
            length = outer_lengths[0, outer] + outer_lengths[1, outer]
            deployment = choose_devices(
                model, device, engine, weight_format, kv_format, deployment, length
            )
            outer_axes[degree_axes[0], outer] = int(deployment.tp)
            outer_axes[degree_axes[1], outer] = int(deployment.pp)
        step = prepare(
            model,
            device,
            engine,
            weight_format,
            kv_format,
            with_batch(deployment, running_batch(engine, deployment)),
            load_record(Economics, tables[5], records[5, outer]),
            deployment.batch,
        )
        if step.status > OK and not keep_infeasible:
            dropped[int(step.status)] += inner_points - inner
            inner = inner_points
        while inner < inner_points:
            count = min(inner_points - inner, TILE - filled)
            part = lengths[:, inner : inner + count]
            evaluate_lengths(
                step, part, outer_lengths[0, outer], outer_lengths[1, outer], scratch, tile, filled
            )
            for row in range(count):
                outer_of[filled + row] = outer
                inner_of[filled + row] = inner + row
            filled += count
            inner += count
            if filled == TILE:
                rows += flush_tile(
                    tile,
                    outer_of,
                    inner_of,
                    filled,
                    keep_infeasible,
                    where,
                    where_range,
                    where_mask,
                    dropped,
                    kept,
                    outer_axes,
                    inner_axes,
                    metrics,
                    codes,
                    axis_out,
                    metric_out,
                    code_out,
                    rows,
                )
                filled = 0
                if capacity - rows < TILE:
                    cursor[0] = outer
                    cursor[1] = inner
                    return rows
        outer += 1
        inner = 0
    rows += flush_tile(
        tile,
        outer_of,
        inner_of,
        filled,
        keep_infeasible,
        where,
        where_range,
        where_mask,
        dropped,
        kept,
        outer_axes,
        inner_axes,
        metrics,
        codes,
        axis_out,
        metric_out,
        code_out,
        rows,
    )
    cursor[0] = outer
    cursor[1] = inner
    return rows
