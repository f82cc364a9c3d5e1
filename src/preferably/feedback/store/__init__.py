"""The one store of judgments: people, AI judges and rules write the same records into it, and training reads them."""
