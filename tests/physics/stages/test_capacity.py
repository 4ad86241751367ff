"""Running and waiting requests of a batch."""

from perfcore.physics.stages.capacity import capacity_at
from perfcore.physics.stages.replica import prepare
from physics.worked import CONTINUOUS, ENGINE, FP8, H100, KV16, LLAMA, MONEY, deployed


def test_who_must_wait():
    """A server's requests wait if their cache does not fit, but that of one request does."""

    def fit(batch, input_len=4_000.0, record=LLAMA, **fields):
        common = (record, H100, ENGINE, FP8, KV16, deployed(**fields), MONEY)
        return capacity_at(prepare(*common), batch, input_len, 96.0)

    room = fit(1e6, scheduler=CONTINUOUS)
    assert (room.status, room.batch) == (0.0, room.max_batch)
    assert 1.0 <= room.max_batch < 1e6
    assert fit(room.max_batch, scheduler=CONTINUOUS) == room
    assert fit(1e6).status == 7.0
    assert fit(1e6).batch == 1e6
    assert fit(1.0, input_len=1e9, scheduler=CONTINUOUS).status == 6.0
    endless = fit(1.0, input_len=1e9, record=LLAMA._replace(max_context=1e12), scheduler=CONTINUOUS)
    assert (endless.status, endless.batch, endless.max_batch) == (7.0, 1.0, 0.0)
