"""Stage 1: a replica on its devices, and its status."""

from perfcore.physics.stages.batch import batch_at
from perfcore.physics.stages.capacity import cache_at
from perfcore.physics.stages.passes import attention_terms, away_at, context_at
from perfcore.physics.stages.replica import configuration_status, prepare
from physics.worked import (
    BF16,
    DEEPSEEK,
    ENGINE,
    H100,
    IDEAL,
    KV16,
    LLAMA,
    MONEY,
    deployed,
    digits,
    sheet,
)

# ------------------------------------------------------------------------------ attention


def test_replica_stages():
    """4 sequences on 8 H100s: context 4096 + 64/2, its cache, and attention over it."""
    replica = prepare(LLAMA, H100, IDEAL, BF16, KV16, deployed(tp=8.0), MONEY)
    running = batch_at(replica, 4.0, 4.0)
    context = context_at(replica, 4_096.0, 64.0)
    cache = cache_at(replica, 4_096.0, 64.0)
    terms = attention_terms(replica, running, context)

    assert context == (4_128.0, 4_128.0, 0.0)
    assert cache.per_sequence == 4_160 * 327_680
    assert cache.kept_per_sequence == digits(4_160 * 327_680 / 8)
    assert cache.shared == cache.shared_per_device == 0.0
    assert terms.weights == running.weights_s
    assert terms.kv == digits(4 * 4_128 * 327_680 / 8 / 3.35e12)
    assert away_at(replica, running, 1e12, 0.0) == (0.0, 0.0, 0.0)


# ------------------------------------------------------------------------ prefill and point


def test_configuration_status():
    def status(record=LLAMA, *, peak=1.0, size=1.0, room=2.0, device=H100, away=0.0, **fields):
        deployment = deployed(**fields)
        return configuration_status(record, device, ENGINE, deployment, peak, size, room, away)

    assert status(tp=8.0, pp=80.0) == 0.0
    assert status(tp=3.0, pp=81.0) == 1.0
    assert status(tp=8.0, pp=81.0) == 2.0
    assert status(tp=8.0, ep=2.0) == 3.0
    assert status(DEEPSEEK, tp=8.0, ep=3.0) == 3.0
    assert status(DEEPSEEK, tp=8.0, ep=8.0) == 0.0
    assert status(tp=8.0, peak=0.0) == 4.0
    assert status(tp=8.0, size=3.0) == 5.0
    assert status(tp=8.0, away=H100.host_memory_capacity) == 0.0
    assert status(tp=8.0, away=1.01 * H100.host_memory_capacity) == 8.0
    assert status(tp=8.0, pp=8.0, gpu_layers=7.0) == 2.0
    assert status(tp=3.0, pp=81.0, device=sheet("groq-lpu")) == 0.0
