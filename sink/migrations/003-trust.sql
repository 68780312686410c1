-- Retention, marks by which a sink knows its database again, causes of broken promises, roles.

-- How long a template's items are kept, and how many of them; null: all.
ALTER TABLE templates ADD COLUMN keep_age interval, ADD COLUMN keep_items bigint;

-- What retention removed and its source may still list: such a key is known, and never comes back. key_hash is
-- hashtextextended(key, 0). Goes when it was not listed for seven days.
CREATE TABLE gone (
    source_id bigint NOT NULL,
    key_hash bigint NOT NULL,
    listed_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, key_hash)
);
CREATE INDEX gone_by_age ON gone (listed_at);

-- Each sink's count of its commits, written with the commit. One that is behind what its sink remembers says that
-- the database was restored to an earlier state.
CREATE TABLE marks (
    sink bigint PRIMARY KEY,
    mark bigint NOT NULL,
    marked_at timestamptz NOT NULL,
    durable boolean NOT NULL -- its sink remembers it over restarts; others go after a month
);

-- items.cause as a word. From 200 on: what happened to the source's polls before, by its error class.
CREATE FUNCTION rtm_cause(cause smallint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
    WHEN cause = 100 THEN 'spooled'
    WHEN cause = 101 THEN 'replayed'
    WHEN cause >= 200 THEN COALESCE((ARRAY[
        'none', 'dns', 'connect', 'tls', 'timeout', 'reset', 'truncated', 'too_big', 'redirects', 'bad_url',
        'refused_address', 'http_4xx', 'not_found', 'gone', 'rate_limited', 'http_5xx', 'challenge', 'empty_body',
        'not_this_kind', 'parse', 'too_complex', 'rotted', 'robots', 'rejected', 'internal', 'quarantined',
        'blocked', 'dependency', 'overloaded', 'host_backoff', 'sink_backpressure', 'still_running',
        'missed_while_down', 'no_miner', 'removed', 'limited', 'poison', 'no_secret'])[cause - 199], 'error_' || cause - 200)
    ELSE COALESCE((ARRAY['scheduled', 'added', 'reassigned', 'retry', 'triggered', 'catch_up',
                         'probe', 'host_backoff', 'overloaded', 'waited', 'replay'])[cause + 1],
                  'cause_' || cause)
END
$$;

-- Items of the last 24 hours that may have been later than their template promises, and why. Of an ordinary poll it
-- is the longer of its two spans: between the polls (interval), or from the document to the commit (storing).
CREATE VIEW breaches AS
SELECT t.name AS template, s.url AS source, i.source_id, i.key, i.title,
       i.stored_at - i.last_absent_at AS bound, t.fresh_within,
       CASE WHEN i.cause <> 0 THEN rtm_cause(i.cause)
            WHEN i.stored_at - i.first_seen_at > i.first_seen_at - i.last_absent_at THEN 'storing'
            ELSE 'interval' END AS cause,
       i.last_absent_at, i.first_seen_at, i.stored_at
FROM items i
JOIN sources s ON s.source_id = i.source_id
JOIN templates t ON t.template_id = i.template_id
WHERE i.stored_at - i.last_absent_at > t.fresh_within AND NOT i.backfill AND i.stored_at > now() - interval '24 hours';

-- The rights of the two roles: rtm_writer is what a sink needs once the schema is there, rtm_reader what people and
-- programs need that read. A role that does not exist is left out: whoever makes it later calls this again.
CREATE FUNCTION rtm_grant() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rtm_writer') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO rtm_writer', current_schema());
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO rtm_writer', current_database());
        GRANT SELECT, INSERT, UPDATE, DELETE ON items, revisions, gone, rejects, marks TO rtm_writer;
        GRANT SELECT, INSERT, UPDATE ON templates, sources, gaps TO rtm_writer;
        GRANT SELECT ON schema_migrations TO rtm_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rtm_reader') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO rtm_reader', current_schema());
        GRANT SELECT ON items, revisions, templates, sources, gaps, freshness, breaches, ingress TO rtm_reader;
    END IF;
END
$$;

-- Roles belong to the whole server: another database's sink may have made them, or be about to.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['rtm_writer', 'rtm_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    PERFORM rtm_grant();
EXCEPTION WHEN insufficient_privilege THEN
    NULL; -- of the database or schema, which belong to somebody else
END
$$;
