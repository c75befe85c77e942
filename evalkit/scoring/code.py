"""Programs in text."""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_BLOCK = re.compile(
    r"""
    ^(?P<indent>[ \t]*+) (?P<fence>`{3,}+|~{3,}+) [^\n`]*+\n
    (?P<code>.*?)
    (?: ^(?P=indent)?[ ]{0,3}(?P=fence) | \Z)    # a deeper fence is the code's own: a docstring's
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


@versioned("code_block", 1)
def code_block(text: str, sample: Sample) -> str | None:
    """The markdown code block that holds the asked function; None when the text has no code block.

    Gemini 1.5 report, appendix 12.14: "a full markdown code block is expected". It does not say which of
    several: here the first that defines `sample.meta["entry_point"]`, else the first of all. A block
    whose closing fence is missing (a response cut at `max_tokens`) runs to the end of the text. A fence in
    a list is indented; as in CommonMark, its lines lose that indentation.
    """
    blocks = [_unindented(match["code"], len(match["indent"])) for match in _BLOCK.finditer(text)]
    if not blocks:
        return None
    defines = re.compile(
        rf"^[ \t]*(?:async )?def {re.escape(str(sample.meta['entry_point']))}\b", re.MULTILINE
    )
    return next((block for block in blocks if defines.search(block)), blocks[0])


def _unindented(code: str, width: int) -> str:
    return re.sub(rf"^[ \t]{{1,{width}}}", "", code, flags=re.MULTILINE) if width else code


@versioned("completion", 1)
def completion(text: str, sample: Sample) -> str:
    """The text as it is: what a base model continued, run even when it is empty."""
    return text
