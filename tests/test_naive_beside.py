"""Drafts and experts on devices of their own against the oracle, which follows each part."""

import pytest
from naive.beside import Apart, WithDraft
from naive.point import Naive

from perfcore import catalog, records
from perfcore.physics.stages.beside import DraftMachine, ExpertMachine
from perfcore.physics.stages.point import evaluate

MONEY = catalog.default_economics()
KV = catalog.load_kv_format("bf16").record()


def close(value):
    return pytest.approx(value, rel=1e-9)


def machine(device, engine):
    sheet = catalog.load_device(device)
    return sheet.record(), catalog.load_engine(engine).record(sheet)._replace(pads_heads=1.0)


@pytest.mark.parametrize("batch", [1.0, 24.0])
@pytest.mark.parametrize(
    ("device", "engine", "tp", "draft", "draft_device", "draft_devices"),
    [
        ("h100-sxm", "vllm", 4.0, "llama-3.2-1b", "l40s", 1.0),
        ("mi300x", "ideal", 1.0, "gemma-3-1b", "rtx-4090", 2.0),
        ("m3-ultra", "llamacpp", 1.0, "qwen3-30b-a3b", "m4-max", 1.0),
        ("h20", "default", 8.0, "llama-3.2-1b", "groq-lpu", 60.0),
    ],
)
def test_draft(device, engine, tp, draft, draft_device, draft_devices, batch):
    for name, input_len, link in (("llama-3.3-70b", 3_000.0, 0.0), ("deepseek-v3", 700.0, 2e6)):
        weights = catalog.load_weight_format("fp8").record()
        plan = records.Deployment(
            tp=tp,
            batch=batch,
            prefix_hit=0.25,
            draft_len=3.0,
            acceptance=0.8,
            draft_devices=draft_devices,
            draft_link=link,
        )
        here, there = machine(device, engine), machine(draft_device, engine)
        entry, drafter = catalog.load_model(name), catalog.load_model(draft)
        spatial = bool(there[0].spatial)
        degrees = {"pp" if spatial else "tp": draft_devices}
        own = records.Deployment(batch=batch, prefix_hit=0.25, **degrees)
        lengths = (input_len, 200.0)
        naive = WithDraft(entry, *here, weights, KV, MONEY, plan, *lengths)
        drafting = Naive(drafter, *there, weights, KV, MONEY, own, *lengths)
        other = DraftMachine(drafter.record(), *there, weights)
        point = evaluate(entry.record(), *here, weights, KV, plan, MONEY, *lengths, draft=other)
        tpot, first = naive.answers(drafting)
        assert point.tpot_s == close(tpot)
        assert point.ttft_s == close(first)


@pytest.mark.parametrize("parts", [1.0, 2.0, 5.0])
@pytest.mark.parametrize(
    ("device", "tp", "expert_device", "expert_devices", "link"),
    [
        ("h20", 8.0, "h100-sxm", 16.0, 0.0),
        ("h100-sxm", 1.0, "l40s", 3.0, 1e9),
        ("mi300x", 4.0, "mi300x", 1.0, 1e12),
    ],
)
def test_experts(device, tp, expert_device, expert_devices, link, parts):
    """Attention, link and experts serve one part at a time; the oracle follows the parts."""
    for name, engine, batch in (
        ("qwen3-235b-a22b", "vllm", 60.0),
        ("deepseek-v3", "ideal", 2.0),
        ("gpt-oss-120b", "default", 700.0),
    ):
        weights = catalog.load_weight_format("fp8").record()
        plan = records.Deployment(
            tp=tp,
            batch=batch,
            prefix_hit=0.25,
            expert_devices=expert_devices,
            expert_parts=parts,
            expert_link=link,
        )
        here, there = machine(device, engine), machine(expert_device, engine)
        entry = catalog.load_model(name)
        own = records.Deployment(dp=expert_devices, ep=expert_devices, batch=batch)
        lengths = (1_000.0, 300.0)
        naive = Apart(entry, *here, weights, KV, MONEY, plan, *lengths)
        routed = Naive(entry, *there, weights, KV, MONEY, own, *lengths)
        other = ExpertMachine(*there)
        point = evaluate(entry.record(), *here, weights, KV, plan, MONEY, *lengths, experts=other)
        tpot, first = naive.answers(routed)
        assert point.tpot_s == close(tpot)
        assert point.ttft_s == close(first)
