"""`/admin/train`: the commands that train on the labels so far. A page starts no process: whoever trains types them."""

import re
import shlex
from dataclasses import dataclass

from starlette.responses import Response

from preferably.data.accounting import CODES
from preferably.errors import ConfigError
from preferably.labeling.admin.frame import figures, page
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.lessons import Lessons
from preferably.labeling.progress import batches_of

FIELDS = {"model": "runs/sft", "prompts": "prompts.jsonl"}
WORD = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029-][^\x00-\x1f\x7f\u2028\u2029]{0,300}")  # not an option, of one line


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what it is for."""

    about: str
    line: str


@seen_by("lead")
def train(visit: Visit) -> Response:
    """What there is to learn from, the commands, and the round that comes after."""
    told = figures(visit).lessons()
    lessons = told.value or Lessons([])
    chosen = FIELDS | _asked(visit)
    batches = batches_of(visit.desk.store)
    overlap = max((one.overlap[1] for one in batches), default=0) or visit.desk.project.overlap
    taken = {one.name for one in batches}
    following = next(name for at in range(2, len(taken) + 3) if (name := f"round-{at}") not in taken)
    return page(
        visit, "admin_train.html", told=told, lessons=lessons, chosen=chosen, codes=CODES,
        now=commands(visit.desk.store.name, lessons, chosen["model"]),
        then=next_round(visit.desk.store.name, chosen["prompts"], following, overlap),
    )  # fmt: skip


def _asked(visit: Visit) -> dict[str, str]:
    """The model and prompts that the page was asked for. Raises `ConfigError` for what no command can name."""
    asked = {}
    for name, value in visit.request.query_params.multi_items():
        if name not in FIELDS or name in asked or (value and not WORD.fullmatch(value)):
            raise ConfigError(f"The commands take {' and '.join(FIELDS)}, each a name on one line; got {name!r:.40}.")
        asked[name] = value
    return {name: value for name, value in asked.items() if value}


def commands(store: str, lessons: Lessons, model: str) -> list[Command]:
    """What can be trained now."""
    found = [Command("See what is wrong with the labels before they are learnt from", _line("data", "check", store))]
    told = {one.feedback: one.groups for one in lessons.kinds}
    for feedback, method, about in (
        ("pairs", "dpo", "Train the model on pairs"),
        ("rankings", "reward", "Train a reward model, to rank answers, or to train by (preferably train ppo)"),
        ("labels", "kto", "Train the model on thumbs"),
    ):
        if told.get(feedback):  # type: ignore[call-overload]
            flags = ("--model", model, "--data", store, "--output", f"runs/{method}")
            found.append(Command(about, _line("train", method, *flags)))
    return found


def next_round(store: str, prompts: str, batch: str, overlap: int) -> list[Command]:
    """What puts the answers of the trained model before people."""
    return [
        Command("Let the trained model answer: two answers to each prompt", _line(
            "sample", "--model", "runs/dpo", "--data", prompts, "--output", f"{batch}.jsonl", "--samples", "2",
        )),
        Command("Have them judged here", _line(
            "label", "queue", f"{batch}.jsonl", "--store", store, "--batch", batch, "--overlap", str(overlap),
        )),
    ]  # fmt: skip


def _line(*words: str) -> str:
    return shlex.join(("preferably", *words))
