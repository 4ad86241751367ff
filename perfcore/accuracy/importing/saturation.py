"""Tests whether a run had enough requests for its mode."""

from collections.abc import Sequence
from typing import Final

from perfcore.accuracy.importing.fields import Run
from perfcore.accuracy.prediction import batch_of, engine_table, evaluate_points, questions
from perfcore.accuracy.table import Measurement
from perfcore.physics.stages.point import Point

_FEW: Final = 5.0  # requests per sequence in flight, below which start and end rule the means


def judged(rows: Sequence[Measurement], run: Run) -> tuple[list[Measurement], str]:
    """Return the rows of a run, and a remark if it had too few requests for its mode."""
    if not rows or run.requests is None:
        return list(rows), ""
    if rows[0].mode == "saturation":
        return _unsaturated(rows, run.requests)
    if rows[0].mode == "closed_loop" and rows[0].concurrency is not None:
        return _of_few(rows, run.requests, rows[0].concurrency)
    return list(rows), ""


def _of_few(
    rows: Sequence[Measurement], requests: float, concurrency: float
) -> tuple[list[Measurement], str]:
    """Return the rows of a closed loop; those of one burst of requests become static."""
    if requests >= _FEW * concurrency:
        return list(rows), ""
    burst = requests <= concurrency
    why = (
        "no request was followed by another, so the mode is static"
        if burst
        else "the start and end of the run dominate its means"
    )
    remark = (
        f"{requests:g} requests for {concurrency:.4g} in flight: {why}; ask for at least ten times "
        "as many"
    )
    return [row._replace(mode="static") if burst else row for row in rows], remark


def _unsaturated(rows: Sequence[Measurement], requests: float) -> tuple[list[Measurement], str]:
    """Return the rows of an offline run; those of fewer requests than fit at once become static."""
    asked, skipped = questions(rows)
    if skipped:
        return list(rows), ""
    batch = batch_of(asked)
    points = evaluate_points(batch, engine_table(batch))
    fit = float(points[Point._fields.index("running_batch")].min())
    if requests > fit:
        return list(rows), ""
    remark = (
        f"{requests:g} requests are fewer than the {fit:g} that fit at once: not saturated, so "
        f"the row is a static batch of {requests:g}; ask for more"
    )
    return [row._replace(mode="static", concurrency=requests) for row in rows], remark
