"""Files that are broken, missing or too large."""

import pytest

from accuracy.importing.samples import faults_of
from perfcore.accuracy.importing.documents import LARGEST


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("hello", "neither JSON nor"),
        ("[]", "has no result"),
        ("[[]]", "has a list in place of a result"),
        ('{"a": 1', "not valid JSON: line 1: "),
        ('[{"a": 1}', "not valid JSON"),
        ('{"a": 1}\n{"a"', "line 2"),
        ('{"a": 1} trailing', "not valid JSON"),
        ("[1]", "has a int in place of a result"),
        ('["x"]', "has a str in place of a result"),
        ("[null]", "has a NoneType in place of a result"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "more than 4300 digits"),
        ("{}", "is not a result of a known tool"),
        ('{"completed": 1}', "is not a result of a known tool"),
        ('avg_ts,n_gen\n"1', "not valid CSV"),
        ("avg_ts,n_gen\n1", "more or fewer cells"),
        ("avg_ts,n_gen\n1,2,3", "more or fewer cells"),
        ("avg_ts,n_gen\n", "has no result"),
        ("avg_ts,n_gen\n1,2", "is not a result of a known tool"),
    ],
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    (line,) = faults_of(str(path))

    assert message in line


def test_files_that_cannot_be_read(tmp_path):
    assert "no such file" in faults_of(str(tmp_path / "missing.json"))[0]
    assert "is not a file" in faults_of(str(tmp_path))[0]
    (tmp_path / "bytes.json").write_bytes(b'{"a": "\xff"}')
    assert "not UTF-8" in faults_of(str(tmp_path / "bytes.json"))[0]


def test_too_large_a_file(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)

    assert "larger than 64 MiB" in faults_of(str(path))[0]
