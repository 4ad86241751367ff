"""Storage of runs: a directory, or a prefix in an object store.

A file appears under its name whole or not at all, and replaces an older one of the same name.
Several processes may therefore work on one run: what they write under one name is the same.
"""

import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import getnode, uuid4

import filelock
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from perfcore.errors import InputError, OutputError, VanishedError, argument, reason
from perfcore.output import DATA, MANIFEST, RECEIPTS, enclosing_run, replace

SCHEMES: Final = ("s3", "gs", "gcs", "abfs", "abfss")
_SHARD: Final = re.compile(r"part-\d{5,9}\.parquet")
_COPIED: Final = 8 << 20  # bytes per chunk when copying to a bucket
_LARGEST_DOCUMENT: Final = 1 << 30  # bytes of a manifest or receipt; a million shards take 0.3 GB
_CONNECTING: Final = threading.Lock()  # from_uri is not thread-safe (apache/arrow#39897)
_REFUSED: Final = re.compile(r"access.?denied|forbidden|\b403\b", re.IGNORECASE)
_DRAFTS: Final = ".perfcore-{}-{}.draft"  # machine, unique number
_LOCK: Final = ".lock"  # added to a draft's name
_ABANDONED: Final = 86_400  # s; older drafts of other machines are from dead processes
# errors of a file system without hard links: FAT on Linux, on macOS and on Windows, and others
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


class Draft:
    """Local file that is being written, and renamed when it is complete.

    A second file beside it is locked, since Windows neither writes to a locked file nor renames an
    open one.
    """

    def __init__(self, folder: Path) -> None:
        """Create the file, locked for the lifetime of this process."""
        while True:
            self.path = folder / _DRAFTS.format(_machine(), uuid4().hex)
            self._lock = _lock(self.path)
            self.path.touch(exist_ok=False)
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout:  # another process is removing the file
                continue
            except OSError:  # a file system without locks; the draft of a killed process may stay
                return
            if self.path.exists():  # otherwise it was removed before it was locked
                return
            self.discard()

    def publish(self, path: Path) -> None:
        """Rename the file to ``path``."""
        try:
            replace(self.path, path)
        except FileNotFoundError as error:
            if self.path.exists():
                raise
            raise VanishedError(
                f"{path}: its draft was removed while it was written; run again, which keeps "
                "complete shards"
            ) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Delete the draft if possible, or leave it to ``tidy``; a no-op after ``publish``."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        _unlock(self._lock)


class Store(ABC):
    """Store of files by name, e.g. ``data/part-00000.parquet``.

    ``OutputError`` says that something cannot be written, ``InputError`` that it cannot be read.
    """

    location: str

    @abstractmethod
    def prepare(self) -> None:
        """Check that files can be written."""

    @abstractmethod
    def tidy(self) -> None:
        """Remove the drafts of killed processes."""

    @abstractmethod
    def draft(self, name: str) -> Draft:
        """Return an empty draft, to be filled and then published under ``name``."""

    @abstractmethod
    def publish(self, draft: Draft, name: str) -> None:
        """Publish a complete file under its name."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> None:
        """Write a small file, unless one of this name exists."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every file in a folder, by its name there."""

    @abstractmethod
    def opened(self, name: str) -> Any:  # noqa: ANN401 - Arrow has no types
        """Open a file for reading; ``FileNotFoundError`` if there is none."""

    @abstractmethod
    def source(self) -> tuple[pafs.FileSystem, str]:
        """Return the file system and the path in it of the data files' folder."""

    def data_files(self) -> list[str]:
        """Return the names of the run's data files in their folder, in the order of the shards."""
        return sorted(filter(_SHARD.fullmatch, self.sizes(DATA)), key=lambda name: int(name[5:-8]))

    def dataset(self) -> ds.Dataset:
        """Return the rows of all data files, read lazily.

        Only names of shards are read, and paths are taken literally: Arrow would otherwise take
        ``model=x`` in a path for a column.
        """
        names = self.data_files()
        files, folder = self.source()
        format_ = ds.ParquetFileFormat()
        with self.reading(f"{DATA}/{names[0]}" if names else DATA):
            if not names:
                return ds.FileSystemDataset.from_paths(
                    [], schema=pa.schema([]), format=format_, filesystem=files
                )
            return ds.dataset(
                [f"{folder}/{name}" for name in names], filesystem=files, format=format_
            )

    remote = False  # whether the files are in an object store

    @property
    @abstractmethod
    def directory(self) -> Path:
        """Directory of the run; ``InputError`` if it is in an object store."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        draft = self.draft(name)
        try:
            with self.writing(name):
                draft.path.write_bytes(content)
            self.publish(draft, name)
        finally:
            draft.discard()

    def read(self, name: str) -> bytes:
        """Return a file's bytes; ``FileNotFoundError`` if there is none."""
        with self.reading(name), self.opened(name) as file:
            if file.seek(0, os.SEEK_END) > _LARGEST_DOCUMENT:
                raise OSError(errno.EFBIG, "larger than a manifest can be")
            file.seek(0)
            return bytes(file.read())

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Convert errors of writing ``name`` into ``OutputError``."""
        try:
            yield
        except VanishedError:
            raise
        except (OSError, pa.ArrowException) as error:
            place = f"{self.location}/{name}" if name else self.location
            why, remedy = reason(error), f"choose another {argument('output')}"
            if _REFUSED.search(why):
                remedy = f"check the credentials and write permission, or {remedy}"
            elif name:
                remedy = f"free space or {remedy}"
            raise OutputError(f"{place}: cannot be written ({why}); {remedy}") from error

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Convert errors of reading ``name`` into ``InputError``, except a missing file."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException, UnicodeError) as error:
            raise InputError(
                f"{self.location}/{name}: cannot be read ({reason(error)}); "
                "check its permissions, or the connection"
            ) from error


class Directory(Store):
    """Directory, local or shared by several machines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)

    def prepare(self) -> None:
        """Create the directories, unless they would be among the files of another run."""
        if run := enclosing_run(self.path):
            raise _among(self.location, str(run))
        with self.writing(""):
            (self.path / DATA).mkdir(parents=True, exist_ok=True)
            (self.path / RECEIPTS).mkdir(exist_ok=True)
            Draft(self.path / RECEIPTS).discard()

    def tidy(self) -> None:
        """Remove drafts that no process writes any more."""
        _tidy(self.path / RECEIPTS)

    def draft(self, name: str) -> Draft:
        """Return an empty draft beside the data, on the same file system."""
        with self.writing(name):
            return Draft(self.path / RECEIPTS)

    def publish(self, draft: Draft, name: str) -> None:
        """Rename the draft to ``name``."""
        with self.writing(name):
            draft.publish(self.path / name)

    def create(self, name: str, content: bytes) -> None:
        """Write a small file; the first of several processes wins."""
        draft = self.draft(name)
        try:
            with self.writing(name):
                draft.path.write_bytes(content)
                self._link(draft, self.path / name)
        finally:
            draft.discard()

    @staticmethod
    def _link(draft: Draft, path: Path) -> None:
        try:
            os.link(draft.path, path)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not path.exists():
                draft.publish(path)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every file in a folder."""
        found = {}
        with suppress(FileNotFoundError), self.reading(folder):
            for name in os.listdir(self.path / folder):  # noqa: PTH208 - names are enough
                with suppress(FileNotFoundError):  # another process has renamed it
                    found[name] = (self.path / folder / name).stat().st_size
        return found

    def opened(self, name: str) -> BinaryIO:
        """Open a regular file for reading; pipes and devices are refused."""
        path = self.path / name
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return path.open("rb")

    def source(self) -> tuple[pafs.FileSystem, str]:
        """Return the local file system and the data files' folder, absolute as ~ is literal."""
        return pafs.LocalFileSystem(), str(self.path.absolute() / DATA)

    def data_files(self) -> list[str]:
        """Return the names of the run's data files; pipes, devices and the like are refused."""
        names = super().data_files()
        for name in names:
            if not (self.path / DATA / name).is_file():
                raise InputError(
                    f"{self.location}/{DATA}/{name}: not a regular file; remove it and run the "
                    "sweep again, which computes what is missing"
                )
        return names

    @property
    def directory(self) -> Path:
        """Directory of the run."""
        return self.path


class Bucket(Store):
    """Prefix in a bucket of an object store.

    Credentials, region and endpoint are where the vendor's own tools look for them, e.g.
    ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION`` and ``AWS_ENDPOINT_URL``.
    """

    remote = True

    def __init__(self, address: str) -> None:
        self.location = address.rstrip("/")
        try:
            with _CONNECTING:
                self.files, self.prefix = pafs.FileSystem.from_uri(self.location)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{address}: cannot be opened as an object store ({reason(error)}); write s3://BUCKET/NAME"
            ) from error

    def prepare(self) -> None:
        """Refuse a place among the files of another run.

        The first file shows whether the bucket can be written.
        """
        parts = self.prefix.split("/")
        for place, part in enumerate(parts):
            if part in {DATA, RECEIPTS} and place:
                run = "/".join(parts[:place])
                with self.reading(MANIFEST):
                    found = self.files.get_file_info(f"{run}/{MANIFEST}")
                if found.type != pafs.FileType.NotFound:
                    raise _among(self.location, run)

    def tidy(self) -> None:
        """Remove this machine's drafts; a bucket has no partial objects."""
        _tidy(Path(tempfile.gettempdir()))

    def draft(self, name: str) -> Draft:
        """Return an empty local file, as a partial object would be visible."""
        with self.writing(name):
            return Draft(Path(tempfile.gettempdir()))

    def publish(self, draft: Draft, name: str) -> None:
        """Upload the file."""
        # not copy_files, which ignores a refused part of an upload (pyarrow 26.0.1)
        with self.writing(name), draft.path.open("rb") as source:
            with self.files.open_output_stream(self._key(name)) as target:
                shutil.copyfileobj(source, target, _COPIED)
            sent, there = source.tell(), self.files.get_file_info(self._key(name)).size
            if there != sent:
                raise OSError(errno.EIO, f"{sent:,} bytes were sent, {there or 0:,} are there")
        draft.discard()

    def create(self, name: str, content: bytes) -> None:
        """Write a small file unless it exists; the later of two concurrent writers wins."""
        with self.writing(name):
            there = self.files.get_file_info(self._key(name)).type
        if there == pafs.FileType.NotFound:
            self.write(name, content)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every object in a folder."""
        with self.reading(folder):
            found = self.files.get_file_info(
                pafs.FileSelector(self._key(folder), allow_not_found=True)
            )
        return {info.base_name: info.size for info in found if info.type == pafs.FileType.File}

    def opened(self, name: str) -> Any:  # noqa: ANN401 - Arrow has no types
        """Open an object for reading."""
        return self.files.open_input_file(self._key(name))

    def source(self) -> tuple[pafs.FileSystem, str]:
        """Return the object store and the data files' prefix."""
        return self.files, self._key(DATA)

    @property
    def directory(self) -> Path:
        """Raise an error: an object store has no directory."""
        raise InputError(f"{self.location}: is in an object store; read it with dataset()")

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"


def is_address(location: str) -> bool:
    """Return whether a run's location is an address rather than a path, which may have a drive."""
    scheme, mark, _ = location.partition("://")
    return bool(mark) and len(scheme) != 1  # C://runs is a directory


def open_store(location: str | Path) -> Store:
    """Return the store at a path or at an address like ``s3://bucket/run``."""
    text = str(location)
    if not text:
        raise InputError(
            "the run's directory is empty text; name one, or use . for the current one"
        )
    if text.lower().startswith("file:"):
        path = re.sub("^(//)?(localhost)?(?=/)", "", text[len("file:") :], flags=re.IGNORECASE)
        raise InputError(f"{text}: is not an object store; write the directory alone, {path}")
    if not is_address(text):
        scheme, mark, name = text.partition(":")
        if mark and scheme.lower() in SCHEMES:
            name = name.lstrip("/") or "BUCKET/NAME"
            raise InputError(
                f"{text}: is not an address; write {scheme.lower()}://{name}, or ./{text} for a "
                "directory of this name"
            )
        return Directory(Path(location))
    scheme, _, name = text.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise InputError(f"{text}: unknown scheme {scheme!r}; use a directory, or one of {known}")
    user, at, rest = name.partition("@")
    if at and ":" in user:
        raise InputError(
            f"{scheme}://...@{rest}: a password in an address ends up in logs; leave it out, "
            "credentials come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    if not name.strip("/"):
        raise InputError(f"{text}: names no bucket; write {scheme}://BUCKET/NAME")
    if "#" in name:
        raise InputError(f"{text}: '#' would end the name; choose a NAME without it")
    return Bucket(f"{scheme}://{name}")


def _among(location: str, run: str) -> InputError:
    return InputError(
        f"{location}: is among the files of the run {run}; choose another {argument('output')}"
    )


@cache
def _machine() -> str:
    """Return a hash of this host and its boot, or of its network address where boots have no name.

    The name of a host alone is not unique. The way of locking is in the hash, too: versions up to
    0.2.0 lock the draft itself, and take these drafts for those of another machine.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:  # not Linux
        boot = f"{getnode():x}"
    return hashlib.sha256(f"{_LOCK} {platform.node()} {boot}".encode()).hexdigest()[:12]


def _lock(draft: Path) -> filelock.BaseFileLock:
    """Return the lock of a draft, which the operating system releases when its process ends.

    A process ID in its place would not do: containers of one host number their processes alike.
    """
    name = draft.with_name(draft.name + _LOCK)
    # its soft locks tell processes by their ID; before 4.0, one took the other's away
    return filelock.FileLock(name, thread_local=False, fallback_to_soft=False)


def _unlock(lock: filelock.BaseFileLock) -> None:
    """Release a lock and remove its file. Whether filelock does the latter varies."""
    with suppress(OSError):  # it is released when the process ends
        lock.release()
    with suppress(OSError):  # on Windows, another process may have it open; it will remove it
        Path(lock.lock_file).unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    """Remove the drafts that no running process holds.

    Locks may not reach other hosts (NFS with nolock, Lustre with localflock): drafts of other
    machines go only when they are a day old.
    """
    ours = _DRAFTS.format(_machine(), "*")
    drafts: set[Path] = set()
    with suppress(OSError):  # what cannot be listed is tidied by a later run
        for file in folder.glob(_DRAFTS.format("*", "*") + "*"):  # a lock may outlive its draft
            drafts.add(file.with_name(file.name.removesuffix(_LOCK)))
    for path in drafts:
        lock = _lock(path)
        with suppress(OSError):
            status = (path if os.path.lexists(path) else Path(lock.lock_file)).lstat()
            if not stat.S_ISREG(status.st_mode) or (
                not path.match(ours) and time.time() - status.st_mtime < _ABANDONED
            ):
                continue
            lock.acquire(timeout=0)
            try:
                path.unlink(missing_ok=True)
            finally:
                _unlock(lock)
