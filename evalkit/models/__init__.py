"""Backends of models. Looking up a name imports none of them."""

from __future__ import annotations

from evalkit.models.base import Model, Request, Response, TokenLogprob
from evalkit.models.registry import BACKENDS, Backend, open_model

__all__ = ["BACKENDS", "Backend", "Model", "Request", "Response", "TokenLogprob", "open_model"]
