"""No text from outside acts on a terminal: every command shows it, with control codes escaped.

The text comes from each place that strangers write: the catalogue, sweep files, runs and their
footers, tables of measurements and claims, model files, file names, options, the environment.
"""

import json
import re
import tomllib
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

import perfcore
from perfcore import tables
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.cli.completion import entry_name
from perfcore.cli.document import Facts, Heading, Panel, Paragraph, Tile, Title, markdown, show
from perfcore.errors import InputError, OutputError, PerfcoreError, one_line, visible
from perfcore.output import json_text
from perfcore.reading.csvfile import csv_text
from perfcore.reporting import page, vega
from perfcore.tables import Column, Row, Table

pytestmark = pytest.mark.slow

# the title of the window, an empty screen, colours, and text that runs the other way
HOSTILE = "\x1b]0;mine\x07\x1b[2J\x9b31m\x7f\u061c\u202e\u2066\u200b\u2028\u2029\ufeff\ry\nz"
SEEN = r"\x1b["
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
SURROGATE = "\ud800"

CATALOGUE = {  # kind: built-in files, one of their entries, and the file of the user's entries
    "model": ("models/meta.toml", "llama-3-8b", "models.toml"),
    "device": ("devices/nvidia.toml", "h100-sxm", "devices.toml"),
    "weight_format": ("formats.toml", "fp8", "weight_formats.toml"),
    "kv_format": ("kv_formats.toml", "fp8", "kv_formats.toml"),
    "engine": ("engines/vllm.toml", "vllm", "engines.toml"),
    "economics": ("economics.toml", "owned", "economics.toml"),
}
SPEC = """
name = "small"
description = {description}
[axes]
model = "my-model"
device = ["my-device", "h200-sxm"]
weight_format = ["bf16", "my-weight_format"]
kv_format = "my-kv_format"
batch = [1, 2, 4]
{more}
[output]
columns = "all"
"""


def assert_harmless(text):
    assert not RAW.search(text), RAW.search(text)
    text.encode()  # nor is there a surrogate, which no terminal could be sent


def texts_of(value):
    """Return all texts of a JSON document, keys included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_of(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_of(part)]
    return [value] if isinstance(value, str) else []


def output_of(*arguments):
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])

    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert_harmless(result.stdout)
    assert_harmless(result.stderr)
    return result


def toml(value):
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def entry_text(name, table):
    lines = (f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())
    return "\n".join([f"[{name}]", *lines, ""])


def hostile_table(kind, name, table, file):
    """Return an entry with the hostile text in every field that takes any text."""

    def valid(changed):
        file.write_text(entry_text(name, changed), "utf-8")
        try:
            loader.load(kind, str(file))
        except InputError:
            return False
        return True

    def spoiled(value, whole):
        """Return a value with hostile texts; ``whole`` puts a value in its place."""
        if isinstance(value, str):
            return f"{value}{HOSTILE}" if valid(whole(f"{value}{HOSTILE}")) else value
        items = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value)
            if isinstance(value, list)
            else ()
        )
        for key, item in list(items):
            value[key] = spoiled(item, lambda other, key=key: whole(_with(value, key, other)))
        return value

    table = {"notes": "n", "title": "t", **table, "aliases": ["an-alias"]}
    return spoiled(table, lambda changed: changed)


def _with(container, key, value):
    changed = container.copy()
    changed[key] = value
    return changed


@pytest.fixture(scope="module", autouse=True)
def world(tmp_path_factory):
    """A folder with a catalogue, sweep files and runs of a stranger, which the process uses."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("world")
        patch.chdir(folder)
        (folder / "catalog").mkdir()
        patch.setenv("PERFCORE_CATALOG", str(folder / "catalog"))
        for kind, (built_in, name, user) in CATALOGUE.items():
            tables_of = tomllib.loads((ROOT / "perfcore/catalog" / built_in).read_text("utf-8"))
            table = hostile_table(kind, f"my-{kind}", tables_of[name], folder / "tried.toml")
            (folder / "catalog" / user).write_text(entry_text(f"my-{kind}", table), "utf-8")
        for sweep, more in (("spec", ""), ("other", "[what_if]\n'economics.pue' = [1.1, 1.3]")):
            text = SPEC.format(description=json.dumps(HOSTILE), more=more)
            (folder / f"{sweep}.toml").write_text(text, "utf-8")
        space = perfcore.Space.from_toml("spec.toml")
        perfcore.sweep(space, "run")
        named = perfcore.Space(replace(space.spec, name=HOSTILE))
        for out in ("named", "broken", "theirs"):
            perfcore.sweep(named, out)
        next((folder / "broken/data").iterdir()).unlink()
        spoil_run(folder / "theirs")
        (folder / "config.json").write_text(
            json.dumps({"model_type": HOSTILE + SURROGATE, "architectures": [HOSTILE]})
        )
        (folder / "claims.csv").write_text(
            f'claim,model,device,ms_per_token\n"{HOSTILE}",llama-3-8b,h100-sxm,10\n', "utf-8"
        )
        (folder / "rows.csv").write_text(
            f'model,hardware,metric,value,task_note\nm,h100-sxm,tpot_s,1,"{HOSTILE}"\n', "utf-8"
        )
        (folder / "unknown.csv").write_text(
            f'model,hardware,metric,"{HOSTILE}"\nm,h,tpot_s,1\n', "utf-8"
        )
        yield folder


def hostile_texts(value):
    """Return facts of a run with the hostile text at the end of its name, description and texts."""
    if isinstance(value, dict):
        kept = {"axes", "output", "sample", "where", "zip", "what_if", "entries"}
        return {key: item if key in kept else hostile_texts(item) for key, item in value.items()}
    return value + HOSTILE if isinstance(value, str) else value


def spoil_run(run):
    """Put the hostile text into the manifest of a run, and into footers and cells of its files."""
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    for key in ("name", "versions", "spec", "dropped"):
        manifest[key] = hostile_texts(manifest[key])
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    for path in (run / "data").glob("*.parquet"):
        table = pq.read_table(path)
        metadata = dict(table.schema.metadata)
        for key in (b"perfcore.spec", b"perfcore.entries", b"perfcore.bases"):
            if key in metadata:
                metadata[key] = json.dumps(hostile_texts(json.loads(metadata[key]))).encode()
        for key in (b"perfcore.version", b"perfcore.catalog_hash"):
            metadata[key] = metadata.get(key, b"") + HOSTILE.encode()
        cells = pa.array([str(cell) + HOSTILE for cell in table["weight_format"].to_pylist()])
        place = table.schema.get_field_index("weight_format")
        table = table.set_column(place, "weight_format", cells.dictionary_encode())
        table = table.append_column(f"more{HOSTILE}", pa.array([HOSTILE] * len(table)))
        pq.write_table(table.replace_schema_metadata(metadata), path)


COMMANDS = {
    # the catalogue
    "models": "models --match my",
    "model": "models show my-model",
    "model json": "models show my-model --json",
    "models json": "models --match my-model --json",
    "device": "devices show my-device",
    "device json": "devices show my-device --json",
    "devices json": "devices --match my-device --json",
    "format": "formats show my-weight_format",
    "KV format": "formats show my-kv_format",
    "formats": "formats --match my",
    "format json": "formats show my-kv_format --json",
    "engine": "engines show my-engine",
    "engines": "engines --match my",
    "engine on device": "engines show my-engine --device my-device",
    "engine json": "engines show my-engine --json",
    "economics": "economics show my-economics",
    "economics list": "economics --match my",
    "economics json": "economics show my-economics --json",
    "add model": "models add my-model -o copy.toml --force",
    # single configurations
    "sources": "point my-model my-device --engine my-engine --sources",
    "sources markdown": "point my-model my-device --engine my-engine --sources --markdown",
    "point markdown": "point my-model my-device --engine my-engine --markdown",
    # sweeps and runs
    "plan": "plan spec.toml",
    "verify": "verify named",
    "verify json": "verify named --json",
    "verify damaged": "verify broken",
    "verify damaged json": "verify broken --json",
    "finalize": "finalize named",
    "diff": "diff run theirs",
    "diff json": "diff run theirs --json",
    "run over": "run spec.toml -o named",
    # files of strangers that are refused
    "config": "models show ./config.json",
    "audit": "audit claims.csv",
    "validate": "validate --measurements unknown.csv",
}
# commands that print names and numbers only, or refuse the text without quoting it
QUIET = {
    "devices": "devices --match my",
    "plot theirs": "plot pareto theirs -o x.svg",
    "point": "point my-model my-device --engine my-engine",
    "point json": "point my-model my-device --engine my-engine --json",
    "compare": "compare my-model/my-device my-model/h200-sxm",
    "compare markdown": "compare my-model/my-device my-model/h200-sxm --markdown",
    "compare json": "compare my-model/my-device my-model/h200-sxm --json",
    "run": "run spec.toml -o again",
    "finalize": "finalize run",
    "finalize json": "finalize run --json",
    "finalize theirs": "finalize theirs",
    "verify run": "verify run",
    "search": "search spec.toml --minimize tpot_s --by weight_format",
    "search json": "search spec.toml --minimize tpot_s --json",
    "pareto": "pareto spec.toml --minimize tpot_s --minimize cost_per_mtok_output_usd",
    "histogram": "histogram spec.toml --metric tpot_s --by weight_format",
    "diff sweeps": "diff spec.toml other.toml",
    "plot": "plot pareto spec.toml -o x.svg",
    "schema": "schema",
    "plan json": "plan spec.toml --json",
    "verify theirs": "verify theirs",
    "verify theirs json": "verify theirs --json",
    "validate": "validate --measurements rows.csv",
    "calibrate": "calibrate --measurements rows.csv",
    "import": "measurements import config.json -o x.csv",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_command_shows_text_from_outside_harmlessly(name):
    words = COMMANDS[name].split()
    result = output_of(*words)
    if "--json" in words:
        assert any(HOSTILE in text for text in texts_of(json.loads(result.stdout)))
    else:
        assert SEEN in re.sub(r"\\\\", r"\\", result.output), result.output


@pytest.mark.parametrize("name", QUIET)
def test_command_prints_no_control_codes(name):
    output_of(*QUIET[name].split())


@pytest.mark.parametrize(
    "arguments",
    [
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["devices", "show", HOSTILE],
        ["devices", "--class", HOSTILE],
        ["columns", "show", HOSTILE],
        ["models", "show", f"{HOSTILE}.toml"],
        ["models", "show", f"./{HOSTILE}/config.json"],
        ["models", "add", "my-model", "--name", HOSTILE],
        ["models", "add", "my-model", "-o", f"{HOSTILE}.toml"],
        ["init", f"{HOSTILE}.toml"],
        ["init", "x.toml", "--question", HOSTILE],
        ["point", "my-model", "my-device", "--batch", HOSTILE],
        ["point", "my-model", "my-device", "--set", f"device.{HOSTILE}=1"],
        ["compare", f"my-model/{HOSTILE}", "my-model/my-device"],
        ["plan", f"{HOSTILE}.toml"],
        ["run", "spec.toml", "-o", f"a{HOSTILE}"],
        ["run", "spec.toml", "-o", "x", "--shard", HOSTILE],
        ["verify", HOSTILE],
        ["verify", f"a{HOSTILE}"],
        ["diff", "run", HOSTILE],
        ["search", "spec.toml", "--minimize", HOSTILE],
        ["search", "spec.toml", "--minimize", "tpot_s", "-o", f"{HOSTILE}.csv"],
        ["plot", "pareto", "spec.toml", "-o", f"{HOSTILE}.svg"],
        ["plot", HOSTILE, "spec.toml", "-o", "x.svg"],
        ["report", "spec.toml", "-o", HOSTILE],
        ["audit", HOSTILE],
        ["validate", "--by", HOSTILE],
        ["calibrate", "-o", f"{HOSTILE}/x.toml"],
        ["measurements", "import", HOSTILE, "-o", "x.csv"],
    ],
    ids=lambda arguments: re.sub(r"\W+", " ", " ".join(arguments).replace(HOSTILE, "X")),
)
def test_arguments_and_file_names_are_shown_harmlessly(arguments):
    assert SEEN in output_of(*arguments).output


def test_surrogates_of_file_names_are_shown():
    assert r"\udcff" in output_of("plan", "\udcff.toml").output


def test_the_environment_is_shown_harmlessly(monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", HOSTILE)

    assert SEEN in output_of("models").output


def test_names_that_a_shell_could_not_show_are_not_completed(monkeypatch):
    monkeypatch.setattr(loader, "names", lambda _: ["fine", f"f{HOSTILE}"])

    assert [item.value for item in entry_name("model")(None, None, "f")] == ["fine"]


# --------------------------------------------------------------------------- pages and pictures


@pytest.mark.parametrize("run", ["named", "theirs"])
def test_report_is_harmless(world, run):
    result = output_of("report", run, "-o", f"{run}.html")

    if result.exit_code == 0:
        written = (world / f"{run}.html").read_text("utf-8")
        assert_harmless(re.sub(r"<script>.*?</script>", "", written, flags=re.DOTALL))
        assert SEEN in written
    else:
        assert run == "theirs"


def hostile_picture():
    picture = perfcore.draw("pareto", "spec.toml")
    return replace(
        picture,
        finding=HOSTILE,
        setting=HOSTILE,
        source=HOSTILE + SURROGATE,
        remarks=(HOSTILE,),
        series=tuple(replace(one, name=one.name + HOSTILE) for one in picture.series),
    )


def test_pictures_are_harmless():
    picture = hostile_picture()
    drawn = json.dumps(vega.printable(vega.whole(picture)), ensure_ascii=False)

    assert_harmless(drawn)
    assert_harmless(vega.svg(picture))
    assert r"\x1b" in vega.svg(picture)
    written = re.sub(r"<script>.*?</script>", "", page.picture_page(picture), flags=re.DOTALL)
    assert_harmless(written)
    (data,) = re.findall('id="drawn">(.*?)</script>', written)
    assert all(text.isprintable() for text in texts_of(json.loads(data)))


@pytest.mark.parametrize("run", ["run", "named", "theirs"])
def test_previews_of_runs_are_harmless(run):
    opened = perfcore.open_run(run)

    assert_harmless(repr(opened))
    assert_harmless(opened._repr_html_())
    if run == "theirs":
        assert SEEN in repr(opened)
        assert SEEN in opened._repr_html_()


# ------------------------------------------------------------------------------------ renderers

TABLE = Table(
    [Column(HOSTILE, HOSTILE), Column(HOSTILE, align="right")],
    [Row([HOSTILE, SURROGATE], "bold", HOSTILE), Row(["1", HOSTILE])],
    HOSTILE,
    [HOSTILE],
    HOSTILE,
)


@pytest.mark.parametrize("render", [tables.plain_text, tables.html, tables.markdown])
def test_tables_are_harmless(render):
    text = render(TABLE)

    assert_harmless(text)
    assert re.sub(r"\\\\", r"\\", text).count(SEEN) >= 8


def test_tables_of_terminals_have_no_codes_but_their_own():
    text = tables.terminal_text(TABLE, 400)

    assert_harmless(re.sub(r"\x1b\[[0-9;]*m", "", text))
    assert SEEN in text


BLOCKS = [
    Title(HOSTILE),
    Heading(HOSTILE),
    Paragraph(HOSTILE),
    Facts([(HOSTILE, HOSTILE)]),
    Panel([Tile(HOSTILE, HOSTILE, HOSTILE)], [HOSTILE, HOSTILE]),
    TABLE,
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_blocks_are_harmless(capsys, block):
    assert_harmless(markdown([block]))
    show([block])
    printed = capsys.readouterr().out
    assert_harmless(printed)
    assert r"\x1b" in printed


@given(st.text())
def test_json_is_harmless_and_says_the_same(text):
    written = json_text({text: [text]}, 2)

    assert all(line.isprintable() for line in written.split("\n"))
    assert json.loads(written) == {text: [text]}


def test_json_leaves_letters_as_they_are():
    assert json_text("é漢\u202e\x9b\U000e0001", 2) == r'"é漢\u202e\u009b\udb40\udc01"'


@given(st.text(st.characters()))
def test_any_text_becomes_printable(text):
    assert visible(text).isprintable()
    assert one_line(text).isprintable()
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize("kind", [PerfcoreError, InputError, OutputError])
def test_errors_are_shown_harmlessly_in_python_too(kind):
    assert str(kind(f"a {HOSTILE} b")) == f"a {visible(HOSTILE)} b"


def test_csv_files_show_what_a_terminal_would_act_on():
    cell = csv_text([["a\tb\x1b[2J\u202e"]])

    assert cell == "a\tb\\x1b[2J\\u202e\n"


def test_commands_print_through_one_module():
    """Others print lines with ``say`` and tables with renderers, which escape."""
    package = ROOT / "perfcore"
    printing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"click\.s?echo\(|(?<![\w.])(?<!; )print\(", path.read_text("utf-8"))
    }

    assert printing == {"cli/__init__.py", "cli/text.py"}
