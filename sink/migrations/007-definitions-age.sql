-- When the latest poll started by which a template changed. What a spool says of it from before comes too late.
ALTER TABLE templates ADD COLUMN defined_at timestamptz;
