"""Models, devices and engines of the worked examples, and complete configurations.

Sources: [H100] data sheet of the H100 SXM, 3.35 TB/s and 989 TFLOP/s; [fit] least-squares fit to
the H100 kernel tables of ai-dynamo/aiconfigurator@095f58a (Apache-2.0); [config] a model's
``config.json``, as in the catalogue. Numbers without a source are calculated by hand.
"""

import pytest

from perfcore import catalog, records
from perfcore.physics.decode import no_terms
from perfcore.physics.moe import log_passed_over
from perfcore.physics.parallelism import lay_out
from perfcore.physics.prefill import prefill_costs, prompts_of
from perfcore.physics.stages.point import evaluate
from perfcore.testing import ideal_engine

SIX_DIGITS = 5e-7


def digits(value):
    return pytest.approx(value, rel=SIX_DIGITS)


def model(name):
    return catalog.load_model(name).record()


def weights(name):
    return catalog.load_weight_format(name).record()


def cache(name):
    return catalog.load_kv_format(name).record()


def sheet(name):
    return catalog.load_device(name).record()


LLAMA = model("llama-3-70b")
DEEPSEEK = model("deepseek-v3")
H100 = sheet("h100-sxm")._replace(memory_bandwidth=3.35e12, flops_fp16=989e12)
ENGINE = catalog.load_engine("default").record(catalog.load_device("h100-sxm"))
ENGINE = ENGINE._replace(  # independent routing, equal output lengths, fp32 accumulation
    routing_independence=1.0, length_spread=1.0, narrow_accumulation=0.0
)
FITTED = ENGINE._replace(
    residue=1.0,
    launch=3.63e-6,
    compute_efficiency_16=0.802,
    memory_efficiency_16=0.845,
    one_shot_latency=2.77e-6,
    one_shot_hop=0.074e-6,
    one_shot_efficiency=0.62,
    two_shot_latency=27.8e-6,
    two_shot_efficiency=0.775,
)
IDEAL = ideal_engine(ENGINE)
BF16, FP8, INT4, MXFP4 = weights("bf16"), weights("fp8"), weights("int4-g128"), weights("mxfp4")
FP8_BLOCK = weights("fp8-block128")
KV16, KV8 = cache("bf16"), cache("fp8")
MONEY = catalog.default_economics()
ALONE = records.Deployment(
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
STATIC = records.SCHEDULER_STATIC
CONTINUOUS = records.SCHEDULER_CONTINUOUS
APART = records.SCHEDULER_DISAGGREGATED
NO_TERMS = no_terms()


def deployed(**fields):
    return ALONE._replace(**fields)


def whole(
    record,
    engine,
    *,
    device=H100,
    form=BF16,
    kv=KV16,
    money=MONEY,
    input_len=2_048.0,
    output_len=256.0,
    **fields,
):
    """Return the point of a configuration; ``fields`` are fields of the deployment."""
    return evaluate(
        record, device, engine, form, kv, deployed(**fields), money, input_len, output_len
    )


GEFORCE = H100._replace(
    flops_fp32=82.6e12,
    flops_fp16=165.2e12,
    flops_fp16_narrow=330.4e12,
    flops_fp8=660.8e12,
    flops_fp4=0.0,
)
NARROW = IDEAL._replace(narrow_accumulation=1.0)
WIDE_SUMS = IDEAL._replace(narrow_accumulation=0.0)


def passed_over(record):
    return log_passed_over(record.experts, record.experts_per_token)


def llama_prefill(engine, *, batch, input_len):
    layout = lay_out(LLAMA, H100, deployed(batch=batch))
    costs = prefill_costs(LLAMA, H100, engine, BF16, KV16, layout, 0.0, 0.0, 0.0, 0.0)
    return costs, prompts_of(LLAMA, batch, input_len, 0.0)


def roomy(memory):
    """Return a device and engine with all memory usable and a second tier at 50 GB/s."""
    engine = IDEAL._replace(
        memory_fraction=1.0,
        memory_reserve=0.0,
        host_memory_bytes=1e13,
    )
    device = H100._replace(memory_capacity=memory, memory2_capacity=0.0, memory2_bandwidth=50e9)
    return device, engine


SERVED = ENGINE._replace(
    interference=1.0,
    queue_weight=0.0,
    random_arrivals=0.0,
    prefill_chunk=1.0,
    host_per_prefill=0.0,
    block_tokens=1.0,
)


def serve(engine=SERVED, scheduler=CONTINUOUS, **fields):
    fields = {"tp": 8.0, "batch": 33.0, **fields}
    return whole(LLAMA, engine, scheduler=scheduler, **fields)


GROUPED = {"form": FP8, "tp": 1.0, "dp": 8.0, "batch": 64.0}
