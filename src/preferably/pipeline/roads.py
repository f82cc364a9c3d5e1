"""The roads from feedback to a model, and what each needs and costs. No torch."""

from dataclasses import dataclass

from preferably.pipeline.situation import Situation


@dataclass(frozen=True, slots=True)
class Road:
    """`does` goes on after "do: "; `price` is why somebody would rather not."""

    name: str
    does: str
    price: str
    needs: tuple[str, ...] = ()  # of `HAS`; "judge or function" is either


HAS = {
    "pairs": lambda s: s.pairs > 0,
    "labels or pairs": lambda s: s.feedback,
    "demonstrations or pairs": lambda s: s.demonstrations > 0 or s.pairs > 0,
    "a function": lambda s: s.function,
    "a judge or function": lambda s: s.judge or s.function,
    "a judge": lambda s: s.judge,
    "prompts": lambda s: s.prompts > 0,
}

ROADS: dict[str, Road] = {
    road.name: road
    for road in (
        Road("collect", "gather feedback", "nothing is trained yet"),
        Road("dpo", "DPO on the pairs", "learns from the answers in the file alone and draws no new ones", ("pairs",)),
        Road(
            "rlhf", "a reward model on the pairs, then PPO against it",
            "two trainings and more settings: 2.0 to 2.3 times the time of DPO (quickstart)", ("pairs",),
        ),
        Road(
            "dpo-own", "DPO on the model's own answers, judged anew in each round",
            "every round draws answers and has them judged", ("a judge or function", "prompts"),
        ),
        Road(
            "rlaif", "a judge's verdicts on its own answers, a reward model on these, PPO against that",
            "a judge's leanings are learnt with the rest, and three stages can go wrong", ("a judge", "prompts"),
        ),
        Road(
            "ppo", "PPO against your function", "twice the time of RLOO; finds whatever the function wrongly pays for",
            ("a function", "prompts"),
        ),
        Road(
            "rloo", "RLOO against your function", "further from the start than PPO for the same reward",
            ("a function", "prompts"),
        ),
        Road("kto", "KTO on thumbs", "of a pair it forgets which answer stood beside which", ("labels or pairs",)),
        Road(
            "sft", "fine-tuning on demonstrations", "copies good answers and learns nothing from bad ones",
            ("demonstrations or pairs",),
        ),
        Road(
            "best-of-n", "the best of n answers, without training", "every answer costs n answers, for good",
            ("a judge or function", "prompts"),
        ),
    )
}  # fmt: skip


def lacks(road: Road, situation: Situation) -> str:
    """What a road needs and the situation does not have; empty where it can be taken."""
    return ", ".join(name for name in road.needs if not HAS[name](situation))
