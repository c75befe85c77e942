"""Fixtures of other folders that these tests use too."""

from tests.cli.conftest import cli

__all__ = ["cli"]
