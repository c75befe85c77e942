"""What a model says around a transcript or a translation, and the text without it.

Models that write down speech add marks of their own before every text, and chat models a sentence. They count
as insertions in an error rate and as wrong n-grams in BLEU, although every word of the text is right:

* Qwen3-ASR: `language English<asr_text>…` (QwenLM/Qwen3-ASR, which its own package removes);
* Whisper: `<|startoftranscript|><|en|><|transcribe|><|notimestamps|>…` (openai/whisper at c0d2f62,
  whisper/tokenizer.py), Canary likewise, and SenseVoice: `<|zh|><|NEUTRAL|><|Speech|><|woitn|>…`, also with
  spaces in them;
* OWSM: `<eng><asr><notimestamps>…`; NeMo's multilingual models: `… <en-US>`;
* Voxtral: `lang:en[TRANSCRIBE]…` (mistralai/mistral-common, the transcription request);
* `<s>…</s>` and other tokens that begin, end or fill a sequence;
* times of subtitles, `[00:00.000 --> 00:04.000]` as whisper.cpp prints them, `[0.00s -> 4.00s]`, `[00:04]`;
  whole files of subtitles (WebVTT, W3C 2019; SubRip);
* chat models: "Here is the transcription: …", "Transcript: …" in several languages, "The original content of
  this audio is: '…'" (Qwen2-Audio), a fence or another mark of Markdown around the whole, a JSON object with
  the text, quotes around the whole, and speakers' labels such as `Speaker 1:`.
"""

from __future__ import annotations

import html
import json
import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_TIME = r"(?:\d+:)?\d+:\d\d[.,]\d+"
_CLOCK = r"(?:\d+:)?\d+:\d\d(?:[.,]\d+)?|\d+[.,]\d+s?|(?:\d+m)?\d+s(?:\d+ms)?"
_TOKENS = re.compile(
    r"(?:\blanguage[ :]+[\w-]+(?:, ?[\w-]+)*\s*)?<asr_text>|</asr_text>"
    r"|<\|[^<>|\n]{0,40}\|>|< \| [^<>|\n]{1,40} \| >"
    r"|(?:\blang:\w{2,3})?\[TRANSCRIBE\]"
    rf"|\[ ?(?:{_CLOCK}) ?(?:-->|->|-|–) ?(?:{_CLOCK}) ?\]|\[(?:\d+:)?\d+:\d\d(?:[.,]\d+)?\]"
    r"|</?s>|<(?:pad|bos|eos|sil|blank|blk|start_of_turn|end_of_turn)>|\[(?:PAD|BOS|EOS|CLS|SEP)\]"
    r"|<(?:asr|st_\w{2,3}|notimestamps|\d+\.\d\d)>"
    r"|<br ?/?>|\u2581|\ufeff"
)
"""Marks that nobody can say, wherever they stand: one may begin each piece of a long clip."""
_LANGUAGE = r"<(?!unk>)[a-z]{2,3}(?:-[A-Z]{2})?>"
_LANGUAGE_TAG = re.compile(rf"\A(?:{_LANGUAGE}\s*)+|{_LANGUAGE}\Z")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,4});")
_VTT_HEADER = re.compile(r"\s*WEBVTT\b[^\n]*(?:\n[^\n]+)*?(?=\n\s*(?:\n|\Z)|\Z|\n[^\n]*-->)")
_VTT_BLOCK = re.compile(r"(?<=\n)(?:NOTE|STYLE|REGION)\b[^\n]*(?:\n[^\n]+)*")
_VTT_SPAN = re.compile(rf"</?(?:c|v|b|i|u|lang|ruby|rt)(?:[ .][^<>\n]*)?>|<{_TIME}>")
_CUE = re.compile(
    rf"(?:^[ \t]*\d+[ \t]*\n)?^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}"
    r"(?:[ \t]+(?:align|position|line|size|vertical|region):\S+)*",
    re.MULTILINE,
)
"""The times of a subtitle, after its number if it has one, and its settings."""
_SPEAKER = re.compile(
    r"^[ \t]*(?:\[(?:speaker|spk|s)[ _]?\d+\]:?|(?:\*\*)?(?:speaker[ _]?(?:\d+|[a-z])|spk_?\d+):(?:\*\*)?)",
    re.MULTILINE | re.I,
)
_TAGS = re.compile(
    r"<(transcript|transcription|translation|text|asr|output|answer)>(.*)</\1>", re.DOTALL | re.I
)
_BRACKET_TAGS = re.compile(r"\[(transcript|transcription|translation|text)\](.*)\[/\1\]", re.DOTALL | re.I)
_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_MARKED = re.compile(r"(\*\*|__|\*|_|`)(?=\S)((?:(?!\1).)+)(?<=\S)\1", re.DOTALL)
_KEYS = ("text", "transcript", "transcription", "translation")
_WHAT = r"(?:transcript(?:ion)?|translation|text)"
_OF = (
    r"(?: (?:of|for|in|from|into)"
    r" (?:(?:the|this|your|that|provided|given|spoken|english|audio|speech|clip) ?)+"
    r"(?:audio|speech|clip|file|recording|sentence|\w+)?"
    r"(?: in (?:the|this) (?:audio|clip|recording|file))?)?"
    r"(?:,? (?:that )?you(?:'ve| have)? (?:provided|shared|sent|gave me))?"
)
_SOURCE = r"(?:speaker|audio|clip|person|speech|recording|voice|man|woman)"
_PREAMBLE = re.compile(
    r"[*_#\s]*"
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely)(?: thing)?[,.!:]\s*)?"
    r"(?:(?:here(?: is|['’]s)|(?:this|below|the following) is) )?"
    r"(?:(?:the|your|a|my) )?"
    rf"(?:(?:english|verbatim|exact|full|word-for-word|audio|speech|spoken) )*{_WHAT}{_OF}"
    r"(?: (?:is|reads|says))?(?: as follows)?[*_]*[:：][*_]*\s*"
    rf"|[*_#\s]*the {_SOURCE}(?: in (?:the|this) \w+)?"
    r" (?:says|said|is saying)(?: in \w+)?(?: the following)?[:：]\s*"
    r"|[*_#\s]*the (?:original |spoken |speech )?content of (?:the|this) (?:audio|speech|clip|recording)"
    r" is[:：]\s*"
    rf"|[*_#\s]*the {_WHAT}{_OF} (?:is|reads)(?: as follows)?[:,]?\s+(?=[\"“'‘])"
    rf"|[*_#\s]*the {_SOURCE}(?: in (?:the|this) \w+)? (?:says|said),?\s+(?=[\"“])"
    r"|(?:[*_#\s]*(?:sure|certainly|of course|okay|ok)[,.!:]\s*)?"
    r"here(?: is|['’]s) what (?:is|was|i heard|they|the speaker) ?(?:said|says|heard)?"
    r"(?: in (?:the|this|your) (?:audio|clip|recording))?[:：]\s*"
    rf"|[*_#\s]*{_WHAT}[*_]*[ \t]*\n+|[*_#]+\s*{_WHAT}[*_]*\Z",
    re.IGNORECASE,
)
_PREAMBLES_ELSEWHERE = re.compile(
    r"[*_#\s]*(?:"
    r"(?:hier (?:ist|folgt) )?(?:(?:das|die) )?(?:transkript|transkription|abschrift|übersetzung)"
    r"(?: (?:der|des) \w+)?(?: lautet)?"
    r"|(?:voici )?(?:la )?(?:transcription|traduction)(?: (?:de|du|de la) ?[\w' ’]{1,30})?(?: est)?"
    r"|(?:(?:aquí está|esta es) )?(?:la )?(?:transcripción|traducción)(?: del? [\w ]{1,30})?"
    r"|(?:(?:aqui está|esta é) )?(?:a )?(?:transcrição|tradução)(?: d[aeo] [\w ]{1,30})?"
    r"|(?:ecco )?(?:la )?(?:trascrizione|traduzione)(?: del(?:l['’])? ?[\w ]{1,30})?"
    r"|(?:вот )?(?:транскрипция|расшифровка|перевод)(?: \w+)?"
    r"|(?:以下是|这是|這是)?(?:这段|該|该|這段)?(?:音频|音頻|语音|語音)?(?:的)?(?:转录|轉錄|转写|轉寫|听写|聽寫|翻译|翻譯)"
    r"(?:内容|內容|文本|文字|结果|結果)?(?:如下)?"
    r"|(?:这段|這段|该|該)(?:音频|音頻|语音|語音)的(?:原始)?(?:内容|內容)(?:是|为|為)"
    r"|(?:以下は)?(?:音声の)?(?:文字起こし|書き起こし|翻訳)(?:結果)?(?:です|は以下の通りです)?"
    r"|(?:다음은 )?(?:오디오 )?(?:전사|녹취록|번역)(?: 내용)?(?:입니다)?"
    r")[*_]*\s?[:：][*_]*\s*",
    re.IGNORECASE,
)
_HEARD = re.compile(r"[*_#\s]*(?:(?:detected|spoken|source) )?language[*_]*:[*_]* ?[\w() -]{2,30}\n+", re.I)
"""A line with the language before the text."""
_QUOTES = {
    '"': '"', "“": "”", "„": "“", "”": "”", "«": "»", "「": "」", "『": "』", "《": "》", "＂": "＂",
    "'": "'", "‘": "’",
}  # fmt: skip
_WORD = re.compile(r"\w+")


@versioned("transcript", 3)
def transcript(text: str, sample: Sample) -> str | None:
    """The text in a reply, trimmed, without what a model puts around every text (see the module).

    What may be said aloud is only removed if the reference does not begin with it: a sentence that introduces
    the text, and quotes around the whole. An empty reply is an answer: nothing was heard.
    """
    references = [reference.strip() for reference in sample.target]
    if any("<|" in reference or "<asr_text>" in reference for reference in references):
        return text.strip()
    text = _of_subtitles(text)
    text = _TOKENS.sub(" ", text).strip()
    text = _LANGUAGE_TAG.sub("", text).strip()
    for pattern, group in ((_TAGS, 2), (_BRACKET_TAGS, 2), (_FENCE, 1)):
        if whole := pattern.fullmatch(text):
            text = _of_subtitles(whole[group]).strip()
    text = text[heard.end() :] if (heard := _HEARD.match(text)) else text
    text = _without_preamble(_of_json(text), references)
    if whole := _FENCE.fullmatch(text):
        text = _of_subtitles(whole[1]).strip()
    text = _without_speakers(_unmarked(text, references), references)
    return _unescaped(_unquoted(text, references), references)


@versioned("translation", 1)
def translation(text: str, sample: Sample) -> str | None:
    """The translation in a reply to a text, trimmed, without what a chat model puts around it.

    That is a sentence that introduces it, a fence, a tag or another mark of Markdown around the whole, a JSON
    object with the text, and quotes around the whole; each is kept if the reference begins with it, and
    quotes also if the source does. Unlike in `transcript`, nothing inside the text is removed: times and
    labels of speakers are part of a text.
    """
    references = [reference.strip() for reference in sample.target]
    text = text.strip()
    for pattern, group in ((_TAGS, 2), (_BRACKET_TAGS, 2), (_FENCE, 1)):
        if whole := pattern.fullmatch(text):
            text = whole[group].strip()
    text = _without_preamble(_of_json(text), references)
    if whole := _FENCE.fullmatch(text):
        text = whole[1].strip()
    text = _unmarked(text, references)
    own = any(one[:1] in _QUOTES for one in (*references, sample.input.strip()))
    return text if own else _unquoted(text, references)


def _of_subtitles(text: str) -> str:
    """The text of WebVTT or SubRip, without numbers and times; any other text as it is."""
    if "-->" not in text:
        return text
    text = text.replace("\r\n", "\n")
    if header := _VTT_HEADER.match(text):
        text = _VTT_SPAN.sub("", _VTT_BLOCK.sub("", text[header.end() :]))
    return _CUE.sub(" ", text)


def _of_json(text: str) -> str:
    """The entry of a JSON object, or the entries of a list of objects, that have the text."""
    if (text[:1], text[-1:]) not in (("{", "}"), ("[", "]")):
        return text
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    pieces = [_entry(one) for one in (document if isinstance(document, list) else [document])]
    known = [piece.strip() for piece in pieces if piece is not None]
    return " ".join(filter(None, known)) if pieces and len(known) == len(pieces) else text


def _entry(document: object) -> str | None:
    if not isinstance(document, dict):
        return None
    found = [value for key, value in document.items() if isinstance(key, str) and key.lower() in _KEYS]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def _without_preamble(text: str, references: list[str]) -> str:
    found = _PREAMBLE.match(text) or _PREAMBLES_ELSEWHERE.match(text)
    if found is None:
        return text
    rest = text[found.end() :].strip()
    said = _words(found[0])[:2]  # two words are enough: "the speaker says" may be heard as "the speaker said"
    for reference in references:
        begins = _words(reference)[: len(said)] == said
        if begins and _words(rest)[: len(said)] != said:
            return text
    return rest


def _without_speakers(text: str, references: list[str]) -> str:
    """The text without a label at the beginning of a line, unless a reference has such a word."""
    if any("speaker" in reference.casefold() for reference in references):
        return text
    return _SPEAKER.sub("", text).strip()


def _unmarked(text: str, references: list[str]) -> str:
    """The text without Markdown's marks of a quotation, of code, bold or italics around the whole."""
    if any(reference[:1] in ("*", "_", "`", ">") for reference in references):
        return text
    lines = text.split("\n")
    if all(line.startswith(">") or not line.strip() for line in lines):
        text = "\n".join(line.lstrip("> ") for line in lines).strip()
    while whole := _MARKED.fullmatch(text):
        text = whole[2]
    return text


def _unquoted(text: str, references: list[str]) -> str:
    """The text without quotes around the whole, unless the reference has some too."""
    quoted = any(one[:1] in _QUOTES and one[-1:] in _QUOTES.values() for one in references)
    if quoted:
        return text
    if text.startswith("``") and text.endswith("''") and len(text) > 4:
        return text[2:-2].strip()
    bare = text.replace('\\"', '"') if text.startswith('\\"') else text
    outer = bare.removesuffix(".") if bare.endswith(tuple(f"{end}." for end in '"”»’')) else bare
    closing = _QUOTES.get(outer[:1])
    inside = outer[1:-1]
    if closing is None or len(outer) < 2 or not outer.endswith(closing):
        return text
    if closing in inside and not (closing in "'’" and re.search(rf"\w{closing}\w", inside)):
        return text
    return inside.strip()


def _unescaped(text: str, references: list[str]) -> str:
    """The text with HTML's entities as characters, unless a reference has some."""
    if not _ENTITY.search(text) or any(_ENTITY.search(reference) for reference in references):
        return text
    return _unquoted(html.unescape(text), references)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
