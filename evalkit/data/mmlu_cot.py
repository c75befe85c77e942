"""MMLU's chain-of-thought exemplars, from the installed lm-eval package, with its damaged LaTeX repaired.

lm-eval 0.4.13 has them as `tasks/mmlu/flan_cot_fewshot/mmlu_<subject>.yaml`. There, some commands lost their
backslash to an escape: `\\frac` became a form feed and `rac`, or a newline and `rac` if the form feed or
carriage return was then read as the end of a line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from evalkit.data.exemplars import fewshot_description, fewshot_samples, lm_eval_file
from evalkit.errors import DataError

_FOLDER = "mmlu/flan_cot_fewshot"
_ESCAPED = {"\a": "a", "\b": "b", "\v": "v", "\f": "f"}
"""Control characters that no text has on purpose, and the letter that followed the backslash."""
_COMMANDS = (
    "factorial",
    "forall",
    "frac",
    "nabla",
    "neq",
    "rho",
    "right",
    "rightarrow",
    "text",
    "theta",
    "times",
)
"""LaTeX commands whose rest is not an English word, so that this rest after a newline or tab is damage."""
_RESTS = {command[1:]: command for command in _COMMANDS}
_LOST = re.compile(rf"[\a\b\v\f](?=[A-Za-z])|[\n\r\t](?:{'|'.join(_RESTS)})(?![A-Za-z])")


class CotShot(NamedTuple):
    """A solved question. `question` includes its choices; `target` ends in "The answer is (X)."."""

    question: str
    target: str


@functools.cache
def mmlu_cot(subject: str) -> tuple[CotShot, ...]:
    """Returns the exemplars of a subject such as `abstract_algebra`, in order, stripped of white space.

    There are five per subject, but four for college_chemistry (the last of which has a fifth choice and the
    answer E), formal_logic and human_aging. The harness shows the first four. Raises `DataError` for an
    unknown subject.
    """
    found = fewshot_samples(_path(subject))
    return tuple(CotShot(_fixed(shot["question"])[0], _fixed(shot["target"])[0]) for shot in found)


def mmlu_cot_description(subject: str) -> str:
    """Returns the line before a subject's exemplars."""
    return fewshot_description(_path(subject)).strip()


@functools.cache
def mmlu_cot_repairs() -> dict[str, int]:
    """Returns subject → how many commands were repaired in its exemplars, without subjects that have none."""
    template = lm_eval_file(f"{_FOLDER}/_mmlu_flan_cot_fewshot_template_yaml")
    subjects = sorted(file.stem.removeprefix("mmlu_") for file in template.parent.glob("mmlu_*.yaml"))
    counted = {
        subject: sum(_fixed(text)[1] for shot in fewshot_samples(_path(subject)) for text in shot.values())
        for subject in subjects
    }
    return {subject: count for subject, count in counted.items() if count}


def mmlu_cot_paths(subjects: Iterable[str]) -> tuple[str, ...]:
    """Returns the files of lm-eval with the exemplars of the subjects, for `LmEvalFiles`."""
    return tuple(map(_path, subjects))


def _path(subject: str) -> str:
    if not re.fullmatch(r"[a-z_]+", subject):
        raise DataError(f"{subject!r} is not a subject of MMLU: subjects are written like abstract_algebra")
    return f"{_FOLDER}/mmlu_{subject}.yaml"


def _fixed(text: str) -> tuple[str, int]:
    """Returns (`text` with its lost backslashes and without surrounding white space, how many were lost)."""

    def command(match: re.Match[str]) -> str:
        return "\\" + (_ESCAPED.get(match[0]) or _RESTS[match[0][1:]])

    fixed, count = _LOST.subn(command, text)
    return fixed.strip(), count
