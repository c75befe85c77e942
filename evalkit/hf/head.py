"""A causal model of transformers in two steps: hidden states, and the logits of some of them.

Logits of all positions are most of the memory and, for a short continuation, nearly all of them are thrown
away: a vocabulary of 128,000 makes 0.5 MB of each token.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Head:
    """The two steps of `model`, with whatever its own `forward` does to the logits, such as capping them."""

    def __init__(self, model: Any) -> None:
        self._model, self._body = model, model.base_model
        self._output: Any = None  # the body's last output, without its hidden states
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])

    def hidden(self, **inputs: Tensor) -> Tensor:
        """The last hidden states, of shape (rows, tokens, size)."""
        output = self._body(**inputs, use_cache=False, return_dict=True)
        hidden: Tensor = output.last_hidden_state.to(self._model.device)  # its last layer may be elsewhere
        output.last_hidden_state = None
        self._output = output
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits of hidden states of `hidden`, of shape (tokens, size); of shape (tokens, vocabulary)."""
        ids = torch.zeros((1, len(hidden)), dtype=torch.long, device=hidden.device)
        with self._answering(hidden[None]):
            found: Tensor = self._model(input_ids=ids, use_cache=False, return_dict=True).logits[0]
        return found

    @contextmanager
    def _answering(self, hidden: Tensor) -> Iterator[None]:
        """Within it, the body returns `hidden` for whatever it is called with."""
        before = self._body.__dict__.get("forward")
        output = copy.copy(self._output)
        output.last_hidden_state = hidden
        self._body.forward = lambda *_, **__: output
        try:
            yield
        finally:
            del self._body.forward
            if before is not None:  # of a library that moves layers between devices
                self._body.forward = before
