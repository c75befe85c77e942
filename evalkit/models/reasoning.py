"""Reasoning that a model wrote into its text: what is between the marks is never the answer.

A server with the right parser sends reasoning apart (`reasoning_content`). Without one, or with that of
another family, the marks arrive in the text. `MARKS` lists those of the families that vLLM (vllm/reasoning)
and SGLang (srt/parser/reasoning_parser.py) have parsers for, and of some that neither knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Marks(NamedTuple):
    """How a family opens and closes its reasoning. Letter case is ignored.

    `words`: the marks are ordinary words, so they count only where the text begins with the opener.
    """

    opener: str
    closer: str
    words: bool = False


MARKS = (
    Marks("<think>", "</think>"),  # DeepSeek-R1, Qwen3, GLM-4.5, MiniMax-M2, Nemotron, OLMo-3
    Marks("<thinking>", "</thinking>"),
    Marks("<thought>", "</thought>"),  # EXAONE Deep, Gemini's OpenAI-compatible route
    Marks("<reasoning>", "</reasoning>"),  # Reka Flash 3
    Marks("<longcat_think>", "</longcat_think>"),  # LongCat-Flash-Thinking
    Marks("<seed:think>", "</seed:think>"),  # Seed-OSS
    Marks("◁think▷", "◁/think▷"),  # Kimi-VL
    Marks("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi-K3
    Marks("[THINK]", "[/THINK]"),  # Magistral
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    Marks("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker, Sky-T1
    Marks("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    Marks("<|channel>thought", "<channel|>"),  # Gemma 4
    Marks("Here is my thought process:", "Here is my response:", words=True),  # Granite 3.2
    Marks("Here's my thought process:", "Here's my response:", words=True),
    Marks("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", words=True),  # Apriel
)

_IN_WORDS = [marks for marks in MARKS if marks.words]
_OPENERS = {marks.opener.lower() for marks in MARKS}
_MARK = re.compile(
    "|".join(re.escape(mark) for marks in MARKS if not marks.words for mark in marks[:2]), re.IGNORECASE
)
_FIRSTS = {mark[0] for marks in MARKS if not marks.words for mark in marks[:2]}
"""The characters that marks begin with: a text without them has none, which is seen in no time."""
_QUOTES = ("`", '"', "'")
_WRAPPERS = (
    ("<answer>", "</answer>"),  # Hunyuan
    ("<response>", "</response>"),  # ERNIE 4.5
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|START_TEXT|>", "<|END_TEXT|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
    ("", "<|close|>message<|sep|>"),
    ("", "[END FINAL RESPONSE]"),
)
"""What some families put around the answer that follows their reasoning."""
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_TURN = re.compile(r"<\|(?:end|return|call|start)\|>(?:assistant)?")
_PLAIN_ANALYSIS = re.compile(r"\s*analysis(?=[A-Z\"'(\d])")
_PLAIN_FINAL = "assistantfinal"
"""The same where the server left the special tokens out: `analysisWe need…assistantfinal42`."""


class Split(NamedTuple):
    """A text without its reasoning.

    `cut`: the reasoning was opened and not closed, so there is no answer after it.
    """

    answer: str
    reasoning: str = ""
    cut: bool = False


def split_reasoning(text: str, asked: Callable[[str], bool] = lambda mark: False) -> Split:
    """Takes the reasoning out of `text`.

    Blocks may repeat, also after the answer. A closer without an opener ends reasoning that the prompt
    opened, or a nested block, so everything before the last such closer is reasoning. A mark in quotes is
    one that the text speaks of, and so is an opener in the middle of a line that nothing closes. `asked`:
    whether the prompt has a mark; what it asks to put around the answer stays there.
    """
    if _CHANNEL.search(text) or text.lstrip().startswith("<|channel|>"):
        return _harmony(text)
    if _PLAIN_FINAL in text or _PLAIN_ANALYSIS.match(text):
        return _plain_harmony(text)
    split = _in_words(text) or _blocks(text)
    if split.answer == text:
        return split
    return split._replace(answer=_unwrapped(split.answer, asked))


def _in_words(text: str) -> Split | None:
    begun = text.lstrip()
    for marks in _IN_WORDS:
        if begun[: len(marks.opener)].lower() == marks.opener.lower():
            rest = begun[len(marks.opener) :]
            found = re.search(re.escape(marks.closer), rest, re.IGNORECASE)
            if found is None:
                return Split("", rest.strip(), cut=True)
            return Split(rest[found.end() :], rest[: found.start()].strip())
    return None


def _blocks(text: str) -> Split:
    if not any(first in text for first in _FIRSTS):
        return Split(text)
    answer, reasoning, at, opened = "", list[str](), 0, -1
    for mark in _MARK.finditer(text):
        opens = mark[0].lower() in _OPENERS
        if opens and opened >= 0:
            continue  # a mark that the reasoning speaks of, or a nested block
        quote = text[max(0, mark.start() - 1) : mark.start()]
        if quote in _QUOTES and text.startswith(quote, mark.end()) and (opened < 0 or quote == "`"):
            continue
        between = text[at : mark.start()]
        if opens:
            answer, opened = answer + between, mark.start()
        else:
            reasoning.append(between if opened >= 0 else answer + between)
            answer, opened = answer if opened >= 0 else "", -1
        at = mark.end()
    rest = text[at:]
    cut = opened >= 0 and not text[:opened].rpartition("\n")[2].strip()
    if cut:
        reasoning.append(rest)
    else:
        answer += text[opened:] if opened >= 0 else rest
    return Split(answer, "\n".join(filter(None, map(str.strip, reasoning))), cut)


def _harmony(text: str) -> Split:
    """gpt-oss's channels: the answer is the last `final` one, all others are reasoning."""
    pieces = _CHANNEL.split(text)  # what stands before, then name and content of each
    reasoning, final = [_TURN.sub("", pieces[0])], None
    for name, content in zip(pieces[1::2], pieces[2::2], strict=True):
        said = _TURN.sub("", content)
        if name == "final":
            final = said
        else:
            reasoning.append(said)
    thought = "\n".join(filter(None, map(str.strip, reasoning)))
    return Split("", thought, cut=True) if final is None else Split(final.strip(), thought)


def _plain_harmony(text: str) -> Split:
    before, final, after = text.rpartition(_PLAIN_FINAL)
    thought = _PLAIN_ANALYSIS.sub("", before if final else text, count=1).strip()
    return Split(after.strip() if final else "", thought, cut=not final)


def _unwrapped(answer: str, asked: Callable[[str], bool]) -> str:
    """The answer without empty lines before it; the indentation of its first line may be code's."""
    answer = answer.lstrip("\r\n")
    for start, end in _WRAPPERS:
        whole = answer.strip()
        if whole.startswith(start) and whole.endswith(end) and not asked(start or end):
            answer = whole[len(start) : len(whole) - len(end)].strip("\r\n")
    return answer
