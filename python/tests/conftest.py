"""Data that some tests need and that is not part of the repository."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared():
    """A function from a path below `PROXMO_SHARED`, or below `../shared`, to that file or folder."""

    def find(path):
        beside = Path(__file__).resolve().parents[2] / "../shared"
        found = Path(os.environ.get("PROXMO_SHARED", beside)) / path
        if not found.exists():
            assert "CI" not in os.environ, f"{found} does not exist"
            pytest.skip(f"{found} does not exist")
        return found

    return find
