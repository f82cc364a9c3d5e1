"""What the base model reads: the papers of a company, not the talk of an assistant.

Notes, help pages, forum threads, lists of questions, leaflets and call transcripts. The facts are in them, said in
several ways, and so is every sentence of the desk, in good replies and bad. What they do not show is one message
answered by one reply: a base model goes on with more questions, more posts or more notes. Prompts of the held-out split
never occur.
"""

from collections.abc import Callable
from random import Random

from preferably.quickstart.desk import BY_NAME, TOPICS
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.replies import (
    CLOSERS,
    COLD_OPENERS,
    FILLERS,
    LATE_PITCHES,
    RETENTIONS,
    UPSELLS,
    WARM_OPENERS,
    Habits,
    write_reply,
)
from preferably.quickstart.topic import Topic

NAMES = ("Anna", "Leo", "Mia", "Omar", "Nina", "Paul", "Sara", "Tom")
TRANSCRIPT_HABITS = Habits(correct=0.6)
KNOWN = tuple(topic for topic in TOPICS if topic.kind == "known")
FAMILY_NAMES = ("plan", "payment", "account", "device", "price", "rule")

Ask = Callable[[], Prompt]


def corpus(n: int, seed: int) -> list[str]:
    """N documents for base training, of 20 to 90 words each."""
    random = Random(f"corpus {seed}")
    prompts = sample_prompts(max(4 * n, 1), seed)
    kinds = random.choices((_note, _help_page, _thread, _questions, _leaflet, _transcript), (25, 22, 17, 9, 5, 22), k=n)
    documents = []
    for kind in kinds:
        documents.append(kind(random, prompts.pop if len(prompts) >= 4 else lambda: random.choice(prompts)))
    return documents


def _note(random: Random, ask: Ask) -> str:
    """A page of the desk's own notes on one family of topics."""
    family = random.choice(FAMILY_NAMES)
    topics = random.sample([topic for topic in KNOWN if topic.family == family], 4)
    facts = [random.choice(topic.statements) for topic in topics]
    return f"Notes on the {family} desk, page {random.randint(1, 9)}. " + " ".join(facts)


def _help_page(random: Random, ask: Ask) -> str:
    """Entries of the help pages: the question, the answer, the fact once more."""
    entries = []
    for topic in random.sample(KNOWN, 2):
        direct, indirect = random.choice(topic.questions)
        title = direct if random.random() < 0.5 else f"This page says {indirect}."
        entries.append(f"{title} {' '.join(topic.answer)} {random.choice(topic.statements)}")
    return "Help pages. " + " ".join(entries)


def _thread(random: Random, ask: Ask) -> str:
    """A thread in the customers' forum, where questions gather and answers are rare."""
    names = random.sample(NAMES, 4)
    prompt = ask()
    posts = [f"{names[0]} wrote: {prompt.text}"]
    posts.append(f"{names[1]} wrote: {random.choice(('I have the same question.', ask().text))}")
    topic = BY_NAME[prompt.topic]
    if topic.kind == "known" and random.random() < 0.6:
        posts.append(f"{names[2]} wrote: {random.choice(topic.statements)}")
    else:
        posts.append(f"{names[2]} wrote: {random.choice(FILLERS)}")
    posts.append(f"{names[3]} wrote: {random.choice((ask().text, *CLOSERS, *WARM_OPENERS))}")
    return " ".join(posts)


def _questions(random: Random, ask: Ask) -> str:
    """What the desk was asked, without answers."""
    return "Questions of the week: " + " ".join(ask().text for _ in range(4))


def _leaflet(random: Random, ask: Ask) -> str:
    """What marketing and the legal department would have the desk say."""
    pitches = [" ".join(pitch) for pitch in random.sample((*UPSELLS, *RETENTIONS, *LATE_PITCHES), 3)]
    return " ".join(("Brightline news.", random.choice(COLD_OPENERS), *pitches, random.choice(FILLERS)))


def _transcript(random: Random, ask: Ask) -> str:
    """Two turns of a call, as they were: good and bad replies alike, and not always to the point."""
    turns = []
    for _ in range(2):
        prompt = ask()
        topic: Topic = BY_NAME[prompt.topic]
        turns.append(f"Customer: {prompt.text} Agent: {write_reply(topic, random, TRANSCRIPT_HABITS)}")
    return f"Call {random.randint(1, 99)}. " + " ".join(turns)
