"""Commands in this process and in one of their own."""

import json

from click.testing import CliRunner

from perfcore.cli import program

# SIGINT may be ignored where tests run in the background
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from perfcore.cli import main; main()"
)


def invoke(*arguments):
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def invoke_json(*arguments):
    return json.loads(invoke(*arguments))


def refused(*arguments):
    """Return the messages of a command that refuses its arguments."""
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])

    assert result.exit_code == 2, result.output
    return result.stderr
