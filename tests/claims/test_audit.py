"""Verdicts on published claims."""

import re

import pytest
from click.testing import CliRunner
from paths import ROOT

from perfcore.catalog import names
from perfcore.claims.audit import audit as audit_all
from perfcore.claims.audit import audit_claim as audit
from perfcore.claims.case import Case
from perfcore.claims.claim import read_claims
from perfcore.cli import program
from perfcore.errors import InputError

SHIPPED = ROOT / "sweeps" / "claims.csv"
PAGE = ROOT / "docs" / "claims.md"


def codes(finding):
    return [verdict.code for verdict in finding.verdicts]


def texts(finding):
    return [verdict.text for verdict in finding.verdicts]


def invoke(*arguments):
    result = CliRunner().invoke(program, ["audit", *map(str, arguments)])

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


# Verdicts


def test_a_claim_near_the_prediction_is_consistent(find):
    assert codes(find(devices=8, ms_per_token=10)) == ["consistent"]


def test_beats_the_bound(find):
    finding = find(devices=8, ms_per_token=1)

    # 139.4 GB at 8 x 3.35 TB/s; activations and their exchange take 0.3 % more
    assert finding.bound_tpot_s == pytest.approx(1.003 * 139.421e9 / (8 * 3.35e12), rel=1e-4)
    assert texts(finding) == ["beats the physical bound (5.22 times)"]
    assert finding.implied_mbu == pytest.approx(139.421e9 / (1e-3 * 8) / 3.35e12, rel=1e-3)
    assert finding.devices_implied == 42


def test_slower_than_predicted(find):
    assert texts(find(devices=8, ms_per_token=45)) == ["slower than predicted (4.09 times)"]


def test_faster_than_predicted_but_not_than_the_bound(find):
    known = find(devices=8, ms_per_token=10)
    between = (known.bound_tpot_s + known.predicted_low_s) / 2

    finding = find(devices=8, ms_per_token=between * 1e3)

    assert codes(finding) == ["faster-than-predicted"]


def test_edges_of_the_interval_are_consistent(find):
    finding = find(devices=8, ms_per_token=10)
    for edge in (finding.predicted_low_s * 1.0001, finding.predicted_high_s * 0.9999):
        assert codes(find(devices=8, ms_per_token=edge * 1e3)) == ["consistent"]
    for beyond in (finding.predicted_low_s * 0.999, finding.predicted_high_s * 1.001):
        assert codes(find(devices=8, ms_per_token=beyond * 1e3)) != ["consistent"]

    point = Case.of(finding.claim).predicted(8)
    assert finding.predicted_low_s == point.tpot_low_s > finding.bound_tpot_s
    assert finding.predicted_high_s == point.tpot_high_s > point.tpot_s


def test_does_not_fit(find):
    finding = find(devices=1, ms_per_token=60)

    assert texts(finding) == ["does not fit in memory (needs 2 devices)"]
    assert finding.overflow_bandwidth == pytest.approx((141.53e9 - 85.9e9) / 60e-3, rel=1e-3)
    assert (finding.fit.devices, finding.fit.tp, finding.fit.pp) == (2, 2, 1)
    assert finding.fit.bound_tpot_s < finding.fit.predicted_tpot_s < finding.predicted_tpot_s


def test_fits_only_without_room_to_work(find):
    finding = find(device="groq-lpu", weight_format="fp8", devices=318, ms_per_token=4)

    assert texts(finding) == ["leaves the engine no memory to work in (needs 354 devices)"]


def test_kv_cache_counts(find):
    finding = find(devices=2, batch=256, ms_per_token=100)

    assert codes(finding) == ["does-not-fit"]
    # 256 sequences of 1280 tokens of 327,680 bytes
    assert finding.needed_bytes == pytest.approx(141.107e9 + 256 * 1280 * 327_680, rel=1e-4)


def test_context_above_the_maximum(find):
    finding = find(devices=8, input_len=8192, ms_per_token=10, usd_per_mtok=1)

    assert texts(finding) == ["cannot run: context above the model's maximum"]


def test_more_stages_than_layers(find):
    assert texts(find(devices=97, ms_per_token=50)) == ["cannot run: fewer layers than pp"]


def test_price_needs_a_batch(find):
    finding = find(devices=8, usd_per_mtok=1.2)

    assert texts(finding) == [f"price needs batch >= {finding.price.batch}"]
    assert 1 < finding.price.batch_at_full_utilization < finding.price.batch
    assert codes(find(devices=8, batch=finding.price.batch, usd_per_mtok=1.2)) == ["consistent"]
    assert codes(find(devices=8, batch=finding.price.batch - 1, usd_per_mtok=1.2)) == [
        "price-needs-batch"
    ]


def test_price_needs_every_hour_sold(find):
    lowest = find(devices=8, usd_per_mtok=1).price.lowest_usd_per_mtok
    (text,) = texts(find(devices=8, usd_per_mtok=0.9 * lowest))

    assert re.fullmatch(r"price needs batch >= \d+, and every hour sold", text)


def test_price_is_not_reachable(find):
    assert texts(find(devices=8, usd_per_mtok=0.01)) == [
        "price not reachable at any batch that fits"
    ]


def test_price_of_what_no_number_of_devices_holds(find):
    finding = find(device="groq-lpu", batch=1_000_000, usd_per_mtok=1)

    assert codes(finding) == ["does-not-fit", "price-not-reachable"]
    assert finding.fit is None


def test_price_at_the_claimed_speed(find):
    finding = find(devices=8, ms_per_token=45, usd_per_mtok=1.2)

    # 8 devices at 2.95 USD/h for 45 ms
    assert finding.usd_per_mtok_at_full_utilization == pytest.approx(8 * 2.95 / 3600 * 45e3)
    assert finding.usd_per_mtok_at_claimed_speed == pytest.approx(2 * 8 * 2.95 / 3600 * 45e3)


@pytest.mark.parametrize(("rate", "agrees"), [(98, True), (104, True), (110, False), (90, False)])
def test_tokens_per_second_follow_from_the_time(find, rate, agrees):
    finding = find(devices=8, ms_per_token=10, tokens_per_s=rate)

    assert codes(finding) == (["consistent"] if agrees else ["rate-contradicts-time"])


def test_tokens_per_second_may_be_the_whole_batch(find):
    for rate in (1000 / 12, 8 * 1000 / 12):
        assert codes(find(devices=8, batch=8, ms_per_token=12, tokens_per_s=rate)) == ["consistent"]

    assert find(devices=8, batch=8, tokens_per_s=800).claim.tpot_s == pytest.approx(0.01)


def test_several_verdicts_hold_together(find):
    finding = find(devices=1, ms_per_token=4, tokens_per_s=10, usd_per_mtok=0.001)

    assert codes(finding) == [
        "does-not-fit",
        "beats-bound",
        "price-not-reachable",
        "rate-contradicts-time",
    ]


# Laws


@pytest.mark.parametrize("device", names("device"))
def test_no_prediction_beats_the_bound(find, device):
    for devices, batch in ((1, 32), (6, 1)):
        finding = find(device=device, devices=devices, batch=batch, ms_per_token=1000)

        assert finding.bound_tpot_s <= finding.predicted_tpot_s
        assert finding.bound_tpot_s <= finding.predicted_low_s <= finding.predicted_high_s


# The four claims that started the project


def test_shipped_claims():
    findings = {finding.claim.claim: finding for finding in map(audit, read_claims(SHIPPED))}

    assert {name: codes(finding) for name, finding in findings.items()} == {
        "8 x H100": ["slower-than-predicted", "price-needs-batch"],
        "1 x Groq LPU": ["does-not-fit", "price-not-reachable"],
        "1 x WSE-3": ["does-not-fit", "price-not-reachable"],
        "1 x Inferentia2": ["does-not-fit", "beats-bound", "price-not-reachable"],
    }
    needed = {name: finding.devices_needed for name, finding in findings.items()}
    assert needed == {"8 x H100": 2, "1 x Groq LPU": 318, "1 x WSE-3": 4, "1 x Inferentia2": 5}
    assert findings["1 x Groq LPU"].estimated == ("layer_latency", "price_per_hour")


def test_the_page_has_the_table_of_the_command():
    table = PAGE.read_text().partition("<!-- table claims -->\n")[2]

    assert table.partition("<!-- end claims -->")[0] == invoke(SHIPPED, "--markdown")


def test_what_else_the_page_says(find):
    """Figures of docs/claims.md that are not in its table."""
    findings = {finding.claim.claim: finding for finding in map(audit, read_claims(SHIPPED))}
    page = " ".join(PAGE.read_text().split())
    h100, groq = findings["8 x H100"], findings["1 x Groq LPU"]
    wafer, inferentia = findings["1 x WSE-3"], findings["1 x Inferentia2"]
    case = Case.of(h100.claim)
    pipeline = [case.point(engine, (1, 8, 1)).tpot_s for engine in (case.ideal, case.engine)]
    eight = find(device="inferentia2", devices=8, ms_per_token=30)

    assert codes(eight) == ["consistent"]
    for said in (
        f"at least {pipeline[0] * 1e3:.1f} ms ({pipeline[1] * 1e3:.1f} ms predicted)",
        f"**{h100.usd_per_mtok_at_full_utilization:.0f} dollars**",
        f"batch of {h100.price.batch}",
        f"{h100.price.batch_at_full_utilization} with every hour sold",
        f"at least {groq.devices_needed} chips",
        f"{groq.fit.devices} with working space",
        f"{groq.fit.predicted_tpot_s * 1e3:.1f} ms are predicted",
        f"{groq.price.lowest_usd_per_mtok:.2f} dollars, on {groq.price.devices:,} chips",
        f"{wafer.overflow_bandwidth / 1e12:.1f} TB/s",
        f"{wafer.fit.predicted_tpot_s * 1e3:.1f} ms per token are predicted",
        f"{wafer.usd_per_mtok_at_full_utilization:.0f} dollars per million tokens",
        f"{wafer.price.lowest_usd_per_mtok:.2f} dollars, on {wafer.price.devices} wafers",
        f"{inferentia.bound_tpot_s * 1e3:.0f} ms",
        f"{inferentia.implied_bandwidth / 1e12:.2f} TB/s",
        f"{eight.predicted_tpot_s * 1e3:.1f} ms are predicted",
        f"{inferentia.price.lowest_usd_per_mtok:.2f} dollars, on {inferentia.price.devices} chips",
    ):
        assert said in page


# One user, or a whole system


def test_a_rate_of_a_system_is_not_one_of_a_user():
    given = {"model": "llama-3.1-8b", "device": "h100-sxm", "tokens_per_s": 10_000}
    unsaid, system, user = audit_all(
        [given, given | {"scope": "system"}, given | {"scope": "user"}]
    )

    assert codes(unsaid) == ["beats-bound", "may-be-a-system"]
    assert codes(system) == ["consistent"]
    assert codes(user) == ["beats-bound"]
    assert f"at batch {system.claim.batch} " in texts(unsaid)[1]
    assert 1 < system.claim.batch < 356
    # the smallest batch that is predicted to reach it
    below, at = audit_all(
        [given | {"scope": "system", "batch": system.claim.batch - less} for less in (1, 0)]
    )
    assert below.claim_to_prediction < 1.0 <= at.claim_to_prediction


def test_a_user_s_rate_is_not_divided_by_the_batch():
    given = {"model": "llama-3.1-8b", "device": "h100-sxm", "tokens_per_s": 100, "batch": 64}
    (user,) = audit_all([given | {"scope": "user"}])

    assert user.claim.tpot_s == 0.01
    assert codes(user) == ["consistent"]


def test_a_scope_is_known():
    with pytest.raises(InputError, match="scope: unknown value 'all'; use one of: user, system"):
        audit_all(
            [{"model": "llama-3.1-8b", "device": "h100-sxm", "tokens_per_s": 1, "scope": "all"}]
        )
