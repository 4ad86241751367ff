"""Groups of rows left out of a fit, and what the fit still knows of them."""

import numpy as np
import pytest

from perfcore.accuracy.left_out import Evidence, judged
from perfcore.accuracy.prediction import questions


@pytest.fixture(scope="module")
def asked(licensed):
    return questions(licensed)[0]


def test_evidence_is_what_is_left_without_a_source(asked):
    argonne = [q for q in asked if q.measurement.source == "argonne"]
    question = next(q for q in argonne if q.engine.name == "trtllm-2024")
    rest = [q for q in asked if q.measurement.source != "argonne"]

    assert Evidence.of(asked).level(question) == "own"
    # other pages measured the engine on this class, too
    assert Evidence.of(rest).level(question) in {"own", "class"}
    assert Evidence.of([]).level(question) == "unseen"


def test_evidence_is_as_the_catalogue_holds_it(asked):
    tables = Evidence.of(asked).tables("vllm-2024")

    assert set(tables["measured"]) == {"datacentre-gpu-ampere", "datacentre-gpu-hopper"}
    assert set(tables["kernels"]) == {"NVIDIA"}
    assert "16" in tables["kernels"]["NVIDIA"]


def test_rows_are_judged_by_the_evidence_that_their_fit_had(asked):
    rows = [q for q in asked if q.measurement.source in {"gpt_fast", "trtllm_perf"}]
    residuals = {kind: np.full(len(rows), 0.1) for kind in ("sources", "engines")}

    found = judged(rows, residuals)

    levels = {row.level for row in found if row.question.measurement.source == "gpt_fast"}
    assert levels == {"unseen"}  # its only source was left out
    assert {row.level for row in found if row.kind == "engines"} == {"unseen"}
    assert {row.group for row in found if row.kind == "sources"} == {
        "sources gpt_fast",
        "sources trtllm_perf",
    }
