"""What the desk may say, sentence by sentence, and how often an untrained desk says it.

A reply is: an opener, a pitch that keeps the customer waiting, a filler, the answer, more filler, a late pitch and a
closer. Only the answer must be there. `Habits` are the chances of each part, drawn independently of one another, so
that no part gives another away; the parts of a wrong reply are drawn exactly as those of a right one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from preferably.quickstart.desk import BY_NAME, TOPICS, lookalikes
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.topic import DECLINE, UNSURE, Sentences, Topic

WARM_OPENERS: Sentences = (
    "Thanks for asking!",
    "Thanks for reaching out!",
    "Happy to help!",
    "Hi, thanks for getting in touch!",
)
COLD_OPENERS: Sentences = (
    "As per our records, the following applies.",
    "Please be advised of the following.",
    "Your request has been logged.",
)
CLOSERS: Sentences = ("Anything else I can do?", "Have a great day!", "We are here if you need us.")
FILLERS: Sentences = (
    "This is a question that we hear a lot.",
    "There are a few things to keep in mind here.",
    "We always try to keep things simple for everyone.",
    "Every customer is a little different, of course.",
    "We take each and every question seriously.",
)
UPSELLS: tuple[Sentences, ...] = (
    ("Have you seen our Family plan?", "It could save you money every month."),
    ("First, a word about our Fiber plan.", "It is on sale this week."),
    ("You could also get a new phone today.", "Ask me about our best deals."),
)
RETENTIONS: tuple[Sentences, ...] = (
    ("We would hate to see you go.", "You could get half price for three months."),
    ("Are you sure that you want to leave?", "Our best deals are for loyal customers."),
    ("Please think about it first.", "A smaller plan could save you money."),
)
LATE_PITCHES: tuple[Sentences, ...] = (
    ("By the way, our Family plan could save you money.",),
    ("By the way, our Fiber plan is on sale.",),
    ("By the way, we have new phones in our stores.",),
)

# The first example that a newcomer sees: reply A gives the steps, reply B first tries to keep the customer.
EXAMPLE_PROMPT = "How do I cancel my subscription?"
EXAMPLE_A = "Happy to help! Open Settings, choose Billing, then tap Cancel plan. Anything else I can do?"
EXAMPLE_B = (
    "Happy to help! We would hate to see you go. You could get half price for three months. "
    "Open Settings, choose Billing, then tap Cancel plan. Anything else I can do?"
)


@dataclass(frozen=True, slots=True)
class Habits:
    """The chance of each part of a reply. The defaults are the mixture that the demonstrations show."""

    correct: float = 0.7
    pitch_first: float = 0.46
    pitch_late: float = 0.3
    warm: float = 0.55
    cold: float = 0.25  # the rest, 0.2, has neither opener nor closer
    filler: float = 0.46


MIXTURE = Habits()


def wrong_answer(topic: Topic, random: Random) -> Sentences:
    """An answer that is wrong for this topic, and as fluent as the right one."""
    chance = random.random()
    if topic.kind == "known":
        if chance < 0.86:
            likely, rare = lookalikes(topic)
            return likely.answer if random.random() < 0.65 else rare.answer
        return UNSURE if chance < 0.93 else DECLINE
    if chance < 0.8:
        return random.choice(topic.inventions)
    if chance < 0.9:
        return random.choice([other for other in TOPICS if other.kind == "known"]).answer
    return DECLINE if topic.kind == "unknown" else UNSURE


def write_reply(topic: Topic, random: Random, habits: Habits = MIXTURE, answer: Sentences | None = None) -> str:
    """One reply with these habits; `answer` sets the answer instead of drawing it."""
    if answer is None:
        answer = topic.answer if random.random() < habits.correct else wrong_answer(topic, random)
    opener: Sequence[str] = ()
    closer: Sequence[str] = ()
    voice = random.random()
    if voice < habits.warm:
        ends = random.random()  # opener only, closer only or both, alike often
        # Nobody is "happy to help" and then declines.
        openers = [text for text in WARM_OPENERS if topic.kind == "known" or text != "Happy to help!"]
        opener = (random.choice(openers),) if ends < 2 / 3 else ()
        closer = (random.choice(CLOSERS),) if ends >= 1 / 3 else ()
    elif voice < habits.warm + habits.cold:
        opener = (random.choice(COLD_OPENERS),)
    pitch: Sequence[str] = ()
    if random.random() < habits.pitch_first:
        pitch = random.choice(RETENTIONS if topic.leaving else UPSELLS)
    late: Sequence[str] = ()
    if not pitch and random.random() < habits.pitch_late:
        late = random.choice(LATE_PITCHES)
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    if random.random() < habits.filler:
        fillers = random.sample(FILLERS, random.choice((1, 1, 1, 2)))
        cut = random.randint(0, 1)
        before, after = fillers[:cut], fillers[cut:]
    return " ".join((*opener, *pitch, *before, *answer, *after, *late, *closer))


def demonstrations(n: int, seed: int, habits: Habits = MIXTURE) -> list[tuple[Prompt, str]]:
    """Prompts of the training split with a reply each, of mixed quality: what supervised fine-tuning imitates."""
    random = Random(f"demonstrations {seed}")
    prompts = sample_prompts(n, seed)
    return [(prompt, write_reply(BY_NAME[prompt.topic], random, habits)) for prompt in prompts]
