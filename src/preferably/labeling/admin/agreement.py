"""`/admin/agreement`: what the labels are worth."""

from starlette.responses import Response

from preferably.labeling.admin.frame import figures, page, query
from preferably.labeling.admin.listing import Listing, leaf_of
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.disputed import groups_in

SIZE = 50  # labelers
PROMPTS = 10


@seen_by("lead")
def agreement(visit: Visit) -> Response:
    """Coefficients, labelers, groups, and the prompts that are disputed."""
    told = figures(visit).worth()
    worth = told.value[0] if told.value else None
    listing = Listing.of(query(visit), sorts=["judged"])
    leaf = leaf_of(worth.labelers if worth else [], listing, SIZE)
    disputed = [one for one in told.value[1] if one.labelers][:PROMPTS] if told.value else []
    groups = groups_in(visit.desk.store, [one.item for one in disputed])
    return page(
        visit, "admin_agreement.html", told=told, worth=worth, leaf=leaf, listing=listing,
        disputed=[(one, groups[one.item].prompt_text) for one in disputed],
    )  # fmt: skip
