-- The normal form of an item's url, the same for every source that links to one story. A hash index: URLs may be
-- longer than what a B-tree takes.
ALTER TABLE items ADD COLUMN url_norm text;
CREATE INDEX items_by_story ON items USING hash (url_norm) WHERE url_norm IS NOT NULL;
