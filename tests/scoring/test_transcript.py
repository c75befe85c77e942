"""What models put around a transcript: known forms go, and what was really said stays."""

from __future__ import annotations

import pytest

from evalkit.samples import Sample
from evalkit.scoring.transcript import transcript

SAID = "the quick brown fox"


def read(reply: str, *references: str) -> str | None:
    return transcript(reply, Sample("clip", "", references or (SAID,)))


@pytest.mark.parametrize(
    "reply",
    [
        "language English<asr_text>{}",
        "language Chinese,English<asr_text> {}",
        "<asr_text>{}</asr_text>",
        "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>{}<|endoftext|>",
        "<|en|><|transcribe|> {}",
        "<|zh|><|NEUTRAL|><|Speech|><|woitn|>{}",
        "lang:en[TRANSCRIBE]{}",
        "[00:00.000 --> 00:04.000]  {}",
        "[00:00:00.000 --> 00:00:04.000] {}",
        "Here is the transcription: {}",
        "Here's the transcription of the audio clip:\n\n{}",
        "Sure, here is the transcript of the provided audio file:\n{}",
        "**Transcription:** {}",
        "Transcript: {}",
        "The transcript is: {}",
        "The text is as follows: {}",
        'The speaker says: "{}"',
        "Here is the English translation: {}",
        "```\n{}\n```",
        "Here is the transcript:\n```text\n{}\n```",
        '{{"text": "{}"}}',
        "<transcript>{}</transcript>",
        '"{}"',
        "“{}”",
        "「{}」",
        "<|startofcontext|><|emo:undefined|><|en|><|en|><|pnc|><|nodiarize|>{}",  # Canary
        "< | zh | > < | NEUTRAL | > < | Speech | > {}",  # SenseVoice, decoded with spaces
        "<eng><asr><notimestamps> {}",  # OWSM
        "{} <en-US>",  # NeMo
        "<s> {}</s>",
        "\ufeff{}",
        "[0.00s -> 4.00s] {}",
        "[00:00] {}",
        "WEBVTT\n\n1\n00:00.000 --> 00:04.000 align:start\n<v Ann>{}</v>\n",
        "1\r\n00:00:00,000 --> 00:00:04,000\r\n{}\r\n",
        "Speaker 1: {}",
        "## Transcript\n\n{}",
        "Here's the transcript of the audio you provided:\n\n> {}",
        "Sure! Here's what was said in the clip:\n\n{}",
        "The original content of this audio is: '{}'",  # Qwen2-Audio
        "Detected language: English\n\nTranscript： {}",
        "Voici la transcription : {}",
        "以下是转录内容：\n{}",
        '{{"language": "en", "text": "{}"}}',
        '[{{"text": "{}"}}]',
    ],
)
def test_what_stands_around_every_text_is_no_part_of_it(reply: str) -> None:
    assert read(reply.format(SAID)) == SAID
    if '"' not in reply or "{{" in reply:
        assert read(reply.format("")) == ""  # of a silent clip


@pytest.mark.parametrize(
    "said",
    [
        "Here is the transcription of the meeting",
        "Here is the transcript: he said nothing",
        "The speaker says: order!",
        "The text of the law is short",
        "Text messages: they cost nothing",
        "“Hello,” he said, “goodbye.”",
        "“Hello, goodbye.”",
        "language English is hard",
        "'Tis the season of the dogs'",
        '{"text": "unclosed"',
    ],
)
def test_what_was_said_stays(said: str) -> None:
    assert read(said, said) == said


@pytest.mark.parametrize("mark", ["**", "*", "`", "_"])
def test_markdown_around_the_whole_goes(mark: str) -> None:
    assert read(f"{mark}{SAID}{mark}") == SAID
    assert read(f"{mark}the{mark} fox {mark}sleeps{mark}") == f"{mark}the{mark} fox {mark}sleeps{mark}"


def test_a_sentence_said_twice_is_taken_away_once() -> None:
    said = "Here is the transcript: he said nothing"
    assert read(f"Here is the transcript: {said}", said) == said


def test_pieces_without_a_text_leave_no_blanks() -> None:
    reply = '[{"text": "the fox"}, {"text": ""}, {"text": " sleeps"}, {"text": " "}]'
    assert read(reply) == read(reply, "The speaker said") == "the fox sleeps"


def test_other_sentences_stay() -> None:
    """They are noted on the figure instead."""
    for reply in (
        "I can hear: the fox",
        "Dit hoorde ik: de vos",
        "<b>the fox</b>",
        '{"a": "x"}',
    ):
        assert read(reply) == reply


def test_long_replies_take_no_time() -> None:
    for piece in (
        "<|",
        "here is the ",
        "text of the ",
        "[0:",
        "language a,",
        "*",
        "```",
        "<text>",
        "<en> ",
        "\n",
        "1\n--> ",
    ):
        assert read(piece * 4_000) is not None
