"""A claim on other devices and at other batches."""

import pytest

from perfcore.claims.case import Case
from perfcore.records import SCHEDULER_CONTINUOUS


@pytest.mark.parametrize(
    ("model", "device", "degrees"),
    [
        ("llama-3-70b", "h100-sxm", (8, 1, 1)),
        ("llama-3-70b", "inferentia2", (4, 3, 1)),
        ("deepseek-v3", "b200", (8, 1, 1)),
        ("llama-3-70b", "wse-3", (1, 8, 1)),
        ("llama-3-8b", "groq-lpu", (1, 200, 1)),
    ],
)
def test_the_price_of_a_token_falls_with_the_batch(find, model, device, degrees):
    case = Case.of(find(model=model, device=device, ms_per_token=1).claim)
    costs = [
        case.point(case.engine, degrees, batch=float(batch), scheduler=SCHEDULER_CONTINUOUS)
        for batch in range(1, 200)
    ]
    prices = [point.cost_per_mtok_output_usd for point in costs if point.status == 0.0]

    assert prices == sorted(prices, reverse=True)


def test_tensor_parallel_as_far_as_it_goes(find):
    layouts = {
        ("h100-sxm", 8): (8, 1),
        ("h100-sxm", 16): (8, 2),
        ("h100-sxm", 6): (2, 3),
        ("inferentia2", 12): (4, 3),
        ("groq-lpu", 576): (1, 576),
    }
    for (device, devices), layout in layouts.items():
        finding = find(device=device, devices=devices, ms_per_token=1)

        assert (finding.tp, finding.pp) == layout
