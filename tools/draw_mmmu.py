"""Draws at least one question for each of MMMU's 30 subjects, with MMMU's columns."""

from __future__ import annotations

from typing import Any

from tools.draw_mmmu_arts import arts, business
from tools.draw_mmmu_sciences import health, sciences, technology
from tools.subject import Question

PICTURES = 7
"""The number of columns image_1 … image_7; a column without a picture is null."""


def subjects() -> dict[str, list[dict[str, Any]]]:
    """The records by config. Unlike the real set, most subjects have a single question."""
    found: dict[str, list[dict[str, Any]]] = {}
    for question in (*arts(), *business(), *sciences(), *health(), *technology()):
        rows = found.setdefault(question.subject, [])
        rows.append(_record(question, f"validation_{question.subject}_{len(rows) + 1}"))
    return dict(sorted(found.items()))


def _record(question: Question, name: str) -> dict[str, Any]:
    pictures = {
        f"image_{number + 1}": question.pictures[number] if number < len(question.pictures) else None
        for number in range(PICTURES)
    }
    return {
        "id": name,
        "question": question.text,
        "options": str(list(question.options)),
        "answer": question.answer,
        **pictures,
        "img_type": str([question.shown]),
        "topic_difficulty": question.difficulty,
        "question_type": "multiple-choice" if question.options else "open",
        "subfield": question.subfield,
    }
