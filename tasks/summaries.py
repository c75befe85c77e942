"""What the benchmarks of summarisation share: the prompt, how replies are read, and ROUGE by several rules.

The reports do not say how their ROUGE makes tokens, and figures by different rules are not comparable
(`evalkit.scoring.rouge`). `--set rules=` lists those that are computed, separated by commas; the first is the
headline, and the others are shown beside it, on the same replies:

* `plain`, the headline by default: `rouge_score` as it is. In other scripts than the Latin, which it drops,
  identical texts score 0.
* `stemmed`: the same with Porter's stemmer.
* `xlsum`: the rule of XL-Sum's authors, which works in all scripts. It needs `pip install 'evalkit[rouge]'`
  and, for languages such as English, Arabic and Russian, NLTK's stop words.
* `sentencepiece`: the pieces of the model that `--set tokenizer=FILE` gives, such as mT5's `spiece.model`,
  with which PaLM 2's report computes its ROUGE outside English. Without a model it is refused.

Each figure is a mean of F-scores, times 100; with several references, a sample's score is that of the best
one.

Prompt: evalkit's own, in the form that PaLM 2's report describes (an instruction, the document, its summary);
the Gemini reports print none. The examples are the first ones of the validation split in the same language.
Articles are not cut; if a prompt does not fit the model's context, it is sent with one example fewer.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from evalkit.api import (
    JSON,
    Data,
    Macro,
    MeanValue,
    Message,
    Metric,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    UsageError,
    Variant,
    Verdict,
    averages,
    unknown,
    versioned,
)
from evalkit.api import (
    task as task,
)
from evalkit.scoring.rouge import SentencePiece, TokenRule, best_rouge, plain, stemmed
from evalkit.scoring.rouge_xlsum import XlSum

from .kit import first_reference, strange_sign

RULES = ("plain", "stemmed", "xlsum", "sentencepiece")
ZERO_SHOT = "0-shot-chat"
SHOTS = 5
"""The examples of a language that are read."""
WORD = "only a-z and 0-9 count: identical texts score 0 in other scripts"


@versioned("summaries.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """The instruction and the examples, if any, then the document; the summary follows.

    `sample.meta` has the `instruction`, the name of a `document` and of its `summary`.
    """
    instruction, document, summary = (str(sample.meta[key]) for key in ("instruction", "document", "summary"))
    asked = f"{document}: {sample.input}\n\n{summary}:"
    if protocol.name == ZERO_SHOT:
        text = f"{instruction} Reply with the {summary.lower()} only.\n\n{document}: {sample.input}"
    else:
        shown = (
            f"{document}: {shot.input}\n\n{summary}: {shot.target[0]}"
            for shot in sample.shots[: protocol.shots]
        )
        text = "\n\n".join([instruction, *shown, asked])
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("summaries.first_paragraph", 1)
def first_paragraph(text: str, sample: Sample) -> str | None:
    """The reply up to its first blank line, where PaLM 2's report stops; None if it is empty."""
    return text.strip().partition("\n\n")[0].strip() or None


@versioned("summaries.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    """The reply without white space around it; None if it is empty."""
    return text.strip() or None


@versioned("summaries.scorer", 1, packages=("rapidfuzz",))
def score(answer: str, sample: Sample, *, rule: TokenRule) -> Verdict:
    """ROUGE by the rule, as the verdict's values. Only a reference itself, in any normal form, is right."""
    found = best_rouge(answer, sample.target, tokens=rule, language=str(sample.meta["language"]))
    same = _normal(answer) in map(_normal, sample.target)
    figures = ", ".join(f"{name} {100 * value:.1f}" for name, value in found._asdict().items())
    lost = same and not found.rouge1
    return Verdict(
        same, f"{figures}; the rule finds no token in it" if lost else figures, values=found._asdict()
    )


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Nothing, and a sign that is in no reference."""
    return ("", strange_sign(sample.target))


def first_records(records: Iterable[Record]) -> Iterator[Record]:
    """The first records of a split, for the examples."""
    for number, record in enumerate(records):
        if number == SHOTS:
            return
        yield record


def rules_of(rules: str, tokenizer: str, languages: Iterable[str]) -> dict[str, TokenRule]:
    """The rules by name, in the order of `rules`; a `tokenizer` alone adds `sentencepiece`.

    Raises `UsageError` for an unknown rule, and for `sentencepiece` without a model.
    """
    names = list(dict.fromkeys(name.strip() for name in rules.split(",")))
    if tokenizer and "sentencepiece" not in names:
        names.append("sentencepiece")
    for name in names:
        if name not in RULES:
            raise unknown("rule of ROUGE", name, RULES)
    if "sentencepiece" in names and not tokenizer:
        raise UsageError(
            "rules=sentencepiece needs a model: --set tokenizer=FILE, such as the spiece.model of "
            "google/mt5-base"
        )
    made: dict[str, Callable[[], TokenRule]] = {
        "plain": lambda: plain,
        "stemmed": lambda: stemmed,
        "xlsum": lambda: XlSum(languages),
        "sentencepiece": lambda: SentencePiece(tokenizer),
    }
    return {name: made[name]() for name in names}


def metrics_of(names: Sequence[str], *, macro: bool) -> tuple[Metric, ...]:
    """ROUGE-L, ROUGE-1 and ROUGE-2 by each rule; the first one's are of the headline.

    The headline by `plain` is called `rougeL`, as rouge_score calls it; any other has its rule's name.
    """
    found: list[Metric] = []
    for number, name in enumerate(names):
        label = "{}" if number or name == "plain" else f"{{}} ({name})"
        longest, *others = (
            MeanValue(kind, label.format(kind), scale=100.0, variant=name if number else "")
            for kind in ("rougeL", "rouge1", "rouge2")
        )
        found += averages(longest) if macro else [longest]
        found += map(Macro, others) if macro else others
    return tuple(found)


def summarisation(
    *,
    data: Data,
    dev: Data,
    sample: Callable[[Record], Sample],
    rules: dict[str, TokenRule],
    protocols: tuple[Protocol, ...],
    macro: bool,
    size: int | None = None,
    group_sizes: dict[str, int] | None = None,
) -> Task:
    """The task of summarising `data`. `macro`: the headline is the mean over the languages."""
    (headline, *others) = rules

    def needs() -> None:
        for rule in rules.values():
            if isinstance(rule, (XlSum, SentencePiece)):
                rule.needs()
            else:
                rule("a", "english")

    def notes(protocol: Protocol) -> dict[str, JSON]:
        said: dict[str, JSON] = {"rouge": f"{headline} is the headline"}
        return {**said, "plain": WORD} if macro and {"plain", "stemmed"} & set(rules) else said

    return Task(
        data=data,
        dev=dev,
        max_shots=SHOTS,
        sample=sample,
        prompt=prompt,
        answer={ZERO_SHOT: whole_reply, "chat": first_paragraph, "completion": first_paragraph},
        scorer=functools.partial(score, rule=rules[headline]),
        variants=tuple(
            Variant(name=name, scorer=functools.partial(score, rule=rules[name])) for name in others
        ),
        metrics=metrics_of(tuple(rules), macro=macro),
        protocols=protocols,
        needs=needs,
        notes=notes,
        size=size,
        group_sizes=group_sizes or {},
        gold=first_reference,
        wrong_responses=wrong_responses,
    )


def protocols_of(shots: int, max_tokens: int, source: str, *more: int) -> tuple[Protocol, ...]:
    """`N-shot` for `shots` and each of `more`, which end at a blank line, and `0-shot-chat`."""
    return (
        *(
            Protocol(
                name=f"{number}-shot", shots=number, max_tokens=max_tokens, stop=("\n\n",), drop_shots=True,
                source=source,
            )
            for number in (shots, *more)
        ),
        Protocol(name=ZERO_SHOT, max_tokens=max_tokens, source="evalkit"),
    )  # fmt: skip
