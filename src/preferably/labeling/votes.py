"""What the page of a task sends: an answer is acknowledged once it is on the disk, and not before."""

from starlette.responses import JSONResponse, Response

from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.sheet import expected_of


@seen_by("labeler")
def answer(visit: Visit, turn: str) -> Response:
    """Keep an answer. The same one sent again gets the same receipt."""
    receipt = visit.desk.queue.answer(visit.person, turn, visit.body)
    told: dict[str, object] = {"saved": receipt.answer, "late": receipt.late}
    if receipt.right is not None and visit.desk.project.gold.feedback:
        expected = expected_of(visit.desk.queue.turn(visit.person, turn), visit.desk.project)
        told["gold"] = {"right": receipt.right, "why": receipt.why, "expected": expected}
    return JSONResponse(told)


@seen_by("labeler")
def skip(visit: Visit, turn: str) -> Response:
    """Leave a task to others."""
    visit.desk.queue.skip(visit.person, turn)
    return JSONResponse({"skipped": turn})
