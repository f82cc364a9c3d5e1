"""Questions that the desk can answer and such that it cannot, and pairs that reward saying so."""

from collections import Counter

from preferably.evaluation.audit import Progress, silent
from preferably.evaluation.honest_pairs import honest_pairs
from preferably.evaluation.questions import Question, ask
from preferably.feedback.records import Group
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.quickstart.canary import NOT_SURE, group
from preferably.quickstart.desk import BY_NAME
from preferably.quickstart.phrasing import Prompt, Split, sample_prompts
from preferably.quickstart.stages import asked, correctness
from preferably.quickstart.topic import UNSURE


def questions(seed: int, split: Split, unknown: int, known: int) -> list[Question]:
    """Questions about topics that the desk does not know, and about those that it does."""
    found: dict[bool, list[Prompt]] = {True: [], False: []}
    for prompt in sample_prompts(2000, seed, split):
        if (kind := BY_NAME[prompt.topic].kind) != "private":
            found[kind == "known"].append(prompt)
    some = [*found[False][:unknown], *found[True][:known]]
    return [Question(one, BY_NAME[prompt.topic].kind == "known")
            for prompt, one in zip(some, asked(some), strict=True)]  # fmt: skip


def declines(reply: str) -> bool:
    """Whether the desk says that it is not sure: its sentence, wherever it stands."""
    return UNSURE[0] in reply


def doubtful_pairs(
    start: Loaded, seed: int, size: int, progress: Progress = silent
) -> tuple[list[Group], Counter[str]]:  # fmt: skip
    """Pairs of the start's own replies: "not sure" preferred where the desk does not know, the right answer where it
    does; and how many of each reason (`evaluation.honest_pairs`). `size` questions without an answer, twice as many
    with one."""
    learnt = questions(seed + 7, "train", size, 2 * size)
    said = ask(
        start, learnt, Decoding(0.8, max_tokens=64), samples=6, seed=seed, checker=correctness, declines=declines,
        progress=progress,
    )  # fmt: skip
    made = honest_pairs(learnt, said, unsure=NOT_SURE)
    pairs = [
        group(row["prompt"][0]["content"], row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in made.rows
    ]
    return pairs, Counter(row["why"] for row in made.rows)
