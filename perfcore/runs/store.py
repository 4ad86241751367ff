"""Storage of runs: a directory, or a prefix in an object store.

A file appears under its name whole or not at all, and replaces an older one of the same name, so
that several processes may work on one run: what they write under one name is the same.
"""

import errno
import fcntl
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
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from perfcore.errors import InputError, OutputError, VanishedError, argument, reason

DATA: Final = "data"  # folder of the Parquet files, and of nothing else
RECEIPTS: Final = "shards"  # folder of the receipts, and of files being written
SCHEMES: Final = ("s3", "gs", "gcs", "abfs", "abfss")
_COPIED: Final = 8 << 20  # bytes per chunk when copying to a bucket
_CONNECTING: Final = threading.Lock()  # from_uri is not thread-safe (apache/arrow#39897)
_REFUSED: Final = re.compile(r"access.?denied|forbidden|\b403\b", re.IGNORECASE)
_DRAFTS: Final = ".perfcore-{}-{}.draft"  # machine, unique number
_ABANDONED: Final = 86_400  # s; older drafts of other machines are from dead processes
# errors of a file system without hard links
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class Draft:
    """Local file that is being written, and renamed when it is complete."""

    def __init__(self, folder: Path) -> None:
        """Create the file, locked for the lifetime of this process."""
        while True:
            self.path = folder / _DRAFTS.format(_machine(), uuid4().hex)
            self._lock = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            with suppress(OSError):  # a file system without locks; drafts then stay
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            if os.fstat(self._lock).st_nlink:  # otherwise it was removed before it was locked
                return
            os.close(self._lock)

    def publish(self, path: Path) -> None:
        """Rename the file to ``path``."""
        try:
            self.path.replace(path)
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
        """Delete the draft; a no-op after ``publish``."""
        self.path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


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
    def dataset(self) -> ds.Dataset:
        """Return the rows of all data files, read lazily."""

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
        except (OSError, pa.ArrowException) as error:
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
        """Create the directories."""
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

    def dataset(self) -> ds.Dataset:
        """Return the rows of all data files."""
        return ds.dataset(self.path / DATA, format="parquet")

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
        """Do nothing: the first file shows whether the bucket can be written."""

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

    def dataset(self) -> ds.Dataset:
        """Return the rows of all data files."""
        return ds.dataset(self._key(DATA), filesystem=self.files, format="parquet")

    @property
    def directory(self) -> Path:
        """Raise an error: an object store has no directory."""
        raise InputError(f"{self.location}: is in an object store; read it with dataset()")

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"


def open_store(location: str | Path) -> Store:
    """Return the store at a path or at an address like ``s3://bucket/run``."""
    text = str(location)
    if not text:
        raise InputError(
            "the run's directory is empty text; name one, or use . for the current one"
        )
    scheme, mark, name = text.partition("://")
    scheme = scheme.lower()
    if text.lower().startswith("file:"):
        path = re.sub("^(//)?(localhost)?(?=/)", "", text[len("file:") :], flags=re.IGNORECASE)
        raise InputError(f"{text}: is not an object store; write the directory alone, {path}")
    if not mark:
        scheme, mark, name = text.partition(":")
        if mark and scheme.lower() in SCHEMES:
            name = name.lstrip("/") or "BUCKET/NAME"
            raise InputError(
                f"{text}: is not an address; write {scheme.lower()}://{name}, or ./{text} for a "
                "directory of this name"
            )
        return Directory(Path(location))
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


@cache
def _machine() -> str:
    """Return a hash of this host and its boot."""
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return hashlib.sha256(f"{platform.node()} {boot}".encode()).hexdigest()[:12]


def _tidy(folder: Path) -> None:
    """Remove the drafts that no running process holds.

    Locks may not reach other hosts (NFS with nolock, Lustre with localflock): drafts of other
    machines go only when they are a day old.
    """
    ours = _DRAFTS.format(_machine(), "*")
    for path in folder.glob(_DRAFTS.format("*", "*")):
        with suppress(OSError):
            if not path.match(ours) and time.time() - path.stat().st_mtime < _ABANDONED:
                continue
            # without O_NONBLOCK, opening a pipe of such a name would wait for its reader
            lock = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(lock)
