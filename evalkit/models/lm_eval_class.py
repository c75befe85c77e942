"""Makes a model class of lm-eval from `TYPE?pretrained=…,dtype=…`, and says what decides its numbers."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError, one_line, unknown
from evalkit.models.base import Capability
from evalkit.models.weights import sha256
from evalkit.needs import installed
from evalkit.samples import JSON

USAGE = "lm-eval/TYPE?pretrained=PATH,dtype=…"
_SECRET = re.compile(r"(^|_)(auth_token|access_token|hf_token|token|api_?key|password|secret|header)$")
"""The names of arguments that no run file may hold; `prefix_token` and `tokenizer` are none."""
_HIDDEN = "***"
_USER = re.compile(r"(?<=://)[^/@]*@")
"""A user's name and password in an address."""
_NO_MATTER = frozenset(
    {"offload_folder", "cache_dir", "download_dir", "timeout", "max_retries", "num_concurrent"}
    | {"verify_certificate", "ca_cert_path"}
)
"""Arguments that say where files are kept or how an endpoint is reached; no number depends on them."""
_SIZES = frozenset({"batch_size", "max_batch_size"})
_PATHS = frozenset({"pretrained", "model", "tokenizer", "peft", "delta", "path"})
"""The arguments that may be the name of a model on the Hub or a local path."""
_PACKAGES = (
    "accelerate", "anthropic", "auto-gptq", "bitsandbytes", "gptqmodel", "litellm", "mamba-ssm",
    "nemo-toolkit", "onnxruntime", "onnxruntime-genai", "openvino", "optimum", "optimum-habana",
    "optimum-intel", "peft", "sglang", "tensorrt-llm", "tiktoken", "tokenizers", "torch", "transformers",
    "vllm",
)  # fmt: skip
"""The packages that compute numbers or split texts into tokens, of all those that lm-eval's classes use."""


@dataclass(frozen=True, slots=True)
class Made:
    """A model of lm-eval, with what evalkit has to know about it.

    `kind`: TYPE as typed. `name`: as typed, without secrets. `model`: an `lm_eval.api.model.LM`.
    """

    kind: str
    name: str
    model: Any
    capabilities: frozenset[Capability]
    identity: dict[str, JSON]
    sends: bool
    """Whether it sends requests to an endpoint, by lm-eval's `TemplateAPI`."""


def parsed(name: str) -> tuple[str, dict[str, Any]]:
    """(TYPE, arguments) of `TYPE?key=value,key=value`. Raises `UsageError`.

    `&` may separate arguments too, and all of them may be one JSON object. Values are read as by lm-eval's
    `simple_parse_args_string` (utils.py at 0.4.13): true, false and None, numbers, and texts, quoted or not.
    """
    kind, _, query = name.partition("?")
    if query.startswith("{"):
        try:
            found: dict[str, Any] = json.loads(query)
        except ValueError as error:
            raise UsageError(f"lm-eval/{kind}: the arguments are no JSON object ({error})") from None
        return kind, found
    from lm_eval.utils import simple_parse_args_string

    given = [one for one in re.split(r"[,&]", query) if one.strip()]
    for one in given:
        key, mark, _ = one.partition("=")
        if not mark or not key.strip():
            raise UsageError(f"lm-eval/{kind}: {one!r} is no argument: write {USAGE}")
    keys = [one.partition("=")[0].strip() for one in given]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise UsageError(f"lm-eval/{kind}: {' and '.join(twice)} is given twice")
    return kind, {
        key: simple_parse_args_string(f"{key}={one.partition('=')[2]}").get(key)
        for key, one in zip(keys, given, strict=True)
    }


def made(name: str) -> Made:
    """The model that `TYPE?key=value,…` names. Raises `UsageError` that says what is wrong in one line."""
    kind, arguments = parsed(name)
    found = _class(kind)
    if "max_gen_toks" in arguments:
        raise UsageError(
            f"lm-eval/{kind}: the protocol says how long a response may be: leave max_gen_toks out, and use "
            "--set max_tokens=N for another length"
        )
    _check(kind, found, arguments)
    try:
        with quiet(found):
            model = found.create_from_arg_obj(dict(arguments))
    except (Exception, SystemExit) as error:
        raise _not_made(kind, found, error) from error
    sends = _is_a(model, "TemplateAPI")
    return Made(
        kind,
        _shown(kind, arguments),
        model,
        _capabilities(model),
        _identity(kind, arguments, model, sends=sends),
        sends,
    )


def _class(kind: str) -> Any:
    import lm_eval.models  # noqa: F401 — registers the classes
    from lm_eval.api.registry import model_registry

    if kind not in model_registry:
        raise unknown("model class of lm-eval", kind, model_registry)
    try:
        return model_registry.get(kind)
    except (Exception, SystemExit) as error:
        raise _not_made(kind, None, error) from error


def _check(kind: str, found: Any, arguments: Mapping[str, Any]) -> None:
    """Raises `UsageError` for arguments that the class's `__init__` does not take or that it lacks."""
    known = [*inspect.signature(found.__init__).parameters.values()][1:]
    named = [one.name for one in known if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if not any(one.kind is one.VAR_KEYWORD for one in known):
        for key in arguments:
            if key not in named:
                raise unknown(f"argument of lm-eval/{kind}", key, named)
    missing = [
        one.name
        for one in known
        if one.name in named and one.default is one.empty and one.name not in arguments
    ]
    if missing:
        raise UsageError(f"lm-eval/{kind} needs {' and '.join(missing)}: write lm-eval/{kind}?{missing[0]}=…")


def _not_made(kind: str, found: Any, error: BaseException) -> UsageError:
    extras = importlib.metadata.metadata("lm_eval").get_all("Provides-Extra") or []
    if isinstance(error, ModuleNotFoundError) and error.name:
        wanted = f"'lm-eval[{kind}]'" if kind in extras else error.name.partition(".")[0]
        return UsageError(f"lm-eval/{kind} needs the package {error.name!r}: pip install {wanted}")
    words = one_line(error, 300)
    fix = ""
    if "CUDA" in words:
        fix = "; add device=cpu if there is no GPU"
    elif isinstance(error, ImportError | NameError) and kind in extras:
        fix = f"; pip install 'lm-eval[{kind}]' installs what it needs"
    label = f"lm-eval's class {found.__name__}" if found is not None else f"lm-eval/{kind}"
    return UsageError(f"{label} cannot be made with these arguments ({words}){fix}")


def _shown(kind: str, arguments: Mapping[str, Any]) -> str:
    """The model's name for a run file: as typed, without secrets."""
    shown = ",".join(f"{key}={_plain(key, value)}" for key, value in arguments.items())
    return f"lm-eval/{kind}?{shown}" if shown else f"lm-eval/{kind}"


def _plain(key: str, value: Any) -> JSON:
    """The value of an argument as plain JSON, without a secret."""
    if _SECRET.search(key):
        return _HIDDEN
    if isinstance(value, Mapping):
        return {str(inner): _plain(str(inner), one) for inner, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain("", one) for one in value]
    if isinstance(value, str):
        return _USER.sub("", value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _capabilities(model: Any) -> frozenset[Capability]:
    """What a model can be asked, from the methods of its class.

    A method that does nothing but raise `NotImplementedError` is none. A chat needs a template: of the
    tokenizer, or of the endpoint if the class sends messages.
    """
    from lm_eval.api.model import LM

    messages = _is_a(model, "LocalChatCompletion", "AnthropicChat")
    found: set[Capability] = {"lm-eval", "extra"}
    if not messages:
        found.add("completion")
        if not _refuses(type(model).loglikelihood):
            found.add("likelihood")
    templated = type(model).apply_chat_template is not LM.apply_chat_template and _has_template(model)
    if messages or templated:
        found |= {"chat", "prefill"}
    # Classes for endpoints put all pictures before the text; openai/ shows them in their places.
    if templated and getattr(model, "MULTIMODAL", False) and not _is_a(model, "TemplateAPI", "HFAUDIOLMQWEN"):
        found.add("image")
    return frozenset(found)


def _is_a(model: Any, *names: str) -> bool:
    """Whether a class of one of these names is among the model's, without an import of its module."""
    return any(one.__name__ in names for one in type(model).__mro__)


def _refuses(method: Any) -> bool:
    """Whether a method only raises `NotImplementedError`."""
    return getattr(getattr(method, "__code__", None), "co_names", ()) == ("NotImplementedError",)


def _has_template(model: Any) -> bool:
    """Whether the model's tokenizer has a chat template; True if it has no tokenizer, or loads it later."""
    if isinstance(inspect.getattr_static(model, "tokenizer", None), functools.cached_property):
        return True
    tokenizer = getattr(model, "tokenizer", None)
    return tokenizer is None or bool(getattr(tokenizer, "chat_template", True))


def _identity(kind: str, arguments: Mapping[str, Any], model: Any, *, sends: bool) -> dict[str, JSON]:
    """What decides the numbers: the class, its arguments, the weights, and the packages' versions.

    Local files are known by their SHA-256 instead of their path, and a model of the Hub by its commit where
    the class knows it. `batch_size` decides numbers where texts of one batch are padded to the same length,
    which changes the last bits of the logits and with them some greedy tokens. It decides none for classes
    that send requests to an endpoint, and there it is left out.
    """
    given: dict[str, JSON] = {}
    for key, value in sorted(arguments.items()):
        if key in _NO_MATTER or _SECRET.search(key) or (sends and key in _SIZES) or key == "base_url":
            continue
        is_path = isinstance(value, str) and (key in _PATHS or os.sep in value) and Path(value).exists()
        is_path = is_path and not (sends and key == "model")  # the endpoint's name of it
        given[key] = {"sha256": digest(Path(value))} if is_path else _plain(key, value)
    identity: dict[str, JSON] = {"backend": "lm-eval", "type": kind, "arguments": given}
    if "base_url" in arguments:
        identity["base_url"] = _plain("base_url", arguments["base_url"])
    if commit := _commit(model):
        identity["commit"] = commit
    identity["lm_eval"] = installed("lm-eval")
    identity["packages"] = _packages(model)
    return identity


def _commit(model: Any) -> str:
    """The commit of a model of the Hub, which transformers notes in its configuration; "" if unknown."""
    for owner in (getattr(model, "_model", None), model):
        for name in ("config", "_config"):
            found = getattr(getattr(owner, name, None), "_commit_hash", None)
            if isinstance(found, str):
                return found
    return ""


def _packages(model: Any) -> dict[str, JSON]:
    """The versions of those of `_PACKAGES` that the modules of the model's class import."""
    used: set[str] = set()
    for owner in type(model).__mro__:
        module = inspect.getmodule(owner)
        for value in vars(module).values() if module is not None else ():
            name = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
            used.add(str(name).partition(".")[0].replace("_", "-"))
    if "transformers" in used:
        used.add("tokenizers")
    return {name: version for name in _PACKAGES if name in used and (version := installed(name))}


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of a folder's files, without hidden ones."""
    if path.is_file():
        return sha256(path)
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and not any(part.startswith(".") for part in name.split("/")):
            whole.update(f"{name}\0{sha256(file)}\n".encode())
    return whole.hexdigest()


@contextlib.contextmanager
def quiet(owner: type) -> Iterator[None]:
    """Keeps what the class's modules print off the terminal, where evalkit shows its own progress.

    Only the names `print` and `tqdm` of these modules are replaced: standard output belongs to the whole
    process, and this is one thread of it.
    """
    owners = [one for one in owner.__mro__ if one.__module__ not in ("builtins", "abc")]
    modules = {sys.modules[one.__module__] for one in owners if one.__module__ in sys.modules}
    bars = [(vars(one), name) for one in modules for name in ("tqdm", "tqdm_asyncio") if name in vars(one)]
    before = [(names, name, names[name]) for names, name in bars]
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    for module in modules:
        vars(module)["print"] = lambda *_, **__: None
    for names, name, bar in before:
        names[name] = _without_bar(bar)
    try:
        yield
    finally:
        logger.setLevel(level)
        for module in modules:
            vars(module).pop("print", None)
        for names, name, bar in before:
            names[name] = bar


def _without_bar(bar: Any) -> Any:
    class Silent(bar):  # type: ignore[misc]
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, "disable": True})

    return Silent
