"""Faulty sweep files: all faults at once, one line each, with file, key, value and remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.errors import InputError
from perfcore.space.spec import Spec

REMEDIES = (
    "did you mean",
    "write",
    "use",
    "add",
    "list",
    "name",
    "make",
    "give",
    "keep",
    "leave",
    "must be",
    "check",
    "save it",
    "swap",
    "start",
    "put",
    "move",
    "widen",
    "override",
    "accepted",
    "flatten",
)
AXES = '[axes]\nmodel = "llama-3-8b"\ndevice = "h100-sxm"\n'
HUGE = "{ linear = [1, 1000000], n = 1000000 }"


def faults_of(path, overrides=()):
    with pytest.raises(InputError) as caught:
        Spec.from_toml(path, overrides)
    return caught.value.faults


def assert_readable(fault, place):
    assert len(fault.splitlines()) == 1
    assert len(fault) < 600
    assert fault.startswith(str(place))
    remedy = fault[len(str(place)) :]
    assert any(word in remedy for word in REMEDIES), fault


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="sweep.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


# Lines of a file, and words that its only fault must contain.
DRAFT = 'draft_model = "llama-3.2-1b"\ndraft_device = "l40s"\n'
DRAFTS = "draft_len = 4\nacceptance = 0.8\n"
AXIS_FAULTS = [
    ("batch = 0", "axes.batch", "0"),
    ("batch = -4", "axes.batch", "-4"),
    ("batch = nan", "axes.batch", "nan"),
    ("batch = inf", "axes.batch", "inf"),
    ("batch = -inf", "axes.batch", "-inf"),
    ("batch = 1.5", "axes.batch", "1.5"),
    ("batch = true", "axes.batch", "True"),
    ("batch = 2024-01-01", "axes.batch", "2024"),
    ("batch = 1000001", "axes.batch", "1000001"),
    ("batch = 1" + "0" * 400, "axes.batch", "1000000"),
    ('batch = "1e400"', "axes.batch", "1e400"),
    ('batch = "1e99999999999999999999"', "axes.batch", "1e9999"),
    ('batch = "many"', "axes.batch", "'many'"),
    ('batch = ""', "axes.batch", "''"),
    ('batch = "4 GB"', "axes.batch", "'4 GB'"),
    ("batch = []", "axes.batch", "[]"),
    ("batch = [[1, 2]]", "axes.batch[1]", "[1, 2]"),
    ("batch = [1, 2, 1]", "axes.batch[3]", "duplicate"),
    ('batch = [1024, "1Ki"]', "axes.batch[2]", "duplicate"),
    ("batch = {}", "axes.batch", "{}"),
    ("batch = { log = [1, 8] }", "axes.batch", "lacks n"),
    ("batch = { log = [0, 8], n = 3 }", "axes.batch.log[1]", "0"),
    ("batch = { log = [8, 1], n = 3 }", "axes.batch.log", "[8, 1]"),
    ("batch = { log = [1, 8, 9], n = 3 }", "axes.batch.log", "[1, 8, 9]"),
    ("batch = { log = 8, n = 3 }", "axes.batch.log", "8"),
    ("batch = { log = [1, 8], n = 1 }", "axes.batch.n", "1"),
    ("batch = { log = [1, 8], n = 2.5 }", "axes.batch.n", "2.5"),
    ("batch = { log = [1, 8], n = 1000001 }", "axes.batch.n", "1000001"),
    ("batch = { linear = [1, 8], log = [1, 8], n = 2 }", "axes.batch", "not a range"),
    ("batch = { lin = [1, 8], n = 2 }", "axes.batch", "lin"),
    ("batch = { pow2 = [1, 8], n = 2 }", "axes.batch", "n = 2"),
    ("batch = { pow2 = [5, 7] }", "axes.batch.pow2", "[5, 7]"),
    ("batch = { scale = [1, 2] }", "axes.batch", "scale"),
    ("input_len = 100000001", "axes.input_len", "100000001"),
    ("tp = 65537", "axes.tp", "65537"),
    ("weight_format = []", "axes.weight_format", "[]"),
    ("weight_format = 8", "axes.weight_format", "8"),
    ('weight_format = ""', "axes.weight_format", "name"),
    ('weight_format = "fp99"', "axes.weight_format", "'fp99'"),
    ('weight_format = ["fp8", "fp-8"]', "axes.weight_format[2]", "fp-8"),
    ('weight_format = ["bf16", "fp16"]', "axes.weight_format[2]", "duplicate of 'bf16'"),
    ('kv_format = { family = "dense" }', "axes.kv_format", "family"),
    ('engine = "defualt"', "axes.engine", "did you mean 'default'"),
    ('engine = "./missing.toml"', "axes.engine", "missing.toml"),
    ("bacth = 4", "axes", "did you mean 'batch'"),
    ("xyzzy = 4", "axes", "use one of: model, device"),
    ('prefill_device = "h20"', "axes.prefill_device", "only a disaggregated server"),
    ("prefill_ratio = 0", "axes.prefill_ratio", "0"),
    ("prefill_tp = 0", "axes.prefill_tp", "0"),
    ('prefill_link = "3 GB"', "axes.prefill_link", "3 GB"),
    ('prefill_devise = "h20"', "axes", "did you mean 'prefill_device'"),
    (
        'scheduler = "disaggregated"\nprefill_device = "nothing"',
        "axes.prefill_device",
        "'nothing'",
    ),
    (
        'scheduler = "disaggregated"\noffload = "weights"\nprefill_tp = 2',
        "axes.prefill_tp",
        "beside offload",
    ),
    (f'{DRAFTS}draft_device = "l40s"', "axes.draft_device", "draft_model is missing"),
    (DRAFT, "axes.draft_model", "no tokens are drafted"),
    (f"{DRAFT}{DRAFTS}draft_devices = 0", "axes.draft_devices", "0"),
    (f'{DRAFT}{DRAFTS}draft_link = "3 GB"', "axes.draft_link", "3 GB"),
    (f'{DRAFT}{DRAFTS}offload = ["none", "kv"]', "axes.draft_model", "beside offload"),
    (f'{DRAFT}{DRAFTS}scheduler = "disaggregated"', "axes.draft_model", "beside disaggregated"),
    (f'{DRAFT}{DRAFTS}expert_device = "h20"', "axes.expert_device", "beside draft_model"),
    ("expert_parts = 2", "axes.expert_parts", "expert_device is missing"),
    ('expert_device = "h20"\nexpert_parts = 0', "axes.expert_parts", "0"),
    ('expert_device = "h20"\npp = 2', "axes.expert_device", "beside pp"),
    ('expert_device = "h20"\ndp = 2\nep = [1, 2]', "axes.expert_device", "beside ep"),
    ('"device.memory_bandwidth" = 4', "axes", "[what_if]"),
]
SECTION_FAULTS = [
    (
        "[what_if]\n'device.memory_bandwith' = 1",
        "what_if",
        "did you mean 'device.memory_bandwidth'",
    ),
    ("[what_if]\n'gpu.x' = 1", "what_if", "gpu.x"),
    ("[what_if]\n'device' = 1", "what_if", "axis"),
    ("[what_if]\n'tp' = 1", "what_if", "axis"),
    ("[what_if]\n'economics.utilization' = 0", "economics.utilization", "0"),
    ("[what_if]\n'economics.utilization' = 1.01", "economics.utilization", "1.01"),
    ("[what_if]\n'economics.pue' = 0.9", "economics.pue", "0.9"),
    ("[what_if]\n'economics.pue' = { scale = [1, 0.1] }", "economics.pue", "0.1"),
    ("[what_if]\n'engine.kv_efficiency' = 1.5", "engine.kv_efficiency", "1.5"),
    ("[what_if]\n'engine.kv_efficiency' = { scale = [1, 9] }", "engine.kv_efficiency", "9"),
    ("[what_if]\n'engine.launch' = '3 GB'", "engine.launch", "'3 GB'"),
    ("[what_if]\n'device.memory_bandwidth' = '3 TB'", "device.memory_bandwidth", "'3 TB'"),
    ("[what_if]\n'device.memory_bandwidth' = '3'", "device.memory_bandwidth", "no unit"),
    ("[what_if]\n'device.memory_bandwidth' = 0", "device.memory_bandwidth", "0"),
    ("[what_if]\n'device.memory_bandwidth' = { scale = [] }", "memory_bandwidth", "[]"),
    ("[what_if]\n'device.memory_bandwidth' = { scale = 0 }", "memory_bandwidth", "0"),
    ("[what_if]\n'device.memory_bandwidth' = { scale = 1, n = 2 }", "memory_bandwidth", "n"),
    ("[what_if]\n'device.spatial' = 0.5", "device.spatial", "0.5"),
    ("[what_if]\n'economics.pue' = 1.2\n[economics]\npue = 1.3", "economics.pue", "twice"),
    ("[[zip]]\naxes = ['tp', 'batch']", "zip[1].axes", "tp has 1, batch has 3"),
    ("[[zip]]\naxes = ['tp', 'bacth']", "zip[1].axes", "did you mean 'batch'"),
    ("[[zip]]\naxes = ['tp']", "zip[1].axes", "['tp']"),
    ("[[zip]]\naxes = ['tp', 'tp']", "zip[1].axes", "'tp'"),
    ("[[zip]]\naxes = ['tp', 'pp']\n[[zip]]\naxes = ['tp', 'model']", "zip[2].axes", "zip[1]"),
    ("[[zip]]\naxes = 'tp'", "zip[1].axes", "'tp'"),
    ("[[zip]]\naxis = ['tp', 'pp']\naxes = ['tp', 'pp']", "zip[1]", "did you mean 'axes'"),
    ("zip = 3", "zip", "3"),
    ("[[where]]\nmetric = 'tpot'\nmax = 1", "where[1].metric", "did you mean 'tpot_s'"),
    ("[[where]]\nmetric = 'batch'\nmax = 1", "where[1].metric", "axis"),
    ("[[where]]\naxis = 'bacth'\nmax = 1", "where[1].axis", "did you mean 'batch'"),
    ("[[where]]\nmetric = 'tpot_s'", "where[1]", "'tpot_s'"),
    ("[[where]]\nmax = 3", "where[1]", "3"),
    ("[[where]]\nmetric = 'tpot_s'\nmin = 2\nmax = '50 ms'", "where[1]", "'50 ms'"),
    ("[[where]]\nmetric = 'tpot_s'\nmax = '50 GB'", "where[1].max", "'50 GB'"),
    ("[[where]]\nmetric = 'tpot_s'\nmax = nan", "where[1].max", "nan"),
    ("[[where]]\nmetric = 'tpot_s'\nmax = 1" + "0" * 400, "where[1].max", "1000000"),
    ("[[where]]\nmetric = 'tpot_s'\nin = []", "where[1].in", "[]"),
    ("[[where]]\nmetric = 'status'\nin = ['okay']", "where[1].in[1]", "did you mean 'ok'"),
    ("[[where]]\nmetric = 'status'\nmax = 3", "where[1].max", "3"),
    ("[[where]]\naxis = 'device'\nin = ['h10']", "where[1].in[1]", "h10"),
    ("[[where]]\nmetric = 3\nmax = 3", "where[1].metric", "3"),
    ("[sample]\nn = 0", "sample.n", "0"),
    ("[sample]\nn = 3.0", "sample.n", "3.0"),
    ("[sample]\nn = true", "sample.n", "True"),
    ("[sample]\nnn = 3", "sample", "did you mean 'n'"),
    ("[sample]\nmethod = 'random'", "sample", "add n = 100000"),
    ("[sample]\nmethod = 'sobl'\nn = 3", "sample.method", "did you mean 'sobol'"),
    ("[sample]\nn = 3\nseed = -1", "sample.seed", "-1"),
    ("sample = 3", "sample", "3"),
    ("[output]\ncolumns = ['ttft']", "output.columns[1]", "did you mean 'ttft_s'"),
    ("[output]\ncolumns = ['ttft_s', 'ttft_s']", "output.columns[2]", "duplicate"),
    ("[output]\ncolumns = 'al'", "output.columns", "'al'"),
    ("[output]\ncolumns = []", "output.columns", "[]"),
    ("[output]\ndtype = 'float16'", "output.dtype", "float32, float64"),
    ("[output]\ncompression = 'zip'", "output.compression", "'zip'"),
    ("[output]\nkeep_infeasible = 'yes'", "output.keep_infeasible", "'yes'"),
    ("[output]\ncolums = 'all'", "output", "did you mean 'columns'"),
    ("[output]\nxyzzy = 1", "output", "use one of: columns, keep_infeasible"),
    ("[output]\n'a(b[' = 1", "output", "'a(b['"),
    ("[output]\nprofile = 'smal'", "output.profile", "did you mean 'small'"),
    ("[output]\nsignificant_bits = 25", "output.significant_bits", "25"),
    ("[output]\nsignificant_bits = 8.0", "output.significant_bits", "8.0"),
    ("[output]\nsignificant_bits = { tpot = 8 }", "significant_bits", "did you mean 'tpot_s'"),
    ("[output]\nsignificant_bits = { tpot_s = 3 }", "output.significant_bits.tpot_s", "3"),
    ("[output]\nrows_per_shard = 0", "output.rows_per_shard", "0"),
    ("[output]\nrows_per_shard = 1073741825", "output.rows_per_shard", "1073741825"),
    ("[output]\nrows_per_shard = 1e6", "output.rows_per_shard", "1000000.0"),
    ("[output]\nrows_per_shard = '1Mi'", "output.rows_per_shard", "'1Mi'"),
    ("[output]\nrows_per_shard = true", "output.rows_per_shard", "True"),
    ("[outputs]\ncolumns = 'all'", "outputs", "did you mean 'output'"),
    ("name = 3", "name", "3"),
    ("name = '  '", "name", "'  '"),
    ("batch = 3", "batch", "axes.batch"),
]
MODEL_FAULTS = [
    ("'lama-3-8b'", "axes.model", "llama-3-8b"),
    ("{ family = 'dens', params = '1B' }", "axes.model", "did you mean 'dense'"),
    ("{ params = '1B' }", "axes.model", "family"),
    ("{ family = 'dense' }", "axes.model", "params"),
    ("{ family = 'dense', params = '1 GB' }", "axes.model.params", "'1 GB'"),
    ("{ family = 'dense', params = 0 }", "axes.model.params", "0"),
    ("{ family = 'dense', params = '10000T' }", "axes.model.params", "10000T"),
    ("{ family = 'dense', params = '7B', active = 0.1 }", "axes.model.active", "0.1"),
    ("{ family = 'moe', params = '7B', active = '9B' }", "axes.model.active", "9B"),
    ("{ family = 'moe', params = '7B', active = 0 }", "axes.model.active", "0"),
    ("{ family = 'moe', params = '7B', actve = 0.1 }", "axes.model", "did you mean 'active'"),
    ("[{ family = 'dense', params = '7B' }, { family = 'dense', params = 7e9 }]", "model[2]", "7B"),
    ("[]", "axes.model", "[]"),
    ("7", "axes.model", "7"),
    ("{ family = 'dense', params = { linear = ['1B', '9B'], n = 20000 } }", "model", "20000"),
]


@pytest.mark.parametrize(("line", "key", "value"), AXIS_FAULTS)
def test_faulty_axis(write, line, key, value):
    path = write(f"{AXES}{line}\n")
    (fault,) = faults_of(path)

    assert_readable(fault, path)
    assert key in fault
    assert value in fault


@pytest.mark.parametrize(("section", "key", "value"), SECTION_FAULTS)
def test_faulty_section(write, section, key, value):
    head = "" if section.startswith("[") else f"{section}\n"
    tail = section if not head else ""
    lines = AXES if "batch = 3" in section else f"{AXES}batch = [1, 2, 3]\n"
    path = write(f"{head}{lines}{tail}\n")
    (fault,) = faults_of(path)

    assert_readable(fault, path)
    assert key in fault
    assert value in fault


@pytest.mark.parametrize(("model", "key", "value"), MODEL_FAULTS)
def test_faulty_model(write, model, key, value):
    path = write(f'[axes]\nmodel = {model}\ndevice = "h100-sxm"\n')
    (fault,) = faults_of(path)

    assert_readable(fault, path)
    assert key in fault
    assert value in fault


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("axes.batch", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("axes.batch=", "no value"),
        ("axes.batch=[1,", "'[1,'"),
        ('axes.batch="1', "TOML"),
        ("axes..batch=1", "'axes..batch'"),
        ("axes.batch=1\nname=2", "more than one value"),
        ("axes.batch.n=4", "not a table"),
        ("axes.batch=" + "[" * 5000, "TOML"),
        ("axes.batch=1" + "0" * 5000, "axes.batch"),
        ("axes.bacth=4", "did you mean 'batch'"),
        ("axes.batch=4 GB", "'4 GB'"),
    ],
)
def test_faulty_override(write, override, value):
    path = write(f"{AXES}batch = 1\n")
    (fault,) = faults_of(path, [override])

    assert len(fault.splitlines()) == 1
    assert fault.startswith(str(path))
    assert value in fault


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[axes\nmodel = 1", "not valid TOML"),
        (b"[axes]\nbatch = 1\nbatch = 2\n", "not valid TOML"),
        (b"[axes]\nmodel = '\xff\xfe'\n", "UTF-8"),
        (b"\x00\x01\x02", "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"a = 1" + b"0" * 5000, "not valid TOML"),
    ],
)
def test_file_that_is_no_toml(write, content, words):
    path = write(content)
    (fault,) = faults_of(path)

    assert len(fault.splitlines()) == 1
    assert fault.startswith(str(path))
    assert words in fault


def test_empty_file_lacks_model_and_device(write):
    path = write("")
    faults = faults_of(path)

    assert ["key 'model' is missing" in faults[0], "key 'device' is missing" in faults[1]] == [
        True
    ] * 2
    for fault in faults:
        assert_readable(fault, path)


def test_missing_file_and_directory(tmp_path):
    for path in (tmp_path / "no.toml", tmp_path, tmp_path / "no" / "such.toml"):
        (fault,) = faults_of(path)

        assert_readable(fault, path)


def test_unreadable_file(write, monkeypatch):
    path = write(AXES)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    (fault,) = faults_of(path)

    assert "may not be read" in fault
    assert_readable(fault, path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no entry"),
        (b"[x]\nbitts = 4\n", "bitts"),
        (b"[x]\nbits = -4\nlayout = 'a'\nquantised = true\nsource = 's'", "-4"),
        (b"[x]\nbits = nan\nlayout = 'a'\nquantised = true\nsource = 's'", "nan"),
        (b"[x]\nbits = 'four'\nlayout = 'a'\nquantised = true\nsource = 's'", "four"),
        (b"[x\n", "not valid TOML"),
        (b"\xff", "UTF-8"),
        (b"bits = 4", "bits"),
    ],
)
def test_faulty_catalogue_file_is_named_with_the_key_that_names_it(write, content, words):
    write(content, "kv.toml")
    path = write(f'{AXES}kv_format = "./kv.toml"\n')
    faults = faults_of(path)

    assert any(words in fault for fault in faults)
    for fault in faults:
        assert len(fault.splitlines()) == 1
        assert fault.startswith(f"{path}: axes.kv_format: ")
        assert "kv.toml" in fault


def test_a_space_beyond_64_bits_is_refused_with_its_size(write):
    axes = ("batch", "input_len", "output_len")
    lines = "\n".join(f"{axis} = {HUGE}" for axis in axes)
    path = write(f"{AXES}{lines}\ntp = [1, 2, 4, 8, 16]\npp = [1, 2]\n")
    (fault,) = faults_of(path)

    assert str(10**19) in fault
    assert_readable(fault, path)


def test_too_many_values_and_entries(write):
    names = ", ".join(f"'x{index}'" for index in range(10_001))
    path = write(f"{AXES}kv_format = [{names}]\n")
    (fault,) = faults_of(path)

    assert "10001" in fault
    assert_readable(fault, path)


def test_all_faults_of_a_file_are_told_at_once(write):
    path = write(
        """
        nam = "x"
        [axes]
        model = "lama-3-8b"
        device = "h1000"
        batch = [0, 1, nan]
        input_len = { log = [0, 8], n = 0 }
        [what_if]
        "device.memory_bandwith" = 1
        "economics.utilization" = 2
        [[zip]]
        axes = ["tp", "x"]
        [[where]]
        metric = "tpot"
        max = 3
        [[where]]
        metric = "ttft_s"
        max = "3 GB"
        [sample]
        n = -1
        [output]
        columns = ["mbuu"]
        dtype = "int8"
        """
    )
    faults = faults_of(path)

    for fault in faults:
        assert_readable(fault, path)
    for words in (
        "'nam'",
        "lama-3-8b",
        "h1000",
        "axes.batch[1]",
        "axes.batch[3]",
        "axes.input_len.log[1]",
        "axes.input_len.n",
        "memory_bandwith",
        "utilization",
        "zip[1].axes",
        "'tpot'",
        "3 GB",
        "sample.n",
        "mbuu",
        "int8",
    ):
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == 15


LETTERS = "ab.='\"[]{}#-_ ,019\n\r\t\0\u2028\u00e9%"
TEXT = st.text(LETTERS, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            TEXT
            | st.sampled_from(["linear", "log", "pow2", "scale", "n", "family", "params", "axes"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
SECTIONS = st.sampled_from(
    ["name", "axes", "what_if", "zip", "where", "sample", "output", "device", "economics", "x"]
)
AXIS_VALUES = st.dictionaries(
    st.sampled_from(["model", "device", "engine", "kv_format", "tp", "batch", "input_len"]), JSON
)


@given(st.dictionaries(SECTIONS, JSON), AXIS_VALUES)
def test_whatever_is_given_is_a_specification_or_readable_faults(sections, axes):
    document = {"axes": {"model": "llama-3-8b", "device": "h100", **axes}, **sections}
    try:
        Spec.from_dict(document, place="here")
    except InputError as error:
        for fault in error.faults:
            assert len(fault.splitlines()) == 1
            assert fault.startswith("here: ")


@given(st.text(LETTERS, max_size=40))
def test_any_override_is_applied_or_refused(text):
    document = {"axes": {"model": "llama-3-8b", "device": "h100"}}
    try:
        Spec.from_dict(document, place="here", overrides=[text])
    except InputError as error:
        for fault in error.faults:
            assert len(fault.splitlines()) == 1
            assert fault.startswith("here: ")
