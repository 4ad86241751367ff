"""A server in steady state: other requests' prefill, queues, and waste in the KV cache."""

from perfcore.records import SCHEDULER_CONTINUOUS, SCHEDULER_STATIC, Engine

BUSIEST = 0.95  # largest share of time in prefill at which a queue is in steady state


def prompts_together(
    engine: Engine,
    scheduler: float,
    batch: float,
    groups: float,
    input_len: float,
    output_len: float,
) -> float:
    """Prompts prefilled in one pass.

    All of a static batch. In a server that keeps B requests in flight, B/O arrive per decode step.
    They share a pass up to its size in tokens; every attention group has its own pass.
    """
    if scheduler == SCHEDULER_STATIC:
        return batch
    arriving = batch * (1.0 / output_len)
    fitting = max(engine.prefill_chunk * (1.0 / input_len), 1.0) * groups
    return max(min(arriving, fitting), groups) if scheduler == SCHEDULER_CONTINUOUS else groups


def wasted_tokens(engine: Engine) -> float:
    """Tokens of KV cache that a sequence allocates but does not use: half of its last block."""
    return 0.5 * (engine.block_tokens - 1.0)


def interference_share(
    engine: Engine, scheduler: float, batch: float, per_output: float, per_prompt: float
) -> float:
    """Prefill passes that delay an average decode step.

    In steady state each of the other B - 1 requests is prefilled once per 1/``per_output`` steps,
    1/``per_prompt`` of them together.
    """
    others = max(batch - 1.0, 0.0) * per_output * per_prompt
    return engine.interference * others if scheduler == SCHEDULER_CONTINUOUS else 0.0


def queueing(service_s: float, load: float) -> float:
    """Mean wait for a server with constant service time: S rho / (2 (1 - rho)). [s]

    M/D/1, Pollaczek-Khinchine. Golden value: 0.375 s for S = 0.5 s, rho = 0.6.
    """
    bounded = min(load, BUSIEST)
    return 0.5 * service_s * bounded / (1.0 - bounded)


def prefill_pool(load: float, prompt_s: float, requests_per_s: float) -> float:
    """Prefill replicas per decode replica in a disaggregated server.

    A decode replica finishes ``requests_per_s`` and needs as many prefilled prompts, ``prompt_s``
    each. The pool is busy for a share ``load`` of the time.
    """
    return prompt_s * requests_per_s * (1.0 / load)
