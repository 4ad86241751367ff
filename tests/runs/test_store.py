"""Runs in object stores, by a server of the S3 protocol on loopback, and in directories."""

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import filelock
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

import perfcore
import runs
from perfcore.errors import InputError, OutputError
from perfcore.runs import store as store_module
from perfcore.runs.check import verify
from perfcore.runs.run import sweep
from perfcore.runs.store import Bucket, Directory, Draft, open_store
from runs import ROWS_PER_SHARD, SHARDS, SPEC, cli, hashes, manifest_of
from runs.proxy import failing

BUCKET = "perfcore-tests"
MACHINE = store_module._machine()  # noqa: SLF001 - in the names of drafts


@pytest.fixture(scope="module")
def s3():
    """A client of a server that stands where AWS_ENDPOINT_URL says."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client
        client.close()
    server.stop()


@pytest.fixture
def address(s3):
    assert s3
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/run"


def space():
    """The sweep in fewer shards: each takes several requests of a bucket."""
    return runs.space(rows_per_shard=20 * ROWS_PER_SHARD)


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SPEC.replace(f"= {ROWS_PER_SHARD}\n", f"= {20 * ROWS_PER_SHARD}\n"))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    sweep(space(), path, 2)
    return path


def objects(s3, address):
    prefix = address.removeprefix(f"s3://{BUCKET}/") + "/"
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {entry["Key"].removeprefix(prefix): entry["Key"] for entry in found}


def content(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_a_run_in_a_bucket_has_the_same_bytes(s3, address, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = perfcore.sweep(space(), address)
    found = objects(s3, address)
    files = {f"data/{path.name}": path.read_bytes() for path in (whole / "data").iterdir()}

    assert {name for name in found if name.startswith("data/")} == set(files)
    assert all(content(s3, found[name]) == files[name] for name in files)
    assert {**run.manifest, "wall_s": 0, "finished": ""} == {
        **perfcore.open_run(whole).manifest,
        "wall_s": 0,
        "finished": "",
    }
    assert perfcore.open_run(address).to_arrow().equals(perfcore.open_run(whole).to_arrow())
    assert run.location == address
    with pytest.raises(InputError, match="is in an object store"):
        _ = run.path
    assert list(tmp_path.iterdir()) == []


def test_damage_in_a_bucket_is_found_and_repaired(s3, address, whole, spec):
    assert cli("run", spec, "-o", address, "--quiet").exit_code == 0
    found = objects(s3, address)
    body = bytearray(content(s3, found["data/part-00001.parquet"]))
    body[100] ^= 1
    s3.put_object(Bucket=BUCKET, Key=found["data/part-00001.parquet"], Body=bytes(body))
    s3.put_object(Bucket=BUCKET, Key=found["data/part-00003.parquet"], Body=b"PAR1")
    s3.delete_object(Bucket=BUCKET, Key=found["data/part-00000.parquet"])
    checked = cli("verify", address)

    assert checked.exit_code == 2
    assert "part-00001.parquet: its bytes have changed" in checked.stderr
    assert "part-00003.parquet: 4 bytes long" in checked.stderr
    assert f"error: {address}: 1 shard missing: 0" in checked.stderr
    assert f"shards to run again, 3 of {SHARDS // 20}: 0-1, 3" in checked.stderr

    kept = s3.head_object(Bucket=BUCKET, Key=found["data/part-00002.parquet"])["LastModified"]
    repaired = cli("run", spec, "-o", address)

    assert repaired.exit_code == 0, repaired.output
    assert f"data      {address}/data" in repaired.stdout
    again = s3.head_object(Bucket=BUCKET, Key=found["data/part-00002.parquet"])["LastModified"]
    assert again == kept
    assert verify(address).faults == ()
    for name in hashes(whole):
        assert content(s3, found[f"data/{name}"]) == (whole / "data" / name).read_bytes()


def test_parts_in_a_bucket(s3, address, whole, spec):
    assert cli("run", spec, "-o", address, "--shard", "2/3").exit_code == 0
    unfinished = cli("finalize", address)

    assert unfinished.exit_code == 2
    assert f"3 of {SHARDS // 20} shards missing: 0, 2-3" in unfinished.stderr

    for part in ("1/3", "3/3"):
        assert cli("run", spec, "-o", address, "--shard", part).exit_code == 0
    assert cli("finalize", address).exit_code == 0
    assert len([name for name in objects(s3, address) if name.startswith("data/")]) == len(
        hashes(whole)
    )


def test_another_specification_in_a_bucket_is_refused(address, spec):
    assert cli("run", spec, "-o", address, "--quiet").exit_code == 0
    refused = cli("run", spec, "-o", address, "--set", "axes.batch=[1]")

    assert refused.exit_code == 2
    assert "another specification" in refused.stderr
    assert "axes.batch: [1], was [1, 64]" in refused.stderr


def test_executors_write_into_a_bucket(s3, address, whole):
    with ThreadPoolExecutor(2) as pool:
        perfcore.sweep(space(), address, executor=pool)
    found = objects(s3, address)
    for name in hashes(whole):
        assert content(s3, found[f"data/{name}"]) == (whole / "data" / name).read_bytes()


def test_a_bucket_that_is_not_there(spec, s3):
    assert s3
    done = cli("run", spec, "-o", "s3://no-such-bucket-here/run")

    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: s3://no-such-bucket-here")


@pytest.mark.parametrize("command", ["verify", "finalize"])
def test_no_run_in_a_bucket(address, command):
    assert "no manifest.json here" in cli(command, address).stderr


def test_addresses():
    assert isinstance(open_store("gs://bucket/run"), Bucket)
    assert isinstance(open_store("a/b"), Directory)
    assert open_store("gs://bucket/run/").location == "gs://bucket/run"
    for address in ("ftp://bucket/run", "http://bucket"):
        with pytest.raises(InputError, match="unknown scheme"):
            open_store(address)
    with pytest.raises(InputError, match="is empty text"):
        open_store("")
    for address in ("s3://", "gs://"):
        with pytest.raises(InputError, match="BUCKET/NAME"):
            open_store(address)


def test_of_many_who_create_a_file_one_has_its_way(tmp_path):
    store = Directory(tmp_path)
    store.prepare()
    start = threading.Barrier(8)

    def create(number):
        start.wait()
        store.create("file", str(number).encode() * 10_000)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(store.read("file")) == 10_000
    assert len(set(store.read("file"))) == 1
    assert [path.name for path in (tmp_path / "shards").iterdir()] == []


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    store = Directory(tmp_path)
    store.prepare()
    store.create("file", b"first")
    store.create("file", b"second")

    assert store.read("file") == b"first"
    assert list((tmp_path / "shards").iterdir()) == []


def test_a_file_that_is_renamed_meanwhile_hides_no_other(tmp_path, monkeypatch):
    store = Directory(tmp_path)
    store.prepare()
    store.write("shards/receipt", b"1234")
    monkeypatch.setattr("os.listdir", lambda _: [".perfcore-gone.draft", "receipt"])

    assert store.sizes("shards") == {"receipt": 4}
    assert store.sizes("shards/missing") == {}


def test_only_what_nobody_writes_is_tidied_away(tmp_path):
    store = Directory(tmp_path)
    store.prepare()
    left = tmp_path / "shards" / f".perfcore-{MACHINE}-left.draft"
    left.write_text("by a killed process")
    os.mkfifo(tmp_path / "shards" / f".perfcore-{MACHINE}-pipe.draft")  # is not waited for
    mine = Draft(tmp_path / "shards")
    store.tidy()

    assert mine.path.exists()
    assert not left.exists()

    mine.publish(tmp_path / "data" / "file")
    (tmp_path / "shards" / f".perfcore-{MACHINE}-pipe.draft").unlink()

    assert os.listdir(tmp_path / "shards") == []  # noqa: PTH208


HOLD = """
import sys, time
from pathlib import Path
from perfcore.runs.store import Draft
draft = Draft(Path(sys.argv[1]))
print(draft.path, flush=True)
time.sleep(600)
"""


def test_the_drafts_of_a_process_go_when_it_has_ended(tmp_path):
    store = Directory(tmp_path)
    store.prepare()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "shards")], stdout=subprocess.PIPE, text=True
    )
    try:
        draft = Path(process.stdout.readline().strip())
        store.tidy()
        assert draft.exists(), "its process runs"
    finally:
        process.kill()
        process.communicate()
    store.tidy()

    assert list((tmp_path / "shards").iterdir()) == []


def test_a_lock_that_outlived_its_draft_is_tidied_away(tmp_path):
    """Of a process that was killed after it had published."""
    store = Directory(tmp_path)
    store.prepare()
    (tmp_path / "shards" / f".perfcore-{MACHINE}-left.draft.lock").touch()
    young = tmp_path / "shards" / ".perfcore-0123456789ab-young.draft.lock"
    young.touch()
    store.tidy()

    assert list((tmp_path / "shards").iterdir()) == [young]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    """No draft is tidied away, as nobody knows whether its process runs."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    store = Directory(tmp_path)
    store.prepare()
    draft = store.draft("file")
    draft.path.write_bytes(b"content")
    store.tidy()
    store.publish(draft, "file")

    assert store.read("file") == b"content"
    assert list((tmp_path / "shards").iterdir()) == []


def test_a_draft_that_is_removed_before_it_is_locked(tmp_path, monkeypatch):
    acquire, removed = filelock.FileLock.acquire, []

    def late(lock, **options):
        if not removed:
            removed.append(Path(lock.lock_file.removesuffix(".lock")))
            removed[0].unlink()
        return acquire(lock, **options)

    monkeypatch.setattr("filelock.FileLock.acquire", late)
    draft = Draft(tmp_path)

    assert draft.path.exists()
    assert draft.path not in removed
    draft.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_is_removed_while_it_is_locked(tmp_path, monkeypatch):
    """Another process has its lock, in order to remove it."""
    acquire, taken = filelock.FileLock.acquire, []

    def late(lock, **options):
        if not taken:
            taken.append(lock.lock_file)
            raise filelock.Timeout(lock.lock_file)
        return acquire(lock, **options)

    monkeypatch.setattr("filelock.FileLock.acquire", late)
    draft = Draft(tmp_path)

    assert f"{draft.path}.lock" not in taken
    draft.discard()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    store = Directory(tmp_path)
    store.prepare()
    store.write("file", b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(OutputError, match="file: cannot be written \\(No space left on device\\)"):
        store.write("file", b"new")

    assert store.read("file") == b"old"
    assert list((tmp_path / "shards").iterdir()) == []


def test_a_file_of_the_run_opens_elsewhere(whole):
    assert manifest_of(whole)["bytes"] == sum(
        path.stat().st_size for path in (whole / "data").iterdir()
    )
    for name in hashes(whole):
        assert pq.read_metadata(whole / "data" / name).num_rows > 0


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(InputError, match=r"s3://\.\.\.@bucket/run: a password") as caught:
        open_store("s3://KEY:SECRET@bucket/run")
    assert "SECRET" not in str(caught.value).replace("AWS_SECRET_ACCESS_KEY", "")


REFUSALS = {
    403: "upload to S3 refused (HTTP 403)",
    404: "upload to S3 refused (HTTP 404)",
    500: "upload to S3 fails on the server (HTTP 500)",
    "drop": "connection to S3 dropped during an upload",
}
OBJECTS = [
    "data/part-00001.parquet",
    "data/part-00002.parquet",
    "shards/part-00003.json",
    "shards/run",
    "manifest.json",
]
REQUESTS = {
    "begin": lambda method, query: method == "POST" and query == "uploads",
    "part": lambda method, query: method == "PUT" and query.startswith("partNumber="),
    "end": lambda method, query: method == "POST" and query.startswith("uploadId="),
}


ALL = [(fault, request, name) for fault in REFUSALS for request in REQUESTS for name in OBJECTS]
# Arrow tries again for 7 s after an error of the server or the connection: few of these then, and
# every third of the others, unless PERFCORE_ALL_FAULTS asks for all 60
SOME = [*ALL[: len(ALL) // 2 : 3], ("drop", "part", OBJECTS[0]), (500, "end", OBJECTS[1])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "request_kind", "name"), ALL if os.environ.get("PERFCORE_ALL_FAULTS") else SOME
)
def test_no_upload_is_lost_in_silence(
    s3, address, spec, monkeypatch, fault, request_kind, name, held, tmp_path
):
    """Each object of a run, and each request that uploads it."""
    upstream = os.environ["AWS_ENDPOINT_URL"]
    seen = []

    def chosen(method, path):
        key, _, query = path.partition("?")
        if not key.endswith(f"/{name}") or not REQUESTS[request_kind](method, query):
            return False
        seen.append(path)
        # the manifest is also written at the start, when nothing can be lost
        return name != "manifest.json" or len(seen) > 1

    with failing(upstream, chosen, fault) as (proxy, failed):
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy)
        done = cli("run", spec, "-o", address, "--quiet", "--force")

    assert failed
    assert done.exit_code == 2, (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert f"{name}: cannot be written" in line
    assert fault != 403 or "check the credentials" in line

    monkeypatch.setenv("AWS_ENDPOINT_URL", upstream)
    again = cli("run", spec, "-o", address, "--quiet", "--force")

    assert (again.exit_code, again.stderr) == (0, "")
    for place, key in objects(s3, address).items():
        path = tmp_path / "run" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(s3, key))
    said = re.sub(r"\(.*(AWS Error \w+).*\);", r"(\1);", line)
    held(tmp_path / "run", REFUSALS[fault], 1, said.replace(f"{address}/{name}", "RUN/NAME"))


def test_a_part_of_a_large_upload_that_is_refused(address, monkeypatch):
    """Objects beyond 10 MiB go up in parts, whose failures ``copy_files`` did not report."""
    content = os.urandom(24 << 20)

    def second_part(method, path):
        return method == "PUT" and "partNumber=2" in path

    with failing(os.environ["AWS_ENDPOINT_URL"], second_part, 403) as (proxy, failed):
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy)
        store = open_store(address)
        with pytest.raises(OutputError, match=r"cannot be written .* check the credentials"):
            store.write("data/large", content)

    assert failed
    assert "large" not in store.sizes("data")


def test_drafts_of_other_machines_are_tidied_away_when_they_are_old(tmp_path):
    store = Directory(tmp_path)
    store.prepare()
    young = tmp_path / "shards" / ".perfcore-0123456789ab-young.draft"
    old = tmp_path / "shards" / ".perfcore-0123456789ab-old.draft"
    for path in (young, old):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))

    store.tidy()

    assert young.exists()
    assert not old.exists()


def test_a_draft_that_cannot_be_deleted_is_tidied_later(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    store = Directory(tmp_path)
    store.prepare()
    draft = Draft(tmp_path / "shards")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", fail)
        patch.setattr("pathlib.Path.glob", fail)
        draft.discard()
        store.tidy()

    assert draft.path.exists()

    store.tidy()

    assert not draft.path.exists()


def test_a_draft_that_vanished_is_computed_again(tmp_path, whole, monkeypatch):
    publish, lost = Draft.publish, []

    def losing(draft, path):
        if path.name == "part-00002.parquet" and not lost:
            lost.append(path)
            draft.path.unlink()
        publish(draft, path)

    monkeypatch.setattr(Draft, "publish", losing)
    assert sweep(space(), tmp_path / "run", 1).manifest["complete"]

    assert lost
    assert hashes(tmp_path / "run") == hashes(whole)


def test_a_straggler_does_not_write_into_a_newer_run(tmp_path, monkeypatch):
    """A process that was paused while its directory was emptied and another run begun there."""
    publish, begun = Directory.publish, []

    def late(store, draft, name):
        if name == "data/part-00001.parquet" and not begun:
            begun.append(name)
            shutil.rmtree(tmp_path / "run")
            sweep(runs.space(rows_per_shard=20 * ROWS_PER_SHARD, scales=250), tmp_path / "run", 1)
            old_drafts = list((tmp_path / "run" / "shards").glob(".perfcore-*"))
            assert not old_drafts
        publish(store, draft, name)

    newer = tmp_path / "expected"
    sweep(runs.space(rows_per_shard=20 * ROWS_PER_SHARD, scales=250), newer, 1)
    monkeypatch.setattr(Directory, "publish", late)

    with pytest.raises(OutputError):
        sweep(space(), tmp_path / "run", 1)

    assert begun
    assert hashes(tmp_path / "run") == hashes(newer)
    assert verify(tmp_path / "run").faults == ()


def test_exit_0_means_complete(tmp_path, spec, monkeypatch):
    """A file that vanishes after it was written is named, also under --quiet."""
    settle = store_module.Directory.write

    def vanishing(store, name, content):
        settle(store, name, content)
        if name == "manifest.json":
            (tmp_path / "run" / "data" / "part-00003.parquet").unlink(missing_ok=True)

    monkeypatch.setattr(store_module.Directory, "write", vanishing)
    done = cli("run", spec, "-o", tmp_path / "run", "--quiet")

    assert done.exit_code == 2
    assert "1 shard missing: 3; run the same command again" in done.stderr
