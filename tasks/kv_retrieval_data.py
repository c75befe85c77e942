"""The contexts of `kv-retrieval`: pairs of keys and values and a filler, made from a seed by hashing.

A pair is two random UUIDs (version 4) whose bits are a SHA-256, so that a seed gives the same contexts on
every machine and in every version of Python. A sample's pairs depend on the seed, its length, its place in
the grid and its number, and not on how many samples there are: more samples leave the first ones as they are.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evalkit.api import DataOptions, Record, Records, Tokeniser, UsageError

GENERATOR = "kv-retrieval 1"
"""The version of the generator. It rises with every change of a context."""
ROOM = 256
"""Tokens of a length that no context uses: for a chat template, and for the answer."""
SPARE = 1.05
"""How much longer than a mean pair the pairs of a sample may be."""
BLOCK = 256
"""The number of words of a filler that are counted at once."""
FILLER = """\
The lane runs along the hedge and ends at a wooden gate. A bus passes the mill every half hour. The shutters
of the bakery are painted green. In the afternoon the wind turns and dries the washing. Two ladders lean
against the wall of the barn. The clock above the door is a few minutes slow. Somebody has left a basket on
the bench. The river is low at this time of the year. A path of flat stones leads through the garden. The
windows on the north side stay shut in winter. Most of the boats are tied to the long pier. The shop sells
string, candles and paper. Rain is expected towards the evening. The dog sleeps beside the stove. On the hill
stands a row of old lime trees. The road to the station is covered with gravel."""
"""The neutral sentences that follow the pairs by default, written for evalkit."""
_WORD = re.compile(r"\s*\S{1,16}")


class Filler:
    """A text that is repeated from its beginning as often as a context needs.

    It is cut after words, or after 16 letters of a longer word, as scripts without blanks have. `read` gives
    the text once the filler is used, so that runs can be scored again without its file. `place`: its name.
    """

    def __init__(self, read: Callable[[], str], place: str = "") -> None:
        self._read, self._place = read, place

    @functools.cached_property
    def _text(self) -> str:
        return f"\n{self._read().strip()}"

    @functools.cached_property
    def _ends(self) -> list[int]:
        return [0, *(word.end() for word in _WORD.finditer(self._text))]

    @property
    def digest(self) -> str:
        """The first 12 hex digits of the SHA-256 of the text."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"filler({self._place!r})"

    @property
    def words(self) -> int:
        """How many words the text has before it is repeated."""
        return len(self._ends) - 1

    def part(self, start: int, stop: int) -> str:
        """The words from `start` up to `stop`, both at most `words`, with the blanks before them."""
        return self._text[self._ends[start] : self._ends[stop]]

    def first(self, words: int) -> str:
        """The first `words` words of the text, which is repeated if it has fewer."""
        (text,) = self.pieces(words, 1)
        return text

    def pieces(self, words: int, count: int) -> list[str]:
        """The first `words` words in `count` consecutive pieces that have equally many words."""
        text = self._text * -(-words // self.words)
        ends = [self._end(words * piece // count) for piece in range(count + 1)]
        return [text[start:end].strip() for start, end in itertools.pairwise(ends)]

    def _end(self, words: int) -> int:
        """Where the first `words` words end in the repeated text."""
        whole, rest = divmod(words, self.words)
        return whole * len(self._text) + self._ends[rest]


def filler_at(place: str) -> Filler:
    """The filler of the text file at `place`; evalkit's own sentences for "".

    Its use raises `UsageError` if it cannot be read.
    """
    return Filler(functools.partial(_filler_text, place), place)


def _filler_text(place: str) -> str:
    if not place:
        return " ".join(FILLER.split())
    try:
        text = Path(place).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"filler={place}: it must be a text file in UTF-8: {error}") from error
    if not text.strip():
        raise UsageError(f"filler={place}: the file is empty; name a file with a text")
    return text


class Ruler:
    """Finds how many words of a filler have a number of tokens.

    The filler is counted in blocks, each once, so that a context of a million tokens costs little. A token
    across the border of two blocks is missed: in 256 words, about one token at most.
    """

    def __init__(self, filler: Filler, tokeniser: Tokeniser) -> None:
        self._filler, self._tokeniser = filler, tokeniser
        self._blocks = -(-filler.words // BLOCK)
        self._totals = [0.0]
        self._count = functools.cache(self._counted)

    def words(self, room: float) -> int:
        """The highest number of words, repeated ones included, that have at most `room` tokens."""
        totals, words = self._totals, self._filler.words
        while totals[-1] <= room and len(totals) <= self._blocks:
            start = BLOCK * (len(totals) - 1)
            totals.append(totals[-1] + self._counted(start, min(start + BLOCK, words)))
        if room <= 0:
            return 0
        whole = 0
        if len(totals) > self._blocks:
            if not totals[-1]:
                raise UsageError(f"{self._tokeniser.name} counts no tokens in the filler: name another one")
            whole, room = int(room // totals[-1]), room % totals[-1]
        block = bisect.bisect_right(totals, room) - 1
        start = BLOCK * block
        stops = range(start + 1, min(start + BLOCK, words) + 1)
        left = room - totals[block]
        more = bisect.bisect_right(stops, left, key=lambda stop: self._count(start, stop))
        return whole * words + start + more

    def _counted(self, start: int, stop: int) -> float:
        return self._tokeniser.count(self._filler.part(start, stop))


def pair_lines(pairs: Sequence[Sequence[str]]) -> str:
    """The pairs as the context shows them, one in a line."""
    return "\n".join(map(": ".join, pairs))


def opening(pairs: int) -> str:
    """The first line of a context."""
    return (
        f"Here are {pairs} pairs of a key and its value. A text follows, and after it you are asked for the "
        "value of one of the keys."
    )


def opening_spread(pairs: int) -> str:
    """The first line of a context in which the pairs are spread over the text."""
    return (
        f"In the following text there are {pairs} pairs of a key and its value, each in a line of its own. "
        "After it you are asked for the value of one of the keys."
    )


def question(key: str) -> str:
    """The last line of a context."""
    return f"What is the value of the key {key}? Answer with the value alone."


def random_uuid(*what: object) -> str:
    """A UUID of version 4 whose random bits are the first of the SHA-256 of `what`."""
    return str(uuid.UUID(bytes=_hash(*what)[:16], version=4))


def random_number(below: int, *what: object) -> int:
    """A number from 0 to `below` - 1, by the SHA-256 of `what`."""
    return int.from_bytes(_hash(*what)[:8]) % below


def _hash(*what: object) -> bytes:
    return hashlib.sha256("|".join(map(str, (GENERATOR, *what))).encode()).digest()


def in_words(length: int) -> str:
    """`8k` for 8,192 tokens; `5000` for a number that is not a multiple of 1,024."""
    return f"{length // 1024}k" if length % 1024 == 0 else str(length)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Contexts for every combination of a row and a position of the wanted pair: `samples` for each.

    `rows`: what the rows are, such as lengths. Contexts are made one after the other while they are read. The
    first of each combination come first, and these begin with one of each row, so that the first N samples
    are as evenly spread as N allows.
    """

    seed: int
    rows: tuple[int, ...]
    positions: int
    samples: int
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the contexts; with `--data builtin` one for each position of the two smallest rows.

        Another folder changes nothing, because nothing is read from it. Raises `UsageError` for a tokeniser
        or a filler that cannot be used, and for a length into which the pairs do not fit.
        """
        options = options or DataOptions()
        options.without_revision("generated data")
        rows, samples = self.rows, self.samples
        if options.small_sets:
            rows, samples = tuple(sorted(rows)[:2]), 1
        pairs = {row: self.pairs_of(row) for row in rows}
        origin = {
            "kind": "small sets" if options.small_sets else "generated",
            "name": GENERATOR,
            "config": "",
            "split": "",
            "revision": f"seed {self.seed}",
            "where": "",
            "made": self.made(pairs),
        }
        return Records(origin, len(rows) * self.positions * samples, lambda: self._read(pairs, samples))

    def made(self, pairs: Mapping[int, int]) -> str:
        """What the contexts are made with, for signatures. `pairs`: how many each row has."""
        return f"{GENERATOR}, seed {self.seed}, pairs {','.join(map(str, pairs))}"

    def pairs_of(self, row: int) -> int:
        """How many pairs the contexts of a row have."""
        return row

    def record(self, row: int, pairs: int, position: int, number: int) -> Record:
        """The context `number` of a row and a position: its `pairs`, and the `index` of the wanted one."""
        raise NotImplementedError

    def _read(self, pairs: Mapping[int, int], samples: int) -> Iterator[Record]:
        for number in range(samples):
            for turn in range(self.positions):
                for at, (row, count) in enumerate(pairs.items()):
                    yield self.record(row, count, (turn + at) % self.positions, number)

    def _made(self, count: int, place: str) -> list[list[str]]:
        """[key, value] of the pairs of one context."""
        return [
            [random_uuid("key", self.seed, place, i), random_uuid("value", self.seed, place, i)]
            for i in range(count)
        ]


@dataclass(frozen=True, kw_only=True)
class Lengths(Grid):
    """Contexts of `rows` tokens: the pairs, then a filler, then the question.

    The pairs are cut into `positions` parts of equal size, and each part has the wanted pair equally often.
    `tokenizer`: the place of a `Tokeniser`. A length into which `pairs` pairs do not fit has
    as many as do, cut to a multiple of `positions`.
    """

    pairs: int
    filler: Filler
    tokenizer: str = ""

    @functools.cached_property
    def tokeniser(self) -> Tokeniser:
        return Tokeniser(self.tokenizer)

    @functools.cached_property
    def _ruler(self) -> Ruler:
        return Ruler(self.filler, self.tokeniser)

    def made(self, pairs: Mapping[int, int]) -> str:
        counts = [f"{count} in {in_words(row)}" for row, count in pairs.items() if count < self.pairs]
        return (
            f"{GENERATOR}, seed {self.seed}, lengths {','.join(map(in_words, pairs))}, "
            f"pairs {', '.join([str(self.pairs), *counts])}, filler {self.filler.digest}, "
            f"tokens by {self.tokeniser.name}"
        )

    def pairs_of(self, row: int) -> int:
        """Raises `UsageError` if a context of `row` tokens has no room for a pair in each part."""
        probes = [[random_uuid("probe key", i), random_uuid("probe value", i)] for i in range(64)]
        each = self.tokeniser.count(pair_lines(probes) + "\n") / len(probes)
        fit = int((row - ROOM - self._frame(self.pairs, probes[0][0])) / (SPARE * each))
        if fit >= self.pairs:
            return self.pairs
        fit -= fit % self.positions
        if fit < max(self.positions, 2):
            raise UsageError(
                f"lengths={in_words(row)}: a context of {row:,} tokens has no room for {self.positions} "
                f"pairs of {each:.0f} tokens beside the {ROOM} kept for the answer; leave this length out"
            )
        return fit

    def record(self, row: int, pairs: int, position: int, number: int) -> Record:
        place = f"{row}/{position}-of-{self.positions}/{number}"
        made = self._made(pairs, place)
        first, stop = (-(-pairs * part // self.positions) for part in (position, position + 1))
        index = first + random_number(stop - first, self.seed, place)
        used = self._frame(pairs, made[index][0]) + self.tokeniser.count(f"{pair_lines(made)}\n\n")
        return {
            "id": place,
            "row": in_words(row),
            "column": f"{100 * position // self.positions}–{100 * (position + 1) // self.positions} %",
            "pairs": made,
            "index": index,
            "words": self._ruler.words(row - ROOM - used),
            "tokeniser": self.tokeniser.name,
        }

    def _frame(self, pairs: int, key: str) -> float:
        return self.tokeniser.count(f"{opening(pairs)}\n\n") + self.tokeniser.count(f"\n\n{question(key)}")


@dataclass(frozen=True, kw_only=True)
class Objects(Grid):
    """Contexts that are one JSON object of `rows` pairs each, as in lost-in-the-middle; there is no filler.

    The wanted pair is at evenly spaced places, from the first to the last: of 140 pairs and five positions at
    the indices 0, 34, 69, 104 and 139, as in the authors' instructions (EXPERIMENTS.md at 29b8a6d).
    """

    def record(self, row: int, pairs: int, position: int, number: int) -> Record:
        place = f"{row} pairs/{position}-of-{self.positions}/{number}"
        index = position * (pairs - 1) // max(1, self.positions - 1)
        return {
            "id": place,
            "row": f"{row} pairs",
            "column": f"{100 * position // max(1, self.positions - 1)} %",
            "pairs": self._made(pairs, place),
            "index": index,
        }
