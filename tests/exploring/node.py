"""Node.js as an oracle's counterpart: it answers one line of JSON with another."""

import json
import shutil
import subprocess

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node is installed")
_LOOP = """
;require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const told = (_, value) =>
    typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value;
  console.log(JSON.stringify(answer(JSON.parse(line)), told));
});
"""


def _number(found):
    return float(found["number"].replace("Infinity", "inf")) if set(found) == {"number"} else found


class Node:
    """A process that runs a script, which defines a function ``answer``."""

    def __init__(self, folder, script):
        path = folder / "script.js"
        path.write_text(script + _LOOP, "utf-8")
        self.process = subprocess.Popen(
            [NODE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def answer(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline(), object_hook=_number)
