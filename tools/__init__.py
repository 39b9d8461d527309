"""The book's workshop: what builds and checks it, and no reader needs."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is whole at any time: as it was, or as it shall be.

    Args:
        path: the file; its folder is there.
        text: all of it.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except BaseException:  # a full disk, or Ctrl-C
        new.unlink(missing_ok=True)
        raise
