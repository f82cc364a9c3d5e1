"""How customers put their questions: seven styles x eight phrasings x three wordings of each topic.

What is held out is decided once and never drawn: the last two phrasings of every style (`kind="phrasing"`) and, for
every topic, two styles in which it is never asked in training (`kind="combination"`). A prompt that is both counts as
neither and is not used. `plain` is never held out as a style, because its bare question is part of many other prompts.
"""

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

from preferably.quickstart.desk import TOPICS
from preferably.quickstart.topic import Topic

Split = Literal["train", "held_out"]
PromptKind = Literal["train", "phrasing", "combination"]

# {D} the direct question, {d} the same in lower case, {i} the indirect question. The last two of a style are held out.
PHRASINGS: dict[str, tuple[str, ...]] = {
    "plain": (
        "{D}",
        "I would like to know {i}.",
        "My question is this: {d}",
        "Can you tell me {i}?",
        "I have a question. {D}",
        "I need to know {i}.",
        "I would like to ask you this: {d}",
        "Can you help me? I need to find out {i}.",
    ),
    "polite": (
        "Could you please tell me {i}?",
        "Hello, {d} Thank you.",
        "Thank you for your time. {D}",
        "Would you kindly explain {i}?",
        "I hope you can help me with this. {D}",
        "Excuse me, I would be grateful to learn {i}.",
        "Hello, could you kindly explain {i}? Thank you.",
        "I would be grateful for your help with this. {D}",
    ),
    "terse": (
        "{D} Short answer.",
        "Quick one: {d}",
        "I only want to know {i}.",
        "Just say {i}.",
        "{D} No small talk.",
        "One thing: {d}",
        "Quick answer: {d}",
        "Just one thing. {D} No long answer.",
    ),
    "annoyed": (
        "This is the third time I ask. {D}",
        "Your app makes no sense to me. {D}",
        "Why is it so hard to find out {i}?",
        "I am tired of waiting for a long answer. {D}",
        "Nobody could tell me {i}. Can you?",
        "I have been on hold for an hour. {D}",
        "I am tired of your app. {D}",
        "Why could nobody tell me {i}?",
    ),
    "chatty": (
        "Hi there! I was at lunch and started to wonder {i}.",
        "Hey! My friend and I were talking about {i}.",
        "I got a new phone last week, and now I wonder {i}.",
        "Good morning! It is a busy day here. {D}",
        "Funny thing, my friend asked me {i} and I had no idea.",
        "Hi! I love the app so far. {D}",
        "Hey there! My friend and I started to wonder {i}.",
        "Good morning! I got a new phone and I love it. {D}",
    ),
    "formal": (
        "I am writing to ask {i}.",
        "Dear support team, {d}",
        "To whom it may concern: {d}",
        "I would appreciate it if you could explain {i}.",
        "Kindly inform me {i}.",
        "With regard to my account, please state {i}.",
        "Dear team, I would appreciate it if you could state {i}.",
        "I am writing with regard to my account. {D}",
    ),
    "hurried": (
        "I have to leave in five minutes. {D}",
        "My train is about to go, so please be quick: {d}",
        "No time to look around. {D}",
        "I am in a rush and must find out {i}.",
        "I am between two meetings. {D}",
        "My battery is low. {D}",
        "I am in a rush and my battery is low. {D}",
        "No time, my train is about to leave. {D}",
    ),
}
STYLES: tuple[str, ...] = tuple(PHRASINGS)
HELD_OUT_PHRASINGS = 2  # of each style


@dataclass(frozen=True, slots=True)
class Prompt:
    """A customer's message and what is known about it."""

    text: str
    topic: str
    style: str
    kind: PromptKind  # `train`, or what makes it new to the model


def held_out_styles(topic: Topic) -> frozenset[str]:
    """The two styles in which a topic is never asked in training; all pairs of styles take turns."""
    index = TOPICS.index(topic)
    styles = STYLES[1:]
    first = index % len(styles)
    second = (first + 1 + index // len(styles) % (len(styles) - 1)) % len(styles)
    return frozenset((styles[first], styles[second]))


def _fill(phrasing: str, question: tuple[str, str]) -> str:
    direct, indirect = question
    return phrasing.format(D=direct, d=direct[0].lower() + direct[1:], i=indirect)


@cache
def all_prompts() -> tuple[Prompt, ...]:
    """Every prompt of the world, in a fixed order; no text occurs twice."""
    prompts = []
    for topic in TOPICS:
        unseen_styles = held_out_styles(topic)
        for style, phrasings in PHRASINGS.items():
            for number, phrasing in enumerate(phrasings):
                unseen_phrasing = number >= len(phrasings) - HELD_OUT_PHRASINGS
                if unseen_phrasing and style in unseen_styles:
                    continue
                kind: PromptKind = "train"
                if unseen_phrasing:
                    kind = "phrasing"
                elif style in unseen_styles:
                    kind = "combination"
                prompts += [Prompt(_fill(phrasing, asked), topic.name, style, kind) for asked in topic.questions]
    return tuple(prompts)


@cache
def _by_text() -> dict[str, Prompt]:
    return {prompt.text: prompt for prompt in all_prompts()}


def find_prompt(text: str) -> Prompt | None:
    """The prompt with this text, white space aside; None if the world has no such prompt."""
    return _by_text().get(" ".join(text.split()))


def sample_prompts(n: int, seed: int, split: Split = "train") -> list[Prompt]:
    """Draws prompts, topics in equal shares. Held-out prompts are half `phrasing`, half `combination`, all distinct.

    Training prompts may repeat once all have been drawn. Asking for more held-out prompts than there are is an error.
    """
    random = Random(f"prompts {split} {seed}")
    if split == "train":
        return _in_turns([prompt for prompt in all_prompts() if prompt.kind == "train"], n, random)
    phrasing = [prompt for prompt in all_prompts() if prompt.kind == "phrasing"]
    combination = [prompt for prompt in all_prompts() if prompt.kind == "combination"]
    most = 2 * min(len(phrasing), len(combination))
    if n > most:
        raise ValueError(f"{n} held-out prompts asked for, but the world has {most}; ask for fewer")
    prompts = _in_turns(phrasing, (n + 1) // 2, random) + _in_turns(combination, n // 2, random)
    random.shuffle(prompts)
    return prompts


def _in_turns(prompts: list[Prompt], n: int, random: Random) -> list[Prompt]:
    """The first n of the prompts in random order, dealt out topic by topic; starts again when all are used."""
    drawn: list[Prompt] = []
    while len(drawn) < n:
        piles: dict[str, list[Prompt]] = {}
        for prompt in random.sample(prompts, len(prompts)):
            piles.setdefault(prompt.topic, []).append(prompt)
        rounds = [
            [pile[turn] for pile in piles.values() if turn < len(pile)] for turn in range(max(map(len, piles.values())))
        ]
        for one_each in rounds:
            random.shuffle(one_each)
            drawn += one_each
    return drawn[:n]
