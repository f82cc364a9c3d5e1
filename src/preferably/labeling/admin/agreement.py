"""`/admin/agreement`: what the labels are worth."""

from starlette.responses import Response

from preferably.labeling.admin.frame import figures, page, query
from preferably.labeling.admin.listing import Listing, leaf_of
from preferably.labeling.desk import Visit, seen_by

SIZE = 50  # labelers
PROMPTS = 10


@seen_by("lead")
def agreement(visit: Visit) -> Response:
    """Coefficients, labelers, groups, and the prompts that are disputed."""
    told = figures(visit).worth()
    worth = told.value[0] if told.value else None
    listing = Listing.of(query(visit), sorts=["judged"])
    leaf = leaf_of(worth.labelers if worth else [], listing, SIZE)
    return page(
        visit, "admin_agreement.html", told=told, worth=worth, leaf=leaf, listing=listing,
        disputed=[one for one in told.value[1] if one.dispute][:PROMPTS] if told.value else [],
    )  # fmt: skip
