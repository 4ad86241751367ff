"""Stage 2: the running batch."""

from perfcore.physics.stages.batch import runnable
from physics.worked import CONTINUOUS, ENGINE, STATIC, deployed


def test_runnable():
    """100 requests, at most 16 in each of 2 groups; a static batch runs whole."""
    engine = ENGINE._replace(max_sequences=16.0)
    served = deployed(batch=100.0, dp=2.0, scheduler=CONTINUOUS)

    assert runnable(engine, served, 100.0) == 32.0
    assert runnable(engine, served, 10.0) == 10.0
    assert runnable(engine, served._replace(scheduler=STATIC), 100.0) == 100.0
