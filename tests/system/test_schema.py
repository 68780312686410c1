"""The schema: a database of the version before is migrated with its rows, and roles with the least rights suffice."""
import os
import re

import psycopg2
import pytest

from scripted_miner import CHANGED, KNOWN, NEW, REJECTED, T0, Miner, Sink, batch, item, wait_until
from simsite import ROOT

MINUTE = 60_000


def load_001(cluster, database):
    with open(os.path.join(ROOT, "tests", "data", "schema-001.sql"), encoding="utf-8") as dump:
        cluster.execute(database, dump.read())


def test_the_version_before_is_migrated(cluster, database):
    load_001(cluster, database)
    query = "SELECT source_id, key, title, revision, poll, first_seen_at, stored_at FROM items ORDER BY source_id, key"
    before = cluster.rows(database, query)
    assert len(before) == 4
    with Sink(database) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        assert sink.log(r"migration number=3 ") and not sink.log(r"migration number=1 ")
        assert cluster.rows(database, query) == before
        assert cluster.rows(database, "SELECT keep_age, keep_items FROM templates") == [(None, None)] * 2
        # what was known is known, and goes on where it was
        assert miner.store(batch([item("a", 2, title="two"), item("b", 2, title="B"), item("z")],
                                 due=T0 + 3 * MINUTE)) == [KNOWN, CHANGED, NEW]
        assert cluster.value(database, "SELECT revision FROM items WHERE key = 'b'") == 2
        assert cluster.rows(database, "SELECT reason FROM gaps") == [("overflow",)]
    for view in ("freshness", "breaches", "ingress"):
        cluster.rows(database, f"SELECT * FROM {view}")


def test_four_sinks_migrate_the_version_before(cluster, database):
    load_001(cluster, database)
    sinks = [Sink(database).__enter__() for _ in range(4)]
    try:
        for s in sinks:
            s.wait_log(r"postgres state=up")
            assert not s.log(r"migration_failed|state=down")
        assert sum(len(s.log(r"migration number=3 ")) for s in sinks) == 1
    finally:
        for s in sinks:
            s.stop()


@pytest.fixture
def logins(cluster, database):
    """Conninfos of a login that may only write, and of one that may only read."""
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
    found = {}
    for role in ("writer", "reader"):
        name = f"{role}_{database.rsplit('=', 1)[1]}"
        cluster.execute(database, f"CREATE ROLE {name} LOGIN IN ROLE rtm_{role}")
        found[role] = database.replace("user=postgres", f"user={name}")
    return found


def test_a_sink_needs_no_more_than_the_writer_role(cluster, database, logins):
    cluster.execute(database, "ALTER TABLE items ADD CONSTRAINT poison CHECK (title <> 'poison')")
    with Sink(logins["writer"], "--retention-every", "200ms") as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        assert miner.store(batch([item("a", 1), item("p", title="poison")], keep_items=1)) == [NEW, REJECTED]
        assert miner.store(batch([item("a", 2)], due=T0 + 1, keep_items=1)) == [CHANGED]
        assert miner.store(batch([item("b")], due=T0 + 2 * MINUTE, keep_items=1)) == [NEW]
        cluster.execute(database, "INSERT INTO gaps VALUES (1, '2000-01-01', now(), 'overflow', NULL)")
        sink.wait_log(r"retention template=t by_age=0 by_count=1")
        wait_until(lambda: cluster.value(database, "SELECT count(*) FROM gaps") == 0)
        assert not sink.log(r"state=down|retention reason")
    for statement in ("DROP TABLE items", "CREATE TABLE mine (a int)", "ALTER TABLE items ADD COLUMN x int",
                      "DELETE FROM schema_migrations", "TRUNCATE items"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            if statement.startswith("CREATE") and cluster.value(database, "SHOW server_version_num") < "150000":
                raise psycopg2.errors.InsufficientPrivilege  # before 15 anyone may create in public
            cluster.execute(logins["writer"], statement)


def test_the_reader_role_reads_and_no_more(cluster, database, logins):
    for table in ("items", "revisions", "templates", "sources", "gaps", "freshness", "breaches", "ingress"):
        cluster.rows(logins["reader"], f"SELECT * FROM {table}")
    for statement in ("DELETE FROM items", "UPDATE items SET title = ''", "SELECT * FROM rejects",
                      "INSERT INTO gaps VALUES (1, now(), now(), 'x', NULL)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cluster.execute(logins["reader"], statement)


def test_a_role_that_may_create_no_roles_still_migrates(cluster, database):
    """An owner without CREATEROLE: the tables are there, the roles are granted later by rtm_grant()."""
    name = database.rsplit("=", 1)[1]
    cluster.execute(database, f"CREATE ROLE owner_{name} LOGIN")
    cluster.execute(database, f"ALTER DATABASE {name} OWNER TO owner_{name}")
    cluster.execute(database, f"GRANT CREATE ON SCHEMA public TO owner_{name}")
    with Sink(database.replace("user=postgres", f"user=owner_{name}")) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        assert miner.store(batch([item("a")])) == [NEW]
        assert not sink.log(r"migration_failed")
    cluster.execute(database, "SELECT rtm_grant()")


def test_every_cause_has_its_name(cluster, database):
    """The words of items.cause are those of the wire."""
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
    with open(os.path.join(ROOT, "proto", "wire.h"), encoding="utf-8") as header:
        text = header.read()

    def words(macro):
        return re.findall(r"X\((\w+)\)", re.search(rf"#define {macro}\(X\)(.*?[^\\])\n", text, re.S).group(1))
    for first, macro in ((0, "WIRE_CAUSES"), (200, "ERROR_CLASSES")):
        named = [cluster.value(database, f"SELECT rtm_cause({first + n}::smallint)") for n in range(len(words(macro)))]
        assert named == words(macro), "a migration that replaces rtm_cause() is missing"
    assert cluster.value(database, "SELECT rtm_cause(100::smallint)") == "spooled"


def test_tables_can_be_distributed_by_source(cluster, database):
    """As Citus and its like want it: each unique key holds the column that rows are placed by, and tables without it are
    small enough to be everywhere. Nothing refers to another table, so nothing holds such a move up."""
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
    columns = cluster.rows(database, """
        SELECT c.relname, bool_or(a.attname = 'source_id') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 GROUP BY c.relname""")
    placed = {name for name, by_source in columns if by_source}
    assert {"items", "revisions", "sources", "gaps", "rejects"} <= placed
    assert {name for name, by_source in columns if not by_source} == {"templates", "marks", "schema_migrations"}
    unique = cluster.rows(database, """
        SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, array_agg(a.attname::text)
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indisunique AND i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        GROUP BY 1, 2""")
    for table, index, names in unique:
        assert table not in placed or "source_id" in names, index
    assert cluster.value(database, "SELECT count(*) FROM pg_constraint WHERE contype IN ('f', 'x')") == 0
