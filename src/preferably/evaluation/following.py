"""How often checkable instructions were followed: by prompt and by instruction, strictly and loosely."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preferably.data.instructed import Instructed
from preferably.errors import ConfigError, DataError
from preferably.evaluation.flags import Flag, flags_of
from preferably.evaluation.instructions import rule_named
from preferably.feedback.records import Group, Message
from preferably.judging.judge import name_of
from preferably.statistics.shares import Share, share

Detector = Callable[[str], str]  # a text to the code of its language, as the files name it
ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one prompt: of each instruction, whether it was followed."""

    key: str
    prompt: str
    response: str
    instructions: tuple[str, ...]
    strict: tuple[bool, ...]
    loose: tuple[bool, ...]

    def as_row(self) -> dict[str, Any]:
        """A line of `checked.jsonl`."""
        return {
            "key": self.key, "prompt": self.prompt, "response": self.response,
            "instruction_id_list": list(self.instructions), "strict": list(self.strict), "loose": list(self.loose),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """Of prompts, those of which every instruction was followed; and of instructions, those that were followed.

    Both intervals are of as many trials as there are prompts.
    """

    prompts: Share
    instructions: Share

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        return {"prompts": self.prompts.as_json(), "instructions": self.instructions.as_json()}


@dataclass(frozen=True, slots=True)
class Following:
    """What came out. Prompts are checked, not checked or unanswered, and only the first are in the figures."""

    strict: Level  # the response as it is
    loose: Level  # the response, or it without its first line, its last or both, and all of these without asterisks
    kinds: Mapping[str, tuple[Share, Share]]  # of each instruction, strict and loose
    not_checked: int  # prompts with an instruction that only a detector of languages could check
    unanswered: int  # prompts without a response
    case_alone: int  # checked prompts of which the case was looked at and the language was not
    unmatched: int  # responses to no prompt of the file
    rows: tuple[Checked, ...]
    flags: tuple[Flag, ...]  # responses that deserve a look, of those that were checked

    def as_json(self) -> dict[str, Any]:
        """The contents of `ifeval.json`."""
        kinds = {
            name: {"strict": strict.as_json(), "loose": loose.as_json()} for name, (strict, loose) in self.kinds.items()
        }
        counts = ("not_checked", "unanswered", "case_alone", "unmatched")
        return {
            "strict": self.strict.as_json(), "loose": self.loose.as_json(), "kinds": kinds, "checked": len(self.rows),
            "flags": [one.as_json() for one in self.flags],
        } | {name: getattr(self, name) for name in counts}  # fmt: skip


def following(
    prompts: Sequence[Instructed], responses: Mapping[str, str], *, language: Detector | None = None
) -> Following:
    """Check `responses` (by prompt) against the instructions of `prompts`.

    A blank response follows nothing. Without `language` an instruction on the language makes its prompt one that is not
    checked, and of "all in capital (lowercase) English letters" only the case is looked at. `DataError` for an
    instruction that is not known, arguments that do not fit it, and where no prompt can be checked; `ConfigError` where
    `language` raises or gives no text.
    Source of the two levels and of what is loose: Zhou et al. 2023, https://arxiv.org/abs/2311.07911.
    """
    rows: list[Checked] = []
    not_checked = unanswered = case_alone = 0
    for one in prompts:
        tests = _tests(one, language)
        if one.prompt not in responses:
            unanswered += 1
        elif tests is None:
            not_checked += 1
        else:
            rows.append(_checked(one, responses[one.prompt], tests))
            case_alone += language is None and any(rule_named(name).language == "part" for name, _ in one.instructions)
    if not rows:
        counts = f"{not_checked} need a detector of languages, {unanswered} have no response"
        raise DataError(f"None of {len(prompts)} prompts can be checked: {counts}.")
    return Following(
        _level([row.strict for row in rows]), _level([row.loose for row in rows]), _kinds(rows),
        not_checked, unanswered, case_alone, len(responses.keys() - {one.prompt for one in prompts}), tuple(rows),
        flags_of([Group((Message("user", row.prompt),)) for row in rows], [[row.response] for row in rows]),
    )  # fmt: skip


def loosened(response: str) -> list[str]:
    """The response, it without its first line, its last or both, and each of these without asterisks."""
    lines = response.split("\n")
    cut = [response, *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cut, *(text.replace("*", "") for text in cut)]


Test = Callable[[str], bool]


def _tests(one: Instructed, language: Detector | None) -> list[Test] | None:
    """What to ask of a response that says something; None where an instruction cannot be checked."""
    found: list[Test | None] = []
    for name, given in one.instructions:
        rule = rule_named(name)
        try:
            arguments = rule.arguments(name, given)
        except DataError as problem:
            place = f"{one.place[0]}:{one.place[1]} " if one.place else ""
            raise DataError(f"{place}{problem}") from None
        found.append(_test(rule.check, arguments, rule.language, language))
    return None if None in found else [test for test in found if test is not None]


def _test(
    check: Callable[..., bool], arguments: Mapping[str, Any], part: str, language: Detector | None
) -> Test | None:
    if part == "all":
        return None if language is None else lambda text: _told(language, text) == arguments["language"]
    if part == "part" and language is not None:
        return lambda text: check(text, **arguments) and _told(language, text) == ENGLISH
    return lambda text: check(text, **arguments)


def _told(language: Detector, text: str) -> str:
    try:
        found = language(text)
    except Exception as error:
        raise ConfigError(f"The detector {name_of(language)} raised {type(error).__name__}: {error}") from error
    if not isinstance(found, str):
        raise ConfigError(f"The detector {name_of(language)} gave {found!r:.60}; expected a code such as 'en'.")
    return found


def _checked(one: Instructed, response: str, tests: Sequence[Test]) -> Checked:
    variants = [text for text in loosened(response) if text.strip()]
    strict = tuple(bool(response.strip()) and test(response) for test in tests)
    loose = tuple(any(test(text) for text in variants) for test in tests)
    return Checked(one.key, one.prompt, response, tuple(name for name, _ in one.instructions), strict, loose)


def _level(rows: Sequence[tuple[bool, ...]]) -> Level:
    prompts = share(sum(map(all, rows)), len(rows))
    instructions = share(sum(map(sum, rows)), sum(map(len, rows)), len(rows))
    assert prompts is not None and instructions is not None, "a level of no prompts"
    return Level(prompts, instructions)


def _kinds(rows: Sequence[Checked]) -> dict[str, tuple[Share, Share]]:
    found: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in rows:
        for name, strict, loose in zip(row.instructions, row.strict, row.loose, strict=True):
            found[name].append((strict, loose))
    kinds = {}
    for name in sorted(found):
        one, other = (share(sum(side), len(side)) for side in zip(*found[name], strict=True))
        if one is not None and other is not None:
            kinds[name] = one, other
    return kinds
