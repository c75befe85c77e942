"""DROP's own exact match and F1, over bags of tokens (Dua et al. 2019, arXiv 1903.00161, section 5).

The rule is that of allenai/allennlp-reading-comprehension at 14fc0a4, `allennlp_rc/eval/drop_eval.py`. An
answer is one or more spans. A span is split at blanks and hyphens; each token is converted to lower case,
loses its ASCII punctuation unless it is a number as `float` reads one, becomes that number if it is one ("29"
and "29.00" are "29.0"), and loses a, an and the. Repeated tokens of a span count once. The spans of the
answer and of the reference are paired so that the sum of F1 is greatest; two spans get nothing if the
reference has numbers and the answer has none of these. F1 is the mean over the spans of whichever has more,
rounded to two decimals. An exact match has the same spans, and as many. The best reference counts, and a
reference whose first span is blank never does.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from evalkit.identity.declared import versioned

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DELETED = str.maketrans("", "", string.punctuation)


@versioned("drop_scores", 1, packages=("scipy",))
def drop_scores(spans: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, float]:
    """(exact match, F1) of an answer of one or more spans: 0 or 1, and 0 to 1 in steps of a hundredth.

    `references`: the spans of each acceptable answer.
    """
    scores = [_compared(spans, reference) for reference in references if reference and reference[0].strip()]
    exact, f1 = zip(*scores, strict=True) if scores else ((0.0,), (0.0,))
    return max(exact), max(f1)


@versioned("drop_normalise", 1)
def drop_normalise(span: str) -> str:
    """The tokens of a span as they are compared, joined by blanks."""
    tokens = (_ARTICLES.sub(" ", _number_or_word(token.lower())) for token in re.split(" |-", span))
    return " ".join(" ".join(tokens).split())


def _compared(spans: Sequence[str], reference: Sequence[str]) -> tuple[float, float]:
    given, held = [[drop_normalise(span) for span in one] for one in (spans, reference)]
    exact = set(given) == set(held) and len(given) == len(held)
    scores = [[_f1(set(one.split()), set(other.split())) for one in given] for other in held]
    mean = sum(_aligned(scores)) / max(len(given), len(held))
    return float(exact), round(100 * mean) / 100


def _aligned(scores: list[list[float]]) -> list[float]:
    """The scores of the pairs of a row and a column each that have the greatest sum."""
    if len(scores) == 1 or len(scores[0]) == 1:
        return [max(max(row) for row in scores)]
    from scipy.optimize import linear_sum_assignment  # it takes a second to import, and is seldom needed

    pairs = zip(*linear_sum_assignment(scores, maximize=True), strict=True)
    return [scores[row][column] for row, column in pairs]


def _f1(given: set[str], held: set[str]) -> float:
    numbers = set(filter(_is_number, held))
    if numbers and not numbers & given:
        return 0.0
    same = len(given & held)
    precision = same / len(given) if given else 1.0
    recall = same / len(held) if held else 1.0
    return 2 * precision * recall / (precision + recall) if precision or recall else 0.0


def _number_or_word(token: str) -> str:
    plain = token if _is_number(token) else token.translate(_DELETED)
    return str(float(plain)) if _is_number(plain) else plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
