"""Laws of drafts and experts on devices beside those of a model."""

from itertools import pairwise

import pytest

from perfcore import catalog, records
from perfcore.physics.speculation import accepted_tokens
from perfcore.physics.stages.beside import (
    DraftMachine,
    ExpertMachine,
    fewest_expert_devices,
    of_draft,
    of_experts,
)
from perfcore.physics.stages.point import evaluate
from perfcore.testing.laws.requirements import not_faster
from perfcore.testing.scenario import ideal_engine

MONEY = catalog.default_economics()
KV = catalog.load_kv_format("bf16").record()
FP8 = catalog.load_weight_format("fp8").record()
LENGTHS = (2_000.0, 300.0)
BOTH = ("static", "continuous")


def machine(device, engine="default", **changes):
    sheet = catalog.load_device(device)
    return sheet.record(), catalog.load_engine(engine).record(sheet)._replace(**changes)


def model(name):
    return catalog.load_model(name).record()


def plan(scheduler="static", **fields):
    return records.Deployment(scheduler=float(BOTH.index(scheduler)), **fields)


def point(name, here, deployment, lengths=LENGTHS, **others):
    return evaluate(model(name), *here, FP8, KV, deployment, MONEY, *lengths, **others)


def drafted(here, deployment, there, draft="llama-3.2-1b", **kept):
    other = DraftMachine(model(draft), *there, FP8)
    return point("llama-3.3-70b", here, deployment, draft=other, **kept)


def apart(here, deployment, there, name="qwen3-235b-a22b", **kept):
    return point(name, here, deployment, experts=ExpertMachine(*there), **kept)


DRAFTS = plan(tp=4.0, batch=8.0, draft_len=4.0, acceptance=0.8, draft_devices=1.0)
APART = plan(tp=4.0, batch=64.0, expert_devices=8.0, expert_parts=1.0)


def test_a_step_is_its_verification_and_the_passes_of_the_draft():
    """Leviathan et al.: g T_draft + T_verify, if links take no time."""
    here = machine("h100-sxm", network_latency=0.0)
    there = machine("l40s", network_latency=0.0)
    free = DRAFTS._replace(draft_link=1e30)
    passes = evaluate(*(model("llama-3.2-1b"), *there, FP8, KV, plan(batch=8.0), MONEY, *LENGTHS))
    none = DRAFTS._replace(draft_link=1e30, draft_len=0.0)
    tokens = accepted_tokens(4.0, 0.8, 0.95)
    found = drafted(here, free, there)

    assert found.offload_s == pytest.approx(4.0 * passes.tpot_s / tokens, rel=1e-12)
    verified = found.tpot_s - found.offload_s
    plain = drafted(here, none, there)
    assert plain.offload_s == 0.0
    assert plain.tpot_s / tokens < verified  # which verifies five tokens instead of one


def test_energy_and_money_of_both_are_paid():
    """Power of the draft is what it has alone, for its share of the time, and idle otherwise."""
    here, there = machine("h100-sxm"), machine("l40s")
    found = drafted(here, DRAFTS, there)
    alone = evaluate(*(model("llama-3.2-1b"), *there, FP8, KV, plan(batch=8.0), MONEY, *LENGTHS))
    dollars = here[0].price_per_hour * 4 + there[0].price_per_hour
    seconds = found.cost_per_mtok_output_usd / 1e6 * 3600 * MONEY.utilization / dollars
    assert seconds == pytest.approx(found.tpot_s / 8.0, rel=1e-12)
    idle = there[0].idle_power
    busy = 4.0 * alone.tpot_s / accepted_tokens(4.0, 0.8, 0.95) / found.tpot_s
    watts = 4 * found.decode_power_w + busy * alone.decode_power_w + (1 - busy) * idle
    assert found.energy_per_output_token_j == pytest.approx(watts * seconds, rel=1e-12)
    total = 299 * found.energy_per_output_token_j + 2_000 * found.energy_per_input_token_j
    assert found.energy_per_request_j == pytest.approx(total)
    assert found.tokens_per_s_per_device == pytest.approx(found.requests_per_s * 300 / 5)


def test_equal_devices_and_a_perfect_link_are_one_machine():
    """Attention and experts in turn take what both take on one device that holds them."""
    here = machine("mi300x", network_latency=0.0)
    one = point("gpt-oss-120b", here, plan(batch=24.0))
    two = apart(
        here,
        plan(batch=24.0, expert_devices=1.0, expert_parts=1.0, expert_link=1e30),
        here,
        "gpt-oss-120b",
    )

    assert two.tpot_s == pytest.approx(one.tpot_s, rel=1e-12)
    assert two.ttft_s == pytest.approx(one.ttft_s, rel=1e-12)
    assert two.weights_s + two.offload_s > one.weights_s > two.weights_s
    assert two.tokens_per_s_per_device == pytest.approx(one.tokens_per_s_per_device / 2)
    assert two.cost_per_mtok_output_usd == pytest.approx(2 * one.cost_per_mtok_output_usd)
    assert two.energy_per_output_token_j > one.energy_per_output_token_j


def test_both_work_at_once_on_parts_of_a_batch():
    """Two parts take at least half of what turns take, and at least what the busier side takes."""
    here, there = machine("h20"), machine("h100-sxm")
    turns, two, three = (
        apart(here, APART._replace(batch=512.0, expert_parts=parts), there)
        for parts in (1.0, 2.0, 3.0)
    )

    assert turns.tpot_s / 2 < two.tpot_s < turns.tpot_s
    assert two.offload_s < turns.offload_s
    read = two.step_bytes - turns.step_bytes  # attention's weights, once for each part
    assert three.step_bytes - two.step_bytes == pytest.approx(read)
    given = apart(here, APART._replace(batch=512.0, expert_parts=0.0), there)
    assert given == two


@pytest.mark.parametrize("scheduler", BOTH)
def test_more_of_anything_never_slows_down(scheduler):
    here, there, code = machine("h20"), machine("h100-sxm"), float(BOTH.index(scheduler))
    links = ("1e8", "1e9", "1e11", "1e14")
    waits = [
        apart(here, APART._replace(scheduler=code, expert_link=float(link)), there)
        for link in links
    ]
    drafts = [
        drafted(here, DRAFTS._replace(scheduler=code, draft_link=float(link)), there)
        for link in links
    ]
    for rows in (waits, drafts):
        assert all(a.tpot_s > b.tpot_s and a.ttft_s >= b.ttft_s for a, b in pairwise(rows))
    for count in (8.0, 16.0, 64.0):
        more = apart(here, APART._replace(scheduler=code, expert_devices=count), there)
        assert more.status == 0.0
        assert more.offload_s <= waits[1].offload_s


@pytest.mark.parametrize("scheduler", BOTH)
def test_no_row_beats_its_bound(scheduler):
    code = float(BOTH.index(scheduler))
    for engine in ("vllm", "default", "llamacpp"):
        for batch in (1.0, 200.0):
            for found, rows in (
                (drafted, DRAFTS._replace(scheduler=code, batch=batch)),
                (apart, APART._replace(scheduler=code, batch=batch, expert_parts=2.0)),
            ):
                pair = machine("h100-sxm", engine), machine("l40s", engine)
                row = found(pair[0], rows, pair[1])
                here, there = ((device, ideal_engine(made)) for device, made in pair)
                bound = found(here, rows, there)
                not_faster(row, bound, rows, "not below its bound")
                parts = row.weights_s + row.kv_s + row.activations_s + row.compute_s
                parts += row.network_s + row.latency_s + row.prefill_s + row.offload_s
                assert parts == pytest.approx(row.tpot_s, rel=1e-12)


def test_a_server_runs_as_many_as_the_draft_holds():
    """A static batch runs as a whole or not at all."""
    here, there = machine("h100-sxm"), machine("rtx-4090")
    many = DRAFTS._replace(batch=5_000.0)
    server = drafted(here, many._replace(scheduler=1.0), there, "llama-3.1-8b")
    whole = drafted(here, many, there, "llama-3.1-8b")
    unfit = drafted(here, DRAFTS._replace(scheduler=1.0), there, "llama-3.3-70b")

    assert server.status == 0.0
    assert 1.0 <= server.running_batch == server.max_batch < 60.0
    assert whole.status == 7.0  # of its own KV cache
    assert drafted(here, DRAFTS._replace(batch=100.0), there, "llama-3.1-8b").status == 10.0
    assert unfit.status == 10.0


def test_prompts_take_as_long_as_on_the_slower_side():
    here = machine("h100-sxm")
    fast, slow = (drafted(here, DRAFTS, machine(name)) for name in ("b200", "m1-max"))
    prompts = evaluate(
        *(model("llama-3.2-1b"), *machine("m1-max"), FP8, KV, plan(batch=8.0), MONEY, *LENGTHS)
    )

    assert fast.ttft_s == point("llama-3.3-70b", here, plan(tp=4.0, batch=8.0)).ttft_s
    assert slow.ttft_s == pytest.approx(prompts.ttft_s, rel=1e-3)  # apart from the host


def test_experts_are_spread_evenly_over_the_fewest_devices():
    """DeepSeek-V3 in fp8: 654 GB of experts; 9 H100 hold 29 of 256 each."""
    known = (model("deepseek-v3"), *machine("h100-sxm"), FP8)
    assert fewest_expert_devices(*known) == 9.0
    for count, status in ((8.0, 11.0), (9.0, 0.0)):
        rows = plan(tp=8.0, expert_devices=count)
        assert apart(machine("h20"), rows, machine("h100-sxm"), "deepseek-v3").status == status
    assert apart(machine("h20"), APART, machine("h100-sxm"), "llama-3.3-70b").status == 3.0
    for field in ("pp", "ep"):
        two = APART._replace(**{field: 2.0})
        assert apart(machine("h20"), two, machine("h100-sxm")).status == 3.0


def test_deployments_of_devices_beside_rely_on_the_order_of_fields():
    h100, lpu = (catalog.load_device(name).record() for name in ("h100-sxm", "groq-lpu"))
    given = plan("continuous", tp=4.0, dp=2.0, prefix_hit=0.5, batch=9.0, draft_devices=3.0)
    own = records.Deployment(prefix_hit=0.5, batch=9.0, acceptance_decay=0.0)

    assert of_draft(given, h100) == own._replace(tp=3.0)
    assert of_draft(given, lpu) == own._replace(pp=3.0)
    given = given._replace(expert_devices=6.0, scheduler=0.0)
    assert of_experts(given, h100) == given._replace(tp=1.0, pp=1.0, dp=6.0, ep=6.0)
    assert of_experts(given, lpu) == given._replace(tp=1.0, pp=6.0, dp=1.0, ep=1.0)
