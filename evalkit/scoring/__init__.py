"""Extraction of answers from responses, in canonical form, and their comparison, as pure functions.

An extractor returns None if it finds no answer.
"""

from evalkit.scoring.code import code_block, completion
from evalkit.scoring.letter import chat_letter, cot_letter
from evalkit.scoring.number import canonical_number, final_number, same_number, stated_number

__all__ = [
    "canonical_number", "chat_letter", "code_block", "completion", "cot_letter", "final_number",
    "same_number", "stated_number",
]  # fmt: skip
