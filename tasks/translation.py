"""What benchmarks of text translation share: prompts, the translation in a reply, right and wrong replies."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import Message, Prompt, Protocol, Sample, UsageError, unknown, versioned
from evalkit.scoring.transcript import translation

from .speech_translation import score, wrong_responses

__all__ = ["chosen_from", "expert_prompt", "listed_prompt", "reply", "score", "wrong_responses"]

EXPERT = (
    "You are an expert translator. I am going to give you {pairs} of text snippets where the first is in "
    "{source} and the second is a translation of the first snippet into {target}. The sentences will be "
    "written\n{source}: <first sentence>\n{target}: <translated first sentence>\nAfter the {example}, I am "
    "going to provide another sentence in {source} and I want you to translate it into {target}. Give only "
    "the translation, and no extra commentary, formatting, or chattiness. Translate the text from {source} "
    "to {target}."
)


def listed_prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """The template of WMT23's organisers, for each example and, without a translation, for the sample.

    "Translate this into 1. German:", the source and "1." and the translation, with blank lines between, as in
    their prompt_template.txt (wmt-conference/wmt23-news-systems at 99b5b9d, tools/LLM-prompt). The file has
    one example; several are separated by blank lines here. Languages are in `sample.meta`, by their names.
    """
    head = f"Translate this into 1. {sample.meta['into']}:"
    blocks = [f"{head}\n\n{shot.input}\n\n1. {shot.target[0]}" for shot in _shots(sample, protocol)]
    return _sent("\n\n".join([*blocks, f"{head}\n\n{sample.input}\n\n1."]), protocol)


def expert_prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """The prompt for WMT23 of the next report's team (Gemini 1.5 report, appendix 12.16.15).

    It tells of one example pair. With more examples the words are in the plural; without any, only its last
    two sentences are left, which is evalkit's own form.
    """
    source, target = str(sample.meta["from"]), str(sample.meta["into"])
    shots = _shots(sample, protocol)
    several = len(shots) > 1
    head = EXPERT.format(
        source=source,
        target=target,
        pairs="example pairs" if several else "an example pair",
        example="example pairs" if several else "example pair",
    )
    if not shots:
        head = f"You are an expert translator. {head[head.index('Give only') :]}"
    blocks = [f"{source}: {shot.input}\n{target}: {shot.target[0]}" for shot in shots]
    return _sent("\n\n".join([head, *blocks, f"{source}: {sample.input}\n{target}:"]), protocol)


def _shots(sample: Sample, protocol: Protocol) -> Sequence[Sample]:
    return sample.shots[: protocol.shots]


def _sent(text: str, protocol: Protocol) -> Prompt:
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("translation.reply", 1)
def reply(text: str, sample: Sample) -> str | None:
    """The translation in a reply: without what follows it, its number or label, and a chat's words around it.

    A base model goes on with another example after the translation, and the organisers' "1." invites a "2.".
    What is removed is kept if the reference has it at the same place. An empty reply is an empty translation.
    """
    reference, into = sample.target[0].strip() if sample.target else "", str(sample.meta["into"])
    below = r"(?<!\s)[^\S\n]*\n\s*"  # begins where the white space does, or it takes quadratic time
    again = rf"{below}(?:Translate this into 1\. |{re.escape(str(sample.meta['from']))}: )"
    text = re.split(again, text, maxsplit=1)[0].strip()
    if not reference.startswith("1."):
        first, *more = re.split(rf"{below}2\. ", text, maxsplit=1)
        numbered = first.startswith("1.") or bool(more)
        text = first.removeprefix("1.").strip() if numbered else text
    if not reference.startswith(f"{into}:"):
        text = text.removeprefix(f"{into}:").strip()
    return translation(text, sample)


def chosen_from(given: str, known: Sequence[str], kind: str) -> tuple[str, ...]:
    """The names in `given`, separated by commas; `all` for all of `known`. Raises `UsageError`."""
    names = known if given == "all" else tuple(name.strip() for name in given.split(",") if name.strip())
    for name in names:
        if name not in known:
            raise unknown(kind, name, (*known, "all"))
    if not names or len(set(names)) < len(names):
        raise UsageError(f"{kind} {given!r}: name at least one, and each only once, or all")
    return tuple(names)
