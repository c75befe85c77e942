"""Golden cases of what asks, reads and measures lm-eval's tasks. lm-eval's own code is left out of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import Reading
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.lmeval.reading import Filters, Scores
from evalkit.lmeval.requests import Ask, prompt_of
from evalkit.lmeval.tasks import as_it_is
from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.base import Scored, traits_of
from evalkit.metrics.by_size import BySize
from evalkit.metrics.lm_eval import HarnessItems, HarnessMean, HarnessNumbers, HarnessRate, HarnessTranslation
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.samples import Answer, Final, Message, Prompt, Sample
from tools.golden.calls import Call, Case, each

GREEDY = {"until": ["\n", "Q:"], "max_gen_toks": 9, "do_sample": False, "temperature": 0.0}


def _sample(name: str, requests: Sequence[Any], text: str = "Q: one?\nA:", **meta: Any) -> Sample:
    return Sample(name, text, ("two",), meta={"task": "t", "doc_id": 0, "requests": list(requests), **meta})


SAMPLES = (
    _sample("generated", [["generate_until", 0, GREEDY]]),
    _sample("sampled", [["generate_until", 0, {"until": "\n", "temperature": 0.5, "max_tokens": 4}]]),
    _sample("no settings", [["generate_until", 0, {}], ["generate_until", 0, {}]]),
    _sample("chat", [["generate_until", 0, GREEDY]], "one?", chat=[["system", "Be."], ["user", "one?"]]),
    _sample("choices", [["loglikelihood", 0, f" {one}"] for one in ("two", "three", "two")]),
    _sample("blanks", [["loglikelihood", 0, "two"], ["loglikelihood", 0, ""]], "one \n"),
    _sample("contexts", [["loglikelihood", i, " two"] for i in (0, 1)], contexts=["Q: other?\nA:"]),
    _sample("no context", [["loglikelihood", 0, " two"], ["loglikelihood", 1, " two"]], "", contexts=["x"]),
    _sample("rolling", [["loglikelihood_rolling", 0]], "One two."),
    _sample("nothing", [["loglikelihood_rolling", 0]], ""),
    _sample("mixed", [["generate_until", 0, GREEDY], ["loglikelihood", 0, " no"], ["generate_until", 0, {}]]),
)
_PROTOCOLS = (
    Protocol(name="p", api="completion"),
    Protocol(
        name="p", api="completion", max_tokens=3, stop=("x",), overrides={"max_tokens": "3", "stop": "x"}
    ),
    Protocol(name="p", api="completion", draws=2, temperature=0.5, overrides={"temperature": "0.5"}),
)  # fmt: skip


def cases(name: str) -> Iterator[Case]:
    """Yields the cases of the identity `name`."""
    if name == "lm_eval_text":
        for text in ("", " two\n", "The answer is 2."):
            yield each([Call(as_it_is, (text, SAMPLES[0]))], text)
    elif name == "lm_eval_prompt":
        for sample in SAMPLES:
            yield each([Call(prompt_of, (sample, _PROTOCOLS[0]))], sample.id)
    elif name == "lm_eval_requests":
        for number, protocol in enumerate(_PROTOCOLS):
            for prefix in ("", "<s>"):
                for sample in SAMPLES:
                    yield each([Call(_asked, (sample, protocol, prefix))], [number, prefix, sample.id])
            for sample in SAMPLES:
                call = Call(_asked, (sample, protocol, "", True))
                yield each([call], [number, "a class of lm-eval", sample.id])
    elif name == "lm_eval_filters":
        yield from _filtering()
    elif name == "lm_eval_scores":
        yield from _scoring()
    else:
        yield from _measuring(name)


@dataclass(slots=True)
class Script:
    """A solver's context that records the requests."""

    sample: Sample
    protocol: Protocol
    harness: bool = False
    prompt: Prompt = ""
    asked: list[object] = field(default_factory=list)

    async def ask(self, prompt: Prompt, *, lm_eval: object = None, **given: object) -> Response:
        self.asked.append(["ask", _plain(prompt), given, *([lm_eval] if lm_eval else [])])
        return Response("")

    async def continuations(
        self, prompt: Prompt, texts: Sequence[str], *, draw: int = 0, lm_eval: object = None
    ) -> tuple[()]:
        own = [lm_eval] if lm_eval else []
        self.asked.append(["continuations", _plain(prompt), list(texts), draw, *own])
        return ()

    async def tokens(self, text: str, *, draw: int = 0) -> tuple[()]:
        self.asked.append(["tokens", text, draw])
        return ()


def _plain(prompt: Prompt) -> object:
    if not isinstance(prompt, tuple):
        return str(prompt)
    return [[turn.role, turn.content] for turn in prompt if isinstance(turn, Message)]


async def _asked(sample: Sample, protocol: Protocol, prefix: str, harness: bool = False) -> object:
    script: Any = Script(sample, protocol, harness)
    await Ask(prefix)(script)
    return script.asked


class Stub:
    """In place of `Loaded`: two filters, one of which leaves the first word, and made-up scores."""

    identity, filters, headline = "t 1", ("none", "first"), "acc"

    def __init__(self, scores: Mapping[str, Any] | None = None, *, greedy: bool = False) -> None:
        self.scores, self.greedy = scores or {}, greedy

    def member(self, sample: Sample) -> Stub:
        return self

    def filtered(self, sample: Sample, results: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
        first = [one[0].split(" ")[0] if isinstance(one[0], str) else one[0] for one in results]
        return {"none": [one[0] if len(one) == 1 else [*one] for one in results], "first": first}

    def scored(self, answer: str, sample: Sample) -> Mapping[str, Any]:
        return self.scores


def _filtering() -> Iterator[Case]:
    token = TokenLogprob("One", -0.5, {"One": -0.5})
    likelihoods = (Likelihood(" two", -1.5, 1, True), Likelihood(" three", -2.25))
    by_kind: dict[str, Sequence[Response]] = {
        "generated": [Response("two three")],
        "chat": [Response("lm-eval: two", "length")],
        "sampled": [Response("", "filter")],
        "choices": [Response("", likelihoods=likelihoods)],
        "contexts": [Response("", likelihoods=(Likelihood(" two", one),)) for one in (-1.0, -2.0)],
        "rolling": [Response("", prompt_logprobs=(token, dataclasses.replace(token, logprob=-4.0)))],
        "blanks": [Response("")],
    }  # fmt: skip
    first = TokenLogprob("One", float("nan"), {})
    again = {"rolling": [Response("", prompt_logprobs=(first, token))]}
    for group, greedy in ((by_kind, False), (by_kind, True), (again, False)):
        for name, responses in group.items():
            sample = next(one for one in SAMPLES if one.id == name)
            stub: Any = Stub(greedy=greedy)
            turns = tuple(Turn(one) for one in responses)
            reading = Reading(Transcript(turns), sample, _PROTOCOLS[0], as_it_is)
            yield each([Call(Filters(stub, ""), (reading,))], [name, greedy, group is again])
    twice = tuple(Turn(Response(text), draw) for draw, text in ((1, "b c"), (0, "a")))
    drawn: Any = Stub()
    reading = Reading(Transcript(twice), SAMPLES[0], _PROTOCOLS[2], as_it_is)
    yield each([Call(Filters(drawn, ""), (reading,))], "two draws")


def _scoring() -> Iterator[Case]:
    scores: Sequence[Mapping[str, Any]] = (
        {"acc": 1.0, "f1": (1, 0)},
        {"acc": 0, "text": ("a", "b")},
        {"acc": True, "ll": (-3.5, 12)},
        {"acc": np.float64(0.25)},
        {"acc": 0.5},
        {"acc": float("nan"), "other": float("-inf")},
        {"acc": 7.5},
        {"em": 1.0, "nested": (1, [2, 3])},
        {},
    )
    for number, one in enumerate(scores):
        stub: Any = Stub(one)
        yield each([Call(Scores(stub), ("two", SAMPLES[0]))], number)


def _items(answer: str, sample: Sample) -> Mapping[str, Any]:
    return {
        "bleu": ("a cat sat on the mat", answer),
        "chrf": (["a cat", "the cat"], [answer]),
        "size": len(answer),
    }


def _measuring(name: str) -> Iterator[Case]:
    values = {"acc": 0.5, "ll": -2.0, "wp[0]": -12.0, "wp[1]": 5.0, "f1[0]": 1.0, "f1[1]": 0.0, "size": 3.0}
    metrics: dict[str, Sequence[Any]] = {
        "lm_eval_mean": (
            HarnessMean("acc", "accuracy", "%", 100.0, True, True),
            HarnessMean("ll", higher_is_better=False, variant="first"),
            HarnessMean("no such"),
        ),
        "lm_eval_rate": (
            HarnessRate("ll"), HarnessRate("wp", "weighted_perplexity"), HarnessRate("wp", "bits_per_byte"),
            HarnessRate("no such"), HarnessRate("no such", "bits_per_byte", variant="first"),
        ),
        "lm_eval_numbers": (HarnessNumbers("f1", "f1", 2), HarnessNumbers("size", "median")),
        "lm_eval_items": (
            HarnessItems("size", max, _items), HarnessItems("no such", max, _items, variant="first"),
        ),
        "lm_eval_by_size": (
            BySize(HarnessNumbers("f1", "f1", 2), ("", "other")),
            BySize(HarnessNumbers("size", "median", variant="first", higher_is_better=False), ("other", "")),
            BySize(HarnessRate("wp", "bits_per_byte", variant="first"), ("other", "")),
            BySize(Accuracy(), ("",)),
            BySize(HarnessItems("size", max, _items), ("", "other")),
        ),
        "lm_eval_translation": (
            HarnessTranslation("bleu", "bleu", _items),
            HarnessTranslation("chrf", "chrf", _items, variant="first"),
            HarnessTranslation("no such", "bleu", _items),
        ),
    }  # fmt: skip
    half = {"wp[0]": -12.0, "f1[0]": 1.0}
    answers = (("a cat sat on a mat", values), ("cat", {"acc": 1.0}), ("a dog", half), (None, None))
    for number, metric in enumerate(metrics[name]):
        for answer, given in answers:
            finals = (Final(answer),)
            named = {"": (given,), "first": (given,)}
            scored = Scored(Answer(finals, {}, {"first": finals}), (True,), values=named)
            if isinstance(metric, HarnessItems) or isinstance(getattr(metric, "inner", None), HarnessItems):
                call = Call(_second_item, (metric, scored))
            else:
                call = Call(metric.statistics, (SAMPLES[0], scored))
            yield each([call], [number, metric.name, answer])
        yield each([Call(_declared, (metric, [name, number, "declared"]))], [number, "declared"])
        measure = _by_size if isinstance(metric, BySize) else _figures
        yield each([Call(measure, (metric, [name, number, "figures"]))], [number, "figures"])
        if isinstance(metric, HarnessNumbers | BySize):
            yield each([Call(_each, (metric, [name, number, "each"]))], [number, "each"])


def _declared(metric: Any, case: object) -> object:
    shape = [metric.name, metric.unit, metric.higher_is_better, list(metric.columns), metric.variant]
    draws = [metric.least_draws] if isinstance(metric, BySize) else []
    return [shape, dataclasses.asdict(traits_of(metric)), *draws]


def _second_item(metric: HarnessItems | BySize, scored: Scored) -> object:
    kept = metric.prepare(())
    kept.append("the first item")
    return list(metric.statistics(SAMPLES[0], scored, kept))


def _each(metric: Any, case: object) -> object:
    rows = np.array([[row + place / 8 for place in range(len(metric.columns))] for row in range(3)])
    return [float(one) for one in metric.each(rows)]


def _by_size(metric: BySize, case: object) -> object:
    """Figures of five samples of three tasks: of all, and of draws with all, some and none of a task's."""
    rows = np.array(
        [[(row * 3 + place) % 4 + 1.0 for place in range(len(metric.columns))] for row in range(5)]
    )
    if hasattr(metric.inner, "aggregate"):
        rows[:, :-1] = rows[:, :-1] > 2
    rows[:, -1] = [0, 1, 2, 0, 1]
    if isinstance(metric.inner, HarnessItems):
        kept = metric.prepare(())
        kept += [3, 5]
    draws = np.array([[1.0] * 5, [0, 2, 1, 1, 2], [1, 0, 0, 3, 0], [0, 0, 4, 0, 0]])
    return [float(one) for one in metric.aggregate(rows)(draws)]


def _figures(metric: Any, case: object) -> object:
    width = len(metric.columns)
    rows = np.array([[(row * 3 + place) % 4 + 1.0 for place in range(width)] for row in range(5)])
    if hasattr(metric, "finish"):
        return [float(one) for one in metric.finish(np.stack([rows[0], rows.sum(axis=0)]))]
    rows[:, :-1] = rows[:, :-1] > 2
    if isinstance(metric, HarnessItems):
        kept = metric.prepare(())
        kept += [3, 5]
    figures = metric.aggregate(rows)
    return [float(one) for one in figures(np.array([[1.0] * 5, [0, 2, 1, 0, 2.0], [0.0] * 5]))]
