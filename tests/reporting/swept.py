"""The sweep that pictures are drawn of, and the command that draws them."""

from click.testing import CliRunner

from perfcore.cli import program

SPEC = """
name = "small"
[axes]
model = ["llama-3.1-8b", "llama-3.1-70b"]
device = ["h100-sxm", "b200", "rtx-4090"]
weight_format = ["bf16", "fp8", "int4-g128"]
tp = [1, 2]
batch = [1, 8, 64]
input_len = [128, 1024, 8192, 32768]
output_len = 128
[what_if]
"device.memory_bandwidth" = { scale = [1, 2, 4] }
"economics.utilization" = [0.1, 0.5, 1]
[output]
columns = "all"
significant_bits = 24
"""


def points(picture, mark="point", panel=0):
    return [
        row for layer in picture.panels[panel].layers if layer.mark == mark for row in layer.rows
    ]


def plot(*arguments):
    return CliRunner().invoke(program, ["plot", *map(str, arguments)])


def refused(*arguments):
    """Return the lines of errors of a command that ends with exit code 2."""
    result = plot(*arguments)

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()
