"""Files of claims, sound and faulty."""

import re

import pytest

from claims.files import HEADER
from perfcore.catalog import load_device
from perfcore.claims.claim import LARGEST, read_claims
from perfcore.errors import InputError


@pytest.fixture
def faults(write):
    def found(text):
        with pytest.raises(InputError) as error:
            read_claims(write(text))
        return error.value.faults

    return found


def test_only_what_is_needed(write):
    (claim,) = read_claims(write("model,device,tokens_per_s\nllama-3-8b,h100,150\n"))

    assert (claim.claim, claim.devices, claim.batch) == ("line 2", 1, 1)
    assert (claim.weight_format.name, claim.input_len, claim.output_len) == ("bf16", 1024, 256)
    assert claim.device is load_device("h100-sxm")
    assert claim.tpot_s == 1 / 150


def test_what_spreadsheets_do_to_a_file(write):
    (claim,) = read_claims(
        write(
            "\ufeffClaim, Model ,DEVICE,ms_per_token,usd_per_mtok,source\r\n"
            '\r\n"=1+1, ""said""",llama-3-8b,H100 SXM,6,,@SUM(A1)\r\n,,,,,\r\n'
        )
    )

    assert claim.claim == '=1+1, "said"'
    assert claim.source == "@SUM(A1)"
    assert claim.device.name == "h100-sxm"
    assert claim.usd_per_mtok is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty; name the columns in the first line: claim, model"),
        (f"{HEADER}\n", "has no claim; add a line below the header"),
        (b"model\xff,device\n", "is not UTF-8 text (byte 5); save it as UTF-8"),
        ("model;device;ms_per_token\na;b;3\n", "cells are separated by ';'; save the file with"),
        (
            "model,device,ms_per_tokn\nllama-3-8b,h100-sxm,6\n",
            "line 1: unknown column 'ms_per_tokn'; did you mean 'ms_per_token'?",
        ),
        ("model,device,model,ms_per_token\n", "line 1: column 'model' appears twice; remove one"),
        ("model,ms_per_token\nllama-3-8b,6\n", "line 1: column 'device' is missing; add it"),
        ("model,device\nllama-3-8b,h100\n", "no column of ms_per_token, tokens_per_s, usd_per_mt"),
        (f"{HEADER}\nllama-3-8,h100-sxm,1,6\n", "line 2: unknown model 'llama-3-8'; did you mean"),
        (f"{HEADER}\nllama-3-8b,h100-sxn,1,6\n", "line 2: unknown device 'h100-sxn'; did you mean"),
        (f"{HEADER}\nllama-3-8b,h1000,1,6\n", "line 2: unknown device 'h1000' (perfcore devices"),
        (f"{HEADER}\n,h100,1,6\n", "line 2: model is empty; give its name"),
        (f"{HEADER}\nllama-3-8b,h100,0,6\n", "line 2: devices: '0' is out of bounds; write a"),
        (f"{HEADER}\nllama-3-8b,h100,1.5,6\n", "line 2: devices: '1.5' is out of bounds"),
        (f"{HEADER}\nllama-3-8b,h100,many,6\n", "line 2: devices: 'many' is not"),
        (f"{HEADER}\nllama-3-8b,h100,1,-6\n", "line 2: ms_per_token: '-6' is out of bounds"),
        (f"{HEADER}\nllama-3-8b,h100,1,0\n", "line 2: ms_per_token: '0' is out of bounds"),
        (f"{HEADER}\nllama-3-8b,h100,1,nan\n", "line 2: ms_per_token: 'nan' is not"),
        (f"{HEADER}\nllama-3-8b,h100,1,1e999\n", "line 2: ms_per_token: '1e999' is not a finite"),
        (f"{HEADER}\nllama-3-8b,h100,1,=1+5\n", "line 2: ms_per_token: '=1+5' is not"),
        (f"{HEADER}\nllama-3-8b,h100,1,\n", "line 2: claims nothing; give one of ms_per_token"),
        (f"{HEADER}\nllama-3-8b,h100,1,6,7\n", "line 2: 5 cells for 4 columns; put text with"),
        (f'{HEADER}\n"llama-3-8b,h100,1,6\n', "not valid CSV: unexpected end of data; check its"),
        (
            f"{HEADER},claim\nllama-3-8b,h100,1,6,\x1b[31mred\n",
            "line 2: claim '\\x1b[31mred' has line breaks or control characters; remove them",
        ),
        (
            f"{HEADER},weight_format\nllama-3-8b,h100,1,6,fp9\n",
            "line 2: unknown weight format 'fp9'; did you mean",
        ),
        (f"{HEADER}\n" + "llama-3-8b,h100,1,6\n" * (LARGEST + 1), "has more than 1,000 claims"),
        (f"{HEADER}\n{'x' * 200_000},h100,1,6\n", "not valid CSV: field larger than field limit"),
    ],
)
def test_faults_of_the_file(faults, text, fault):
    (line,) = faults(text)

    assert fault in line
    assert line.isprintable()


def test_every_fault_is_told_with_its_line(faults):
    found = faults(
        f"{HEADER}\n"
        "llama-3-8,h100,1,6\n"
        "llama-3-8b,h100,1,6\n"
        '"llama-3-8b",h100,0,-1\n'
        "llama-3-8b,,1,6\n"
    )
    lines = [re.search(r"claims.csv: (line \d+): (\w+)", fault).groups() for fault in found]

    assert lines == [
        ("line 2", "unknown"),
        ("line 4", "devices"),
        ("line 4", "ms_per_token"),
        ("line 5", "device"),
    ]


def test_files_that_cannot_be_read(tmp_path, write):
    path = write("model\n")
    for name, fault in {
        "claim.csv": "no such file; check the path; did you mean 'claims.csv'?",
        ".": "is not a file; give the path of a .csv file",
        "claims.csv/x": "is not a file; give the path of a .csv file",
        "a\0b": "cannot be read: embedded null byte; check the path",
    }.items():
        with pytest.raises(InputError, match=re.escape(fault)):
            read_claims(path.parent / name if name != "." else tmp_path)
