"""From a response's text to an answer in canonical form. Pure functions; None means there is none."""

from evalkit.answers.code import code_block, completion
from evalkit.answers.number import canonical_number, final_number, same_number

__all__ = ["canonical_number", "code_block", "completion", "final_number", "same_number"]
