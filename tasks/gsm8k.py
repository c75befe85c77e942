"""GSM8K: 1,319 grade-school maths word problems (Cobbe et al. 2021, arXiv 2110.14168).

The report prints 94.4 % for Ultra and 86.5 % for Pro under Maj1@32 (table 2), without the prompt, the number
of shots or the temperature. evalkit uses:

- Prompt: the eight chain-of-thought exemplars of Wei et al. (2022, arXiv 2201.11903), "Q: … A: … The
  answer is N.", from lm-evaluation-harness (`gsm8k-cot.yaml`), in one user message. The report's team
  mentions "an 8-shot prompt" one version later (Gemini 1.5 report, appendix 12.13).
- Draws: temperature 0.7 without top-k, as Wang et al. (2022, arXiv 2203.11171) sampled GPT-3.
- Answer: the final number in the response (Gemini 1.5 report, appendix 12.13), compared by value. The second
  figure, `accuracy (strict)`, counts only the number in "The answer is N", which lm-evaluation-harness calls
  strict-match; its majority vote is taken over these numbers.
- The "11 examples" of some of that report's experiments are in no library that evalkit could read them
  from, so there is no `11-shot`. `0-shot-chat` is evalkit's own, for chat models as they are used.
- Stop: a new line that begins with "Q:"; lm-evaluation-harness stops at "Q:" anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.api import (
    Accuracy,
    Hub,
    LmEvalFiles,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Variant,
    Verdict,
    fewshot_samples,
    majority_vote,
    sample_id,
    task,
    versioned,
)  # fmt: skip
from evalkit.scoring import canonical_number, final_number, stated_number

EXEMPLARS = "gsm8k/gsm8k-cot.yaml"
ZERO_SHOT = "0-shot-chat"
INSTRUCTION = 'Think step by step. End with "The answer is N." where N is the number asked for.'


def to_sample(record: Record) -> Sample:
    """The reference is what follows "####"; the id is a hash of the question, because the data has no ids."""
    question, answer = record["question"], record["answer"]
    reference = canonical_number(answer.rpartition("####")[2])
    if reference is None:
        raise ValueError(f"no number after #### in the answer to {question[:60]!r}")
    return Sample(id=sample_id(question), input=question, target=(reference,), meta={"solution": answer})


@versioned("gsm8k.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    if protocol.name == ZERO_SHOT:
        text = f"{sample.input}\n\n{INSTRUCTION}"
        return text if protocol.api == "completion" else (Message("user", text),)
    shots = fewshot_samples(EXEMPLARS)[: protocol.shots]
    blocks = [f"Q: {shot['question']}\nA: {shot['target']}" for shot in shots]
    text = "\n\n".join([*blocks, f"Q: {sample.input}\nA:"])
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("gsm8k.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    right = answer == sample.target[0]  # both in canonical form
    return Verdict(right, f"{answer} {'=' if right else '≠'} {sample.target[0]}")


def gold(sample: Sample, protocol: Protocol) -> str:
    return f"{sample.meta['solution']}\nThe answer is {sample.target[0]}."


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """The right number with further digits, the right number before a wrong one, no number, and nothing."""
    right = sample.target[0]
    return (
        f"The answer is {right}0001.",
        f"It is not {right}. The answer is {right}.5",
        f"{right} was my first thought, but the answer is {int(float(right)) + 1}.",
        "I do not know.",
        "",
    )


@task("gsm8k", report="Table 2")
def gsm8k() -> Task:
    """Grade-school maths word problems (Cobbe et al. 2021)"""
    return Task(
        data=Hub(
            "openai/gsm8k", "main", split="test",
            revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c", columns=("question", "answer"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer=final_number,
        scorer=score,
        variants=(Variant(name="strict", extract=stated_number),),
        metrics=(Accuracy(), Accuracy(variant="strict")),
        size=1319,
        protocols=(
            Protocol(
                name="maj1@32", reader=majority_vote, shots=8, draws=32, temperature=0.7, stop=("\nQ:",),
                source="Gemini 1.0 report, table 2 (Maj1@32); temperature: Wang et al. 2022",
            ),
            Protocol(
                name="8-shot-cot", shots=8, stop=("\nQ:",),
                source="Wei et al. 2022; lm-evaluation-harness gsm8k_cot",
            ),
            Protocol(name=ZERO_SHOT, source="evalkit"),
        ),
        max_shots=8,
        reads=(LmEvalFiles((EXEMPLARS,)),),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
