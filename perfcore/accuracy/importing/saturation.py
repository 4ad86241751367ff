"""Test whether an offline run had enough requests to fill the memory of its devices."""

from collections.abc import Sequence

from perfcore.accuracy.importing.fields import Run
from perfcore.accuracy.prediction import batch_of, engine_table, evaluate_points, questions
from perfcore.accuracy.table import Measurement
from perfcore.physics.stages.point import Point


def unsaturated(rows: Sequence[Measurement], run: Run) -> tuple[list[Measurement], str]:
    """Return the rows of a run, and a remark if it had too few requests to be saturated.

    Rows of fewer requests than fit at once become those of a static batch.
    """
    if run.requests is None or not any(row.mode == "saturation" for row in rows):
        return list(rows), ""
    asked, skipped = questions(rows)
    if skipped:
        return list(rows), ""
    batch = batch_of(asked)
    points = evaluate_points(batch, engine_table(batch))
    fit = float(points[Point._fields.index("running_batch")].min())
    if run.requests > fit:
        return list(rows), ""
    remark = (
        f"{run.requests:g} requests are fewer than the {fit:g} that fit at once: not saturated, "
        f"so that the row is a static batch of {run.requests:g}; ask for more"
    )
    static = [row._replace(mode="static", concurrency=run.requests) for row in rows]
    return static, remark
