"""Baselines: three back-of-the-envelope estimates that a prediction must beat."""

from typing import Final

import numpy as np

from perfcore.accuracy.prediction import Batch, Estimate, Floats, as_measured, evaluate_points
from perfcore.catalog import load_engine
from perfcore.physics.stages.point import Point
from perfcore.records import Deployment, Device, Model

ROOFLINE: Final = "data-sheet roofline"
SHARE: Final = "60 % of bandwidth"
LAYERS: Final = "80 % and 70 us a layer"
BASELINES: Final = (ROOFLINE, SHARE, LAYERS)

_LAYER: Final = 70e-6  # s


def baselines(batch: Batch, running: Floats) -> dict[str, Floats]:
    """Return the estimates of each baseline, by its name, in each question's metric.

    The first is the roofline of the ideal engine: bytes over data-sheet bandwidth or FLOP over
    data-sheet rate, whichever takes longer, without prefill of other requests. The second assumes
    60 % of both rates. The third assumes 80 % for decode and 50 % for prefill, plus 70 us per
    layer. Board power is min(1, 0.40 + 0.35 u_m + 1.2 u_c) of the limit, where u_m and u_c are the
    utilisation of bandwidth and FLOP/s.

    Parameters
    ----------
    running
        (rows,) sequences at once.
    """
    ideal = np.array(
        [
            load_engine("ideal").record(device)._replace(max_sequences=1e9)
            for _, device, _, _ in batch.engines
        ],
        np.float64,
    )
    deployments = batch.deployments.copy()
    deployments[:, Deployment._fields.index("batch")] = running
    points = evaluate_points(batch._replace(deployments=deployments), ideal)
    column = {name: points[index] for index, name in enumerate(Point._fields)}
    layers = batch.tables[0][batch.records[0], Model._fields.index("layers")] * _LAYER
    tpot_s, ttft_s = column["tpot_s"], column["ttft_s"]
    times = {
        ROOFLINE: (tpot_s, ttft_s),
        SHARE: (tpot_s / 0.6, ttft_s / 0.6),
        LAYERS: (tpot_s / 0.8 + layers, ttft_s / 0.5 + layers),
    }
    limit = batch.tables[1][batch.records[1], Device._fields.index("board_power")]
    found = {}
    for name, (tpot, ttft) in times.items():
        slower = tpot_s / tpot
        share = 0.4 + slower * (0.35 * column["mbu"] + 1.2 * column["mfu"])
        power_w = limit * np.minimum(share, 1.0)
        requests_per_s = running / (ttft + (batch.lengths[1] - 1.0) * tpot)
        found[name] = as_measured(batch, Estimate(tpot, ttft, requests_per_s, power_w))
    return found
