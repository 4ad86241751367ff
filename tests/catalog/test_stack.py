"""Releases, back ends, eager steps, runners, token budgets and power limits."""

import pytest

from perfcore import catalog
from perfcore.catalog import stack
from perfcore.catalog.stack import Stack, backend_in, measured_release, resolve, stated_release
from perfcore.errors import InputError

ENGINES = stack.engines()


def released(engine, version="", date=""):
    return measured_release(catalog.load_engine(engine), version, date, ENGINES)


def record(engine, device, **stated):
    found = resolve(catalog.load_engine(engine), catalog.load_device(device), Stack(**stated))
    return found.engine.record(catalog.load_device(device))


@pytest.mark.parametrize(
    ("engine", "version", "release"),
    [
        ("vllm", "0.2.5", "vllm-2023"),
        ("vllm", "0.2.6", "vllm-2024"),
        ("vllm", "v0.5.3.post1", "vllm-2024"),
        ("vllm", "0.6.x", "vllm-0.7"),
        ("vllm", "0.7.3", "vllm-0.7"),
        ("vllm", "0.7/0.8 (V0)", "vllm-0.7"),
        ("vllm", "0.8.0", "vllm"),
        ("vllm", "0.19.1rc1.dev339+gedc364896", "vllm-0.17"),
        ("vllm", "0.10.2", "vllm"),  # not before 0.7
        ("vllm", "0.14.0", "vllm-0.14"),
        ("vllm", "0.16.0", "vllm-0.14"),
        ("vllm", "0.17.0", "vllm-0.17"),
        ("vllm", "0.20.2", "vllm-2026"),
        ("vllm", "0.21", "vllm-2026"),
        ("vllm", "0.21.0rc1", "vllm-2026"),
        ("vllm", "v0.23.1", "vllm-2026"),
        ("vllm", "1.0", "vllm-2026"),
        ("trtllm", "0.16.0", "trtllm-2024"),
        ("trtllm", "0.17", "trtllm"),
        ("trtllm", "1.0.0rc3", "trtllm"),
        ("llamacpp", "b2276", "llamacpp-2024"),
        ("llamacpp", "b8123 Vulkan", "llamacpp"),
        ("sglang", "0.5.6.post2", "sglang"),
    ],
)
def test_a_version_selects_its_release_whenever_it_was_measured(engine, version, release):
    for date in ("", "2023-01", "2026-04-15"):
        found, remark = released(engine, version, date)

        assert (found.name, remark) == (release, "") or engine == "sglang"


@pytest.mark.parametrize("version", ["gpt-oss-dev", "NIM 1.8.0", "2024", "b1234"])
def test_the_date_decides_where_a_version_says_nothing_and_a_remark_says_so(version):
    old, remark = released("trtllm", version, "2024-05")
    new, _ = released("trtllm", version, "2025-10")

    assert (old.name, new.name) == ("trtllm-2024", "trtllm")
    assert remark == f"engine_version {version!r} is not understood: trtllm-2024 by its date"


def test_the_date_decides_without_a_version():
    dates = {"2023-11": "vllm-2023", "2024-09": "vllm-2024", "2025-02": "vllm-0.7", "": "vllm"}
    for date, release in dates.items():
        found, remark = released("vllm", "", date)

        assert (found.name, remark) == (release, "")


@pytest.mark.parametrize(
    ("engine", "version", "fault"),
    [
        ("vllm", f"{'9' * 5000}.1", "is not a version of vllm"),
        ("vllm", "newest", "'newest' is not a version of vllm; write it like 0.7"),
        ("vllm", "b4567", "'b4567' is not a version of vllm"),
        ("llamacpp", "0.7.3", "'0.7.3' is not a version of llamacpp; write it like b3050"),
        ("sglang", "0.5.6", "sglang has one entry for all its versions; leave it out"),
        ("vllm-2024", "0.5.1", "vllm-2024 is one release of vllm; leave out the version"),
        ("vllm-2026", "0.22", "vllm-2026 is one release of vllm; leave out the version"),
    ],
)
def test_a_version_that_no_entry_can_place_is_refused(engine, version, fault):
    with pytest.raises(InputError, match="engine_version: ") as error:
        stated_release(catalog.load_engine(engine), version)

    assert fault in str(error.value)


def test_releases_of_one_engine_are_in_the_same_order_by_version_and_by_date():
    for engine in ("vllm", "trtllm", "llamacpp"):
        older = [entry for entry in ENGINES if entry.release_of == engine and entry.until]
        by_date = sorted(older, key=lambda entry: entry.until)
        for before, after in zip(by_date, [*by_date[1:], catalog.load_engine(engine)], strict=True):
            found, _ = released(engine, before.until_version)
            assert found is before
            assert before.until < (after.until or "9999")


def test_eager_steps_start_operators_slower_where_graphs_exist():
    graphs, eager = (record("vllm", "h100-sxm", eager=flag) for flag in (False, True))

    assert eager.launch == pytest.approx(4 * graphs.launch)
    assert eager.launch_elementwise == pytest.approx(4 * graphs.launch_elementwise)
    assert eager.host_per_step == graphs.host_per_step
    for device in ("m4-max", "tpu-v5p", "epyc-9654"):
        assert record("vllm", device, eager=True) == record("vllm", device)


def test_releases_before_graphs_are_eager_already():
    old, new = (record(name, "a100-80gb-sxm") for name in ("vllm-2023", "vllm-2024"))

    assert old.launch == pytest.approx(4 * new.launch)
    assert record("vllm-2023", "a100-80gb-sxm", eager=True) == old


def test_offline_runs_have_no_server():
    server, offline = (
        record("vllm-2024", "h100-sxm", runner=runner) for runner in ("server", "offline")
    )

    assert server == record("vllm-2024", "h100-sxm")
    assert server.server_per_step > 0
    assert (offline.server_per_step, offline.server_per_sequence) == (0, 0)
    assert record("vllm", "h100-sxm", runner="offline").host_per_prefill == 10e-3
    found = resolve(
        catalog.load_engine("vllm"), catalog.load_device("h100-sxm"), Stack(runner="offline")
    )
    assert found.remarks == ("runner offline: no time of a server is counted",)


def test_a_token_budget_replaces_the_default_and_limits_what_goes_through_a_pipeline():
    small = record("vllm", "h100-sxm", prefill_chunk=2048)
    large = record("vllm", "h100-sxm", prefill_chunk=65536)

    assert (small.prefill_chunk, small.pipeline_chunk) == (2048, 2048)
    assert (large.prefill_chunk, large.pipeline_chunk) == (65536, 8192)


def test_a_measured_back_end_has_constants_of_its_own_where_it_was_measured():
    vulkan, hip = (record("llamacpp", "strix-halo", backend=one) for one in ("vulkan", "hip"))

    assert hip == record("llamacpp", "strix-halo")
    assert vulkan.compute_efficiency_gguf == pytest.approx(0.6 * hip.compute_efficiency_gguf)


def test_a_back_end_that_was_not_measured_says_so():
    device = catalog.load_device("rtx-4090")
    found = resolve(catalog.load_engine("llamacpp"), device, Stack(backend="vulkan"))

    assert found.engine.record(device) == record("llamacpp", "rtx-4090")
    (remark,) = found.remarks
    assert remark.startswith("backend vulkan was not measured with llamacpp on rtx-4090")


@pytest.mark.parametrize(
    ("device", "backends"),
    [
        ("h100-sxm", ("cuda", "vulkan")),
        ("mi300x", ("hip", "vulkan")),
        ("m4-max", ("metal", "vulkan")),
        ("arc-pro-b60", ("vulkan",)),
        ("epyc-9654", ("cpu",)),
        ("tpu-v5p", ()),
    ],
)
def test_back_ends_are_those_of_the_vendor(device, backends):
    entry = catalog.load_device(device)

    assert entry.backends == backends
    for backend in set(stack.BACKENDS) - set(backends):
        with pytest.raises(InputError, match=f"backend: {device} has no back end '{backend}'"):
            resolve(catalog.load_engine("llamacpp"), entry, Stack(backend=backend))


@pytest.mark.parametrize(
    ("version", "backend"),
    [("b8123 Vulkan", "vulkan"), ("0.9+rocm", "hip"), ("0.7.3", ""), ("0.18+cu128", "")],
)
def test_a_version_may_name_its_back_end(version, backend):
    assert backend_in(version) == backend


def test_a_power_limit_is_between_idle_and_rated_power():
    device = catalog.load_device("rtx-3090")
    engine = catalog.load_engine("default")

    limited = resolve(engine, device, Stack(power_limit=150.0)).device
    assert limited == device.record()._replace(board_power=150.0)
    assert limited.rated_power == device.board_power
    for watts in (1.0, device.board_power + 1.0):
        with pytest.raises(InputError, match=r"power_limit: .* give .* to 350 W"):
            resolve(engine, device, Stack(power_limit=watts))


def test_a_stack_without_inputs_changes_nothing():
    engine, device = catalog.load_engine("vllm"), catalog.load_device("h100-sxm")
    found = resolve(engine, device, Stack())

    assert found.engine is engine
    assert (found.device, found.remarks) == (device.record(), ())


OWN = 'base = "vllm"\nsource = "mine"\n'


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('until_version = "0.7"', "until_version: of an older release; add release_of and until"),
        ('release_of = "vllm"\nuntil = "2024-12"\nuntil_version = "new"', "until_version"),
        ('since_version = "0.7"', "release_of and until belong together"),
        (
            'release_of = "vllm"\nuntil = "2024-12"\nsince_version = "0.7"',
            "since_version: of releases that have no end; leave out until",
        ),
        ("[mine.backend.rocm.apu]\nlaunch = 2", "backend"),
        ("[mine.backend.vulkan.apu]\nlanch = 2", "unknown key 'lanch'; did you mean 'launch'?"),
        ("[mine.eager]\nlaunch = 0", "launch"),
        ('[mine.offline]\nhost_per_prefill = "9"', "host_per_prefill"),
    ],
)
def test_faults_of_an_entry(tmp_path, lines, fault):
    path = tmp_path / "mine.toml"
    path.write_text(f"[mine]\n{OWN}{lines}\n")

    with pytest.raises(InputError) as error:
        catalog.load_engine(str(path))

    assert fault in str(error.value)


def test_an_entry_of_ones_own_inherits_and_overrides(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f"[mine]\n{OWN}[mine.eager]\nlaunch = 2\n[mine.backend.vulkan.consumer-gpu]\nlaunch = 3\n"
    )
    graphs = record(str(path), "rtx-4090")
    eager = record(str(path), "rtx-4090", eager=True)
    vulkan = record(str(path), "rtx-4090", backend="vulkan")

    assert eager.launch == pytest.approx(2 * graphs.launch)
    assert eager.launch_elementwise == pytest.approx(4 * graphs.launch_elementwise)
    assert vulkan.launch == pytest.approx(3 * graphs.launch)
