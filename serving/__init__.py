"""The merged read path: `import serving; tm = serving.connect()`."""

from serving.client import Tidemark, connect

__all__ = ["Tidemark", "connect"]
