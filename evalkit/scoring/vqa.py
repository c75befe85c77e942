"""VQA accuracy: how many of ten people gave the answer, after normalisation of both.

Antol et al. (2015, arXiv 1505.00468): each of the ten references is left out in turn. An answer that matches
three or more of the other nine is right; with fewer matches it earns one third for each. The result is the
mean. So 1, 2, 3 and 4 matches among ten earn 0.3, 0.6, 0.9 and 1. Two normalisations are in use:

* `vqa_accuracy` is exactly that of GT-Vision-Lab/VQA at a013f00, `vqaEval.py`, for VQAv2. It normalises
  **only if the references differ**. If all ten are the same, they are compared unchanged, so "Yes" earns
  nothing against ten times "yes". The script runs under Python 2.7, so its digits are only 0 to 9.
* `textvqa_accuracy` is M4C's, for TextVQA: facebookresearch/mmf at b0ffc7f, `mmf/utils/m4c_evaluators.py`,
  and the same in lmms-eval at 75571cf, `textvqa/utils.py`. It always normalises. First it converts to lower
  case, deletes every comma and question mark and splits off "'s"; digits are those of every script. MMF
  accepts only ten references; here any number is accepted, as in lmms-eval.

`vqa_accuracy_normalised` is the first one without its condition, as lmms-eval scores VQAv2. The older
official script (a4f1afd) normalised the answer always, and the references only if they differ.

Both scripts have quirks that their papers do not mention, and which are kept: at most 32 full stops are
deleted (a flag is passed in place of a count); a full stop after a digit is deleted too ("5." becomes "5":
the lookbehind is mistyped); one comma between digits makes every punctuation mark vanish that would otherwise
become a space; apostrophes are restored with a table that lacks most words and turns "somebody'd" into
"somebodyd". An answer may become empty, and then equals a reference that becomes empty ("the", "-"). With a
single reference, no answer earns anything.

Lower case and spaces follow the Unicode version of this Python, not that of Python 2.7. The differences are
"İ", the final sigma of a Greek word, letters that got a lower-case form after 2009, and U+180E.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.identity.declared import versioned

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_MOST_STOPS = 32  # re.UNICODE, passed as `count`
_STOP = re.compile(r"\.(?![0-9])")
_STOP_OF_ANY_SCRIPT = re.compile(r"\.(?!\d)")
_THOUSANDS = re.compile(r"[0-9],[0-9]")
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}

_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
    he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've
    mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't
    shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's
    something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've
    they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
    where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# The scripts' tables contain each word once for every apostrophe that may be missing. This one leaves out
# entries that change nothing, and entries with capitals, which cannot match a word in lower case.
_CONTRACTIONS = {
    word[:at] + word[at + 1 :]: word
    for word in _CONTRACTED.split()
    for at, sign in enumerate(word)
    if sign == "'"
} | {"somebody'd": "somebodyd"}


@versioned("vqa_accuracy", 1)
def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """VQAv2's credit, 0 to 1, by the official script. Raises `ValueError` if there is no reference."""
    if len({_on_one_line(reference) for reference in references}) > 1:
        return vqa_accuracy_normalised(answer, references)
    return _leave_one_out(_on_one_line(answer), [_on_one_line(reference) for reference in references])


@versioned("vqa_accuracy_normalised", 1)
def vqa_accuracy_normalised(answer: str, references: Sequence[str]) -> float:
    """The credit of `vqa_accuracy`, but with both sides normalised even if all references are the same."""
    return _leave_one_out(_vqa_form(answer), [_vqa_form(reference) for reference in references])


@versioned("textvqa_accuracy", 1)
def textvqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """TextVQA's credit, 0 to 1, by M4C's script. Raises `ValueError` if there is no reference."""
    return _leave_one_out(_m4c_form(answer), [_m4c_form(reference) for reference in references])


def _leave_one_out(answer: str, references: Sequence[str]) -> float:
    """The mean of min(matches / 3, 1) over all ways to leave out one reference."""
    if not references:
        raise ValueError("no references to compare with")
    matches = references.count(answer)
    others = len(references) - matches
    return (matches * min(matches - 1, 3) + others * min(matches, 3)) / (3 * len(references))


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _vqa_form(text: str) -> str:
    return _words(_without_punctuation(_on_one_line(text), _STOP))


def _m4c_form(text: str) -> str:
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return _words(_without_punctuation(_on_one_line(text), _STOP_OF_ANY_SCRIPT))


def _without_punctuation(text: str, stop: re.Pattern[str]) -> str:
    """Deletes every mark that is next to a space somewhere in `text`; other marks become spaces."""
    bare = text
    joined = _THOUSANDS.search(text) is not None
    for mark in _PUNCTUATION:
        if mark in text:
            beside_space = f"{mark} " in text or f" {mark}" in text
            bare = bare.replace(mark, "" if joined or beside_space else " ")
    return stop.sub("", bare, count=_MOST_STOPS)


def _words(text: str) -> str:
    """`text` in lower case, with number words as digits, without articles, with apostrophes restored, and
    with one space between words."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
