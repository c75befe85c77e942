"""Extraction of programs from responses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_BLOCK = re.compile(
    r"""
    ^(?P<indent>[ \t]*+) (?P<fence>`{3,}+|~{3,}+) (?P<info>[^\n`]*+)\n
    (?P<code>.*?)
    (?: ^(?P=indent)?[ ]{0,3}(?P=fence) | \Z)    # a deeper fence is part of the code
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_GLUED = re.compile(r"(?<=[^\n`])(`{3,}+)[ \t]*$", re.MULTILINE)
_HEADER_ENDS = re.compile(r":[ \t]*(?:#.*)?$", re.MULTILINE)
_DOCSTRING = re.compile(
    r"""\s*[rRuU]?(\"{3}|'{3}).*?(?:\1|\Z)|\s*("|')[^\n]*\2[ \t]*$""", re.DOTALL | re.MULTILINE
)
_IMPORTS = re.compile(r"(?:\s*\n[ \t]*(?:import|from)[ ][^\n]*)*+")
_LINE = re.compile(r"[^\n]*")
_NO_STATEMENT = re.compile(r"(?:pass|\.\.\.|raise NotImplementedError\b.*|#.*)?\Z")
_TOP_LEVEL = re.compile(
    r"^(?:(?:async )?def|class)[ ](\w+)|^([A-Z][A-Z0-9_]*)[ ]?(?::[^=\n]+)?=(?!=)"
    r"|^(?:from[ ]\S+[ ])?import[ ](.+)$",
    re.MULTILINE,
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_MOST = 50
"""How many lines that end with a fence, definitions of the function and further blocks are looked at."""


class _Block(NamedTuple):
    info: str
    code: str


@versioned("code_block", 3)
def code_block(text: str, sample: Sample) -> str | None:
    """The markdown code block with the requested function; None if the text has no code block.

    Gemini 1.5 report, appendix 12.14: "a full markdown code block is expected". The report does not say which
    block counts if there are several: here it is the first that defines `sample.meta["entry_point"]` with
    more than imports, a docstring, `pass` or `...`, or else the first that defines it, or else the first of
    all. Other blocks of Python go before it if they have helpers, imports or constants that it uses and does
    not define. A block without a closing fence (a response cut off at `max_tokens`) extends to the end of the
    text; the fence may stand at the end of a line of code, or too far in, but not inside a docstring. If a
    fence is indented, as in a list, its indentation is removed from the lines of the block, as in CommonMark.
    """
    blocks = list(_blocks(text))
    if not blocks:
        return None
    name = str(sample.meta["entry_point"])
    defines = re.compile(rf"^([ \t]*)(?:async )?def {re.escape(name)}\b", re.MULTILINE)
    defining = [block for block in blocks if defines.search(block.code)]
    if not defining:
        return blocks[0].code
    chosen = next((block for block in defining if not _is_stub(block.code, defines)), defining[0])
    others = [block for block in blocks if block not in defining and _is_python(block)]
    return _with_helpers(chosen.code, [block.code for block in others[:_MOST]], name)


def _blocks(text: str) -> Iterator[_Block]:
    at = 0
    while (match := _BLOCK.search(text, at)) is not None:
        code, at = match["code"], match.end()
        end = _glued_fence(code, match["fence"])
        if end is not None:
            code, at = code[:end] + "\n", match.start("code") + end + len(match["fence"])
        yield _Block(match["info"].strip(), _unindented(code, len(match["indent"])))


def _glued_fence(code: str, fence: str) -> int | None:
    """Where the closing fence is that stands at the end of a line of code, outside docstrings; else None."""
    for found in islice(_GLUED.finditer(code), _MOST):
        line = code[code.rfind("\n", 0, found.start()) + 1 : found.start()]
        before = code[: found.start()]
        inside = any(before.count(quotes) % 2 for quotes in ('"' * 3, "'" * 3))
        comment = line.lstrip().startswith("#") and line[-1].isspace()  # "# ```" opens an example
        if found[1] == fence and fence not in line and not inside and not comment:
            return found.start()
    return None


def _is_stub(code: str, defines: re.Pattern[str]) -> bool:
    """Whether every definition of the function in `code` does nothing: a docstring, `pass` or `...`."""
    return all(_does_nothing(code, found) for found in islice(defines.finditer(code), _MOST))


def _does_nothing(code: str, found: re.Match[str]) -> bool:
    first = code[found.end() :].partition("\n")[0].rstrip()
    one_line = re.search(r"\).*?:[ \t]*([^\s#].*)\Z", first)
    if one_line is not None and first.count("(") == first.count(")"):
        return _NO_STATEMENT.match(one_line[1]) is not None
    header = _HEADER_ENDS.search(code, found.end())
    if header is None:
        return True
    imports = _IMPORTS.match(code, header.end())
    body = imports.end() if imports else header.end()
    docstring = _DOCSTRING.match(code, body)
    for part in _LINE.finditer(code, docstring.end() if docstring else body):
        line = part[0]
        if line.strip() and len(line) - len(line.lstrip()) <= len(found[1]):
            break  # the function's end
        if not _NO_STATEMENT.match(line.strip()):
            return False
    return True


def _is_python(block: _Block) -> bool:
    return not block.info or block.info.lower().startswith(("py", "{.py"))


def _with_helpers(code: str, others: Sequence[str], name: str) -> str:
    """`code` behind those of `others` that define what it, or one of them, uses; once for each name.

    A block that mentions the function itself, such as an example, goes behind.
    """
    rest = {block: _defined(block) for block in others}
    taken: list[str] = []
    known, used = _defined(code), set(_WORD.findall(code))
    while helper := next((block for block, names in rest.items() if (names - known) & used), None):
        taken.append(helper)
        known |= rest.pop(helper)
        used |= set(_WORD.findall(helper))
    helpers = [block for block in others if block in taken]
    before = [block for block in helpers if name not in _WORD.findall(block)]
    after = [block for block in helpers if block not in before]
    return "\n".join([*before, code, *after])


def _defined(code: str) -> set[str]:
    """The functions, classes, constants and imported names at the top level of `code`."""
    names: set[str] = set()
    for found in _TOP_LEVEL.finditer(code):
        names |= {found[1] or found[2]} if found[3] is None else _imported(found[3])
    return names


def _imported(what: str) -> set[str]:
    parts = what.partition("#")[0].strip(" ()").split(",")
    return {part.split(" as ")[-1].strip().partition(".")[0] for part in parts}


def _unindented(code: str, width: int) -> str:
    return re.sub(rf"^[ \t]{{1,{width}}}", "", code, flags=re.MULTILINE) if width else code


@versioned("completion", 1)
def completion(text: str, sample: Sample) -> str:
    """The unchanged text: the continuation of a base model, which is run even if it is empty."""
    return text
