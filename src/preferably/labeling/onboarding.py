"""The way in to the tasks: the guidelines, worked examples, and a round in which one shows to have understood them."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from preferably.errors import ConfigError
from preferably.labeling.answers import places
from preferably.labeling.demographics import Demographics
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.people import Person
from preferably.labeling.project import Example, Project
from preferably.labeling.sheet import LETTERS

VERDICTS = {"0": "A is better", "1": "B is better", "tie": "a tie", "both_bad": "both are bad"}


@dataclass(frozen=True, slots=True)
class Tried:
    """An example with its completions in the order of the page."""

    example: Example
    shown: tuple[int, ...]

    @property
    def completions(self) -> list[tuple[str, str]]:
        """Letters and texts."""
        return [(LETTERS[at], self.example.completions[place]) for at, place in enumerate(self.shown)]

    @property
    def expected(self) -> str:
        """The right verdict, by the places of the page."""
        chosen = self.example.chosen
        return str(self.shown.index(chosen)) if isinstance(chosen, int) else chosen


def missing(person: Person, project: Project) -> str | None:
    """Where somebody must go before they are given a task; None where they may have one."""
    if person.read != project.version and (project.guidelines or project.examples or project.demographics):
        return "/welcome"
    if project.qualification.items and not _passed(person) and person.role == "labeler":
        return "/qualify"
    return None


@seen_by("labeler")
def welcome(visit: Visit) -> Response:
    """The guidelines, the examples one by one, then the questions about oneself: a step each."""
    steps = _steps(visit.desk.project)
    at = visit.request.query_params.get("step", "1")
    step = min(int(at), len(steps)) if at.isdecimal() and at.isascii() and 0 < int(at[:4]) < 1000 else 1
    return _step(visit, max(step, 1))


@seen_by("labeler")
def take_step(visit: Visit) -> Response:
    """What is sent from a step: the answer to an example, or that one is through."""
    project, body = visit.desk.project, visit.body
    steps = _steps(project)
    at = str(body.get("step", ""))
    step = int(at) if at in map(str, range(1, len(steps) + 1)) else 1
    if steps[step - 1] == "example" and "seen" not in body:
        return _step(visit, step, str(body.get("verdict", "")))
    if steps[step - 1] == "about":
        Demographics(visit.desk.store, project).keep(visit.person.id, about_in(project, body))
    if step < len(steps):
        return RedirectResponse(f"/welcome?step={step + 1}", 303)
    visit.desk.people.note(visit.person.id, read=project.version)
    return RedirectResponse("/", 303)


@seen_by("labeler")
def qualify(visit: Visit) -> Response:
    """The questions of the round, or how it went."""
    if not visit.desk.project.qualification.items:
        return RedirectResponse("/", 303)
    return _qualification(visit)


@seen_by("labeler")
def be_qualified(visit: Visit) -> Response:
    """Hold the answers against what is right, here and not in the browser."""
    round_ = visit.desk.project.qualification
    person = visit.person
    if _passed(person) or not _tries_left(person, visit.desk.project):
        return RedirectResponse("/qualify", 303)
    tried = _round(visit)
    said = {at: str(visit.body.get(f"verdict-{at}", "")) for at in range(len(tried))}
    if not set(said.values()) <= set(VERDICTS):
        return _qualification(visit, said, 422)
    right = sum(one.expected == said[at] for at, one in enumerate(tried))
    enough = right >= round_.passed * len(tried) - 1e-9
    visit.desk.people.tried(person.id, visit.desk.project.version, right, len(tried), passed=enough, tries=round_.tries)
    return RedirectResponse("/qualify", 303)


def about_in(project: Project, body: Mapping[str, object]) -> dict[str, str]:
    """The answers about oneself that a form has; what was left open is left out."""
    answers = {one.ask: str(body.get(f"about-{at}", "")) for at, one in enumerate(project.demographics)}
    return {question: choice for question, choice in answers.items() if choice}


def _steps(project: Project) -> list[str]:
    return ["guidelines"] + ["example"] * len(project.examples) + (["about"] if project.demographics else [])


def _step(visit: Visit, step: int, verdict: str = "") -> Response:
    project = visit.desk.project
    steps = _steps(project)
    kind = steps[step - 1]
    if verdict and verdict not in VERDICTS:
        raise ConfigError(f"A verdict is {', '.join(VERDICTS)}; got {verdict!r:.40}.")
    tried = _tried(visit, "example", step - 2, project.examples[step - 2]) if kind == "example" else None
    said = Demographics(visit.desk.store, project).of(visit.person.id) if kind == "about" else {}
    return visit.page(
        "welcome.html", kind=kind, step=step, steps=len(steps), tried=tried, verdict=verdict, verdicts=VERDICTS,
        said=said, before=visit.person.read,
    )  # fmt: skip


def _qualification(visit: Visit, said: Mapping[int, str] | None = None, status_code: int = 200) -> Response:
    """The round again with what was answered so far, where something was left out."""
    person, project = visit.person, visit.desk.project
    again = "again" in visit.request.query_params
    told = person.qualification
    left = _tries_left(person, project)
    asks = not _passed(person) and left > 0 and (again or said is not None or left == project.qualification.tries)
    return visit.page(
        "qualify.html", status_code, tried=_round(visit) if asks else [], told=told, passed=_passed(person), left=left,
        verdicts=VERDICTS, said=said, round=project.qualification,
    )  # fmt: skip


def _round(visit: Visit) -> list[Tried]:
    items = visit.desk.project.qualification.items
    left = _tries_left(visit.person, visit.desk.project)
    resets = len((visit.person.qualification or {}).get("resets", ()))
    return [_tried(visit, f"try {left}" + " again" * resets, at, one) for at, one in enumerate(items)]


def _tried(visit: Visit, what: str, at: int, example: Example) -> Tried:
    """The sides are drawn anew for everybody and every try, and are the same when the page is loaded again."""
    seed = Random(f"{visit.person.id} {visit.desk.project.version} {what} {at}").getrandbits(62)
    return Tried(example, places(2, seed))


def _passed(person: Person) -> bool:
    return bool(person.qualification and person.qualification.get("passed"))


def _tries_left(person: Person, project: Project) -> int:
    """A new version of the guidelines gives new tries."""
    told = person.qualification or {}
    return project.qualification.tries - (told.get("tries", 0) if told.get("version") == project.version else 0)


ROUTES = [
    Route("/welcome", welcome, methods=["GET"]),
    Route("/welcome", take_step, methods=["POST"]),
    Route("/qualify", qualify, methods=["GET"]),
    Route("/qualify", be_qualified, methods=["POST"]),
]
