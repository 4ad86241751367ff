"""Blocks of prompts that requests share."""

from itertools import pairwise

import numpy as np
import pytest

from perfcore.errors import InputError
from perfcore.traffic import requests as module
from perfcore.traffic.requests import Shared, check_context, gathered


def made(rows, session=None, shared=None, block_tokens=4):
    lengths, answers = (np.array(column) for column in zip(*rows, strict=True))
    return gathered(
        np.arange(len(rows), dtype=float),
        lengths,
        answers,
        None if session is None else np.array(session),
        shared=None if shared is None else Shared(*(np.array(part) for part in shared)),
        block_tokens=block_tokens,
    )


def blocks(requests):
    bounds = requests.first_block
    return [requests.block_hash[low:high].tolist() for low, high in pairwise(bounds)]


def test_requests_that_share_nothing_list_no_blocks():
    requests = made([(100, 5), (8, 1)])

    assert blocks(requests) == [[], []]
    assert requests.after.tolist() == requests.next.tolist() == [-1, -1]


def test_a_prefix_is_shared_as_far_as_its_whole_blocks():
    requests = made([(20, 1)] * 3, shared=([0, 1, 0], [11, 8, 8]))

    assert blocks(requests) == [[0, 1], [2, 3], [0, 1]]


def test_turns_extend_a_context():
    """The block that a prompt and an answer fill together is the next turn's, and listed there."""
    requests = made([(10, 3), (9, 1), (17, 2)], session=[5, 7, 5])

    assert requests.next.tolist() == [2, -1, -1]
    assert blocks(requests) == [[0, 1], [], [0, 1, 2]]  # 10 + 3 tokens fill three blocks


def test_a_shorter_prompt_is_a_new_context():
    requests = made([(10, 3), (12, 1), (20, 1)], session=[0, 0, 0])
    first, second, third = blocks(requests)

    assert requests.next.tolist() == [-1, 2, -1]
    assert first == []
    assert third[: len(second)] == second


def test_sessions_of_one_prefix_share_it_and_nothing_else():
    requests = made(
        [(10, 2), (16, 1), (10, 2), (16, 1)], session=[0, 0, 1, 1], shared=([0] * 4, [5] * 4)
    )
    one, two, other, another = map(set, blocks(requests))

    assert one & other == one & another == two & another == {0}
    assert one < two
    assert other < another


def test_too_many_blocks(monkeypatch):
    monkeypatch.setattr(module, "MOST_BLOCKS", 3)
    with pytest.raises(InputError, match="4 blocks of prompts are shared, more than 3; use fewer"):
        made([(20, 1)] * 2, shared=([0, 0], [8, 8]))


def test_requests_beyond_the_context():
    requests = made([(90, 10), (90, 11), (100, 1)])

    check_context(requests, 101, "llama")
    with pytest.raises(InputError) as caught:
        check_context(requests, 100, "llama")
    (fault,) = caught.value.faults
    assert fault.startswith(
        "2 of 3 requests cannot fit the context of llama, 100 tokens; the first is"
    )
    assert fault.endswith("request 2, with 90 + 11; shorten them or choose another model")
