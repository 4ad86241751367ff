"""Files that cannot be read."""

import os

import pytest

from perfcore.errors import InputError
from perfcore.reading.files import read_toml


def faults(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert all("\n" not in fault for fault in caught.value.faults)
    return caught.value.faults


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path):
    path = write(tmp_path / "devices.toml", "")
    path.chmod(0)
    assert "may not be read" in faults(read_toml, path)[0]
