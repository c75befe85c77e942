"""Questions about passages, each after the earlier questions and answers of its passage, as in DROP."""

from pathlib import Path

from evalkit.api import Accuracy, JsonLines, Mapped, Message, Protocol, Sample, Task, Verdict, ask_once, task


def with_earlier(records):
    """Each record with the earlier questions of its passage, which are consecutive in the file."""
    passage, earlier = None, []
    for record in records:
        if record["passage"] != passage:
            passage, earlier = record["passage"], []
        yield {**record, "earlier": earlier}
        earlier = [*earlier, [record["question"], record["answer"]]]


def to_sample(record):
    meta = {"passage": record["passage"], "earlier": record["earlier"]}
    target, cluster = (record["answer"],), record["passage"][:40]
    return Sample(record["id"], record["question"], target, cluster=cluster, meta=meta)


def prompt(sample, protocol):
    earlier = "".join(f"Q: {asked}\nA: {answer}\n" for asked, answer in sample.meta["earlier"])
    return (Message("user", f"{sample.meta['passage']}\n{earlier}Q: {sample.input}\nA:"),)


@task("passages")
def passages():
    """Questions about short passages"""
    questions = JsonLines(Path(__file__).with_name("passages.jsonl"), columns=("id", "passage", "question"))
    return Task(
        data=Mapped(questions, with_earlier, count="same"),
        sample=to_sample,
        prompt=prompt,
        answer=lambda text, sample: text.strip().rstrip(".") or None,
        scorer=lambda answer, sample: Verdict(answer.casefold() == sample.target[0].casefold()),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="earlier", solver=ask_once, max_tokens=16),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("nobody", ""),
    )
