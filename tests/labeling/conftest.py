"""Stores in both databases, and the app of one."""

from databases import database_server, new_database, place, store
from sites import anywhere, site

__all__ = ["new_database", "place", "database_server", "store", "site", "anywhere"]  # fixtures
