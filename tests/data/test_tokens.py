"""Counting tokens: an estimate, a tokenizer.json, and a server's route, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evalkit.data.tokens import PROBE, QUARTERS, Tokeniser
from evalkit.errors import UsageError


def tokenizer_file(folder: Path) -> Path:
    """A small tokenizer.json of bytes, some of them merged, that adds a token of its own to every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    made.train_from_iterator(["the lane runs along the hedge and the river"], trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.enable_truncation(8)
    path = folder / "tokenizer.json"
    made.save(str(path))
    return path


@contextmanager
def serving(answer: Any) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server that answers every POST with `answer` of its body, an (HTTP status, JSON) pair."""
    asked: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            status, document = answer(body)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_without_a_tokeniser_a_token_is_four_characters() -> None:
    assert (Tokeniser().count("é" * 10), Tokeniser().name) == (2.5, QUARTERS)


def test_a_file_and_a_server_of_the_same_tokeniser_have_one_name(tmp_path: Path) -> None:
    """Tokens at the start of a text are not counted, nothing is cut, and a folder is its tokenizer.json."""
    path = tokenizer_file(tmp_path)
    file = Tokeniser(str(path))
    text = "the river and the hedge, " * 40
    assert file.count(text) == 241
    assert Tokeniser(str(tmp_path)).name == file.name
    assert file.name.startswith("tokeniser ")

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        assert body["content"] == body["prompt"]
        assert body["add_special"] is body["add_special_tokens"] is False
        return 200, {"tokens": file._tokens(body["prompt"])}

    with serving(answer) as (url, asked):
        for address in (url, f"{url}/", f"{url}/v1", f"{url}/tokenize"):
            assert Tokeniser(address).name == file.name
        assert Tokeniser(url).count(text) == file.count(text)
    assert {path for path, _ in asked} == {"/tokenize"}
    assert asked[0][1]["content"] == PROBE


def test_what_cannot_count_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}", encoding="utf-8")
    for place, words in ((tmp_path / "none.json", "no such file"), (bad, "is no tokenizer.json")):
        with pytest.raises(UsageError, match=f"tokenizer=.*{words}"):
            Tokeniser(str(place)).count("a")
    answers: list[tuple[int, Any]] = [(200, {"count": 3}), (200, {"tokens": 3}), (200, []), (404, {})]
    with serving(lambda body: answers.pop(0)) as (url, _):
        while answers:
            words = "404" if answers[0][0] == 404 else r"/tokenize gives no tokens .* name the model's"
            with pytest.raises(UsageError, match=words):
                Tokeniser(url).count("a")
    with pytest.raises(UsageError, match="gives no tokens"):
        Tokeniser(url).count("a")
