"""The letter of an answer to MMMLU, in whichever of its languages a model gives it."""

from __future__ import annotations

import re
import unicodedata

from evalkit.api import Sample, letters, versioned
from evalkit.scoring import chat_letter

_WORDS = (
    "antwort", "lösung", "respuesta", "opción correcta", "alternativa correcta",
    "risposta", "opzione corretta", "resposta", "alternativa correta",
    "opção correta", "réponse", "答え", "正解", "回答", "解答", "答案", "答", "정답", "답변", "답",
    "jawaban", "jawabannya", "jibu", "idahun", "ìdáhùn", "उत्तर", "जवाब", "উত্তর",
    "الإجابة", "الجواب", "إجابة", "إجابتي",
)  # fmt: skip
"""What "answer" is called in MMMLU's languages other than English."""
_NOT = r"\b(?:nicht|kein|keine|no|non|não|pas|bukan|sio)\b|不是|ではな|じゃな|아니|ليس|नहीं"
_OTHER_SCRIPTS = str.maketrans("أبجدঅবডঢ", "ABCDABCD")
"""Arabic and Bengali letters that stand for A to D (openai/simple-evals at ee3b031, common.py)."""
_SAID = re.compile(
    rf"(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:(?!{_NOT})[^\n.!?。]){{0,40}}?"
    r"(?-i:(?<![A-Za-zÀ-ÿ0-9])([A-Dأبجدঅবডঢ])(?![A-Za-zÀ-ÿ0-9'’\u0600-\u06ff\u0980-\u09ff])"
    r"(?!(?<=A)\s+[a-zà-ÿ]))(?!\s*(?:では|じゃ|이 아|가 아|नहीं))",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[*`_$]")


@versioned("mmmlu.letter", 1)
def local_letter(text: str, sample: Sample) -> str | None:
    """The last letter after a word for "answer" in the sample's language or another, else `chat_letter`'s.

    "Die richtige Antwort ist B.", "答え：B", "الإجابة: ب" and "정답은 B입니다" are such answers; a letter
    that is denied ("nicht B") is not. Small letters count only where `chat_letter` reads them, because "a"
    and "e" are words in several languages.
    openai/simple-evals at ee3b031 (`MULTILINGUAL_ANSWER_REGEXES`) takes the first such phrase with a colon,
    in the order of its list of languages, and knows no sentences; tests/conformance/mmmlu.json lists the
    cases in which the two differ.
    """
    plain = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKC", text)))
    said = [match[1].translate(_OTHER_SCRIPTS) for match in _SAID.finditer(plain)]
    found = [letter for letter in said if letter in letters(sample)]
    return found[-1] if found else chat_letter(text, sample)
