"""Names in other words, rated by a model in worker processes: as one would rate with BLEURT."""

from evalkit.api import Generated, Learned, MeanCredit, Message, Protocol, Sample, Task, Verdict, task

NAMES = {"Mount Rowan": "Rowan Mountain", "Lake Ferrin": "the Ferrin lake", "Port Alma": "Alma harbour"}


def load():  # once in each worker process: reads the weights, and chooses a GPU
    return {"a": 0.5}  # the weight of each letter that is not 1


def score(weights, pairs):  # many pairs at once → a number for each
    def weight(letters):
        return sum(weights.get(letter, 1.0) for letter in letters)

    sets = [tuple(set(text.casefold()) - {" "} for text in pair) for pair in pairs]
    return [weight(one & other) / weight(one | other) for one, other in sets]


ALIKE = Learned(load, score, model="letters@1", batch=32)


def rows(chance):
    yield from ({"name": name, "said": said} for name, said in NAMES.items())


async def rated(answer, sample):
    found = await ALIKE(answer, sample.target[0])
    return Verdict(found >= 0.8, f"alike: {found:.2f}", found)


@task("alike")
def alike():
    """Names in other words, by how alike their letters are"""
    return Task(
        data=Generated(0, rows),
        sample=lambda row: Sample(id=row["name"], input=row["name"], target=(row["said"],)),
        prompt=lambda sample, protocol: (Message("user", f"Say in other words: {sample.input}"),),
        answer=lambda text, sample: text.strip() or None,
        scorer=rated,
        metrics=(MeanCredit("alike"),),
        protocols=(Protocol(name="0-shot", max_tokens=16),),
        needs=ALIKE.needs,
        gold=lambda sample, protocol: sample.target[0],
    )
