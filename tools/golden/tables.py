"""Golden cases with the inputs of `tests/conformance/`, by identity."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from evalkit.samples import Sample
from tools.golden.calls import Call, Case, referred

FOLDER = Path(__file__).parents[2] / "tests" / "conformance"
Row: TypeAlias = dict[str, Any]
Args: TypeAlias = Callable[[Row, Row], Iterable[tuple[object, ...]]]
"""A function (row, its table) → the arguments of one or more calls."""
_METALS = Sample("own", "Which metal rusts?", ("B",), choices=("Tin", "Iron", "Gold", "Zinc"))
_FOUR = Sample("own", "Which one?", ("A",), choices=("one", "two", "three", "four"))


def _response(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], Sample("own", "", ("18",)))


def _text(key: str) -> Args:
    return lambda row, table: [(row[key],)]


def _pair(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["answer"], row["reference"])


def _references(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["answer"], tuple(row["references"]))


def _spans(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["spans"], row["references"])


def _languages(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield from ((row["answer"], tuple(row["references"]), language) for language in row["harness"])


def _people(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["answer"], tuple(text for text, people in row["references"] for _ in range(people)))


def _letter(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], _FOUR)


def _in_language(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], Sample("own", "", (row["target"],), group=row["language"]))


def _wanted(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], Sample("own", "key", (row["value"],)))


def _metal(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], _METALS)


def _choice(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], Sample("own", "", ("B",), choices=tuple(table["options"][row["choices"]])))


def _open(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["response"], Sample("own", "", tuple(row["reference"])))


def _mathvista(key: str) -> Args:
    def args(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
        asked = table["samples"][row["sample"]]
        meta = {"answer_type": asked["answer_type"], "precision": asked.get("precision")}
        yield (row[key], Sample("own", "", ("",), choices=tuple(asked.get("choices", ())), meta=meta))

    return args


def _spoken(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield (row["answer"], Sample("own", "", (row["reference"],), meta={"language": row["language"]}))


def _normalisers(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield from ((row["text"], name) for name in ("whisper-english", "whisper-basic", "none"))


def _units(row: Row, table: Row) -> Iterator[tuple[object, ...]]:
    yield from ((row["basic"], unit) for unit in ("character", "word"))


_MATHS = (("math_minerva", "equal", _pair), ("math_prm800k", "cases", _pair))
_VQA = (("vqa_accuracy", "cases", _people),)
_SQUAD = (("squad", "cases", _references),)
_TYDIQA = (("squad", "cases", _languages),)
_ANLS = (("anls", "cases", _references),)
_RETRIEVAL = (("kv_retrieval", "cases", _wanted),)
_MGSM = (("mgsm", "cases", _in_language),)
_EDITS = (("speech_error_rates", "cases", _spoken), ("speech_sclite", "cases", _spoken))
TABLES: dict[str, tuple[tuple[str, str, Args], ...]] = {
    "bbh.stated_answer": (("bbh", "cases", _text("response")),),
    "final_number": (("gsm8k_flexible", "cases", _response),),
    "stated_number": (("gsm8k_strict", "cases", _response),),
    "canonical_number": (("gsm8k_flexible", "cases", _text("response")),),
    "hendrycks_equal": (("math_hendrycks", "cases", _pair), *_MATHS),
    "minerva_normalize": (("math_minerva", "normalize", _text("answer")),),
    "minerva_stated_answer": (("math_minerva", "responses", _text("response")),),
    "kv_retrieval.scorer": _RETRIEVAL,
    "kv_retrieval.scorer_exact": _RETRIEVAL,
    "boxed_answer": (("math_minerva", "boxes", _text("text")),),
    "sympy_equal": _MATHS,
    "latex_same_number": _MATHS,
    "math_verify_equal": _MATHS[1:],
    "contests.boxed_number": (("aime", "cases", _text("response")),),
    "contests.any_number": (("aime", "cases", _text("response")),),
    "cot_letter": (("mmlu_cot_letter", "cases", _letter),),
    "mmmlu.letter": (("mmmlu", "cases", _metal),),
    "chat_letter": (("mmlu_cot_letter", "cases", _letter),),
    "mgsm.harness_number": _MGSM,
    "mgsm.last_number": _MGSM,
    "mgsm.simple_evals_number": _MGSM,
    "mgsm.stated_number": _MGSM,
    "mmmu_answer": (("mmmu_choice", "cases", _choice), ("mmmu_open", "cases", _open)),
    "mmmu_chosen_letter": (("mmmu_choice", "cases", _choice),),
    "mmmu_open_values": (("mmmu_open", "cases", _text("response")),),
    "mathvista_rule_extraction": (("mathvista", "responses", _mathvista("response")),),
    "mathvista_prediction": (("mathvista", "extractions", _mathvista("extraction")),),
    "relaxed_match": (("relaxed_accuracy", "cases", _pair),),
    "anls": _ANLS,
    "anls_by_the_paper": _ANLS,
    "drop_scores": (("drop", "cases", _spans),),
    "squad_exact_match": _SQUAD,
    "squad_f1": _SQUAD,
    "nq_open_match": _SQUAD,
    "tydiqa_exact_match": _TYDIQA,
    "tydiqa_f1": _TYDIQA,
    "vqa_accuracy": _VQA,
    "vqa_accuracy_normalised": _VQA,
    "textvqa_accuracy": _VQA,
    "speech_normalise": (("speech_normalisers", "cases", _normalisers),),
    "speech_units_of": (("speech_normalisers", "cases", _units),),
    "speech_sample_edits": _EDITS,
    "speech_scorer": _EDITS,
}

SLOW = {"latex_same_number": 5, "math_verify_equal": 5, "sympy_equal": 5}
"""The step between the rows that slow rules get: the tests in `tests/conformance/` use all rows."""


@functools.cache
def _table(name: str) -> Row:
    held: Row = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return held


def conformance(name: str, function: Callable[..., object]) -> Iterator[Case]:
    """Yields the cases of the tables that have inputs for the identity `name`."""
    for file, key, args in TABLES.get(name, ()):
        table = _table(file)
        for index, row in list(enumerate(table[key]))[:: SLOW.get(name, 1)]:
            calls = [Call(function, one) for one in args(row, table)]
            yield referred(f"tests/conformance/{file}.json", f"{key}[{index}]", calls)
