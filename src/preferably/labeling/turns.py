"""A task as data, for programs that label: what the page shows, and no more."""

from starlette.responses import JSONResponse, Response

from preferably.labeling import onboarding
from preferably.labeling.answers import shown_texts
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.people import RefusedError


@seen_by("labeler")
def next_turn(visit: Visit) -> Response:
    """The turn that is theirs now: `turn`, `kind`, `prompt` (turns with role and content) and `completions`, in the
    order in which they are shown; `turn` is null where there is nothing for them. Raises `RefusedError` where something
    comes before the first task."""
    if (first := onboarding.missing(visit.person, visit.desk.project)) is not None:
        raise RefusedError(f"There is something to do first, in the browser: {first}.")
    turn = visit.desk.queue.next(visit.person)
    if turn is None:
        return JSONResponse({"turn": None})
    prompt = [{"role": one.role, "content": one.content} for one in turn.asked.group.prompt]
    return JSONResponse({
        "turn": turn.asked.turn, "kind": turn.asked.kind, "prompt": prompt, "completions": shown_texts(turn.asked)
    })  # fmt: skip
