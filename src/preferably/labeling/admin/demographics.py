"""`/admin/demographics`: who labels, in counts in which nobody can be found."""

from starlette.responses import Response

from preferably.labeling.admin.frame import page
from preferably.labeling.cells import cells_of
from preferably.labeling.desk import Visit, seen_by
from preferably.statistics.disclosure import LEAST


@seen_by("lead")
def demographics(visit: Visit) -> Response:
    """The counts."""
    return page(visit, "admin_demographics.html", cells=cells_of(visit.desk.store, visit.desk.project), least=LEAST)
