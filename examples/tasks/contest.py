"""n@k: of eight programs, two are submitted, one from each of the two largest clusters that behave alike."""

from evalkit.api import Answer, Generated, Message, PassAtK, Protocol, Sample, Task, Verdict, call, task
from evalkit.api import each_draw_of as each_draw

PROBLEMS = {"double": lambda n: 2 * n, "square": lambda n: n * n, "next": lambda n: n + 1}
PROBES, TESTS = [(1,), (2,), (7,)], [(0,), (5,), (-3,)]  # probes have no reference


async def probe(context):
    async def one(draw):
        program = (await context.ask(context.prompt, draw=draw)).text

        async def behaviour():
            return repr(await call(program, "solve", PROBES))

        await context.tool("probes", program, behaviour, draw=draw)

    await each_draw(context, one)


def largest(reading):
    behaviours = {turn.draw: turn.response.text for turn in reading.transcript.turns if turn.tool}
    found = [behaviours[draw] for draw in sorted(behaviours)]
    clusters = sorted(dict.fromkeys(found), key=found.count, reverse=True)
    finals = [reading.final(reading.transcript.responses[found.index(one)]) for one in clusters[:2]]
    return Answer((*finals, finals[-1])[:2], {"clusters": len(clusters)})


async def score(answer, sample):
    return Verdict(await call(answer, "solve", TESTS) == [PROBLEMS[sample.id](*one) for one in TESTS])


@task("contest")
def contest():
    """Small functions: two of eight programs are submitted"""
    return Task(
        data=Generated(0, lambda chance: ({"name": name} for name in PROBLEMS)),
        sample=lambda row: Sample(id=row["name"], input=row["name"], target=(row["name"],)),
        prompt=lambda sample, protocol: (Message("user", f"Write solve(n): {sample.input}"),),
        answer=lambda text, sample: text or None,
        scorer=score,
        metrics=(PassAtK(k=2),),
        protocols=(Protocol(name="8@2", draws=8, temperature=1, solver=probe, reader=largest),),
    )
