"""A step that carries prompts: its ends are the decode step and the prefill."""

import pytest

from perfcore.configuration.configuration import Configuration
from perfcore.physics.prefill import prompts_of
from perfcore.physics.stages.batch import batch_at
from perfcore.physics.stages.mixed import load_at, mixed_at, no_prompts, with_prompt
from perfcore.physics.stages.passes import Context, context_at, prefill_at, step_at
from perfcore.physics.stages.replica import prepare

NOTHING = Context(0.0, 0.0, 0.0)
LAYOUTS = {
    "dense": {"model": "llama-3.1-8b"},
    "tp": {"model": "llama-3.1-70b", "tp": 4},
    "pp": {"model": "llama-3.1-70b", "tp": 2, "pp": 2},
    "windows": {"model": "gpt-oss-20b"},
    "latent": {"model": "deepseek-v3", "tp": 8},
    "sparse": {"model": "deepseek-v3.2", "tp": 8},
    "experts": {"model": "deepseek-v3", "tp": 2, "dp": 4, "ep": 8},
    "drafts": {"model": "llama-3.1-8b", "draft_len": 3, "acceptance": 0.8},
    "limited": {
        "model": "llama-3.1-8b",
        "overrides": {"device.board_power": "400 W"},
    },
}


def made(scheduler, **options):
    options = {"device": "h200-sxm", "engine": "vllm", "weight_format": "fp8"} | options
    return prepare(*Configuration(scheduler=scheduler, **options).records[:7])


@pytest.mark.parametrize("scheduler", ["static", "continuous"])
@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_without_prompts_it_is_a_decode_step(options, scheduler):
    replica = made(scheduler, **options)
    running = batch_at(replica, 32.0, 32.0)
    step = step_at(replica, running, 2000.0, 100.0)
    spread = replica.engine.length_spread if scheduler == "continuous" else 1.0
    context = context_at(replica, 2000.0, 100.0 * spread)

    mixed = mixed_at(replica, load_at(replica, 32.0, 0.0, 0.0, 0.0), context, no_prompts())

    assert mixed.seconds == pytest.approx(step.seconds * replica.step_tokens, rel=1e-12)
    assert mixed.bytes_moved == pytest.approx(step.pass_bytes * running.passes, rel=1e-12)
    assert mixed.flops == pytest.approx(step.pass_flops * running.passes, rel=1e-12)


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_alone_prompts_are_a_prefill(options):
    """With the host's time of a step, and the experts of the fullest rank."""
    replica = made("static", **options)
    prefill = prefill_at(replica, batch_at(replica, 8.0, 8.0), 2000.0, 100.0)
    load = load_at(replica, 0.0, 8.0, 16000.0, 8.0)

    mixed = mixed_at(replica, load, NOTHING, prompts_of(replica.model, 8.0, 2000.0, 0.0))

    host_s = load.host_s * replica.step_tokens
    uneven = 0.01 if options.get("ep") else 1e-12
    if options.get("overrides"):
        uneven = 0.1  # memory limits other parts of the time than a prefill counts
    assert mixed.seconds - host_s == pytest.approx(prefill.seconds, rel=uneven)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in {"pp", "experts"}])
def test_together_is_faster_than_apart_and_slower_than_either(layout):
    """Of one group and stage: others stand idle while a prompt runs alone."""
    replica = made("continuous", **LAYOUTS[layout])
    prompt = prompts_of(replica.model, 1.0, 512.0, 0.0)
    context = Context(1000.0, 1000.0, 128.0)

    decode = mixed_at(replica, load_at(replica, 16.0, 0.0, 0.0, 0.0), context, no_prompts())
    alone = mixed_at(replica, load_at(replica, 0.0, 1.0, 512.0, 1.0), NOTHING, prompt)
    both = mixed_at(replica, load_at(replica, 16.0, 1.0, 512.0, 1.0), context, prompt)

    assert max(decode.seconds, alone.seconds) < both.seconds
    assert both.seconds < decode.seconds + alone.seconds
    assert both.bytes_moved < decode.bytes_moved + alone.bytes_moved
    assert both.energy_j < decode.energy_j + alone.energy_j


def test_uneven_groups_wait_for_the_fullest():
    replica = made("continuous", model="llama-3.1-8b", tp=2, dp=4)
    context = Context(1000.0, 1000.0, 0.0)

    def step(writing):
        load = load_at(replica, writing, 0.0, 0.0, 0.0)
        return mixed_at(replica, load, context, no_prompts())

    assert step(32.0).seconds < step(33.0).seconds == step(36.0).seconds
    assert step(32.0).flops < step(33.0).flops < step(36.0).flops
    assert step(33.0).flops == pytest.approx(33.0 / 32.0 * step(32.0).flops)


def test_parts_of_prompts_add_up_to_the_prompt():
    replica = made("continuous", model="llama-3.1-8b")
    whole = prompts_of(replica.model, 1.0, 1000.0, 0.0)
    parts = no_prompts()
    for done in range(0, 1000, 250):
        parts = with_prompt(parts, prompts_of(replica.model, 1.0, 250.0, float(done)))

    assert parts.tokens == whole.tokens
    assert parts.global_pairs == pytest.approx(whole.global_pairs)
    assert parts.score_flops == pytest.approx(whole.score_flops)
