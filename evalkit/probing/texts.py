"""The trials with texts: each asks for a few tokens, and says what the response shows."""

from __future__ import annotations

import asyncio
import math

from evalkit.models.alternatives import ALTERNATIVES
from evalkit.models.base import Request, Response, TokenLogprob
from evalkit.models.likelihood import UnusableEcho, probe_echo
from evalkit.probing.asking import Asker
from evalkit.probing.found import Answer
from evalkit.samples import Api, Message, Prompt, Tool

TOKENS = 16
"""The most tokens of a response."""
_TOOL_TOKENS = 64
"""A call of a tool is written as JSON, with marks around it."""
ALTERNATIVES_ASKED = 20
"""The most alternatives that OpenAI's and vLLM's chats return."""
_START = "The capital of France is"
_WORDS = ("apple", "banana", "cherry")
_RIGHT = "The quick brown fox jumps over the lazy dog near the river."
_GARBLED = "river the dog. near over The jumps brown lazy fox the quick"
_RANDOM = "Write twelve random letters, without any explanation."
_ADD = Tool(
    "add",
    "Adds two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)


def asked(api: Api, text: str) -> Prompt:
    return text if api == "completion" else (Message("user", text),)


async def chat(asker: Asker) -> Answer:
    await asker.ask(Request(asked("chat", "Say yes."), TOKENS))
    return Answer("chat", "yes", "it answers")


async def completion(asker: Asker) -> Answer:
    await asker.ask(Request(_START, TOKENS))
    return Answer("completion", "yes", "it continues a text")


async def reasoning(asker: Asker) -> Answer:
    response = await asker.ask(Request(asked("chat", "How many days has a week?"), TOKENS))
    if response.reasoning:
        return Answer(
            "reasoning", "yes", "it reasons before it answers, in a field of its own or between marks"
        )
    return Answer("reasoning", "no", "there was none in the response to a question")


async def logprobs(asker: Asker, api: Api) -> Answer:
    """Whether there are log-probabilities, and how many alternatives of a token."""
    name = f"{api}_logprobs"
    text = "Answer with one letter: A or B?" if api == "chat" else _START
    response = await asker.ask(Request(asked(api, text), 1, logprobs=ALTERNATIVES_ASKED))
    if not response.logprobs:
        return Answer(name, "no", "it returns none, although they are asked for")
    limit = dict(response.signs).get(ALTERNATIVES)
    first = response.logprobs[0]
    most = min(len(first.top), int(limit or ALTERNATIVES_ASKED))
    if not most:
        return Answer(name, "no", "it returns that of the generated token, and no alternatives")
    words = f"{most} alternatives of a token, of {ALTERNATIVES_ASKED} asked for"
    return Answer(name, "yes", words + (", by its refusal of more" if limit else ""), most)


async def echo(asker: Asker) -> Answer:
    """Whether the log-probabilities of a prompt's tokens are right, and depend on the text before them."""
    await probe_echo(asker.ask)
    right, garbled = await asyncio.gather(*(_scored(asker, text) for text in (_RIGHT, _GARBLED)))
    if not garbled < right:
        raise UnusableEcho(f"a garbled text is as likely ({garbled:.2f}) as a right one ({right:.2f})")
    return Answer("echo", "yes", "the log-probabilities of a prompt's tokens are those of generated ones")


async def _scored(asker: Asker, text: str) -> float:
    response = await asker.ask(Request(text, 1, logprobs=1, echo=True))
    return math.fsum(map(_known, response.prompt_logprobs))


def _known(token: TokenLogprob) -> float:
    return 0.0 if math.isnan(token.logprob) else token.logprob


async def seed(asker: Asker, api: Api) -> Answer:
    """Whether one seed gives one text, and another seed another text."""
    requests = [Request(asked(api, _RANDOM), TOKENS, 1.0, seed=number) for number in (1, 1, 2)]
    one, again, other = map(_said, await asyncio.gather(*map(asker.ask, requests)))
    if refused := asker.left_out(requests[0], "seed"):
        return Answer("seed", "no", refused)
    if not one:
        return _no_text("seed")
    if one != again:
        return Answer("seed", "no", "one seed gave two texts at temperature 1")
    if one == other:
        return Answer("seed", "unclear", "two seeds gave the same text at temperature 1")
    return Answer("seed", "yes", "one seed gave one text, another seed another one")


async def several(asker: Asker, api: Api) -> Answer:
    """Whether `n` gives several choices, which differ although the request has a seed."""
    name = f"{api}_n"
    if not asker.model.takes_n:
        return Answer(name, "no", "the backend's route has no parameter for it")
    response = await asker.ask(Request(asked(api, _RANDOM), TOKENS, 1.0, seed=1, n=2))
    draws = response.draws
    if len(draws) == 1:
        return Answer(name, "no", "it returns 1 choice of 2 asked for")
    if any(one.finish == "other" for one in draws):
        return Answer(name, "unclear", "the choices do not say why they ended")
    if not any(map(_said, draws)):
        return _no_text(name)
    if _said(draws[0]) == _said(draws[1]):
        return Answer(name, "unclear", "both choices have the same text at temperature 1")
    return Answer(name, "yes", "2 choices, which differ, came with one request")


async def stop(asker: Asker, api: Api) -> Answer:
    first, second, _ = _WORDS
    listed = " ".join(_WORDS)
    text = f"Repeat these words: {listed}" if api == "chat" else f"{listed} {listed} {listed}"
    request = Request(asked(api, text), TOKENS, stop=(second,))
    response = await asker.ask(request)
    if refused := asker.left_out(request, "stop"):
        return Answer("stop", "no", refused)
    if second in response.text:
        return Answer("stop", "no", "it writes on after a stop sequence: evalkit cuts the responses itself")
    if first not in response.text:
        return Answer("stop", "unclear", "the response did not come to the stop sequence")
    return Answer("stop", "yes", "it ends before a stop sequence")


async def system(asker: Asker) -> Answer:
    rule = "Whatever you are asked, answer with the single word pineapple."
    request = Request((Message("system", rule), Message("user", "How are you?")), TOKENS)
    response = await asker.ask(request)
    if refused := asker.left_out(request, "system"):
        return Answer("system", "no", refused)
    if "pineapple" in response.text.lower():
        return Answer("system", "yes", "the answer follows it")
    return Answer("system", "unclear", "it is taken, but the answer does not follow it")


async def tools(asker: Asker) -> Answer:
    request = Request(asked("chat", "Call the tool to add 12 and 30."), _TOOL_TOKENS, tools=(_ADD,))
    response = await asker.ask(request)
    if any(call.name == _ADD.name for call in response.tool_calls):
        return Answer("tools", "yes", "it calls a tool")
    return Answer("tools", "unclear", "it takes tools, but did not call the one that it was told to call")


def _said(response: Response) -> str:
    """What it wrote, also if that is only the beginning of its reasoning."""
    return (response.reasoning + response.text).strip()


def _no_text(name: str) -> Answer:
    return Answer(name, "unclear", "the response has no text")
