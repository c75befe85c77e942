"""MathVista testmini: 1,000 mathematical questions about pictures (Lu et al. 2023, arXiv 2310.02255).

The report prints 53.0 % for Ultra and 45.2 % for Pro (table 7), "obtained by running the MathVista authors'
evaluation script": lupantech/MathVista, evaluation/, which at the report's date (6 December 2023) was the
same as in its first commit, ed0d56d of 3 October. `evalkit.scoring.mathvista` says what has changed since.

- Data: `AI4Math/MathVista` at 2b6ad69; annotations CC BY-SA 4.0, for use as a test set only; pictures and
  questions under the terms of their sources. Intervals resample pictures, distinguished by their files.
- Prompt: the authors' released query (data/query.json) of all their published zero-shot outputs: hint,
  question, choices. No caption, no OCR. The picture comes before it, as in models/gpt.py at 53d5258. Their
  build_query.py, with its defaults, puts the hint last and ends with "Solution:"; no published zero-shot
  output has that form, and the report does not say which one was used. (The 1.5 report's prompt, appendix
  12.14.4, asks for reasoning first.) Until 8 December 2023, query.json showed the options of ten questions of
  testmini in another order than the one used for scoring.
- Answer: in three steps. The authors' rules read the response; if they find nothing, a language model
  extracts the answer (`--judge MODEL`); then it is normalised, to the nearest option if necessary, and
  compared.
- **Without `--judge` this is not the reported protocol**: the authors' rules leave a response such as "B" or
  "It is (B)." to the extractor, so here it counts as unparsable.
- The extractor: the README names GPT-4, and `--llm_engine` defaults to gpt-4-0613, but at ed0d56d that option
  has no effect: `get_chat_response` always uses gpt-3.5-turbo (temperature 0, 256 tokens). The report does
  not name its extractor. The authors' prompt for it shows five questions of the data set; here it shows five
  of evalkit's own in exactly the same form, so it is not the authors' prompt word for word.
- `--set quick=no` switches off `--quick_extract`, which the authors' scripts do not set: a response with
  `The answer is "…".` is then left to the extractor too. It is on because no other rule reads a list; of
  the 21,000 published responses in the snapshot that was examined, one has that sentence.
- An empty response is scored, as by the authors, as the option nearest to an empty text, the shortest.
- Groups are the tasks; tags are the kinds of reasoning and the category, as in the paper's table 2.
- `--set split=test` asks the 5,141 questions whose references are not public.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from evalkit.api import (
    JSON,
    Accuracy,
    Hub,
    Image,
    Message,
    ModelExtractor,
    Prompt,
    Protocol,
    Record,
    Sample,
    Submitted,
    Task,
    Verdict,
    letters,
    list_of,
    task,
    text_of,
    unknown,
    versioned,
)
from evalkit.scoring.mathvista import prediction, rule_extraction

REVISION = "2b6ad69445fbb5695c9b165475e8decdbeb97747"
COLUMNS = (
    "pid", "question", "choices", "unit", "precision", "answer", "question_type", "answer_type", "metadata",
    "decoded_image",
)  # fmt: skip
SIZES = {
    "figure question answering": 269, "geometry problem solving": 208, "math word problem": 186,
    "textbook question answering": 158, "visual question answering": 179,
}  # fmt: skip
"""The number of testmini's questions by task. With these, GPT-4V's printed 43.1, 50.5, 57.5, 65.2 and 38.0 %
are 116, 105, 107, 103 and 68 right answers, which give the printed 49.9 % (Lu et al. 2023, table 2)."""
HINTS = {
    "text": "and provide the correct option letter, e.g., A, B, C, D",
    "integer": "requiring an integer answer and provide the final value, e.g., 1, 2, 3",
    "float 1": "requiring a floating-point number with one decimal place and provide the final value, "
    "e.g., 1.2, 1.3, 1.4",
    "float 2": "requiring a floating-point number with two decimal places and provide the final value, "
    "e.g., 1.23, 1.34, 1.45",
    "list": "requiring a Python list as an answer and provide the final list, "
    "e.g., [1, 2, 3], [1.2, 1.3, 1.4]",
}
EXTRACT = (
    "Please read the following example. Then extract the answer from the model response and type it at the "
    "end of the prompt."
)
EXAMPLES = (
    ("integer", "How many kites are in the sky?", (), "I can see two red kites and a green one, so 3.", "3"),
    ("float 1", "What share of the pie is cut?", (), "A fifth of the pie, that is 0.2, has been cut.", "0.2"),
    ("float 2", "What do two pears cost? (Unit: $)", (), "Two pears at $0.75 each cost $1.50.", "1.50"),
    ("list", "Which two floors have a balcony?", (), "The balconies are on floors 2 and 5.", "[2, 5]"),
    ("text", "Which side is longest?", ("4 m", "7 m", "9 m"), "The longest side is (C) 9 m.", "C"),
)


def to_sample(record: Record) -> Sample:
    kind, precision, picture = _kind(record), record["precision"], Image.of(record["decoded_image"])
    choices, about = tuple(list_of(record["choices"] or [], "choices")), record["metadata"]
    unit = f" (Unit: {text_of(record['unit'], 'unit')})" if record["unit"] else ""
    return Sample(
        id=record["pid"],
        input=query(kind, record["question"] + unit, choices),
        target=(record["answer"],) if record["answer"] else (),
        choices=choices,
        group=about["task"],
        cluster=picture.key,
        meta={
            "question_type": record["question_type"],
            "answer_type": record["answer_type"],
            "precision": None if precision is None else int(precision),
            "choices": list(choices) or None,
            "metadata": about,
        },
        tags=(*about["skills"], about["category"]),
        media=(picture,),
    )


def _kind(record: Record) -> str:
    kind = record["answer_type"]
    if kind == "float" and record["precision"] is not None:
        kind += f" {record['precision']:g}"
    if kind not in HINTS or (kind == "text") != bool(record["choices"]):
        raise ValueError(f"the authors have no hint for question {record['pid']} of answer type {kind!r}")
    return str(kind)


def query(kind: str, question: str, choices: Sequence[str]) -> str:
    """The authors' query, character for character, stripped; `kind` is a key of `HINTS`."""
    lines = [f"Hint: Please answer the question {HINTS[kind]}, at the end.", f"Question: {question}"]
    if choices:
        lines += ["Choices:", *(f"({chr(ord('A') + i)}) {choice}" for i, choice in enumerate(choices))]
    return "\n".join(lines).strip()


@versioned("mathvista.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return (Message("user", (*sample.media, sample.input)),)


@versioned("mathvista.ask_extractor", 1)
def ask_extractor(response: str, sample: Sample) -> Prompt:
    """`create_test_prompt` of extract_answer.py; there is no "Model response:" before the last response."""
    shown = [
        f"{query(kind, question, choices)}\n\nModel response: {response_shown}\n\nExtracted answer: {answer}"
        for kind, question, choices, response_shown, answer in EXAMPLES
    ]
    text = "\n\n".join([EXTRACT, *shown, sample.input, response.strip(), "Extracted answer: "])
    return (Message("user", text),)


@versioned("mathvista.read_extractor", 1)
def read_extractor(reply: str, sample: Sample) -> str | None:
    """The whole reply. An empty reply is no answer: the authors repeat the request until it is not empty."""
    return reply.strip() or None


@versioned("mathvista.scorer", 1, packages=("rapidfuzz",))
def score(answer: str, sample: Sample) -> Verdict:
    found, right = prediction(answer, sample), sample.target[0]
    if found is None:
        return Verdict(False, f"{answer[:60]!r} is no {sample.meta['answer_type']}")
    return Verdict(found == right, f"{found} {'=' if found == right else '≠'} {right}")


def submission(answers: Iterable[Submitted]) -> JSON:
    """The fields of an output file that calculate_score.py reads, by question; it reads no response."""
    return {one.id: {**one.meta, "pid": one.id, "extraction": one.answer or ""} for one in answers}


def gold(sample: Sample, protocol: Protocol) -> str:
    """The option's letter, because some options are letters themselves; or the number; or the list."""
    right = sample.target[0]
    if sample.choices:
        return _stated(letters(sample)[sample.choices.index(right)])
    return _stated(right) if sample.meta["answer_type"] == "list" else right


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Two wrong options, or the number plus one, bare and quoted, or two wrong lists; and no answer."""
    right, kind = sample.target[0], sample.meta["answer_type"]
    if kind == "text":
        others = [x for x, choice in zip(letters(sample), sample.choices, strict=True) if choice != right]
        return (_stated(others[0]), _stated(others[-1]), "I cannot tell.")
    if kind == "list":
        return (_stated(f"[{right}]"), _stated(f"{right}, {right}"), "I cannot tell.")
    other = str(int(right) + 1 if kind == "integer" else float(right) + 1)
    return (other, _stated(other), "I cannot tell.")


def _stated(answer: str) -> str:
    return f'The answer is "{answer}".'


@task("mathvista", report="Table 7")
def mathvista(*, split: str = "testmini", quick: str = "yes") -> Task:
    """Mathematics in pictures: charts, geometry, puzzles, textbooks (Lu et al. 2023)"""
    for name, value, known in (("split", split, ("testmini", "test")), ("quick", quick, ("yes", "no"))):
        if value not in known:
            raise unknown(name, value, known)
    return Task(
        data=Hub("AI4Math/MathVista", "default", split=split, revision=REVISION, columns=COLUMNS),
        sample=to_sample,
        prompt=prompt,
        answer=partial(rule_extraction, quick=quick == "yes"),
        scorer=score,
        metrics=(Accuracy(),),
        size=1000 if split == "testmini" else 5141,
        group_sizes=SIZES if split == "testmini" else {},
        protocols=(
            Protocol(
                name="0-shot", max_tokens=1024,
                source="Gemini 1.0 report, table 7; lupantech/MathVista at ed0d56d, models/gpt.py",
            ),
        ),
        media=("image",),
        model_extractor=ModelExtractor(prompt=ask_extractor, read=read_extractor, max_tokens=256),
        submission=submission,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
