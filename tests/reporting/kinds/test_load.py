import pytest

import perfcore

SPEC = {
    "name": "servers",
    "axes": {"model": "llama-3.1-8b", "device": ["h100-sxm", "l40s"]},
    "traffic": {"request_rate": [1, 4, 16], "requests": 50, "replicas": [1, 2]},
}


@pytest.fixture(scope="module", params=["sweep", "run"])
def source(request, tmp_path_factory):
    if request.param == "sweep":
        return SPEC
    path = tmp_path_factory.mktemp("runs") / "run"
    perfcore.sweep(SPEC, path)
    return path


def test_the_best_of_each_device_at_each_rate(source, tmp_path):
    picture = perfcore.draw("load", source, tmp_path / "load.svg", metric="e2e_p99_s")
    every = perfcore.sweep(SPEC).to_pylist()
    points = picture.panels[0].layers[0].rows

    assert (tmp_path / "load.svg").read_bytes()[:4] == b"<svg"
    assert len(points) == 6
    for point in points:
        assert point["y"] == pytest.approx(
            min(
                row["e2e_p99_s"]
                for row in every
                if (row["device"], row["request_rate"]) == (point["series"], point["x"])
            )
        )
    assert "best replicas" in picture.setting


def test_a_front_of_simulated_rows_has_a_percentile_and_cost(source):
    picture = perfcore.draw("pareto", source)

    assert "99th percentile of the time to first token" in picture.panels[0].x.label
    assert "request_rate 4" in picture.setting


def test_a_report_has_the_pictures_of_simulated_rows(source, tmp_path):
    perfcore.report(source, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")

    assert "At request_rate 16" in text
    assert "ttft_p99_low_s" in text
    assert "memory_wall" not in text


def test_pictures_say_which_rows_they_show(source):
    with pytest.raises(perfcore.InputError, match="roofline shows rows without traffic"):
        perfcore.draw("roofline", source)
    plain = {"axes": SPEC["axes"]}
    with pytest.raises(perfcore.InputError, match="load shows rows with traffic"):
        perfcore.draw("load", plain)
    with pytest.raises(perfcore.InputError, match="needs several values of request_rate"):
        perfcore.draw("load", source, where=["request_rate=4"])
