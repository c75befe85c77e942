"""What a probe found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from evalkit.samples import Api

ROUTES: tuple[Api, ...] = ("chat", "completion")
Verdict: TypeAlias = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether an endpoint has a feature, and how that shows.

    `unclear`: the endpoint failed or its response shows nothing, so that nothing is concluded. `number`: the
    most alternatives of a token, or the tokens of the context.
    """

    name: str
    verdict: Verdict
    reason: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The answers of one endpoint for one model.

    `model`: as `backend/name`. `endpoint`: its address. `at`: when it was probed, in seconds since 1970.
    `requests`, `prompt_tokens`, `completion_tokens`: what that took, as far as the endpoint counts tokens.
    """

    model: str
    endpoint: str
    at: float
    requests: int
    prompt_tokens: int
    completion_tokens: int
    answers: tuple[Answer, ...]

    @property
    def when(self) -> str:
        return f"{datetime.fromtimestamp(self.at).astimezone():%Y-%m-%d %H:%M}"

    def says(self, name: str) -> Verdict:
        """The verdict on a feature; unclear if it was not tried."""
        return next((one.verdict for one in self.answers if one.name == name), "unclear")

    def unmet(self, needs: Iterable[str], api: Api) -> Iterator[Answer]:
        """Yields the answers that are not "yes" to the capabilities that requests by `api` need.

        A capability that no probe tries, such as `extra`, has none.
        """
        names = {feature(need, api) for need in needs}
        yield from (one for one in self.answers if one.name in names and one.verdict != "yes")

    def takes_n(self, api: Api) -> bool:
        return self.says(f"{api}_n") == "yes"


def feature(capability: str, api: Api) -> str:
    """The name of the answer about a capability: log-probabilities are tried on each route."""
    if capability == "logprobs":
        return f"{api}_logprobs"
    return "image" if capability == "video" else capability
