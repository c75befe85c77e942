"""Cases of solvers: what they make of a model's responses, and what they ask for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalkit.errors import ProviderError
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.protocol import Protocol
from evalkit.samples import JSON, Answer, Final, Prompt, Sample
from tools.golden.calls import Call, Case, each

DRAWS = ("a", "b", "cut a", "", "cut b")
"""What a model says in a draw: an answer, one that is cut at `max_tokens`, or none."""
SAMPLE = Sample("own", "Which one?", ("A",), choices=("one", "two", "three"))
SOLVERS = ("ask_once", "majority_vote", "choose_letter", "route_by_agreement")
TOKENS: tuple[Mapping[str, float], ...] = (
    {"A": -1.0, "B": -0.5, "C": -2.0},
    {" A": -1.0, " B": -1.0, " C": -1.0},
    {"A": -0.1, " C": -3.0},
    {"B": -2.0, "x": -0.5},
    {"x": -0.5},
    {" C": -0.2, "\u0120B": -0.1, "\u2581A": -3.0},
    {"A": -9.0, "x": -0.001, "y": -9.5},
)


@dataclass(slots=True)
class Script:
    """An `Ask` that answers by a script and notes what it was asked."""

    said: Sequence[str] = ()
    token: Mapping[str, float] = field(default_factory=dict)
    asked: list[JSON] = field(default_factory=list)

    async def __call__(self, prompt: Prompt, *, draw: int = 0) -> Response:
        self.asked.append(draw)
        text = self.said[draw] if self.said else ""
        best = max(self.token, key=lambda key: self.token[key], default="")
        logprobs = (TokenLogprob(best, self.token[best], dict(self.token)),) if self.token else ()
        if text == "waits":
            await asyncio.Event().wait()
        if text == "fails":
            raise ProviderError("no answer")
        if text.startswith("cut "):
            return Response(text.removeprefix("cut "), finish="length", logprobs=logprobs)
        return Response(text, logprobs=logprobs)

    async def continuations(self, prompt: str, texts: Sequence[str]) -> Sequence[Likelihood]:
        self.asked += [[prompt, text] for text in texts]
        return [Likelihood(text, self.token.get(text, -5.0)) for text in texts]

    async def under(self, protocol: str) -> Answer:
        self.asked.append(protocol)
        return Answer((Final("greedy", truncated=True),), {"own": 1})


def _extract(text: str, sample: Sample) -> str | None:
    return text or None


def cases(name: str, solver: Callable[..., object]) -> Iterator[Case]:
    """For a solver of evalkit's: draws with ties, without answers and cut; tokens' likelihoods."""
    if name not in SOLVERS:
        return
    for protocol in _protocols(name, solver):
        scripts = _letters() if name == "choose_letter" else _votes(protocol.draws)
        for shown, script in scripts:
            args = (solver, protocol, script)
            key = [protocol.threshold, protocol.api, protocol.likelihood, shown]
            yield each((Call(_solve, args),), key)


async def _solve(solver: Callable[..., object], protocol: Protocol, script: Script) -> object:
    ask = Script(script.said, script.token)
    answer = await solver(SAMPLE, "Q", ask, _extract, protocol)  # type: ignore[misc]
    asked = sorted(ask.asked, key=str)
    return [answer, asked]


def _protocols(name: str, solver: Callable[..., object]) -> Iterator[Protocol]:
    thresholds = (None, 0.0, 0.5, 0.75, 1.0) if name == "route_by_agreement" else (None,)
    for draws, threshold in itertools.product((1, 2, 3, 4), thresholds):
        yield Protocol(
            name="own", solver=solver, draws=draws, temperature=0.7, threshold=threshold,  # type: ignore[arg-type]
            fallback=("greedy", "other"), logprobs=3,
        )  # fmt: skip
    for likelihood in ("next-token", "prompt"):
        yield Protocol(name="own", solver=solver, api="completion", likelihood=likelihood, logprobs=2)  # type: ignore[arg-type]


def _votes(draws: int) -> Iterator[tuple[JSON, Script]]:
    for said in itertools.product(DRAWS[: 5 if draws < 3 else 4 if draws == 3 else 3], repeat=draws):
        yield list(said), Script(said)
    if draws == 2:
        yield "one fails while another waits", Script(("waits", "fails"))


def _letters() -> Iterator[tuple[JSON, Script]]:
    for token in TOKENS:
        yield dict(token), Script(token=token)
    yield "no log-probabilities", Script(said=("A",) * 4)
