"""Extraction of programs from responses."""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_BLOCK = re.compile(
    r"""
    ^(?P<indent>[ \t]*+) (?P<fence>`{3,}+|~{3,}+) [^\n`]*+\n
    (?P<code>.*?)
    (?: ^(?P=indent)?[ ]{0,3}(?P=fence) | \Z)    # a deeper fence is part of the code
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


@versioned("code_block", 1)
def code_block(text: str, sample: Sample) -> str | None:
    """The markdown code block with the requested function; None if the text has no code block.

    Gemini 1.5 report, appendix 12.14: "a full markdown code block is expected". The report does not say which
    block counts if there are several: here it is the first that defines `sample.meta["entry_point"]`, or else
    the first of all. A block without a closing fence (a response cut off at `max_tokens`) extends to the end
    of the text. If a fence is indented, as in a list, its indentation is removed from the lines of the block,
    as in CommonMark.
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
    """The unchanged text: the continuation of a base model, which is run even if it is empty."""
    return text
