"""A step with devices beside those of the model: its ends are the steady state's steps."""

import pytest

from perfcore.configuration.configuration import Configuration
from perfcore.physics.prefill import prompts_of
from perfcore.physics.stages.batch import batch_at
from perfcore.physics.stages.beside import apart_at, drafted_at, expert_side, of_draft
from perfcore.physics.stages.mixed import host_at, load_at, mixed_at, no_prompts, worked_at
from perfcore.physics.stages.mixed_beside import (
    apart_step,
    drafted_step,
    no_context,
    parts_of_step,
)
from perfcore.physics.stages.passes import context_at, decode_power
from perfcore.physics.stages.replica import prepare

LENGTHS = (2000.0, 100.0)
DRAFTS = {"draft_model": "llama-3.2-1b", "draft_len": 3, "acceptance": 0.8}
DRAFTED = {
    "plain": {"model": "llama-3.3-70b", "tp": 4, "draft_device": "l40s", **DRAFTS},
    "stages": {"model": "llama-3.3-70b", "tp": 2, "pp": 2, "draft_device": "l40s", **DRAFTS},
    "groups": {"model": "deepseek-v3", "tp": 2, "dp": 4, "ep": 8, "draft_device": "h100-sxm"}
    | DRAFTS,
    "windows": {"model": "llama-3.3-70b", "tp": 4, "draft_device": "l40s"}
    | {**DRAFTS, "draft_model": "gemma-3-1b"},
    "spatial": {"model": "llama-3.3-70b", "tp": 4, "draft_device": "groq-lpu", "draft_devices": 60}
    | DRAFTS,
}
APART = {
    "two": {"model": "deepseek-v3", "tp": 8, "expert_devices": 16},
    "turns": {"model": "deepseek-v3", "tp": 8, "expert_devices": 16, "expert_parts": 1},
    "groups": {"model": "qwen3-235b-a22b", "tp": 4, "dp": 4, "expert_devices": 8},
    "drafts": {"model": "deepseek-v3", "tp": 8, "expert_devices": 16, "draft_len": 1}
    | {"acceptance": 0.8, "expert_parts": 4},
    "limited": {"model": "deepseek-v3", "tp": 8, "expert_devices": 16}
    | {"overrides": {"device.board_power": "250 W"}},
}


def records(scheduler, **options):
    options = {"device": "h200-sxm", "engine": "vllm", "weight_format": "fp8"} | options
    return Configuration(scheduler=scheduler, **options).records


def drafted(scheduler, **options):
    made = records(scheduler, **options)
    there = made.draft
    deployment = of_draft(made.deployment, there.device)
    drafter = prepare(*there[:4], made.kv_format, deployment, made.economics)
    return prepare(*made[:7]), drafter


def apart(scheduler, **options):
    made = records(scheduler, **{"device": "h20", "expert_device": "h100-sxm"} | options)
    replica = prepare(*made[:7])
    there = made.experts
    side = expert_side(made.model, replica, *there, made.weight_format, made.economics)
    return replica, side


def written(replica, scheduler):
    return LENGTHS[1] * (replica.engine.length_spread if scheduler == "continuous" else 1.0)


def joules(replica, step, running, beside):
    """Energy of all boards in a step of the steady state."""
    seconds = step.seconds * replica.step_tokens
    watts = decode_power(replica.watts, step, replica.active_share * running.passes)
    return (watts * replica.layout.devices + beside.decode_w * beside.devices) * seconds


@pytest.mark.parametrize("scheduler", ["static", "continuous"])
@pytest.mark.parametrize("options", DRAFTED.values(), ids=DRAFTED)
def test_without_prompts_a_drafted_step_is_that_of_the_steady_state(options, scheduler):
    replica, drafter = drafted(scheduler, **options)
    running = batch_at(replica, 32.0, 32.0)
    steady = drafted_at(replica, drafter, running, *LENGTHS)
    contexts = (
        context_at(one, LENGTHS[0], written(replica, scheduler)) for one in (replica, drafter)
    )

    load = load_at(replica, 32.0, 0.0, 0.0, 0.0)
    found = drafted_step(
        *(replica, drafter, load, 32.0, 0.0, 0.0, *contexts, no_prompts(), no_prompts())
    )

    assert found.seconds == pytest.approx(steady.step.seconds * replica.step_tokens, rel=1e-12)
    expected = joules(replica, steady.step, running, steady.beside)
    assert found.energy_j == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scheduler", ["static", "continuous"])
@pytest.mark.parametrize("options", APART.values(), ids=APART)
def test_without_prompts_a_step_apart_is_that_of_the_steady_state(options, scheduler):
    """A batch that divides into its parts: others wait for the fullest part."""
    replica, side = apart(scheduler, **options)
    running = batch_at(replica, 64.0, 64.0)
    steady = apart_at(replica, side, running, *LENGTHS)
    context = context_at(replica, LENGTHS[0], written(replica, scheduler))

    parts = parts_of_step(replica, 64.0)
    load = load_at(replica, 64.0 / parts, 0.0, 0.0, 0.0)
    found = apart_step(replica, side, load, 64.0, 0.0, context, no_prompts())

    assert found.seconds == pytest.approx(steady.step.seconds * replica.step_tokens, rel=1e-12)
    expected = joules(replica, steady.step, running, steady.beside)
    assert found.energy_j == pytest.approx(expected, rel=1e-9)
    moved = steady.step.pass_bytes * running.passes
    assert found.bytes_moved == pytest.approx(moved, rel=1e-12)


def test_alone_prompts_are_those_of_the_steady_state():
    """With the host's time of a step. The draft reads while its model does."""
    for made, of, options in (
        (drafted, drafted_at, DRAFTED["plain"]),
        (apart, apart_at, APART["turns"]),
    ):
        replica, other = made("static", **options)
        steady = of(replica, other, batch_at(replica, 8.0, 8.0), *LENGTHS).prefill
        load = load_at(replica, 0.0, 8.0, 16000.0, 8.0)
        work = prompts_of(replica.model, 8.0, LENGTHS[0], 0.0)
        if made is drafted:
            own = prompts_of(other.model, 8.0, LENGTHS[0], 0.0)
            found = drafted_step(
                *(replica, other, load, 0.0, 8.0, 8.0, no_context(), no_context(), work, own)
            )
        else:
            found = apart_step(replica, other, load, 0.0, 8.0, no_context(), work)
        seconds = found.seconds - host_at(replica, 8.0)
        assert seconds == pytest.approx(steady.seconds + steady.cpu_s, rel=1e-9)


def test_a_slow_draft_holds_up_prompts():
    options = {**DRAFTED["plain"], "draft_device": "m1-max"}
    replica, drafter = drafted("static", **options)
    work, own = (prompts_of(one.model, 1.0, 2000.0, 0.0) for one in (replica, drafter))
    load = load_at(replica, 0.0, 1.0, 2000.0, 1.0)
    alone = mixed_at(drafter, load_at(drafter, 0.0, 1.0, 2000.0, 1.0), no_context(), own)

    found = drafted_step(
        *(replica, drafter, load, 0.0, 1.0, 1.0, no_context(), no_context(), work, own)
    )

    assert found.seconds == alone.seconds > mixed_at(replica, load, no_context(), work).seconds


def test_prompts_join_one_part_and_take_turns_with_the_experts():
    """More than without prompts, less than both steps one after the other."""
    replica, side = apart("continuous", **APART["two"])
    context = context_at(replica, *LENGTHS)
    work = prompts_of(replica.model, 1.0, 512.0, 0.0)
    half = load_at(replica, 32.0, 0.0, 0.0, 0.0)
    both = load_at(replica, 32.0, 1.0, 512.0, 1.0)
    decode = apart_step(replica, side, half, 64.0, 0.0, context, no_prompts())
    prompt = load_at(replica, 0.0, 1.0, 512.0, 1.0)
    alone = apart_step(replica, side, prompt, 0.0, 1.0, no_context(), work)

    found = apart_step(replica, side, both, 64.0, 1.0, context, work)

    assert max(decode.seconds, alone.seconds) < found.seconds < decode.seconds + alone.seconds
    assert max(decode.energy_j, alone.energy_j) < found.energy_j < decode.energy_j + alone.energy_j
    joined = worked_at(replica, both, context, work)
    plain = worked_at(replica, half, context, no_prompts())
    moved = plain.bytes_moved * half.passes + joined.bytes_moved * both.passes
    assert found.bytes_moved == pytest.approx(moved, rel=1e-12)
