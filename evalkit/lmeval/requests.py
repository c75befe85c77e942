"""What lm-eval asks for a document: as a sample that says so in plain data, and the solver that asks it.

`Sample.meta` has `task`, `doc_id` and `doc` (as lm-eval's own log of samples has them), `gold` if the task
says which response is right, and `requests`: the requests in lm-eval's order, each `[kind, number of its
context, …]` with the settings of a generation, or the continuation whose likelihood is asked. Context 0 is
`Sample.input`, or for a chat `meta["chat"]`; the further ones are in `meta["contexts"]`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.errors import SampleError, ScorerError, UsageError
from evalkit.identity.declared import ATTRIBUTE, Declared, versioned
from evalkit.lmeval.loading import plain
from evalkit.models.base import Likelihood
from evalkit.models.parameters import LIMITS
from evalkit.samples import JSON, Message, Prompt, Sample

if TYPE_CHECKING:
    from evalkit.benchmark.protocol import Protocol, ProtocolSettings
    from evalkit.benchmark.solvers import Context

GENERATE, LIKELIHOOD, ROLLING = "generate_until", "loglikelihood", "loglikelihood_rolling"
MOST_TOKENS = 256
"""The most tokens of a response where a task does not say (`DEFAULT_MAX_GEN_TOKS` of lm-eval)."""


class Chat(tuple[Any, ...]):
    """The messages of a chat, as lm-eval hands them to a model's chat template."""

    __slots__ = ()

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> Chat:
        """What evalkit gives lm-eval as chat template: the endpoint applies the real one.

        If a message of the assistant comes last, which lm-eval calls gen_prefix, the model continues it.
        """
        return cls((str(message["role"]), str(message["content"])) for message in messages)


def sample_of(record: Mapping[str, Any], *, grouped: bool, tags: tuple[str, ...] = ()) -> Sample:
    """Makes the sample of a document and its requests. Raises `SampleError` for what evalkit cannot ask.

    `record`: `task`, `doc_id`, `doc`, `id`, `instances` (lm-eval's), `target`, `choices` and `gold`, or
    `error`, if lm-eval could not make these.
    """
    if "error" in record:
        raise SampleError(f"lm-eval makes no request of document {record['doc_id']} ({record['error']})")
    contexts: list[Any] = []
    requests: list[JSON] = []
    for instance in record["instances"]:
        kind, (context, *rest) = instance.request_type, instance.args
        if len(rest) > (0 if kind == ROLLING else 1):
            raise SampleError("the task has pictures or clips, which evalkit cannot ask for lm-eval yet")
        if context not in contexts:
            contexts.append(context)
        requests.append([kind, contexts.index(context), *(plain(one) for one in rest)])
    meta: dict[str, JSON] = {"task": record["task"], "doc_id": record["doc_id"], "doc": record["doc"]}
    meta["requests"] = requests
    first, *others = contexts
    if isinstance(first, Chat):
        meta["chat"] = [list(turn) for turn in first]
        first = next((text for role, text in reversed(first) if role == "user"), "")
    if others:
        meta["contexts"] = [[list(turn) for turn in one] if isinstance(one, Chat) else one for one in others]
    if record["gold"] is not None:
        meta["gold"] = record["gold"]
    return Sample(
        id=f"{record['task']}/{record['id']}" if grouped else record["id"],
        input=str(first),
        target=tuple(record["target"]),
        choices=tuple(record["choices"]),
        group=record["task"] if grouped else "",
        tags=tags,
        meta=meta,
    )


@versioned("lm_eval_prompt", 1)
def prompt_of(sample: Sample, protocol: Protocol) -> Prompt:
    """The first context of the sample, as it is asked. Raises `UsageError` for a text and api=chat."""
    prompt = _context(sample, 0)
    if isinstance(prompt, str) and protocol.api == "chat":
        raise UsageError("--set api=chat: use --set chat=on, for which lm-eval makes the messages")
    return prompt


def _context(sample: Sample, number: int) -> Prompt:
    if number == 0:
        found: Any = sample.meta.get("chat", sample.input)
    else:
        others: Any = sample.meta["contexts"]
        found = others[number - 1]
    if isinstance(found, str):
        return found
    return tuple(Message(role, text) for role, text in found)


@dataclass(frozen=True, slots=True)
class Call:
    """One request of evalkit's for one or more of lm-eval's: `places` are their numbers.

    `texts`: the continuations whose likelihoods are asked, one for each place; empty for a generation and for
    the likelihood of the whole of `prompt`.
    """

    kind: str
    prompt: Prompt
    places: tuple[int, ...]
    texts: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None


def calls(sample: Sample, prefix: str = "") -> list[Call]:
    """The distinct requests for a sample, in a fixed order.

    `prefix`: the text of the token that stands before a text without a context. Blanks at the end of a
    context belong to the continuation, as in lm-eval's `_encode_pair` (api/model.py). The likelihood of an
    empty continuation is not asked.
    """
    generations: dict[str, Call] = {}
    likelihoods: dict[tuple[str, Prompt], list[tuple[int, str]]] = {}
    requests: Any = sample.meta["requests"]
    for place, (kind, number, *rest) in enumerate(requests):
        context = _context(sample, number)
        if kind == GENERATE:
            key = json.dumps([number, *rest], sort_keys=True)
            places = (*generations[key].places, place) if key in generations else (place,)
            generations[key] = Call(kind, context, places, settings=rest[0])
            continue
        if kind == ROLLING:
            context, text = "", str(context)
        else:
            text = rest[0]
        if isinstance(context, str) and context:  # the text of a chat is known to the model alone
            end = len(context.rstrip())
            context, text = context[:end], context[end:] + text
        if text:
            likelihoods.setdefault((kind, context or prefix), []).append((place, text))
    found = [*generations.values()]
    for (kind, context), asked in likelihoods.items():
        if context:
            places = tuple(place for place, _ in asked)
            found.append(Call(kind, context, places, tuple(text for _, text in asked)))
        else:
            found += [Call(kind, text, (place,)) for place, text in asked]
    return found


def most_tokens(settings: Mapping[str, Any]) -> int:
    """The most tokens of a generation."""
    return int(next((settings[key] for key in LIMITS if settings.get(key)), MOST_TOKENS))


def stops(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts at which a generation ends."""
    until = settings.get("until") or ()
    return (until,) if isinstance(until, str) else tuple(filter(None, until))


@versioned("lm_eval_requests", 1)
class Ask:
    """The solver: makes the requests that lm-eval made for the sample, as often as its `repeats` say.

    A setting of the protocol that `--set` changed holds for every request; the others are the request's own.
    """

    def __init__(self, prefix: str = "", given: str = "") -> None:
        """`given`: the settings with which lm-eval made the requests, for the signature."""
        self.prefix = prefix
        if given:
            setattr(self, ATTRIBUTE, Declared("lm_eval_requests", 1, (), given))

    async def __call__(self, context: Context) -> None:
        changed = set(context.protocol.overrides)
        work: list[Callable[[], Awaitable[object]]] = []
        for draw in range(context.protocol.draws):
            work += [self._work(context, call, draw, changed) for call in calls(context.sample, self.prefix)]
        if not work:
            raise ScorerError("the task asks for the likelihood of an empty text")
        try:
            async with asyncio.TaskGroup() as group:
                for one in work:
                    group.create_task(_run(one))
        except ExceptionGroup as failures:  # Python 3.11.2 wraps what except* raises
            raise failures.exceptions[0] from None

    def _work(
        self, context: Context, call: Call, draw: int, changed: set[str]
    ) -> Callable[[], Awaitable[object]]:
        if call.kind != GENERATE:
            if call.texts:
                texts = tuple(dict.fromkeys(call.texts))
                in_chat: dict[str, JSON] | None = None if isinstance(call.prompt, str) else {"chat": True}
                return lambda: context.continuations(call.prompt, texts, draw=draw, lm_eval=in_chat)
            prompt = str(call.prompt)
            if context.harness:  # a class of lm-eval puts a token of its own before the text
                rolling: dict[str, JSON] | None = {"rolling": True} if call.kind == ROLLING else None
                return lambda: context.continuations("", (prompt,), draw=draw, lm_eval=rolling)
            return lambda: context.tokens(prompt, draw=draw)
        settings = call.settings or {}
        temperature = float(settings.get("temperature") or 0.0)
        own = _for_class(settings, context.protocol) if context.harness else None
        stop = () if context.harness else stops(settings)  # a class of lm-eval ends its texts itself
        return lambda: context.ask(
            call.prompt,
            draw=draw,
            temperature=None if "temperature" in changed else temperature,
            max_tokens=None if "max_tokens" in changed else most_tokens(settings),
            stop=None if "stop" in changed else stop,
            lm_eval=own,
        )


def _for_class(settings: Mapping[str, Any], protocol: ProtocolSettings) -> dict[str, JSON]:
    """The settings of a generation for a model class of lm-eval: the task's, with what `--set` changed.

    They are what lm-eval's own command hands to the class, with `--gen_kwargs` for the changes.
    """
    changed, found = set(protocol.overrides), {**settings}
    if "temperature" in changed:
        found |= {"temperature": protocol.temperature, "do_sample": protocol.temperature > 0}
    if "top_p" in changed:
        found["top_p"] = protocol.top_p
    if "stop" in changed:
        found["until"] = [*protocol.stop]
    if "max_tokens" in changed:
        found = {key: one for key, one in found.items() if key not in LIMITS}
        found["max_gen_toks"] = protocol.max_tokens
    elif not any(found.get(key) for key in LIMITS):
        found["max_gen_toks"] = MOST_TOKENS
    return found


async def _run(work: Callable[[], Awaitable[object]]) -> object:
    return await work()


def answered(
    sample: Sample, responses: Sequence[Any], prefix: str = "", *, greedy: bool = False
) -> Iterator[tuple[int, Any]]:
    """Yields (number of lm-eval's request, its result) from the responses of one draw.

    A result is a text, (log-probability, whether it is the greedy one), or a log-probability. `greedy`:
    whether the task's scores depend on the second. Raises `ScorerError` if the endpoint did not return it, or
    no log-probability of the first token of a text without context.
    """
    asked = calls(sample, prefix)
    if len(asked) != len(responses):
        raise ScorerError(f"the transcript has {len(responses)} responses to {len(asked)} requests")
    seen = set[int]()
    for call, response in zip(asked, responses, strict=True):
        seen |= {*call.places}
        if call.kind == GENERATE:
            yield from ((place, response.text) for place in call.places)
            continue
        if call.texts:
            known = {one.text: one for one in response.likelihoods}
            found = [known[text] for text in call.texts]
        elif response.likelihoods:
            found = [*response.likelihoods]
        else:
            found = [_whole(str(call.prompt), response.prompt_logprobs)]
        if greedy and any(one.greedy is None for one in found):
            raise ScorerError("the endpoint returned no likeliest token beside the tokens of a continuation")
        for place, one in zip(call.places, found, strict=True):
            yield place, one.logprob if call.kind == ROLLING else (one.logprob, bool(one.greedy))
    requests: Any = sample.meta["requests"]
    for place, (kind, *_) in enumerate(requests):
        if place not in seen:  # an empty text
            yield place, 0.0 if kind == ROLLING else (0.0, True)


def _whole(text: str, tokens: Sequence[Any]) -> Likelihood:
    total = sum(token.logprob for token in tokens)
    if not tokens or total != total:
        raise ScorerError(
            "the endpoint gives no log-probability of the first token of a text without context: add "
            "--set prefix=TOKEN, the text of the token that the model expects there, such as <|endoftext|>"
        )
    known = all(token.top for token in tokens)
    greedy = all(token.logprob >= max(token.top.values()) for token in tokens) if known else None
    return Likelihood(text, total, len(tokens), greedy)
