"""The length of a model's context: by the endpoint's list of models, or by its refusal of too many tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalkit.errors import ProviderError
from evalkit.models.base import Request
from evalkit.models.bodies import count
from evalkit.probing.asking import Asker
from evalkit.probing.found import Answer
from evalkit.probing.texts import asked
from evalkit.samples import JSON, Api

_FIELDS = (
    "max_model_len",  # vLLM, SGLang
    "context_length",  # OpenRouter, Together
    "max_context_length",  # Mistral, LM Studio
    "context_window",  # Groq
    "max_input_tokens",  # Anthropic
)
_OF_LLAMA_CPP = ("n_ctx", "n_ctx_train")
_SAID = re.compile(r"(?:context|model) (?:length|size|window|limit)\D{0,40}?(\d[\d,]{2,9})", re.IGNORECASE)
_FAR_TOO_MANY = 1 << 30
_STOPS = (" ", "e", "a", "\n")
"""With these, a server that takes any number of tokens ends after a word."""


async def context(asker: Asker, name: str, api: Api, stops: bool) -> Answer:
    """`name`: the model's, as the endpoint lists it. `stops`: whether the endpoint heeds stop sequences.

    If it does not, no refusal is provoked: an endpoint that takes so many tokens would write without an end.
    """
    cards = await asker.model.endpoint.cards() or {}
    only = next(iter(cards.values())) if len(cards) == 1 else {}  # it may be listed under another name
    if (listed := _listed(cards.get(name, only))) is not None:
        field, tokens = listed
        return Answer("context", "yes", f"{tokens:,} tokens, by its list of models ({field})", tokens)
    if not stops:
        return Answer("context", "unclear", "its list of models does not say")
    try:
        await asker.ask(Request(asked(api, "Say yes."), _FAR_TOO_MANY, stop=_STOPS))
    except ProviderError as error:
        if (found := _SAID.search(str(error))) is None:
            return Answer("context", "unclear", "neither its list of models nor a refusal says it")
        tokens = int(found[1].replace(",", ""))
        return Answer("context", "yes", f"{tokens:,} tokens, by its refusal of more", tokens)
    return Answer("context", "unclear", "its list of models does not say, and it takes any number of tokens")


def _listed(card: Mapping[str, JSON]) -> tuple[str, int] | None:
    """(field, tokens) of what a list says of a model."""
    meta = card.get("meta")
    inner = meta if isinstance(meta, dict) else {}
    named = ((field, card.get(field)) for field in _FIELDS)
    for field, value in (*named, *((f"meta.{one}", inner.get(one)) for one in _OF_LLAMA_CPP)):
        if tokens := count(value):
            return field, tokens
    return None
