"""The pages of those who see to the labeling: leads, and admins, who also see to the people."""

from preferably.labeling.admin.routes import ROUTES

__all__ = ["ROUTES"]
