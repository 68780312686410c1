-- Gaps go with age, and a sink may remove them.
CREATE INDEX gaps_by_age ON gaps (poll);

CREATE OR REPLACE FUNCTION rtm_grant() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rtm_writer') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO rtm_writer', current_schema());
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO rtm_writer', current_database());
        GRANT SELECT, INSERT, UPDATE, DELETE ON items, revisions, gone, gaps, rejects, marks TO rtm_writer;
        GRANT SELECT, INSERT, UPDATE ON templates, sources TO rtm_writer;
        GRANT SELECT ON schema_migrations TO rtm_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rtm_reader') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO rtm_reader', current_schema());
        GRANT SELECT ON items, revisions, templates, sources, gaps, freshness, breaches, ingress TO rtm_reader;
    END IF;
END
$$;

DO $$
BEGIN
    PERFORM rtm_grant();
EXCEPTION WHEN insufficient_privilege THEN
    NULL; -- of the database or schema, which belong to somebody else
END
$$;
