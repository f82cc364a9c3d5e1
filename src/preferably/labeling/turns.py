"""A task as data, for programs that label: what the page shows, and no more."""

from starlette.responses import JSONResponse, Response

from preferably.labeling.answers import shown_texts
from preferably.labeling.desk import Visit, seen_by


@seen_by("labeler")
def next_turn(visit: Visit) -> Response:
    """The turn that is theirs now: `turn`, `kind`, `prompt` (turns with role and content) and `completions`, in the
    order in which they are shown; `turn` is null where there is nothing for them."""
    turn = visit.desk.queue.next(visit.person)
    if turn is None:
        return JSONResponse({"turn": None})
    prompt = [{"role": one.role, "content": one.content} for one in turn.asked.group.prompt]
    return JSONResponse({
        "turn": turn.asked.turn, "kind": turn.asked.kind, "prompt": prompt, "completions": shown_texts(turn.asked)
    })  # fmt: skip
