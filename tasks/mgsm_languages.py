"""What MGSM's prompts and answers are called in its eleven languages."""

from __future__ import annotations

from typing import NamedTuple


class Wording(NamedTuple):
    """The words of a language.

    `question`, `solution`: the labels of the authors' exemplars (google-research/url-nlp at 452a21a,
    mgsm/exemplars.py), with a blank behind where they do not end in a wide colon. `answer`: the word for an
    answer by which simple-evals finds it (openai/simple-evals at ee3b031, mgsm_eval.py). `stated`: how the
    exemplars state an answer. `harness`: the pattern of lm-evaluation-harness 0.4.13 (mgsm/native_cot), which
    is English for Bengali. `continental`: whether "1.250,50" is a spelling of 1250.5.
    """

    question: str
    solution: str
    answer: str
    stated: str
    harness: str
    continental: bool = False


_NUMBER = r"(\-?[0-9\.\,]+)"
LANGUAGES = {
    "bn": Wording("প্রশ্ন:", "ধাপে ধাপে উত্তর:", "উত্তর", "উত্তর হল {}।", f"The answer is {_NUMBER}"),
    "de": Wording(
        "Frage:", "Schritt-für-Schritt-Antwort:", "Antwort", "Die Antwort lautet {}.",
        f"Die Antwort lautet {_NUMBER}", continental=True,
    ),
    "en": Wording(
        "Question:", "Step-by-Step Answer:", "Answer", "The answer is {}.", f"The answer is {_NUMBER}"
    ),
    "es": Wording(
        "Pregunta:", "Respuesta paso a paso:", "Respuesta", "La respuesta es {}.",
        f"La respuesta es {_NUMBER}", continental=True,
    ),
    "fr": Wording(
        "Question :", "Réponse étape par étape :", "Réponse", "La réponse est {}.",
        f"La réponse est {_NUMBER}", continental=True,
    ),
    "ja": Wording("問題：", "ステップごとの答え：", "答え", "答えは{}です。", f"答えは{_NUMBER}です。"),
    "ru": Wording(
        "Задача:", "Пошаговое решение:", "Ответ", "Ответ — {}.", f"Ответ — {_NUMBER}", continental=True
    ),
    "sw": Wording("Swali:", "Jibu la Hatua kwa Hatua:", "Jibu", "Jibu ni {}.", f"Jibu ni {_NUMBER}"),
    "te": Wording("ప్రశ్న:", "దశలవారీగా సమాధానం:", "సమాధానం", "సమాధానం {}.", f"సమాధానం {_NUMBER}"),
    "th": Wording("โจทย์:", "คำตอบทีละขั้นตอน:", "คำตอบ", "คำตอบคือ {}", f"คำตอบคือ {_NUMBER}"),
    "zh": Wording("问题：", "逐步解答：", "答案", "答案是 {}。", f"答案是 {_NUMBER}。"),
}  # fmt: skip
"""By the data set's code; the eleven languages over which the mean is taken."""
