"""Stores in both databases."""

from databases import database_server, new_database, place, store

__all__ = ["new_database", "place", "database_server", "store"]  # fixtures
