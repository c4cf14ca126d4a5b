"""The merged answer over HTTP: `python -m serving.api`."""
