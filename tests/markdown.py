"""The code blocks of a Markdown page, for tests that run what the page shows."""

import re
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(
    r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)(?P<info>[^\n`]*)\n"
    r"(?P<code>.*?)^ {0,3}(?P=fence)[`~]*[ \t]*$",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    """A fenced block: its language, what follows it on the fence, its code and first line."""

    language: str
    info: str
    code: str
    line: int


def code_blocks(path, language=None):
    """Return the fenced blocks of a page in order, or those of one language."""
    text = Path(path).read_text(encoding="utf-8")
    blocks = [
        Block(
            match["language"],
            match["info"].strip(),
            match["code"],
            text.count("\n", 0, match.start("code")) + 1,
        )
        for match in _BLOCK.finditer(text)
    ]
    return [block for block in blocks if language in (None, block.language)]
