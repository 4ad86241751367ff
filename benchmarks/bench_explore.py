"""Page of `perfcore explore` in a headless Chromium: first draw, and time of a change.

    python benchmarks/bench_explore.py

The second page has rows of a run, as many as fit, besides the configurations that it computes. A
change is a
step of the batch's slider: all points, pictures and tables are computed and drawn again. The last
line of stdout is a JSON document. Times are in milliseconds.
"""

import json
import sys
import tempfile
from pathlib import Path

import perfcore

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from exploring.browser import Browser

CHANGES = 120
SWEEP = {
    "name": "bench",
    "axes": {
        "model": ["llama-3.3-70b", "qwen3-32b"],
        "device": ["h100-sxm", "h200-sxm", "b200", "mi300x"],
        "weight_format": ["fp8"],
        "tp": [1, 2, 4, 8],
        "batch": {"pow2": [1, 256]},
        "input_len": {"log": [128, 16384], "n": 44},
    },
}
STEPS = f"""(async () => {{
  const times = [];
  for (let step = 0; step < {CHANGES}; step++) {{
    change({{ batch: 1 + step }});
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    times.push(Number(document.body.dataset.drawn));
  }}
  times.sort((one, other) => one - other);
  const at = (share) => times[Math.floor(share * (times.length - 1))];
  return JSON.stringify({{ median: at(0.5), p90: at(0.9), configurations: shown.length,
    rows: rows ? data.rows.count : 0 }});
}})()"""


def main() -> None:
    """Make the pages, open them, and print what was measured."""
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        perfcore.sweep(SWEEP, folder / "run")
        pages = {"models": ["llama-3.3-70b"], "run": [folder / "run"]}
        browser = Browser(folder / "browser")
        try:
            for kind, given in pages.items():
                page = folder / f"{kind}.html"
                perfcore.explore(given, page)
                first = []
                for _ in range(5):
                    browser.open(page.as_uri())
                    first.append(float(browser.run("document.body.dataset.first")))
                found = json.loads(browser.run(STEPS))
                results[kind] = {"bytes": page.stat().st_size, "first": min(first), **found}
                print(f"{kind}: {results[kind]}")
        finally:
            browser.close()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
