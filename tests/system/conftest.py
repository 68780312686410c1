"""Fixtures that several test files share."""
import os

import pytest

from pg import Cluster
from scripted_peers import World

# A machine that runs tests has much to do; miners are not to become lazy over it, but where a test wants them to.
for name in ("CPU", "LOAD", "MEMORY", "SLOTS"):
    os.environ.setdefault(f"RTM_LAZY_{name}", "0")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures time or an amount; no other test runs meanwhile")


@pytest.fixture(scope="session")
def cluster():
    """One Postgres server for all tests; each makes its own database in it, and leaves the server running."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def database(cluster):
    """Conninfo of an empty database."""
    return cluster.create()


@pytest.fixture
def world():
    """A miner between a scripted broker, sink and web; not started."""
    with World() as world:
        yield world
