"""The book's workshop: what builds and checks it, and no reader needs."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
