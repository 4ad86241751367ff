"""The benchmark of scaling runs, and its page says what its figures say."""

import io
import json
import math
import os
import re
import subprocess
import sys
import time
from contextlib import redirect_stdout

import pytest
from paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import bench_scaling
from machine import Machine, Others
from scaling_page import (
    CORES,
    NODES,
    SOCKET_BYTES_PER_S,
    UNMEASURED,
    Answers,
    Bytes,
    Columns,
    Compiled,
    Cost,
    Figures,
    MainSweep,
    Pruned,
    Question,
    Rates,
    Simulated,
    Size,
    binding,
    document,
    efficiency,
    page,
    projections,
    serial_share,
)

pytestmark = pytest.mark.slow

FIGURES = Figures(
    command="python benchmarks/bench_scaling.py",
    date="2026-01-02",
    machine=Machine("A processor", 4, {"python": "3.11.0"}),
    others=0.01,
    search=[Size(10**7, 10, 4, 0.25, 3 << 27, 0), Size(10**9, 977, 4, 25.0, 3 << 27, 0)],
    run=[Size(10**7, 10, 4, 2.0, 1 << 29, 10**8), Size(10**8, 98, 4, 25.0, 1 << 30, 10**9)],
    main_sweep=MainSweep(16_000_000, 6_000_000, 2.0, 180_000_000),
    axes=[Cost(2, 50.0), Cost(8, 55.0)],
    inner_points=[Cost(4, 300.0), Cost(1024, 45.0)],
    columns=[Columns("1", 1, 40.0, 200.0, 1.0), Columns("all", 65, 56.0, 840.0, 40.0)],
    rates=[
        Rates(1, 25e6, 24e6, 16e6, 3e6, 2.5e6, 10e9),
        Rates(4, 90e6, 80e6, 48e6, 10e6, 8e6, 30e9),
    ],
    disk_bytes_per_s=1e9,
    bytes=Bytes(28, 160, 10.0),
    answers=Answers(
        Question(10**9, 13.0, 5.0, 4.8, 0.8, 3 << 27),
        Pruned(10**12, 60.0, 10**7, 10**5, 10**8, 2.0, 4.0),
        [Simulated("rate 2, spans", 3.1, 10**6, 4e6)],
        [Compiled("float32", 15.5, 15.8), Compiled("again", 4.0, 4.1)],
    ),
)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Page and JSON of a quick run."""
    output = tmp_path_factory.mktemp("page") / "performance.md"
    with redirect_stdout(io.StringIO()) as printed:
        bench_scaling.main(["--quick", "--output", str(output)])
    assert [path.name for path in output.parent.iterdir()] == ["performance.md"]
    return output.read_text(encoding="utf-8"), json.loads(printed.getvalue().splitlines()[-1])


def tables(text):
    """Tables of a page, as lists of lines of cells."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()]
        for block in blocks
    ]


def flowing(text):
    """A page without its line breaks."""
    return " ".join(text.split())


def numbers(value):
    """Every number in a JSON document."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_quick_run_fills_every_table(quick):
    text, found = quick
    made = tables(text)

    assert len(made) == 10
    for table in made:
        assert {len(line) for line in table} == {len(table[0])}
        assert len(table) > 2
        assert all(cell for line in table for cell in line)
    assert [line[0] for line in made[0][2:]] == ["10⁵", "10⁶"]
    assert [line[0] for line in made[3][2:]] == ["4", "16", "64", "256", "1024"]
    assert [line[0] for line in made[4][2:]] == ["1", "default", "all"]
    assert made[5][-1][0] == str(found["machine"]["cores"])
    assert f"Measured on {found['date']}: {found['machine']['processor']}" in flowing(text)


def test_quick_run_ends_in_json(quick):
    _, found = quick

    assert set(found) == {
        *Figures._fields,
        "efficiency",
        "limits",
        "binds",
        "projections",
    }
    assert all(math.isfinite(number) and number >= 0 for number in numbers(found))
    assert [size["rows"] for size in found["search"]] == [10**5, 10**6]
    assert [size["rows"] for size in found["run"]] == [10**5]
    for size in found["search"] + found["run"]:
        assert size["ns_per_row_core"] > 1.0
        assert size["peak_rss_bytes"] > 1 << 26
    assert found["run"][0]["file_bytes"] > 10**5
    assert [cost["count"] for cost in found["axes"]] == [2, 3, 4, 6, 8]
    metrics = [columns["metrics"] for columns in found["columns"]]
    assert metrics[0] == 1 < metrics[1] < metrics[2]
    assert {rates["threads"] for rates in found["rates"]} >= {1, found["machine"]["cores"]}
    assert set(found["limits"]) == set(found["binds"]) == {"search", "run"}


def test_shipped_page_is_of_this_script(quick):
    """After a change of its form, write the page again: `python benchmarks/bench_scaling.py`."""
    text, _ = quick
    shipped = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert "--quick" not in shipped
    assert re.findall("^#.*", shipped, re.MULTILINE) == re.findall("^#.*", text, re.MULTILINE)
    whole = [table[0] for table in tables(page(FIGURES))]
    others = 4  # tables of other benchmarks, which a quick run leaves out
    assert [table[0] for table in tables(shipped)] == whole
    assert [header for header in whole if header in [table[0] for table in tables(text)]] == [
        table[0] for table in tables(text)
    ]
    assert len(whole) == len(tables(text)) + others == len(tables(text)) + text.count(UNMEASURED)


def test_quick_run_leaves_the_shipped_page_alone(monkeypatch, tmp_path, capsys):
    shipped = tmp_path / "performance.md"
    monkeypatch.setattr(bench_scaling, "PAGE", shipped)
    monkeypatch.setattr(bench_scaling, "measure", lambda *_: FIGURES)

    bench_scaling.main(["--quick"])
    assert not shipped.exists()

    bench_scaling.main([])
    assert shipped.read_text(encoding="utf-8") == page(FIGURES)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["date"] == "2026-01-02"


def test_output_into_nowhere_is_refused_before_measuring(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        bench_scaling.main(["--quick", "-o", str(tmp_path / "missing" / "page.md")])

    assert ended.value.code == 2
    assert "is not a directory" in capsys.readouterr().err


def test_figures_of_other_benchmarks():
    text = flowing(page(FIGURES))

    assert UNMEASURED not in text
    assert "Computing one column is 2.6 times as fast as computing all of them" in text
    assert "and evaluating one value 6.0 times as fast as evaluating all." in text
    assert "| 1,000,000,000,000 | 60 s | 10,000,000 | 99.99900% | 100,000 |" in text
    assert "| rate 2, spans | 3.1 | 1,000,000 | 4.00 |" in text
    assert "| one column, after every column | 4.0 | 4.1 |" in text


def test_start_is_told_from_rows():
    """20 ms before the first of rows that take 40 ns each."""
    small = [Size(10**5, 1, 1, 0.024, 1, 0), Size(10**6, 1, 1, 0.06, 1, 0)]

    text = flowing(page(FIGURES._replace(search=small + FIGURES.search)))

    assert "A job takes 20 ms to start" in text
    assert "From 10⁷ to 10⁹ rows, the cost per row varies by 0 %" in text


def test_page_says_whether_the_machine_was_idle():
    busy = FIGURES._replace(others=0.4)

    assert "measure again" not in flowing(page(FIGURES))
    said = "used 40 % of the processors during that time, so the figures are worse"
    assert said in flowing(page(busy))


def test_other_programs_are_seen_while_they_run():
    others = Others()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        time.sleep(0.5)
        share = others.share()
        program.kill()

    assert 0.1 / os.cpu_count() < share <= 1.0


def test_lowest_limit_binds():
    processor = 1.0 / (1.0 / 80e6 + 1.0 / 10e6)
    slow_disk = FIGURES._replace(disk_bytes_per_s=50e6)
    slow_memory = FIGURES._replace(
        rates=[FIGURES.rates[0], FIGURES.rates[1]._replace(copy_bytes_per_s=1e9)]
    )

    assert binding(FIGURES, "run").rows_per_s == pytest.approx(processor)
    assert binding(FIGURES, "search").rows_per_s == 90e6
    assert binding(slow_disk, "run").rows_per_s == 50e6 / 10.0
    assert binding(slow_memory, "search").rows_per_s == 1e9 / (2 * 28)
    assert binding(slow_memory, "run").rows_per_s == 1e9 / (2 * 160 + 4 * 10)
    assert "encoder takes 89 % of the processor time" in flowing(page(FIGURES))
    assert "lowest limit of the run is the disk; the run reaches 160 %" in flowing(page(slow_disk))
    for task in ("search", "run"):
        assert f"lowest limit of the {task} is memory bandwidth" in flowing(page(slow_memory))


def test_larger_machines_follow_from_the_figures():
    assert efficiency(FIGURES, "search") == pytest.approx(48 / (4 * 16))
    share = serial_share(FIGURES, "run")
    assert 1.0 / (share + (1.0 - share) / 4) == pytest.approx(8 / 2.5)  # what was measured

    found = {(one.task, one.nodes, one.law): one for one in projections(FIGURES)}
    node = found["search", 1, "efficiency as here"]
    assert node.rows_per_s == pytest.approx(16e6 * CORES * 0.75)
    assert node.memory == pytest.approx(SOCKET_BYTES_PER_S / 56)
    assert node.limit == "cores"
    for task in ("search", "run"):
        for law in ("efficiency as here", "Amdahl"):
            one, many = found[task, 1, law], found[task, NODES, law]
            assert many.rows_per_s == pytest.approx(NODES * one.rows_per_s)
            assert one.rows_per_s == min(one.processor, one.memory, one.disk or math.inf)
        assert (
            found[task, 1, "measured"].rows_per_s
            < found[task, 1, "Amdahl"].processor
            < found[task, 1, "efficiency as here"].processor
        )
    # 2.5 M rows/s on each of 64 cores, 80 % of them, are 1.28 GB/s, and the disk takes 1
    assert found["run", 1, "efficiency as here"].limit == "disk"
    assert found["run", 1, "efficiency as here"].rows_per_s == pytest.approx(1e8)
    assert found["run", 1, "Amdahl"].limit == "cores"
    assert "the disk under the law *efficiency as here*" in flowing(page(FIGURES))


def test_one_core_claims_no_efficiency():
    alone = FIGURES._replace(rates=FIGURES.rates[:1], machine=Machine("A processor", 1, {}))

    assert efficiency(alone, "run") == 1.0
    assert serial_share(alone, "run") == 0.0
    assert "one core" in page(alone)
    json.dumps(document(alone), allow_nan=False)


def test_no_speed_up_is_all_serial():
    none = FIGURES._replace(rates=[FIGURES.rates[0], FIGURES.rates[0]._replace(threads=4)])

    assert serial_share(none, "search") == 1.0
    amdahl = next(one for one in projections(none) if one.law == "Amdahl")
    assert amdahl.processor == 16e6
