"""VQA accuracy: how many of ten people gave the answer, after both are normalised.

Antol et al. (2015, arXiv 1505.00468): each of the ten is left out in turn; an answer that three of the other
nine gave is right, fewer earn a third each; the mean counts. So 1, 2, 3 and 4 matches of ten earn 0.3, 0.6,
0.9 and 1. Two normalisations are in use, and they part:

* `vqa_accuracy` is GT-Vision-Lab/VQA at a013f00, `vqaEval.py`, to the letter, for VQAv2. It normalises **only
  where the references differ**. Where all ten are the same they are compared as they stand, so "Yes" earns
  nothing against ten times "yes". The script runs under Python 2.7, so its digits are 0 to 9 alone.
* `textvqa_accuracy` is M4C's, for TextVQA: facebookresearch/mmf at b0ffc7f, `mmf/utils/m4c_evaluators.py`,
  and the same in lmms-eval at 75571cf, `textvqa/utils.py`. It always normalises. First it lowers, deletes
  every comma and question mark and splits "'s" off; digits are those of every script. MMF refuses other than
  ten references; here their number is free, as in lmms-eval.

`vqa_accuracy_normalised` is the first without its condition, as lmms-eval scores VQAv2. The older official
script (a4f1afd) normalised the answer always, the references where they differ.

What both scripts do and their papers do not say is kept: at most 32 full stops are deleted (a flag is passed
where a count belongs); a digit before a full stop does not save it ("5." is "5": the lookbehind is mistyped);
one comma between digits makes every mark of punctuation vanish, where else it would become a space; an
apostrophe is restored by a table that lacks most words and turns "somebody'd" into "somebodyd". An answer may
become empty, and is then equal to a reference that does ("the", "-"). With a single reference no answer earns
anything.

Letters are lowered, and spaces known, by this Python's Unicode, not by that of Python 2.7: "İ", a Greek
word's last sigma, letters that got a small form after 2009, and U+180E are the differences.
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
# The scripts' tables hold each word once for every apostrophe that may be missing. Left out: entries that
# change nothing, and those with capitals, which no lowered word meets.
_CONTRACTIONS = {
    word[:at] + word[at + 1 :]: word
    for word in _CONTRACTED.split()
    for at, sign in enumerate(word)
    if sign == "'"
} | {"somebody'd": "somebodyd"}


@versioned("vqa_accuracy", 1)
def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """VQAv2's credit, 0 to 1, by the official script. Raises `ValueError` when there is no reference."""
    if len({_on_one_line(reference) for reference in references}) > 1:
        return vqa_accuracy_normalised(answer, references)
    return _leave_one_out(_on_one_line(answer), [_on_one_line(reference) for reference in references])


@versioned("vqa_accuracy_normalised", 1)
def vqa_accuracy_normalised(answer: str, references: Sequence[str]) -> float:
    """The same with both sides normalised, also where all references are the same."""
    return _leave_one_out(_vqa_form(answer), [_vqa_form(reference) for reference in references])


@versioned("textvqa_accuracy", 1)
def textvqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """TextVQA's credit, 0 to 1, by M4C's script. Raises `ValueError` when there is no reference."""
    return _leave_one_out(_m4c_form(answer), [_m4c_form(reference) for reference in references])


def _leave_one_out(answer: str, references: Sequence[str]) -> float:
    """The mean of min(matches / 3, 1) over leaving out each reference."""
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
    """Deletes a mark that stands beside a space anywhere in `text`; else each becomes a space."""
    bare = text
    joined = _THOUSANDS.search(text) is not None
    for mark in _PUNCTUATION:
        if mark in text:
            beside_space = f"{mark} " in text or f" {mark}" in text
            bare = bare.replace(mark, "" if joined or beside_space else " ")
    return stop.sub("", bare, count=_MOST_STOPS)


def _words(text: str) -> str:
    """Lowered, number words as digits, without articles, apostrophes restored, one space between words."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
