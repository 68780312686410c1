"""Fixtures that several test files share."""
import pytest

from pg import Cluster


@pytest.fixture(scope="session")
def cluster():
    """One Postgres server for all tests; each makes its own database in it, and leaves the server running."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def database(cluster):
    """Conninfo of an empty database."""
    return cluster.create()
