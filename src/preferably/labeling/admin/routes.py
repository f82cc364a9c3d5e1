"""Which address is which page of the admins'."""

from starlette.routing import Route

from preferably.labeling.admin import agreement, demographics, disagreements, overview, people, tasks, train


def _sent(address: str, do: object) -> Route:
    return Route(address, do, methods=["POST"])  # type: ignore[arg-type]


ROUTES = [
    Route("/admin", overview.overview),
    Route("/admin/agreement", agreement.agreement),
    Route("/admin/disagreements", disagreements.disagreements),
    Route("/admin/tasks", tasks.tasks),
    Route("/admin/tasks/{number:str}", tasks.task),
    Route("/admin/train", train.train),
    Route("/admin/demographics", demographics.demographics),
    Route("/admin/people", people.people),
    Route("/admin/people/links", people.links),
    Route("/admin/people/{person:str}", people.member),
    _sent("/admin/tasks/{number:str}/settle", disagreements.settle),
    _sent("/admin/batches", tasks.change),
    _sent("/admin/people/invite", people.invite),
    _sent("/admin/people/{person:str}/link", people.link),
    _sent("/admin/people/{person:str}/role", people.role),
    _sent("/admin/people/{person:str}/group", people.group),
    _sent("/admin/people/{person:str}/requalify", people.requalify),
    _sent("/admin/people/{person:str}/state", people.state),
    _sent("/admin/people/{person:str}/forget", people.forget),
    _sent("/admin/people/{person:str}/erase", people.erase),
    _sent("/admin/invitations/{invitation:str}/revoke", people.revoke),
]
