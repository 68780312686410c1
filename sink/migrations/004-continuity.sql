-- What polls prove: whether anything can have been missed between two of them.

-- continuity: unknown, continuous (nothing was missed), gap, unprovable (no list in order of time, or too short), as the
-- poll of continuity_poll said.
ALTER TABLE sources ADD COLUMN continuity text NOT NULL DEFAULT 'unknown', ADD COLUMN continuity_poll timestamptz;

-- Posts that came after since may be missing up to until, unless closed_at is set: then paging back met what was
-- known. found: new posts on the pages behind the template's. One gap of a source is one since.
ALTER TABLE gaps ADD COLUMN until timestamptz, ADD COLUMN found bigint NOT NULL DEFAULT 0;
CREATE INDEX gaps_by_since ON gaps (source_id, since);
