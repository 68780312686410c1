-- Items and what belongs to them. Ids are unsigned 64-bit numbers stored bit for bit as bigint, so half of them
-- are negative; the column hex of sources and templates shows them as people and rtm-ctl write them.
-- All times are broker time. Every table is keyed by source_id first, so that it can be distributed by it.

CREATE TABLE templates (
    template_id bigint PRIMARY KEY,
    hex text NOT NULL GENERATED ALWAYS AS (lpad(to_hex(template_id), 16, '0')) STORED,
    name text NOT NULL,
    has_detail boolean NOT NULL,
    fresh_within interval NOT NULL
);

CREATE TABLE sources (
    source_id bigint PRIMARY KEY,
    hex text NOT NULL GENERATED ALWAYS AS (lpad(to_hex(source_id), 16, '0')) STORED,
    template_id bigint NOT NULL,
    template text NOT NULL,
    url text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE INDEX sources_by_template ON sources (template_id);

-- One row a post. poll: the due of the newest poll that this row's version comes from; an upsert acts only if its
-- poll is newer. detail_poll: the same for what the detail page added.
-- first_seen_at: end of the first fetch that had the post; last_absent_at: request start (less the response's Age)
-- of the last poll before it, null if unknown; fetched_at: of this version; stored_at: when the post was first
-- committed; updated_at: when the row last changed for a reader. stored_at - last_absent_at bounds the delay.
-- cause: why the poll that found it was special: 0 scheduled, 1 added, 2 reassigned, 3 retry, 4 triggered,
-- 5 catch_up, 100 it waited in the sink's spool. tx: the transaction that last changed the row for a reader; cursors follow it.
CREATE TABLE items (
    source_id bigint NOT NULL,
    template_id bigint NOT NULL,
    poll timestamptz NOT NULL,
    published_at timestamptz,
    content_hash bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_absent_at timestamptz,
    fetched_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    detail_at timestamptz,
    detail_poll timestamptz,
    tx xid8 NOT NULL,
    revision integer NOT NULL,
    cause smallint NOT NULL,
    backfill boolean NOT NULL,
    key text COLLATE "C" NOT NULL,
    url text,
    title text,
    author text,
    summary text,
    content text,
    image text,
    fields jsonb NOT NULL,
    PRIMARY KEY (source_id, key)
);
CREATE INDEX items_newest_of_source ON items (source_id, first_seen_at);
CREATE INDEX items_newest_of_template ON items (template_id, first_seen_at);
CREATE INDEX items_in_commit_order ON items (tx);

-- The versions of a post before its present one. The trigger keeps them, so that no writer can forget to.
CREATE TABLE revisions (
    source_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    revision integer NOT NULL,
    poll timestamptz NOT NULL,
    url text,
    title text,
    author text,
    summary text,
    content text,
    image text,
    published_at timestamptz,
    fields jsonb NOT NULL,
    content_hash bigint NOT NULL,
    fetched_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, key, revision)
);

CREATE FUNCTION rtm_keep_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revisions (source_id, key, revision, poll, url, title, author, summary, content, image,
                           published_at, fields, content_hash, fetched_at, updated_at, replaced_at)
    VALUES (OLD.source_id, OLD.key, OLD.revision, OLD.poll, OLD.url, OLD.title, OLD.author, OLD.summary,
            OLD.content, OLD.image, OLD.published_at, OLD.fields, OLD.content_hash, OLD.fetched_at,
            OLD.updated_at, NEW.updated_at)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER items_keep_revision AFTER UPDATE ON items
    FOR EACH ROW WHEN (OLD.revision IS DISTINCT FROM NEW.revision) EXECUTE FUNCTION rtm_keep_revision();

-- Where continuity could not be proven: posts of a source may be missing between two polls.
CREATE TABLE gaps (
    source_id bigint NOT NULL,
    poll timestamptz NOT NULL,
    since timestamptz,
    reason text NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (source_id, poll)
);

-- Items that Postgres refused, with its reason. batch: a BATCH message that holds just this item; sending it to a
-- sink again replays it.
CREATE TABLE rejects (
    source_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    part smallint NOT NULL,
    poll timestamptz NOT NULL,
    reason text NOT NULL,
    rejected_at timestamptz NOT NULL,
    batch bytea NOT NULL,
    PRIMARY KEY (source_id, key, part)
);

-- How late items of the last 24 hours can have been at most, against what their template promises.
CREATE VIEW freshness AS
SELECT t.name AS template, s.url AS source, i.source_id,
       count(*) AS items,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY i.stored_at - i.last_absent_at) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY i.stored_at - i.last_absent_at) AS p95,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY i.stored_at - i.last_absent_at) AS p99,
       avg((i.stored_at - i.last_absent_at <= t.fresh_within)::int) AS within_promise
FROM items i
JOIN sources s ON s.source_id = i.source_id
JOIN templates t ON t.template_id = i.template_id
WHERE i.last_absent_at IS NOT NULL AND NOT i.backfill AND i.stored_at > now() - interval '24 hours'
GROUP BY GROUPING SETS ((t.name), (t.name, s.url, i.source_id));

-- The prototype's table shape.
CREATE VIEW ingress AS
SELECT i.title,
       COALESCE(i.fields->>'description', i.summary) AS description,
       i.url,
       i.image,
       COALESCE(i.published_at, i.first_seen_at) AS createdate,
       t.name AS source,
       i.author,
       i.fields->>'keywords' AS keywords
FROM items i
LEFT JOIN templates t ON t.template_id = i.template_id;
