"""A server in steady state: other requests' prefill, queues, and waste in the KV cache."""

from math import sqrt
from typing import NamedTuple

from perfcore.physics.roofline import TINY
from perfcore.records import SCHEDULER_CONTINUOUS, SCHEDULER_STATIC, Engine

ARRIVAL = 0.5  # steps; requests arrive in the middle of one, on average
BUSIEST = 0.95  # largest share of time in prefill at which a queue is in steady state


class Rhythm(NamedTuple):
    """Steps of a server while a request runs, on average, and the prompts that come first."""

    decode: float  # steps in which it writes tokens
    prefill: float  # steps up to the end of its prompt, including those before it starts
    company: float  # probability that others write tokens in a step that carries its prompt
    decode_share: float  # share of the running requests that write, in steps in which any do
    ahead: float  # prompts of others that are prefilled before its own
    between: float  # prompts of others that are prefilled between two of its decode steps


def rhythm(
    engine: Engine,
    batch: float,
    sequences: float,
    new_tokens: float,
    decode_steps: float,
    drafted: float,
) -> Rhythm:
    """Steps of a server that keeps ``batch`` requests running, ``sequences`` of them in a pass.

    A request writes tokens in D steps of ``drafted`` tokens each. A step has room for M tokens, so
    that its prompt of n ``new_tokens`` takes max(1, n / M) steps, and prompts of others that come
    first n / M each. Of these others, each is prefilled once while the request runs, a share q
    comes first, as requests arrive in waves, and of the rest 1 / (D + 1), or more if a step has no
    room for what is left. All steps K of all requests have room for all tokens:
    K M >= sequences (n + drafted D). The step in which a request arrives does not carry its prompt,
    nor does the next one if it is already scheduled.
    Each of the others writes tokens in a share D / K of all, and all B write B D while a request
    runs.
    """
    per_chunk = 1.0 / engine.prefill_chunk
    first = min(engine.queue_weight, 1.0)
    own_steps = new_tokens * per_chunk
    others = max(batch - 1.0, 0.0)
    beside = max(sequences - 1.0, 0.0)  # others of its passes
    room = batch / (sequences * own_steps)  # prompts that all passes of one step carry
    per_other = room / (others + TINY)
    between_share = between_of(first, decode_steps, per_other)
    ahead_share = ahead_of(first, decode_steps, per_other)
    prefill_steps = max(own_steps, 1.0) + ahead_share * beside * own_steps
    crowded = sequences * (own_steps + drafted * per_chunk * decode_steps)
    prefill = max(prefill_steps, crowded - decode_steps) + ARRIVAL + engine.scheduled_ahead
    company = min(beside * portion(decode_steps, prefill), 1.0)
    return Rhythm(
        decode=decode_steps,
        prefill=prefill,
        company=company,
        decode_share=portion(decode_steps, company * prefill),
        ahead=ahead_share * others,
        between=between_share * others,
    )


def between_of(first: float, decode_steps: float, room: float) -> float:
    """Share of other prompts between two of a request's decode steps, which have ``room``."""
    return min((1.0 - first) * (1.0 / (decode_steps + 1.0)), room)


def ahead_of(first: float, decode_steps: float, room: float) -> float:
    """Share of other prompts that come before a request's own: those not between its steps."""
    return 1.0 - decode_steps * between_of(first, decode_steps, room)


def portion(part: float, rest: float) -> float:
    """Share of ``part`` in the sum of both, which are not negative; 1 if both are 0."""
    return (part + TINY) / (part + rest + TINY)


def prompts_together(
    engine: Engine, scheduler: float, batch: float, sequences: float, groups: float, tokens: float
) -> float:
    """Prompts of ``tokens`` new tokens each that are prefilled in one pass.

    All of a static batch. In a server, those of a pass of each attention group, ``sequences``, up
    to the size of a step in tokens; a disaggregated server prefills one after the other.
    """
    if scheduler == SCHEDULER_STATIC:
        return batch
    if scheduler != SCHEDULER_CONTINUOUS:
        return groups
    return max(min(sequences, engine.prefill_chunk * (1.0 / tokens)), 1.0) * groups


def kept_output(engine: Engine, output_len: float) -> float:
    """Output tokens in the KV cache of the average running request of a server.

    All of them if they are reserved. On demand, requests are at all stages of their answers, and
    long answers run longer: O (1 + cv^2) / 2, as lengths vary by a factor of ``length_spread``.
    """
    on_demand = min(0.5 * engine.length_spread, 1.0)
    return output_len * (on_demand + engine.reserves_output * (1.0 - on_demand))


def wasted_tokens(engine: Engine) -> float:
    """Tokens of KV cache that a sequence allocates but does not use: half of its last block."""
    return 0.5 * (engine.block_tokens - 1.0)


def queueing(service_s: float, load: float) -> float:
    """Mean wait for a server with constant service time: S rho / (2 (1 - rho)). [s]

    M/D/1, Pollaczek-Khinchine. Golden value: 0.375 s for S = 0.5 s, rho = 0.6.
    """
    bounded = min(load, BUSIEST)
    return 0.5 * service_s * bounded / (1.0 - bounded)


def hand_over(layer_s: float, prefill_s: float, layers: float) -> float:
    """Time from the end of a prompt's prefill to the arrival of its cache in another pool. [s]

    The cache of a layer takes ``layer_s``. Every layer but the last is sent while the next ones are
    computed; if the link is slower, the others wait for it. Golden value: 0.32 s for 5 layers of
    0.08 s after a prefill of 0.1 s.
    """
    return layer_s + max(layer_s * layers - prefill_s, 0.0) * (1.0 - 1.0 / layers)


def pool_load(most_per_s: float, batch: float, seconds: float, service_s: float) -> float:
    """Share of the time in which a prefill pool of a given size is busy.

    Of ``batch`` requests in flight, each takes ``seconds`` and a wait for the pool, that of
    ``queueing``; the pool finishes at most k = ``most_per_s`` prompts per second. By Little's law
    k rho (T + S rho / (2 (1 - rho))) = B, which is quadratic in rho; for S = 0, rho is
    min(B / (k T), 1). Golden value: 0.75 for k = 1/s, B = 3, T = 2.5 s, S = 1 s.
    """
    served = most_per_s * seconds
    spread = (served - batch) * (served - batch) + 2.0 * batch * most_per_s * service_s
    return 2.0 * batch / (served + batch + sqrt(spread))


def prefill_pool(load: float, prompt_s: float, requests_per_s: float) -> float:
    """Prefill replicas per decode replica in a disaggregated server.

    A decode replica finishes ``requests_per_s`` and needs as many prefilled prompts, ``prompt_s``
    each. The pool is busy for a share ``load`` of the time.
    """
    return prompt_s * requests_per_s * (1.0 / load)
