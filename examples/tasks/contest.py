"""n@k: of eight programs two are handed in, one of each of the largest clusters that behave alike."""

from collections import Counter

from evalkit.api import (
    Answer,
    Generated,
    Message,
    PassAtK,
    Protocol,
    Sample,
    Task,
    Verdict,
    call,
    each_draw_of,
    task,
)  # fmt: skip

PROBLEMS = {"double": lambda n: 2 * n, "square": lambda n: n * n, "next": lambda n: n + 1}
PROBES, TESTS = [(1,), (2,), (7,)], [(0,), (5,), (-3,)]  # nobody says what is right for a probe


async def ask_and_probe(context):
    async def one(draw):
        program = (await context.ask(context.prompt, draw=draw)).text

        async def behaviour():
            return repr(await call(program, "solve", PROBES))

        await context.tool("probes", program, behaviour, draw=draw)

    await each_draw_of(context, one)


def two_largest(reading):
    behaviours = {turn.draw: turn.response.text for turn in reading.transcript.turns if turn.tool}
    clusters = Counter(behaviours[draw] for draw in sorted(behaviours)).most_common(2)
    chosen = [min(d for d, found in behaviours.items() if found == one) for one, _ in clusters]
    finals = [reading.final(reading.transcript.responses[draw]) for draw in chosen]
    return Answer((*finals, finals[-1])[:2], {"clusters": len(set(behaviours.values()))})


async def judge(answer, sample):
    return Verdict(await call(answer, "solve", TESTS) == [PROBLEMS[sample.id](*one) for one in TESTS])


@task("contest")
def contest():
    """Small functions, eight programs of which two are handed in"""
    eight = Protocol(name="8@2", draws=8, temperature=0.8, solver=ask_and_probe, reader=two_largest)
    return Task(data=Generated(0, lambda chance: ({"id": id} for id in PROBLEMS)),
                sample=lambda row: Sample(id=row["id"], input=row["id"], target=(row["id"],)),
                prompt=lambda sample, protocol: (Message("user", f"Write solve(n): {sample.input}."),),
                answer=lambda text, sample: text or None, judge=judge, metrics=(PassAtK(k=2),),
                protocols=(eight,))  # fmt: skip
