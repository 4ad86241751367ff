"""Requests of a server as a structure of arrays, which the simulation reads."""

from typing import NamedTuple

from perfcore.kernel.layout import Integers, Reals


class Requests(NamedTuple):
    """Requests of a server, in order of arrival.

    Arrays have the shape (requests,), except ``first_block`` and ``block_hash``. A request that
    waits for another one (a turn of a session, a client of a closed loop) follows it in order.
    """

    arrival_s: Reals  # without ``after``: ascending; otherwise the pause after that request's end
    input_len: Integers  # tokens of the prompt, cached ones included, at least 1
    output_len: Integers  # at least 1
    session: Integers  # -1: none
    after: Integers  # index of the request that must have finished first, -1: none
    next: Integers  # index of the following turn of the session, -1: none
    priority: Integers  # lower first
    block_tokens: int  # tokens of one hashed block of a prompt
    first_block: Integers  # (requests + 1,) offsets in ``block_hash``
    block_hash: Integers  # leading blocks that may be shared; equal: equal content and prefix
