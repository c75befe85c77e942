"""MMLU: 14,042 four-choice questions of 57 subjects (Hendrycks et al. 2021, arXiv 2009.03300).

The report prints 90.04 % for Ultra under CoT@32 and 83.7 % under 5-shot (table 2), and describes both
(figure 9). The headline weights questions equally; groups are the subjects, tags the four fields.

- `5-shot` is the original (hendrycks/test at 4450500, evaluate.py): its header, with its two spaces before a
  subject; the five questions of the dev split in order; the likeliest of " A" to " D" as the next token. As
  long as a prompt does not fit the model's context, it is sent again with one shot fewer. The `mmlu` of
  lm-evaluation-harness 0.4.13 differs only in that it has one space there and strips questions.
- `5-shot-chat` generates the letter, for endpoints without likelihoods, and `5-shot-chat-logprobs` takes
  the likeliest first token of a chat's answer. Both use the prompt that the report's team printed one
  version later (Gemini 1.5 report, appendix 12.13). Neither is the original's protocol.
- `cot32-routed`, `cot8-routed`: uncertainty-routed chain of thought (Gemini 1.0 report, appendix 10.2): the
  majority of 32 or 8 draws if enough of them agree, otherwise the greedy letter of `5-shot`. The figures of
  both branches are shown too, `accuracy (majority)` and `accuracy (greedy)`: the three bars of figure 9. The
  same run chooses the threshold on the validation split, one for all subjects. `cot32` is the plain majority.
  Where the report says nothing, evalkit uses: temperature 0.7 without top-k, as Wang et al. (2022); the first
  four exemplars of the subject from lm-evaluation-harness (`flan_cot_fewshot`), in one user message;
  agreement as the share among all draws, including those without a letter; routing to the majority if that
  share is equal to the threshold; of equally good thresholds the lowest; in a tied vote, the answer that was
  drawn first. If the endpoint gives no likelihoods, the greedy branch is `5-shot-chat`, and the signature
  says so; `--set fallback=…` selects it.

Some exemplars have lost LaTeX's backslashes in lm-eval 0.4.13. They are repaired here, and the signature's
note gives the number of their subjects (`evalkit.data.mmlu_cot`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.api import (
    JSON,
    Accuracy,
    Hub,
    LmEvalFiles,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    ask_likelihoods,
    ask_once,
    ask_with_fallback,
    choose_letter,
    letters,
    list_of,
    majority_vote,
    mmlu_cot,
    mmlu_cot_description,
    mmlu_cot_paths,
    mmlu_cot_repairs,
    route_by_agreement,
    sample_id,
    task,
    versioned,
)
from evalkit.scoring import chat_letter, cot_letter

from .kit import wrong_letters
from .mmlu_fields import TEST_SIZES, field_of

REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"
GENERATED, SCORED_CHAT = "5-shot-chat", "5-shot-chat-logprobs"
CHAINS = ("cot32-routed", "cot8-routed", "cot32")
PREAMBLE = "Continue the following text without adding any additional information or formatting:"
BRANCHES = ("majority", "greedy")
FALLBACK = ("5-shot", GENERATED)


def to_sample(record: Record) -> Sample:
    subject, question = record["subject"], record["question"]
    choices = tuple(list_of(record["choices"], "choices"))
    return Sample(
        id=sample_id(subject, question, *choices),
        input=question,
        target=("ABCD"[record["answer"]],),
        choices=choices,
        group=subject,
        tags=(field_of(subject),),
    )


@versioned("mmlu.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name in CHAINS:
        text = chain_of_thought(sample, protocol.shots)
    elif protocol.name in (GENERATED, SCORED_CHAT):
        text = continued(sample, protocol.shots)
    else:
        text = original(sample, protocol.shots)
    return text if protocol.api == "completion" else (Message("user", text),)


def original(sample: Sample, shots: int) -> str:
    """The prompt of hendrycks/test at 4450500, evaluate.py: `gen_prompt` and `format_example`."""
    subject = " " + sample.group.replace("_", " ")  # `format_subject` puts a space before every word
    header = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    shown = "".join(f"{_lettered(shot, '{}. ')} {shot.target[0]}\n\n" for shot in sample.shots[:shots])
    return header + shown + _lettered(sample, "{}. ")


def continued(sample: Sample, shots: int) -> str:
    """The prompt of the Gemini 1.5 report, appendix 12.13."""
    shown = [f"{_lettered(shot, '({}) ')} {shot.target[0]}" for shot in sample.shots[:shots]]
    return "\n\n".join([PREAMBLE, *shown, _lettered(sample, "({}) ")])


def _lettered(sample: Sample, mark: str) -> str:
    marked = zip(letters(sample), sample.choices, strict=True)
    choices = [mark.format(letter) + text for letter, text in marked]
    return "\n".join([sample.input, *choices, "Answer:"])


def chain_of_thought(sample: Sample, shots: int) -> str:
    """The prompt of lm-evaluation-harness 0.4.13, `mmlu_flan_cot_fewshot`."""
    shown = [f"Q: {shot.question}\nA: {shot.target}" for shot in mmlu_cot(sample.group)[:shots]]
    marked = zip(letters(sample), sample.choices, strict=True)
    choices = " ".join(f"({letter}) {text}" for letter, text in marked)
    question = f"Q: {sample.input.strip()}\n{choices}\nA: Let's think step by step."
    return "\n\n".join([mmlu_cot_description(sample.group), *shown, question])


@versioned("mmlu.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer == sample.target[0], f"{answer}, and {sample.target[0]} is right")


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    generated = protocol.reader is not choose_letter
    return wrong_letters(sample, lambda letter: _as_response(letter, protocol), generated=generated)


def _as_response(letter: str, protocol: Protocol) -> str:
    if protocol.name in CHAINS:
        return f"It follows from what was said. The answer is ({letter})."
    return f" {letter}" if protocol.api == "completion" else letter


def notes(protocol: Protocol) -> Mapping[str, JSON]:
    fixed = mmlu_cot_repairs() if protocol.name in CHAINS else {}
    return {"exemplars-fixed": f"{len(fixed)}-subjects"} if fixed else {}


def _chain(name: str, draws: int, *, routed: bool) -> Protocol:
    where = "Gemini 1.0 report, appendix 10.2 and figure 9"
    return Protocol(
        name=name,
        solver=ask_with_fallback if routed else ask_once,
        reader=route_by_agreement if routed else majority_vote,
        shots=4,
        draws=draws,
        temperature=0.7,
        stop=("\nQ:",),
        fallback=FALLBACK if routed else (),
        branches=BRANCHES if routed else (),
        source=f"{where} (CoT@{draws}); temperature: Wang et al. 2022; exemplars: lm-evaluation-harness",
    )


@task("mmlu", report="Table 2")
def mmlu() -> Task:
    """Four-choice questions of 57 subjects (Hendrycks et al. 2021)"""
    columns = ("question", "subject", "choices", "answer")
    test, dev, validation = (
        Hub("cais/mmlu", "all", split=split, revision=REVISION, columns=columns)
        for split in ("test", "dev", "validation")
    )
    return Task(
        data=test,
        dev=dev,
        validation=validation,
        sample=to_sample,
        prompt=prompt,
        answer={
            **dict.fromkeys(CHAINS, cot_letter),
            "completion": chat_letter,
            "chat": chat_letter,
        },
        scorer=score,
        metrics=(Accuracy(), *(Accuracy(variant=branch) for branch in BRANCHES)),
        size=14042,
        group_sizes=TEST_SIZES,
        protocols=(
            _chain("cot32-routed", 32, routed=True),
            Protocol(
                name="5-shot", solver=ask_likelihoods, reader=choose_letter, api="completion", shots=5,
                max_tokens=1, logprobs=20,
                drop_shots=True, source="Gemini 1.0 report, table 2 (5-shot); Hendrycks et al. 2021",
            ),
            _chain("cot8-routed", 8, routed=True),
            _chain("cot32", 32, routed=False),
            Protocol(
                name=GENERATED, shots=5, max_tokens=256, drop_shots=True,
                source="prompt: Gemini 1.5 report, appendix 12.13; the letter is generated",
            ),
            Protocol(
                name=SCORED_CHAT, solver=ask_likelihoods, reader=choose_letter, shots=5,
                max_tokens=1, logprobs=20, drop_shots=True,
                source="Gemini 1.5 report, appendix 12.13; the letter is a chat's first token",
            ),
        ),
        max_shots=5,
        reads=(LmEvalFiles(mmlu_cot_paths(TEST_SIZES)),),
        gold=gold,
        wrong_responses=wrong_responses,
        notes=notes,
    )  # fmt: skip
