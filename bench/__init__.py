"""What training costs here and elsewhere, measured side by side: ``python -m bench``."""
