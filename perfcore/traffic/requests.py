"""Requests of a server as a structure of arrays, which the simulation reads."""

from typing import Final, NamedTuple

import numpy as np

from perfcore.errors import InputError
from perfcore.kernel.layout import Integers, Reals
from perfcore.units import plural

MOST_REQUESTS: Final = 5_000_000
MOST_BLOCKS: Final = 100_000_000
BLOCK_TOKENS: Final = 16  # of vLLM


class Requests(NamedTuple):
    """Requests of a server, in order of arrival.

    Arrays have the shape (requests,), except ``first_block`` and ``block_hash``. A request that
    waits for another one (a turn of a session, a client of a closed loop) follows it in order.
    """

    arrival_s: Reals  # without ``after``: ascending; otherwise the pause after that request's end
    input_len: Integers  # tokens of the prompt, including cached ones, at least 1
    output_len: Integers  # at least 1
    session: Integers  # -1: none
    after: Integers  # index of the request that must have finished first, -1: none
    next: Integers  # index of the following turn of the session, -1: none
    priority: Integers  # lower first
    block_tokens: int  # tokens of one hashed block of a prompt
    first_block: Integers  # (requests + 1,) offsets in ``block_hash``
    block_hash: Integers  # leading blocks that may be shared; equal: equal content and prefix


class Shared(NamedTuple):
    """Shared prefixes of prompts: the prefix of each request, and the tokens that it shares."""

    prefix: Integers  # (requests,) number of the prefix, -1: none
    tokens: Integers  # (requests,) leading tokens of the prompt that belong to the prefix


def gathered(
    arrival_s: Reals,
    input_len: Integers,
    output_len: Integers,
    session: Integers | None = None,
    after: Integers | None = None,
    shared: Shared | None = None,
    block_tokens: int = BLOCK_TOKENS,
) -> Requests:
    """Return requests with the blocks of their prompts that other requests share.

    A turn extends the context of the turn before it, prompt and answer, if its prompt is at least
    as long as both and begins with the same prefix; otherwise its context is a new one. Only blocks
    that another request can share are listed: those of a prefix, and those of a session's context.

    Raises
    ------
    InputError
        More than ``MOST_BLOCKS`` blocks are shared.
    """
    none = np.full(len(arrival_s), -1, np.int64)
    session = none if session is None else session
    if shared is None:
        shared = Shared(none, np.zeros_like(none))
    before, following = _turns(input_len, output_len, session, shared.prefix)
    first_block, block_hash = _blocks(
        input_len, output_len, before, following, shared, block_tokens
    )
    return Requests(
        arrival_s=arrival_s,
        input_len=input_len,
        output_len=output_len,
        session=session,
        after=none if after is None else after,
        next=following,
        priority=np.zeros_like(none),
        block_tokens=block_tokens,
        first_block=first_block,
        block_hash=block_hash,
    )


def _turns(
    input_len: Integers, output_len: Integers, session: Integers, prefix: Integers
) -> tuple[Integers, Integers]:
    """Return the turn that each one extends, and the turn that extends it; -1: none."""
    before = np.full(len(session), -1, np.int64)
    following = before.copy()
    order = np.argsort(session, kind="stable")
    one, other = order[:-1], order[1:]
    extends = (
        (session[one] == session[other])
        & (session[one] >= 0)
        & (input_len[other] >= input_len[one] + output_len[one])
        & (prefix[one] == prefix[other])
    )
    before[other[extends]] = one[extends]
    following[one[extends]] = other[extends]
    return before, following


def _blocks(
    input_len: Integers,
    output_len: Integers,
    before: Integers,
    following: Integers,
    shared: Shared,
    block_tokens: int,
) -> tuple[Integers, Integers]:
    """Return the offsets and ids of the blocks that may be shared."""
    known = np.where(before >= 0, input_len[before] + output_len[before], 0)
    listed = np.where(following >= 0, input_len, np.maximum(known, shared.tokens))
    listed = np.minimum(listed, input_len)
    counts = listed // block_tokens
    first_block = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=first_block[1:])
    if first_block[-1] > MOST_BLOCKS:
        raise InputError(
            f"{first_block[-1]:,} blocks of prompts are shared, more than {MOST_BLOCKS:,}; "
            "use fewer requests or larger blocks"
        )
    context = _contexts(before)
    of_context = _starts(context, counts)
    of_prefix = _starts(shared.prefix, shared.tokens // block_tokens)
    prefixes = of_prefix[-1] if len(of_prefix) else 0
    request = np.repeat(np.arange(len(counts)), counts)
    block = np.arange(first_block[-1]) - first_block[request]
    in_prefix = (block + 1) * block_tokens <= shared.tokens[request]
    block_hash = np.where(
        in_prefix,
        of_prefix[shared.prefix[request]] + block,
        prefixes + of_context[context[request]] + block,
    )
    return first_block, block_hash


def _contexts(before: Integers) -> Integers:
    """Return the context number of each request: that of the turn that it extends."""
    context = np.arange(len(before))
    for request in np.flatnonzero(before >= 0):  # in order: the turn before comes first
        context[request] = context[before[request]]
    return context


def _starts(group: Integers, counts: Integers) -> Integers:
    """Return the first id of each group, numbered by its largest count, and the end of the last."""
    named = group >= 0
    most = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    np.maximum.at(most, group[named], counts[named])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(most)])


def check_context(requests: Requests, longest: float, model: str) -> None:
    """Refuse requests whose prompt and answer exceed the context of a model.

    Raises
    ------
    InputError
        With their number, and the first of them.
    """
    too_long = np.flatnonzero(requests.input_len + requests.output_len > longest)
    if len(too_long):
        first = too_long[0]
        raise InputError(
            f"{len(too_long):,} of {plural(len(requests.input_len), 'request')} cannot fit the "
            f"context of {model}, {longest:,.0f} tokens; the first is request {first + 1}, with "
            f"{requests.input_len[first]:,} + {requests.output_len[first]:,}; "
            "shorten them or choose another model"
        )
