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
    prefill as prefill_physics,
    roofline,
    rounding,
    weights,
)
from perfcore.physics.point import OK, Point, Prefill, at_lengths, prefill_at, prefill_experts, prepare
from perfcore.records import (
    Device,
    Economics,
    Engine,
    KVFormat,
    Model,
    Parallelism,
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
    weights,
)

FIELDS = len(Point._fields)
STATUS = Point._fields.index("status")

TILE = 128  # rows; 44 columns of float32 take 22 KiB, so that a tile stays in a 32 KiB cache

ANY = -1  # a mask that excludes no code

store_fields = _jit.store_fields
load_record = _jit.load_record

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@_jit.kernel
def flush_tile(
    tile: Floats,
    places: Integers,
    filled: int,
    keep_infeasible: bool,
    where: Integers,
    where_range: Floats,
    where_mask: Integers,
    outer_axes: Integers,
    inner_axes: Integers,
    metrics: Integers,
    codes: Integers,
    axis_out: Integers,
    metric_out: Floats,
    code_out: Integers,
    rows: int,
    dropped: Integers,
    kept: Integers,
    run_starts: Integers,
) -> int:
    """Append the tile's kept rows to the output columns; return how many rows there are now."""
    count = 0
    runs = 0
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
        if not met:
            dropped[unmet] += 1
            continue
        if count == 0 or places[0, row] != places[0, kept[count - 1]]:
            run_starts[runs] = count
            runs += 1
        kept[count] = row
        count += 1
    run_starts[runs] = count
    outers = outer_axes.shape[0]
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
    for axis in range(outers):
        labels = outer_axes[axis]
        out_codes = axis_out[axis, rows : rows + count]
        for run in range(runs):
            label = labels[places[0, kept[run_starts[run]]]]
            for row in range(run_starts[run], run_starts[run + 1]):
                out_codes[row] = label
    for axis in range(inner_axes.shape[0]):
        labels = inner_axes[axis]
        out_codes = axis_out[outers + axis, rows : rows + count]
        for row in range(count):
            out_codes[row] = labels[places[1, kept[row]]]
    return rows + count


@_jit.kernel
def fill_columns(
    tables: tuple[Floats, Floats, Floats, Floats, Floats, Floats],
    records: Integers,
    numbers: Floats,
    lengths: Floats,
    outer_axes: Integers,
    inner_axes: Integers,
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
    numbers
        (5, outer) tensor-parallel degree, pipeline-parallel degree, batch, input and output
        length; a length that is inner is 0 here.
    lengths
        (2, inner) input and output length; one that is outer is 0 here. [tokens]
    outer_axes, inner_axes
        (axes, outer) and (axes, inner) what to write into the axis columns.
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
    experts = np.zeros(TILE)
    input_len = np.empty(TILE)
    ttft_s = np.empty(TILE)
    prefill_power_w = np.empty(TILE)
    output_len = np.empty(TILE)
    places = np.empty((2, TILE), np.uintp)  # unsigned: no test for a negative index
    kept = np.empty(TILE, np.uintp)
    run_starts = np.empty(TILE + 1, np.uintp)
    capacity = metric_out.shape[1]
    inner_size = lengths.shape[1]
    rows = 0
    filled = 0
    inner = cursor[1]
    for outer in range(cursor[0], records.shape[1]):
        model = load_record(Model, tables[0], records[0, outer])
        device = load_record(Device, tables[1], records[1, outer])
        engine = load_record(Engine, tables[2], records[2, outer])
        weight_format = load_record(WeightFormat, tables[3], records[3, outer])
        kv_format = load_record(KVFormat, tables[4], records[4, outer])
        economics = load_record(Economics, tables[5], records[5, outer])
        layout = Parallelism(numbers[0, outer], numbers[1, outer])
        step = prepare(
            model,
            device,
            engine,
            weight_format,
            kv_format,
            layout,
            numbers[2, outer],
            economics,
        )
        if step.status > OK and not keep_infeasible:
            dropped[int(step.status)] += inner_size - inner
            inner = 0
            continue
        while inner < inner_size:
            count = min(inner_size - inner, TILE - filled)
            for row in range(count):
                input_len[row] = lengths[0, inner + row] + numbers[3, outer]
                output_len[row] = lengths[1, inner + row] + numbers[4, outer]
            if model.experts > 0.0:
                for row in range(count):
                    experts[row] = prefill_experts(step, input_len[row])
            else:
                experts[:count] = 0.0
            for row in range(count):
                prefill = prefill_at(step, input_len[row], experts[row])
                ttft_s[row] = prefill.ttft_s
                prefill_power_w[row] = prefill.power_w
            for row in range(count):
                prefill = Prefill(ttft_s[row], prefill_power_w[row])
                result = at_lengths(step, input_len[row], output_len[row], prefill)
                store_fields(tile, TILE, filled + row, result)
            for row in range(count):
                places[0, filled + row] = outer
                places[1, filled + row] = inner + row
            filled += count
            inner += count
            if filled == TILE:
                rows = flush_tile(
                    tile,
                    places,
                    filled,
                    keep_infeasible,
                    where,
                    where_range,
                    where_mask,
                    outer_axes,
                    inner_axes,
                    metrics,
                    codes,
                    axis_out,
                    metric_out,
                    code_out,
                    rows,
                    dropped,
                    kept,
                    run_starts,
                )
                filled = 0
                if capacity - rows < TILE:
                    cursor[0] = outer
                    cursor[1] = inner
                    return rows
        inner = 0
    rows = flush_tile(
        tile,
        places,
        filled,
        keep_infeasible,
        where,
        where_range,
        where_mask,
        outer_axes,
        inner_axes,
        metrics,
        codes,
        axis_out,
        metric_out,
        code_out,
        rows,
        dropped,
        kept,
        run_starts,
    )
    cursor[0] = records.shape[1]
    cursor[1] = 0
    return rows
