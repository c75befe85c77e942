"""Golden cases of the rules in `evalkit.scoring`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from evalkit.samples import Sample
from tools.golden.calls import Call, Case, blocks, each, own
from tools.golden.themes import Theme, theme

Function: TypeAlias = Callable[..., object]
Shape: TypeAlias = Callable[[Function, Theme], Iterable[Case]]
MADE = 400
"""The number of generated inputs of a rule; a slow rule gets `FEW`."""
FEW = 40


def text(function: Function, inputs: Theme) -> Iterator[Case]:
    yield from (own(function, one) for one in inputs.texts)
    yield from blocks(Call(function, (one,)) for one, _ in inputs.made(MADE))


def text_and_sample(function: Function, inputs: Theme) -> Iterator[Case]:
    for one in inputs.texts:
        yield each((Call(function, (one, sample)) for sample in inputs.samples), one)
    yield from blocks(Call(function, made) for made in inputs.made(MADE))


def pair(function: Function, inputs: Theme) -> Iterator[Case]:
    """Yields cases of (answer, reference) and of (reference, answer)."""
    for answer, references in inputs.pairs:
        for reference in references:
            yield each((Call(function, (answer, reference)), Call(function, (reference, answer))), answer)
    yield from blocks(Call(function, (answer, others[0])) for answer, others in inputs.made_pairs(MADE))


def tokens(function: Function, inputs: Theme) -> Iterator[Case]:
    """Lists of the words of an answer and of a reference, and the other way round."""
    for answer, references in inputs.pairs:
        for sides in ((answer.split(), one.split()) for one in references):
            yield each((Call(function, sides), Call(function, sides[::-1])), [answer, *sides[1]])
    made = ((answer.split(), others[0].split()) for answer, others in inputs.made_pairs(MADE))
    yield from blocks(Call(function, one) for one in made)


def slow_pair(function: Function, inputs: Theme) -> Iterator[Case]:
    for answer, references in inputs.pairs:
        yield from (own(function, answer, reference) for reference in references)
    yield from blocks(Call(function, (answer, others[0])) for answer, others in inputs.made_pairs(FEW))


def references(function: Function, inputs: Theme) -> Iterator[Case]:
    yield from (own(function, *one) for one in inputs.pairs)
    yield from blocks(Call(function, one) for one in inputs.made_pairs(MADE))


def judged(function: Function, inputs: Theme) -> Iterator[Case]:
    """Yields cases of (answer, sample): pairs as samples, and texts for the theme's own samples."""
    for answer, targets in inputs.pairs:
        yield each((Call(function, (answer, _sample(targets, inputs))),), [answer, *targets])
    for one in inputs.texts:
        yield each((Call(function, (one, sample)) for sample in inputs.samples), one)
    made = ((answer, _sample(targets, inputs)) for answer, targets in inputs.made_pairs(MADE))
    yield from blocks(Call(function, one) for one in made)
    yield from blocks(Call(function, one) for one in inputs.made(MADE))


def slowly_judged(function: Function, inputs: Theme) -> Iterator[Case]:
    """Yields cases of a quarter of the pairs: the rules that a slow scorer calls have all of them."""
    for answer, targets in (*inputs.pairs[::4], ("", ("",))):
        yield each((Call(function, (answer, _sample(targets, inputs))),), [answer, *targets])
    yield each((Call(function, ("4".rjust(n), _sample(("4",), inputs))) for n in (5000, 5001)), "long")


def _sample(targets: tuple[str, ...], inputs: Theme) -> Sample:
    return Sample("own", "Which one?", targets, meta=inputs.samples[0].meta)


def relaxed(function: Function, inputs: Theme) -> Iterator[Case]:
    yield from pair(function, inputs)
    for answer, (reference, *_) in inputs.pairs:
        tolerances = (0.0, 0.01, 0.5)
        yield each((Call(function, (answer, reference, one)) for one in tolerances), [answer, reference, "±"])


def rule_extraction(function: Function, inputs: Theme) -> Iterator[Case]:
    yield from text_and_sample(function, inputs)
    for one in inputs.texts:
        yield each((Call(function, (one, s), {"quick": True}) for s in inputs.samples), [one, "quick"])
    yield from blocks(Call(function, made, {"quick": True}) for made in inputs.made(MADE))


def mmmu_values(function: Function, inputs: Theme) -> Iterator[Case]:
    """Yields cases of answers in canonical form, which are JSON lists."""
    from evalkit.scoring.mmmu import mmmu_answer

    found = [answer for answer, _ in inputs.pairs]
    open_sample = Sample("own", "", ("",))
    found += filter(None, (mmmu_answer(one, open_sample) for one in inputs.texts))
    yield from (own(function, answer) for answer in dict.fromkeys(found))


def mmmu_canonical(function: Function, inputs: Theme) -> Iterator[Case]:
    yield from (own(function, json.loads(answer)) for answer, _ in inputs.pairs)
    yield from (own(function, values) for values in ([], [0.0, -1.5, "é", " a"], [1e300, "日"]))


def mmmu_is_right(function: Function, inputs: Theme) -> Iterator[Case]:
    for answer, targets in inputs.pairs:
        yield each((Call(function, (answer, Sample("own", "", targets))),), [answer, *targets])
    for letter in ("A", "B", "C", "D", "", "(B)"):
        chosen = [sample for sample in inputs.samples if sample.choices]
        yield each((Call(function, (letter, sample)) for sample in chosen), letter)


_LANGUAGES = (
    "en", "eng", "EN-us", "en_us", "de", "zh", "zh-CN", "cmn_hans_cn", "zho", "chi", "yue", "ja", "jpn", "th",
    "tha", "ko", "kor", "lo", "lao", "my", "mya", "bur", "", "e", "engl", "12", "fr_ca", "enx",
)  # fmt: skip


def languages(*rules: str) -> Shape:
    def cases(function: Function, inputs: Theme) -> Iterator[Case]:
        for language in _LANGUAGES:
            yield own(function, language)
            yield each((Call(function, (language, rule)) for rule in rules), [language, "by rule"])

    return cases


def normalised(function: Function, inputs: Theme) -> Iterator[Case]:
    names = ("whisper-english", "whisper-basic", "none", "auto", "other")
    for one in inputs.texts:
        yield each((Call(function, (one, name)) for name in names), one)
    yield from blocks(Call(function, (one, name)) for one, _ in inputs.made(MADE // 2) for name in names[:2])


def units(function: Function, inputs: Theme) -> Iterator[Case]:
    for one in inputs.texts:
        yield each((Call(function, (one, unit)) for unit in ("word", "character")), one)


def with_units(function: Function, inputs: Theme) -> Iterator[Case]:
    """Yields cases of (reference, hypothesis, unit), with both texts normalised."""
    for one, (other, *_) in inputs.pairs:
        yield each((Call(function, (other, one, unit)) for unit in ("word", "character")), [other, one])
        yield own(function, one, other)
    made = [(others[0], answer) for answer, others in inputs.made_pairs(100)]
    yield from blocks(Call(function, (*one, unit)) for one in made for unit in ("word", "character"))


def confusions(function: Function, inputs: Theme) -> Iterator[Case]:
    pairs = [(others[0], answer) for answer, others in inputs.made_pairs(100)]
    for count in (0, 1, 5, 100):
        for unit in ("word", "character"):
            yield each((Call(function, (pairs[:count], unit)),), [count, unit])
            yield each(
                (Call(function, (pairs[:count], unit, most)) for most in (1, 3)), [count, unit, "most"]
            )
    yield own(function, [("a b", "a c"), ("a b", "a c"), ("x", ""), ("", "y"), ("q", "q")])


def verdicts(function: Function, inputs: Theme) -> Iterator[Case]:
    rules = [(name, unit) for name in ("whisper-english", "whisper-basic") for unit in ("word", "character")]
    for answer, (reference, *_) in inputs.pairs:
        yield each((Call(function, (answer, reference, *rule)) for rule in rules), [answer, reference])
    made = [(answer, others[0]) for answer, others in inputs.made_pairs(100)]
    yield from blocks(Call(function, (*one, "whisper-basic", "word")) for one in made)


def by_language(function: Function, inputs: Theme) -> Iterator[Case]:
    """(answer, references, language), or (text, language) if the rule takes one text."""
    languages = ("en", "ar", "ko")
    for answer, targets in (*inputs.pairs, *inputs.made_pairs(60)):
        first = (answer,) if "normalise" in function.__name__ else (answer, targets)
        yield each((Call(function, (*first, one)) for one in languages), [answer, *targets])


def spans(function: Function, inputs: Theme) -> Iterator[Case]:
    """(an answer's spans, the spans of each reference)."""
    for answer, targets in (*inputs.pairs, *inputs.made_pairs(200)):
        given, held = answer.split(";"), [target.split(";") for target in targets]
        yield each((Call(function, (given, held)),), [answer, *targets])
    yield each([Call(function, (["x"], []))], "no reference")


def spoken(function: Function, inputs: Theme) -> Iterator[Case]:
    """Yields cases of (answer, sample) under the default rules and under others."""
    rules = ((), ("whisper-basic", "character"), ("none", "word"), ("auto", "whisper"), ("other",))
    for answer, targets in inputs.pairs:
        for held in inputs.samples:
            sample = Sample("own", "", targets, meta=held.meta)
            yield each(
                (Call(function, (answer, sample, *rule)) for rule in rules), [answer, held.meta["language"]]
            )
    yield each(
        (Call(function, ("a", Sample("own", "", two, meta={"language": "en"}))) for two in ((), ("a", "b"))),
        "targets",
    )


RULES: dict[str, tuple[str, Shape]] = {
    "anls": ("docs", references),
    "anls_by_the_paper": ("docs", references),
    "boxed_answer": ("maths", text),
    "canonical_number": ("numbers", text),
    "chat_letter": ("letters", text_and_sample),
    "code_block": ("code", text_and_sample),
    "completion": ("code", text_and_sample),
    "cot_letter": ("letters", text_and_sample),
    "drop_normalise": ("short", text),
    "drop_scores": ("short", spans),
    "final_number": ("numbers", text),
    "first_line": ("short", text),
    "helm_f1": ("short", references),
    "hendrycks_equal": ("maths", pair),
    "inside_dollars": ("maths", text),
    "is_year": ("relaxed", text),
    "latex_same_number": ("values", slow_pair),
    "math_verify_equal": ("values", slow_pair),
    "mathvista_prediction": ("mathvista", text_and_sample),
    "mathvista_rule_extraction": ("mathvista", rule_extraction),
    "minerva_normalize": ("maths", text),
    "minerva_stated_answer": ("maths", text),
    "mmmu_answer": ("mmmu", text_and_sample),
    "mmmu_as_response": ("mmmu", mmmu_values),
    "mmmu_canonical": ("mmmu", mmmu_canonical),
    "mmmu_chosen_letter": ("mmmu", text_and_sample),
    "mmmu_is_right": ("mmmu", mmmu_is_right),
    "mmmu_open_values": ("mmmu", text),
    "nq_open_match": ("short", references),
    "nq_open_normalise": ("short", text),
    "nq.holds": ("short", references),
    "plain_formula": ("maths", text),
    "relaxed_match": ("relaxed", relaxed),
    "rouge": ("summaries", tokens),
    "rouge_tokens": ("summaries", text),
    "rouge_tokens_stemmed": ("summaries", text),
    "same_number": ("numbers", pair),
    "speech_alignment": ("speech", with_units),
    "speech_confusions": ("speech", confusions),
    "speech_normalise": ("speech", normalised),
    "speech_normaliser_for": ("speech", languages("auto", "whisper-english", "none", "other")),
    "speech_sample_edits": ("speech", spoken),
    "speech_scorer": ("speech", spoken),
    "speech_unit_for": ("speech", languages("report", "whisper", "word", "character", "other")),
    "speech_units_of": ("speech", units),
    "speech_verdict": ("speech", verdicts),
    "squad_exact_match": ("short", references),
    "squad_f1": ("short", references),
    "squad_normalise": ("short", text),
    "stated_number": ("numbers", text),
    "sympy_equal": ("values", slow_pair),
    "textvqa_accuracy": ("vqa", references),
    "transcript": ("transcripts", text_and_sample),
    "tydiqa_exact_match": ("short", by_language),
    "tydiqa_f1": ("short", by_language),
    "tydiqa_normalise": ("short", by_language),
    "translation": ("replies", text_and_sample),
    "vqa_accuracy": ("vqa", references),
    "vqa_accuracy_normalised": ("vqa", references),
}


def cases(name: str, function: Function) -> Iterator[Case]:
    """The cases with inputs written for evalkit; none for an identity that is no rule of these."""
    if name in RULES:
        inputs, shape = RULES[name]
        yield from shape(function, theme(inputs))
