"""What a model says around a transcript or a translation, and the text without it.

Models that write down speech add marks of their own before every text, and chat models a sentence. They count
as insertions in an error rate and as wrong n-grams in BLEU, although every word of the text is right:

* Qwen3-ASR: `language English<asr_text>…` (QwenLM/Qwen3-ASR, which its own package removes);
* Whisper: `<|startoftranscript|><|en|><|transcribe|><|notimestamps|>…` (openai/whisper at c0d2f62,
  whisper/tokenizer.py), and SenseVoice: `<|zh|><|NEUTRAL|><|Speech|><|woitn|>…`;
* Voxtral: `lang:en[TRANSCRIBE]…` (mistralai/mistral-common, the transcription request);
* times of subtitles, `[00:00.000 --> 00:04.000]`, as whisper.cpp prints them;
* chat models: "Here is the transcription: …", "Transcript: …", a fence of Markdown, a JSON object with the
  text alone, quotes around the whole.
"""

from __future__ import annotations

import json
import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_TOKENS = re.compile(
    r"(?:\blanguage[ :]+[\w-]+(?:, ?[\w-]+)*\s*)?<asr_text>|</asr_text>"
    r"|<\|[^<>|\n]{0,40}\|>"
    r"|(?:\blang:\w{2,3})?\[TRANSCRIBE\]"
    r"|\[(?:\d+:)?\d+:\d\d[.,]\d+ --> (?:\d+:)?\d+:\d\d[.,]\d+\]",
)
"""Marks that nobody can say, wherever they stand: one may begin each piece of a long clip."""
_TAGS = re.compile(r"<(transcript|transcription|translation|text|asr|output)>(.*)</\1>", re.DOTALL | re.I)
_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_KEYS = ("text", "transcript", "transcription", "translation")
_WHAT = r"(?:transcript(?:ion)?|translation|text)"
_OF = (
    r"(?: (?:of|for|in|from|into)"
    r" (?:(?:the|this|your|that|provided|given|spoken|english|audio|speech|clip) ?)+"
    r"(?:audio|speech|clip|file|recording|sentence|\w+)?)?"
)
_PREAMBLE = re.compile(
    r"[*_#\s]*"
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely)(?: thing)?[,.!:]\s*)?"
    r"(?:(?:here(?: is|['’]s)|(?:this|below|the following) is) )?"
    r"(?:(?:the|your|a|my) )?"
    rf"(?:(?:english|verbatim|exact|full|word-for-word|audio|speech|spoken) )*{_WHAT}{_OF}"
    r"(?: (?:is|reads|says))?(?: as follows)?[*_]*:[*_]*\s*"
    r"|[*_#\s]*the (?:speaker|audio|clip|person|speech|recording|voice)(?: in the \w+)?"
    r" (?:says|said|is saying)(?: the following)?:\s*",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", "‘": "’"}
_WORD = re.compile(r"\w+")


@versioned("transcript", 1)
def transcript(text: str, sample: Sample) -> str | None:
    """The text in a reply, trimmed, without what a model puts around every text (see the module).

    What may be said aloud is only removed if the reference does not begin with it: a sentence that introduces
    the text, and quotes around the whole. An empty reply is an answer: nothing was heard.
    """
    references = [reference.strip() for reference in sample.target]
    if any("<|" in reference or "<asr_text>" in reference for reference in references):
        return text.strip()
    text = _TOKENS.sub(" ", text).strip()
    for pattern, group in ((_TAGS, 2), (_FENCE, 1)):
        if whole := pattern.fullmatch(text):
            text = whole[group].strip()
    text = _without_preamble(_of_json(text), references)
    if whole := _FENCE.fullmatch(text):
        text = whole[1].strip()
    return _unquoted(text, references)


def _of_json(text: str) -> str:
    """The only entry of a JSON object that has the text."""
    if not (text.startswith("{") and text.endswith("}")):
        return text
    try:
        document = json.loads(text)
    except ValueError:
        return text
    values = list(document.items()) if isinstance(document, dict) else []
    named = len(values) == 1 and values[0][0] in _KEYS and isinstance(values[0][1], str)
    return str(values[0][1]).strip() if named else text


def _without_preamble(text: str, references: list[str]) -> str:
    found = _PREAMBLE.match(text)
    if found is None:
        return text
    rest = text[found.end() :].strip()
    said = _words(found[0])[:2]  # two words are enough: "the speaker says" may be heard as "the speaker said"
    for reference in references:
        begins = _words(reference)[: len(said)] == said
        if begins and _words(rest)[: len(said)] != said:
            return text
    return rest


def _unquoted(text: str, references: list[str]) -> str:
    """The text without quotes around the whole, unless the reference has some too."""
    closing = _QUOTES.get(text[:1])
    inside = text[1:-1]
    if closing is None or len(text) < 2 or not text.endswith(closing):
        return text
    if closing in inside and not (closing in "'’" and re.search(rf"\w{closing}\w", inside)):
        return text
    quoted = any(one[:1] in _QUOTES and one[-1:] in _QUOTES.values() for one in references)
    return text if quoted else inside.strip()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
