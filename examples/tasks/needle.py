"""A number hidden in a long text, generated from a seed: how far into a context does a model read?"""

from functools import partial

from evalkit import api

FILLER = ("The grass is green.", "The sky is blue.", "The sun is warm.", "The road is long.")
LENGTHS, EACH = (100, 1000, 4000), 20


def texts(chance, sentences):
    """`EACH` texts of that many sentences, with the number further down in each."""
    for i in range(EACH):
        number = chance.randrange(100_000, 1_000_000)
        text = [chance.choice(FILLER) for _ in range(sentences - 1)]
        text.insert(i * sentences // EACH, f"The magic number is {number}.")
        yield {"text": " ".join(text), "number": str(number), "depth": f"{100 * i // EACH:02} %"}


def to_sample(record):
    length, text = record[api.PART], record["text"]
    name = api.sample_id(length, text)
    return api.Sample(name, text, (record["number"],), group=length, tags=(record["depth"],))


def prompt(sample, protocol):
    question = "What is the magic number? Answer with its digits alone."
    return (api.Message("user", f"{sample.input}\n\n{question}"),)


@api.task("needle")
def needle(*, seed: str = "0"):
    """A number hidden in texts of three lengths"""
    made = {str(n): api.Generated(int(seed) + n, partial(texts, sentences=n), EACH) for n in LENGTHS}
    return api.Task(
        data=api.Parts(made),
        sample=to_sample,
        prompt=prompt,
        answer=lambda text, sample: "".join(filter(str.isdigit, text)) or None,
        scorer=lambda answer, sample: api.Verdict(answer == sample.target[0]),
        metrics=api.averages(api.Accuracy()),
        protocols=(api.Protocol(name="0-shot", solver=api.ask_once, max_tokens=16),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("1", ""),
    )
