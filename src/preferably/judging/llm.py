"""A language model on a server as one who decides: the same judgments that people write."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from preferably.errors import ConfigError
from preferably.feedback.records import Group, Judgment, Preference
from preferably.feedback.store.kept_replies import KeptReplies
from preferably.judging.questions import LETTERS, Question, Read, need_reference, nothing, question, read_answer
from preferably.judging.settings import JudgeSettings
from preferably.remote.abilities import Abilities, abilities, in_form, with_logprobs
from preferably.remote.client import Client, Replies
from preferably.remote.reply import Reply, Token

KNOWN = 0.5  # of the probability at the place of the verdict: less of it on verdicts says nothing


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what came back: the reply, and what it says."""

    question: Question
    reply: Reply
    read: Read
    key: str  # of the whole request

    @property
    def state(self) -> str:
        """Its one final state."""
        return self.read.judgments[0].state


Heard = Callable[[int, Answered], None]


class LanguageJudge:
    """Asks a model on a server.

    What it says of a pair is a `Preference`, whose `strength` is the log-odds of its choice in nats where the server
    sends log-probs that can be believed, and none otherwise. Where it is to show a reference answer, the first groups
    that it is asked about hold one (else `ConfigError`), unless somebody `checked` all rows before; what is asked later
    may have none, as the probes of an audit and some rows of many.
    """

    labeler_kind = "model"
    log_odds = True

    def __init__(self, settings: JudgeSettings, replies: Replies | None = None, *, checked: bool = False) -> None:
        self.settings, self._checked = settings, checked
        self.client = Client(settings.at(), replies, settings.spending())
        self.client.server.key()  # a variable that is missing is told before anything else is done
        self.__name__ = settings.labeler
        self._able: Abilities | None = None

    def __call__(self, groups: Sequence[Group]) -> list[Preference]:
        """One preference for each group of two, shown as it is. Raises what `answers` does."""
        self.need_reference(groups)
        asked = [question("pair", group, (0, 1), self.settings) for group in groups]
        said = [answered.read.judgments[0] for answered in self.answers(asked)]
        return [one for one in said if isinstance(one, Preference)]

    def need_reference(self, groups: Sequence[Group]) -> None:
        """`ConfigError` where it is to show a reference answer, no group has one, and none that it saw before had."""
        if groups and not self._checked:
            need_reference(groups, self.settings)
            self._checked = True

    def able(self) -> Abilities:
        """What the server can do, of what is wanted of it; asked once."""
        if self._able is None:
            wanted = (self.settings.schema_, self.settings.logprobs)
            if "auto" in wanted:
                found = abilities(
                    self.client, self.body(), schema=wanted[0] == "auto", logprobs=wanted[1] == "auto"
                )  # fmt: skip
            else:
                found = Abilities(False, False)
            self._able = replace(
                found, schema=found.schema or wanted[0] == "yes", logprobs=found.logprobs or wanted[1] == "yes"
            )
        return self._able

    def answers(
        self, questions: Sequence[Question], heard: Heard = lambda index, answered: None
    ) -> list[Answered]:  # fmt: skip
        """What it says to each question, in their order; `heard` is told of each as it comes.

        Raises `RemoteError` where the server cannot be asked any more, after `heard` was told of all that came.
        """
        if not questions:
            return []
        bodies = [self.request(one) for one in questions]
        told: dict[int, Answered] = {}

        def came(index: int, reply: Reply) -> None:
            asked = questions[index]
            told[index] = Answered(asked, reply, self._read(asked, reply), self.client.key(bodies[index]))
            heard(index, told[index])

        self.client.ask(bodies, came)
        return [told[index] for index in range(len(questions))]

    def request(self, asked: Question) -> dict[str, Any]:
        """The body of the request that asks it."""
        able = self.able()
        body = self.body() | {"messages": list(asked.messages)}
        if able.schema:
            body |= in_form(asked.schema)
        if able.logprobs and asked.kind == "pair":
            body |= with_logprobs()
        return body

    def body(self) -> dict[str, Any]:
        """All of a request but its messages."""
        plain = {"model": self.settings.model, "temperature": self.settings.temperature,
                 "max_tokens": self.settings.max_tokens, "stream": False}  # fmt: skip
        return {name: value for name, value in plain.items() if value is not None} | self.settings.extra

    def _read(self, asked: Question, reply: Reply) -> Read:
        labeler = self.settings.labeler
        if reply.state != "ok":
            return nothing(asked, labeler, reply.state, reply.why)
        read = read_answer(asked, reply.text, labeler)
        said = read.judgments[0]
        if isinstance(said, Preference) and isinstance(said.choice, int) and reply.tokens and read.at >= 0:
            odds = log_odds(reply.tokens, read.at, LETTERS[asked.order.index(said.choice)])
            return replace(read, judgments=(replace(said, strength=odds),))
        return read


def log_odds(tokens: Sequence[Token], at: int, chosen: str) -> float | None:
    """By how many nats the verdict `chosen`, A or B, is likelier than the other, at the token of which the character
    `at` of the text is; None where that cannot be told, as little of the probability there is on verdicts, or the other
    one was the likelier.

    Where the other letter is not among the tokens that are named, it is at most as likely as the least of them.
    """
    end = 0
    for token in tokens:
        end += len(token.text)
        if end > at:
            break
    else:
        return None
    shares = {"A": 0.0, "B": 0.0}
    rest = 0.0
    for text, value in token.top.items():
        said = "".join(filter(str.isalnum, text))
        if said in shares:
            shares[said] += math.exp(value)
        elif said and "tie".startswith(said):
            rest += math.exp(value)
    if sum(shares.values()) + rest < KNOWN or not shares[chosen]:
        return None
    other = shares["B" if chosen == "A" else "A"] or math.exp(min(token.top.values()))
    odds = math.log(shares[chosen]) - math.log(other) if other else None
    return odds if odds is not None and odds >= 0 else None


def judge_from(
    settings: Sequence[JudgeSettings], replies: Replies | None = None, *, checked: bool = False
) -> "LanguageJudge | Panel":  # fmt: skip
    """The judge of these settings: a panel, where there are several. Without `replies` they are kept where the settings
    say; `checked` as of `LanguageJudge`."""
    judges = [
        LanguageJudge(one, KeptReplies(one.replies) if replies is None else replies, checked=checked)
        for one in settings
    ]
    return judges[0] if len(judges) == 1 else Panel(judges)


class Panel:
    """Several judges as one: what more than half of them say. Where there is no such verdict the pair is a tie if more
    than half have one at all, and else `failed`."""

    labeler_kind = "model"

    def __init__(self, judges: Sequence[Callable[[Sequence[Group]], Sequence[Judgment]]]) -> None:
        if len(judges) < 2:
            raise ConfigError(f"A panel has two judges or more; got {len(judges)}.")
        self.judges = judges
        self.__name__ = " + ".join(getattr(judge, "__name__", "a judge") for judge in judges)

    def able(self) -> list[Abilities]:
        """What the servers of its members can do."""
        return [judge.able() for judge in self.judges if isinstance(judge, LanguageJudge)]

    def __call__(self, groups: Sequence[Group]) -> list[Preference]:
        """One preference for each group of two."""
        said = zip(*(judge(groups) for judge in self.judges), strict=True)
        return [self._agreed([one for one in each if isinstance(one, Preference)]) for each in said]

    def _agreed(self, said: Sequence[Preference]) -> Preference:
        choices = [one.choice for one in said if one.state == "ok" and one.choice != "unsure"]
        for choice in dict.fromkeys(choices):
            if 2 * choices.count(choice) > len(self.judges):
                return Preference(choice, labeler=self.__name__)
        if 2 * len(choices) > len(self.judges):
            return Preference("tie", labeler=self.__name__)
        return Preference(None, labeler=self.__name__, state="failed")
