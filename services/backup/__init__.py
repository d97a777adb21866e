"""One file that holds all that the service would miss: `python -P -m services.backup`; see `docs/operations.md`."""
