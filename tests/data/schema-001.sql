-- pg_dump --inserts of a database of schema 001, with rows that a sink of that version wrote. Comments are left out.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.rtm_keep_revision() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.items (
    source_id bigint NOT NULL,
    template_id bigint NOT NULL,
    poll timestamp with time zone NOT NULL,
    published_at timestamp with time zone,
    content_hash bigint NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_absent_at timestamp with time zone,
    fetched_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    detail_at timestamp with time zone,
    detail_poll timestamp with time zone,
    tx xid8 NOT NULL,
    revision integer NOT NULL,
    cause smallint NOT NULL,
    backfill boolean NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    url text,
    title text,
    author text,
    summary text,
    content text,
    image text,
    fields jsonb NOT NULL
);
CREATE TABLE public.sources (
    source_id bigint NOT NULL,
    hex text GENERATED ALWAYS AS (lpad(to_hex(source_id), 16, '0'::text)) STORED NOT NULL,
    template_id bigint NOT NULL,
    template text NOT NULL,
    url text NOT NULL,
    added_at timestamp with time zone NOT NULL
);
CREATE TABLE public.templates (
    template_id bigint NOT NULL,
    hex text GENERATED ALWAYS AS (lpad(to_hex(template_id), 16, '0'::text)) STORED NOT NULL,
    name text NOT NULL,
    has_detail boolean NOT NULL,
    fresh_within interval NOT NULL
);
CREATE VIEW public.freshness AS
 SELECT t.name AS template,
    s.url AS source,
    i.source_id,
    count(*) AS items,
    percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY (i.stored_at - i.last_absent_at)) AS p50,
    percentile_cont((0.95)::double precision) WITHIN GROUP (ORDER BY (i.stored_at - i.last_absent_at)) AS p95,
    percentile_cont((0.99)::double precision) WITHIN GROUP (ORDER BY (i.stored_at - i.last_absent_at)) AS p99,
    avg((((i.stored_at - i.last_absent_at) <= t.fresh_within))::integer) AS within_promise
   FROM ((public.items i
     JOIN public.sources s ON ((s.source_id = i.source_id)))
     JOIN public.templates t ON ((t.template_id = i.template_id)))
  WHERE ((i.last_absent_at IS NOT NULL) AND (NOT i.backfill) AND (i.stored_at > (now() - '24:00:00'::interval)))
  GROUP BY GROUPING SETS ((t.name), (t.name, s.url, i.source_id));
CREATE TABLE public.gaps (
    source_id bigint NOT NULL,
    poll timestamp with time zone NOT NULL,
    since timestamp with time zone,
    reason text NOT NULL,
    closed_at timestamp with time zone
);
CREATE VIEW public.ingress AS
 SELECT i.title,
    COALESCE((i.fields ->> 'description'::text), i.summary) AS description,
    i.url,
    i.image,
    COALESCE(i.published_at, i.first_seen_at) AS createdate,
    t.name AS source,
    i.author,
    (i.fields ->> 'keywords'::text) AS keywords
   FROM (public.items i
     LEFT JOIN public.templates t ON ((t.template_id = i.template_id)));
CREATE TABLE public.rejects (
    source_id bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    part smallint NOT NULL,
    poll timestamp with time zone NOT NULL,
    reason text NOT NULL,
    rejected_at timestamp with time zone NOT NULL,
    batch bytea NOT NULL
);
CREATE TABLE public.revisions (
    source_id bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    revision integer NOT NULL,
    poll timestamp with time zone NOT NULL,
    url text,
    title text,
    author text,
    summary text,
    content text,
    image text,
    published_at timestamp with time zone,
    fields jsonb NOT NULL,
    content_hash bigint NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    replaced_at timestamp with time zone NOT NULL
);
CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
INSERT INTO public.gaps VALUES (1, '2026-11-25 08:55:25.818285+00', '2026-11-25 08:55:25.818285+00', 'overflow', NULL);
INSERT INTO public.items VALUES (-7046029254386353131, -9223372036854775675, '2023-11-14 22:13:20+00', NULL, 1, '2023-11-14 22:13:20.105+00', '2023-11-14 22:12:20+00', '2023-11-14 22:13:20.105+00', '2026-11-25 08:55:25.788+00', '2026-11-25 08:55:25.788+00', NULL, NULL, '732', 1, 0, false, 'b', NULL, 'b', NULL, NULL, NULL, NULL, '{}');
INSERT INTO public.items VALUES (-7046029254386353131, -9223372036854775675, '2023-11-14 22:13:20+00', NULL, 1, '2023-11-14 22:13:20.105+00', '2023-11-14 22:12:20+00', '2023-11-14 22:13:20.105+00', '2026-11-25 08:55:25.788+00', '2026-11-25 08:55:25.788+00', NULL, NULL, '732', 1, 0, false, 'c', NULL, 'gone to rejects', NULL, NULL, 'x', NULL, '{}');
INSERT INTO public.items VALUES (-7046029254386353131, -9223372036854775675, '2023-11-14 22:14:20+00', NULL, 2, '2023-11-14 22:13:20.105+00', '2023-11-14 22:12:20+00', '2023-11-14 22:14:20.105+00', '2026-11-25 08:55:25.788+00', '2026-11-25 08:55:25.79+00', NULL, NULL, '733', 2, 0, false, 'a', NULL, 'two', 'me', NULL, NULL, NULL, '{}');
INSERT INTO public.items VALUES (4354685564936845354, -9223372036854774963, '2023-11-14 22:13:20+00', NULL, 1, '2023-11-14 22:13:20.105+00', NULL, '2023-11-14 22:13:20.105+00', '2026-11-25 08:55:25.793+00', '2026-11-25 08:55:25.794+00', '2026-11-25 08:55:25.794+00', '2023-11-14 22:13:20+00', '736', 1, 3, false, 'd', 'http://site/d', 'D', NULL, 'from its page', NULL, NULL, '{"k": [1]}');
INSERT INTO public.rejects VALUES (-7046029254386353131, 'p', 0, '2023-11-14 22:15:20+00', '23514 new row for relation "items" violates check constraint "poison"', '2026-11-25 08:55:25.805+00', '\x92a5424154434885a373657101a974656d706c617465739194cf8000000000000085a174c2cdea60a7736f75726365739193cf9e3779b97f4a7c15cf8000000000000085d920687474703a2f2f736974652f3131343030373134383139333233313938343835a5706f6c6c739194cf9e3779b97f4a7c15cf0000018bcfe73cc0cf0000018bcfe73cc5cf0000018bcfe73d29a56974656d73919b0000a17001a0a6706f69736f6ea0a0a0a0d38000000000000000');
INSERT INTO public.revisions VALUES (-7046029254386353131, 'a', 1, '2023-11-14 22:13:20+00', NULL, 'one', 'me', NULL, NULL, NULL, NULL, '{}', 1, '2023-11-14 22:13:20.105+00', '2026-11-25 08:55:25.788+00', '2026-11-25 08:55:25.79+00');
INSERT INTO public.schema_migrations VALUES (1, '001-items.sql', '2026-11-25 08:55:25.751267+00');
INSERT INTO public.sources VALUES (-7046029254386353131, DEFAULT, -9223372036854775675, 't', 'http://site/11400714819323198485', '2026-11-25 08:55:25.785+00');
INSERT INTO public.sources VALUES (4354685564936845354, DEFAULT, -9223372036854774963, 'detailed', 'http://site/4354685564936845354', '2026-11-25 08:55:25.792+00');
INSERT INTO public.templates VALUES (-9223372036854775675, DEFAULT, 't', false, '00:01:00');
INSERT INTO public.templates VALUES (-9223372036854774963, DEFAULT, 'detailed', true, '00:01:00');
ALTER TABLE ONLY public.gaps
    ADD CONSTRAINT gaps_pkey PRIMARY KEY (source_id, poll);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (source_id, key);
ALTER TABLE ONLY public.rejects
    ADD CONSTRAINT rejects_pkey PRIMARY KEY (source_id, key, part);
ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_pkey PRIMARY KEY (source_id, key, revision);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.sources
    ADD CONSTRAINT sources_pkey PRIMARY KEY (source_id);
ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (template_id);
CREATE INDEX items_in_commit_order ON public.items USING btree (tx);
CREATE INDEX items_newest_of_source ON public.items USING btree (source_id, first_seen_at);
CREATE INDEX items_newest_of_template ON public.items USING btree (template_id, first_seen_at);
CREATE INDEX sources_by_template ON public.sources USING btree (template_id);
CREATE TRIGGER items_keep_revision AFTER UPDATE ON public.items FOR EACH ROW WHEN ((old.revision IS DISTINCT FROM new.revision)) EXECUTE FUNCTION public.rtm_keep_revision();
