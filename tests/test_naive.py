"""The physics against its oracle, ``naive``: two programs that share nothing but the document.

The oracle sums decode positions and query-key pairs at the midpoints of whole tokens. What a layer
sees has its kinks at whole tokens, so these sums equal the closed forms up to rounding.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import Naive, active_parameters, parameters

from perfcore import catalog, records
from perfcore.catalog.parameters import active_parameter_count, parameter_count
from perfcore.physics.sizing import of_prompts
from perfcore.physics.stages.point import Point, PromptMachine, evaluate
from perfcore.testing import devices as random_devices
from perfcore.testing import economics, engines, kv_formats, model_entries, weight_formats

RELATIVE = 1e-9
COMPRESSED = set("CHV")  # DeepSeek-V4: not in the document
ROUNDED = {"max_batch", "devices_needed"}
NO_COMPUTE_PATH = 4
TERMS = (
    "weights_s",
    "kv_s",
    "activations_s",
    "compute_s",
    "network_s",
    "latency_s",
    "prefill_s",
    "offload_s",
)


def known(entry):
    return not COMPRESSED & set(entry.layer_pattern)


PUBLISHED = [name for name in catalog.names("model") if known(catalog.load_model(name))]
KINDS = (
    "llama-3-70b",  # dense, grouped queries
    "llama-2-13b",  # dense, one KV head a query head
    "falcon-7b",  # one KV head for all, parallel block
    "gpt-2-xl",  # biases, learned positions, tied embedding
    "bloom-176b",  # norm of the embedding
    "gemma-3-27b",  # sliding window
    "llama-4-maverick-17b-128e",  # chunked window, every second layer of experts
    "gpt-oss-120b",  # experts only in 4 bit, with biases
    "mimo-v2-flash",  # other heads in window layers
    "deepseek-v2-lite",  # latent attention without a query latent
    "deepseek-v3",  # latent attention, shared expert, dense layers first
    "deepseek-v3.2",  # with a sparse indexer
    "qwen3-next-80b-a3b",  # Gated DeltaNet and attention
    "minimax-01",  # lightning attention
    "mamba-2.8b",  # no attention at all
    "nemotron-h-56b",  # layers that are a mixer or an FFN
    "nemotron-3-super-120b-a12b",  # experts in a narrower space
    "llama-3.3-nemotron-super-49b",  # layers without attention, six widths of FFN
    "longcat-flash",  # experts that compute nothing, dense FFN beside them
    "kimi-k3",  # Kimi delta attention and latent attention
    "lfm2-8b-a1b",  # short convolutions
    "glm-5.3-flash",  # Kimi delta attention beside latent attention with an indexer of pools
    "gemma-3n-e4b",  # layers that share a cache, per-layer embeddings, streams updated in turn
    "gemma-4-e2b",  # the same with heads of two widths, and FFNs twice as wide
    "falcon-h1-34b",  # attention and Mamba-2 side by side
    "laguna-xs.2",  # more heads in window layers, gates by head
    "ling-3.0-flash",  # Kimi delta attention with full rank, latent attention with gates by head
    "qwen3.8-flash-next",  # grouped queries with an indexer, n-gram tables in host memory
)


def both(entry, device, engine, weights, kv, layout, money, input_len, output_len):
    """Return the oracle's result and the physics', as dictionaries."""
    rest = device, engine, weights, kv
    naive = Naive(entry, *rest, money, layout, input_len, output_len).point()
    fast = evaluate(entry.record(), *rest, layout, money, input_len, output_len)
    return naive, fast._asdict()


def differences(naive, fast):
    """Return the columns in which the two differ, with both values."""
    if naive["status"] == NO_COMPUTE_PATH:
        return {} if fast["status"] == naive["status"] else {"status": fast["status"]}
    found = {}
    for name, expected in naive.items():
        actual = fast[name]
        same = math.isclose(actual, expected, rel_tol=RELATIVE, abs_tol=1e-15)
        same = same or (math.isnan(actual) and math.isnan(expected))
        if name == "bound":  # on a tie either is right
            parts = [naive[term] for term in TERMS]
            same = math.isclose(parts[int(actual)], max(parts), rel_tol=RELATIVE)
        if name in ROUNDED:  # a quotient that is whole but for rounding
            same = same or min(actual, expected) >= 2**24 - 1
        if not same:
            found[name] = (expected, actual)
    return found


def catalogued(model, device="h100-sxm", *, weights="bf16", kv="bf16", engine="default"):
    """Return entries and records by name, in the order of the oracle."""
    sheet = catalog.load_device(device)
    return (
        catalog.load_model(model),
        sheet.record(),
        catalog.load_engine(engine).record(sheet),
        catalog.load_weight_format(weights).record(),
        catalog.load_kv_format(kv).record(),
    )


PLAIN = records.Deployment(
    tp=1.0,
    pp=1.0,
    dp=1.0,
    ep=1.0,
    batch=1.0,
    scheduler=records.SCHEDULER_STATIC,
    prefix_hit=0.0,
    draft_len=0.0,
    acceptance=0.0,
    offload=records.OFFLOAD_NONE,
)
SCHEDULERS = (
    records.SCHEDULER_STATIC,
    records.SCHEDULER_CONTINUOUS,
    records.SCHEDULER_DISAGGREGATED,
)
OFFLOADS = (records.OFFLOAD_NONE, records.OFFLOAD_WEIGHTS, records.OFFLOAD_KV)
LAYOUTS = {
    "one": PLAIN,
    "tp": PLAIN._replace(tp=8.0),
    "padded": PLAIN._replace(tp=3.0),
    "pp": PLAIN._replace(tp=2.0, pp=4.0),
    "dp": PLAIN._replace(tp=2.0, dp=4.0),
    "ep": PLAIN._replace(tp=1.0, dp=8.0, ep=8.0),
    "wide ep": PLAIN._replace(tp=2.0, dp=16.0, ep=32.0, pp=2.0),
    "ep within tp": PLAIN._replace(tp=8.0, ep=4.0),
}
MONEY = catalog.default_economics()


deployments = st.builds(
    records.Deployment,
    tp=st.sampled_from((1.0, 2.0, 3.0, 4.0, 8.0, 16.0, 64.0)),
    pp=st.sampled_from((1.0, 1.0, 2.0, 7.0, 100.0)),
    dp=st.sampled_from((1.0, 1.0, 2.0, 8.0, 72.0)),
    ep=st.sampled_from((1.0, 1.0, 2.0, 8.0, 64.0)),
    batch=st.sampled_from((1.0, 2.0, 7.0, 64.0, 512.0)) | st.integers(1, 50_000).map(float),
    scheduler=st.sampled_from(SCHEDULERS),
    # the price of a token of next to none that are cached is lost in rounding
    prefix_hit=st.sampled_from((0.0, 0.0, 0.5)) | st.floats(1e-4, 0.99),
    draft_len=st.sampled_from((0.0, 0.0, 1.0, 4.0)),
    acceptance=st.sampled_from((0.0, 0.8, 1.0)) | st.floats(0.0, 0.99),
    acceptance_decay=st.sampled_from((0.0, 0.95, 1.0)) | st.floats(0.0, 1.0),
    offload=st.sampled_from(OFFLOADS),
    gpu_layers=st.just(PLAIN.gpu_layers),  # others: test_naive_hybrid.py
    cpu_moe_layers=st.just(PLAIN.cpu_moe_layers),
    # prefill pools of their own: test_every_pair; experts and drafts: test_naive_beside.py
    **{
        name: st.just(value)
        for name, value in PLAIN._asdict().items()
        if name.startswith(("prefill_", "expert_", "draft_")) and name != "draft_len"
    },
    layouts=st.sampled_from((0.0, 0.0, 1.0, 2.0, 3.0)),
    barred=st.sampled_from((0.0, 0.0, 0.0, 1.0)),
)
input_lens = st.sampled_from((1.0, 128.0, 8_192.0)) | st.integers(1, 12_000).map(float)
output_lens = st.sampled_from((1.0, 2.0, 1_000.0)) | st.integers(1, 3_000).map(float)


def test_oracle_has_every_column():
    result, _ = both(*catalogued("llama-3-70b"), LAYOUTS["tp"], MONEY, 1_024.0, 256.0)

    assert set(result) == set(Point._fields)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters(name):
    entry = catalog.load_model(name)

    assert parameters(entry) == parameter_count(entry)
    assert active_parameters(entry) == pytest.approx(active_parameter_count(entry), rel=1e-12)


MACHINES = (
    ("h100-sxm", "bf16", "bf16", 8.0, 1.0),
    ("a100-80gb", "fp8", "fp8", 1.0, 2.0),
    ("b200", "mxfp4", "int8", 4.0, 1.0),
    ("tpu-v5e", "int8", "bf16", 4.0, 4.0),
    ("rtx-4090", "q4_0", "fp8", 2.0, 1.0),
    ("groq-lpu", "fp8", "bf16", 64.0, 9.0),
)


@pytest.mark.parametrize(
    ("name", "machine", "scheduler"),
    [  # each kind on each machine, and twice with each scheduler
        (name, machine, SCHEDULERS[(kind + place) % len(SCHEDULERS)])
        for kind, name in enumerate(KINDS)
        for place, machine in enumerate(MACHINES)
    ],
)
def test_every_kind_of_model(name, machine, scheduler):
    device, weights, kv, tp, pp = machine
    entries = catalogued(name, device, weights=weights, kv=kv)
    layout = PLAIN._replace(tp=tp, pp=pp, batch=24.0, scheduler=scheduler)

    assert differences(*both(*entries, layout, MONEY, 9_000.0, 700.0)) == {}


@pytest.mark.parametrize(
    "name", ["llama-3-70b", "deepseek-v3", "gpt-oss-120b", "qwen3-next-80b-a3b"]
)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ["ideal", "vllm"])
def test_every_layout(name, scheduler, layout, engine):
    """All schedules and layouts, with cached prompts, speculation and offloading."""
    entries = catalogued(name, "h200-sxm", weights="fp8", engine=engine)
    padding = entries[2]._replace(pads_heads=1.0)
    entries = (*entries[:2], padding, *entries[3:])
    for batch, hit, drafted, offload in (
        (96.0, 0.0, 0.0, records.OFFLOAD_NONE),
        (96.0, 0.37, 3.0, records.OFFLOAD_NONE),
        (4_000.0, 0.0, 2.0, records.OFFLOAD_WEIGHTS),
        (4_000.0, 0.5, 0.0, records.OFFLOAD_KV),
    ):
        plan = LAYOUTS[layout]._replace(
            batch=batch,
            scheduler=scheduler,
            prefix_hit=hit,
            draft_len=drafted,
            acceptance=0.8,
            offload=offload,
        )
        assert differences(*both(*entries, plan, MONEY, 3_001.0, 500.0)) == {}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("name", "device", "weights"),
    [
        ("llama-3-70b", "h100-sxm", "fp8-block128"),
        ("deepseek-v3", "h100-sxm", "fp8-block128"),
        ("deepseek-v3.2", "a100-80gb", "fp8-block128"),
        ("gpt-oss-120b", "h100-sxm", "mxfp4-gguf-q8"),
        ("gpt-oss-120b", "rtx-4090", "q4_k_m"),
        ("gemma-3-27b", "rtx-5090", "fp8"),
        ("llama-4-maverick-17b-128e", "rtx-3090", "bf16"),
        ("qwen3-next-80b-a3b", "groq-lpu", "int8-w8a8"),
    ],
)
def test_every_constant(name, device, weights, scheduler, layout):
    """Constants that most engines leave at nothing, or at one, all at other values."""
    entry, sheet, engine, *formats = catalogued(name, device, weights=weights)
    engine = engine._replace(
        narrow_accumulation=1.0,
        routing_independence=0.3,
        length_spread=1.7,
        host_per_device=30e-6,
        server_per_step=1e-3,
        server_per_device=70e-6,
        server_per_sequence=2e-5,
        sampling_per_sequence=3e-6,
        attention_prefill_memory_efficiency=0.2,
        memory_energy_factor=1.7,
        compute_energy_factor=0.9,
        pads_heads=1.0,
        expert_half_width=300.0,
        expert_half_width_4_weight_only=900.0,
    )
    factors = (field for field in engine._fields if field.startswith(("low_", "high_")))
    engine = engine._replace(**{field: 0.5 + 0.125 * index for index, field in enumerate(factors)})
    for batch, hit, drafted, dense in ((1.0, 0.0, 0.0, 0.0), (70.0, 0.3, 2.0, 1.0)):
        engine = engine._replace(dense_experts=dense)
        plan = LAYOUTS[layout]._replace(
            batch=batch, scheduler=scheduler, prefix_hit=hit, draft_len=drafted, acceptance=0.7
        )
        assert differences(*both(entry, sheet, engine, *formats, plan, MONEY, 3_001.0, 333.0)) == {}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.85, 0.5, 0.25, 0.12])
def test_every_power_limit(share, layout, scheduler):
    """Power limits that slow only prefill, all steps, below the least voltage, and below idle."""
    for name, device, weights in (
        ("llama-3-70b", "h100-sxm", "fp8"),
        ("deepseek-v3.2", "b200", "nvfp4"),
        ("gpt-oss-20b", "rtx-3090", "mxfp4"),
        ("gemma-3-27b", "groq-lpu", "int8-w8a8"),
    ):
        entry, sheet, *others = catalogued(name, device, weights=weights)
        capped = sheet._replace(board_power=share * sheet.board_power)
        for batch in (1.0, 70.0):
            plan = LAYOUTS[layout]._replace(batch=batch, scheduler=scheduler)
            point = entry, capped, *others, plan, MONEY, 3_001.0, 333.0
            assert differences(*both(*point)) == {}


@given(
    model=st.sampled_from(PUBLISHED),
    device=st.sampled_from(catalog.names("device")),
    weights=st.sampled_from(catalog.names("weight_format")),
    kv=st.sampled_from(catalog.names("kv_format")),
    engine=st.sampled_from(catalog.names("engine")),
    layout=deployments,
    money=economics(),
    input_len=input_lens,
    output_len=output_lens,
)
def test_catalogue(model, device, weights, kv, engine, layout, money, input_len, output_len):
    entries = catalogued(model, device, weights=weights, kv=kv, engine=engine)

    assert differences(*both(*entries, layout, money, input_len, output_len)) == {}


@given(
    entry=model_entries(max_layers=40).filter(known),
    device=random_devices(),
    engine=engines(),
    weights=weight_formats(),
    kv=kv_formats(),
    layout=deployments,
    money=economics(),
    input_len=input_lens,
    output_len=output_lens,
)
def test_random_records(entry, device, engine, weights, kv, layout, money, input_len, output_len):
    results = both(entry, device, engine, weights, kv, layout, money, input_len, output_len)

    assert differences(*results) == {}


def test_group_penalty_of_a_model_without_attention():
    entry, device, engine, *rest = catalogued("mamba-2.8b")
    whole_loss = engine._replace(kv_group_penalty=1.0)
    layout = PLAIN._replace(batch=4.0)

    assert differences(*both(entry, device, whole_loss, *rest, layout, MONEY, 900.0, 100.0)) == {}


RATES = {
    "elasticity_bandwidth": ("memory_bandwidth",),
    "elasticity_compute": tuple(
        name for name in records.Device._fields if name.startswith("flops")
    ),
    "elasticity_link": ("link_bandwidth", "network_bandwidth"),
}
DELAYS = tuple(
    name
    for name in records.Engine._fields
    if name.startswith(("launch", "host_per_s", "host_per_d", "server_per", "sampling"))
    or name.endswith(("_latency", "_hop"))
)


@pytest.mark.parametrize("name", ["llama-3-70b", "deepseek-v3", "gpt-oss-120b"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_elasticities_are_derivatives(name, scheduler, layout):
    """The parts of the oracle's time against the time of a slightly faster machine.

    That of a disaggregated server has as many requests that still wait for their prompts.
    """
    entry, device, engine, weights, kv = catalogued(name, "h200-sxm", weights="fp8")
    engine = engine._replace(pads_heads=1.0)
    plan = LAYOUTS[layout]._replace(
        batch=200.0, scheduler=scheduler, draft_len=2.0, acceptance=0.7, prefix_hit=0.2
    )

    def oracle(device, engine):
        naive = Naive(entry, device, engine, weights, kv, MONEY, plan, 2_000.0, 300.0)
        naive.given_share = share
        return naive

    share = None
    as_run = oracle(device, engine).as_run()
    if as_run.disaggregated:
        share = as_run.life(as_run.prefill()).share

    def slope(change, columns):
        """Return the relative change of TPOT per relative change of some fields."""
        times = []
        for factor in (1 - 1e-5, 1 + 1e-5):
            records_ = [device, engine]
            old = records_[change]
            fields = {column: factor * getattr(old, column) for column in columns}
            records_[change] = old._replace(**fields)
            times.append(oracle(*records_).point()["tpot_s"])
        return (times[1] - times[0]) / 2e-5 / point["tpot_s"]

    point = oracle(device, engine).point()
    for column, rates in RATES.items():
        assert point[column] == pytest.approx(-slope(0, rates), abs=1e-6)
    assert point["elasticity_latency"] == pytest.approx(slope(1, DELAYS), abs=1e-6)


def pair(entry, machines, formats, plan, money, input_len, output_len):
    """Return the oracle's result and the physics' of decode on one machine, prompts on another."""
    (device, engine), prompts = machines
    naive = Naive(entry, device, engine, *formats, money, plan, input_len, output_len)
    naive.prompts_on = (*prompts, of_prompts(plan))
    fast = evaluate(
        *(entry.record(), device, engine, *formats, plan, money, input_len, output_len),
        PromptMachine(*prompts),
    )
    return naive.point(), fast._asdict()


@pytest.mark.parametrize(
    ("name", "weights", "decode", "prompts"),
    [
        ("llama-3-70b", "fp8", ("h20", 4.0, 1.0), ("h100-sxm", 8.0, 1.0)),
        ("deepseek-v3", "fp8-block128", ("h200-sxm", 8.0, 2.0), ("b200", 4.0, 2.0)),
        ("gpt-oss-120b", "mxfp4", ("m3-ultra", 1.0, 1.0), ("dgx-spark", 1.0, 1.0)),
        ("qwen3-next-80b-a3b", "fp8", ("groq-lpu", 1.0, 700.0), ("h100-sxm", 2.0, 1.0)),
        ("gemma-3-27b", "bf16", ("rtx-4090", 4.0, 1.0), ("groq-lpu", 1.0, 900.0)),
    ],
)
@pytest.mark.parametrize("engine", ["ideal", "vllm"])
@pytest.mark.parametrize(("ratio", "link"), [(0.0, 0.0), (0.0, 1e8), (0.02, 0.0), (3.0, 1e8)])
def test_every_pair(name, weights, decode, prompts, engine, ratio, link):
    """Layouts, sizes of the pool that are too small or not, and links that are too slow or not."""
    entry, *ours, wide, cache = catalogued(name, decode[0], weights=weights, engine=engine)
    _, *others = catalogued(name, prompts[0], weights=weights)[:3]
    plan = PLAIN._replace(
        tp=decode[1],
        pp=decode[2],
        prefill_tp=prompts[1],
        prefill_pp=1.0 if prompts[2] < 3.0 else prompts[2],
        prefill_dp=prompts[2] if prompts[2] < 3.0 else 1.0,
        prefill_ep=1.0,
        prefill_ratio=ratio,
        prefill_link=link,
        scheduler=records.SCHEDULER_DISAGGREGATED,
    )
    for batch, hit, drafted in ((70.0, 0.3, 2.0), (9_000.0, 0.0, 0.0)):
        each = plan._replace(batch=batch, prefix_hit=hit, draft_len=drafted, acceptance=0.7)
        found = pair(entry, (ours, others), (wide, cache), each, MONEY, 3_001.0, 333.0)
        assert differences(*found) == {}
