-- Where readers begin that want all items since a moment: no item that last changed at it or later has a lower
-- tx. Found by bisection, as ids and commit times grow together, but for the ten minutes by which the commits
-- and clocks of several sinks may be apart.
CREATE FUNCTION rtm_since(moment timestamptz) RETURNS xid8 LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    item record;
BEGIN
    SELECT tx::text::bigint + 1 INTO high FROM items ORDER BY tx DESC LIMIT 1;
    WHILE low < COALESCE(high, 0) LOOP
        middle := (low + high) / 2;
        SELECT tx, updated_at INTO item FROM items WHERE tx >= middle::text::xid8 ORDER BY tx LIMIT 1;
        IF item.updated_at < moment - interval '10 minutes' THEN
            low := item.tx::text::bigint + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN low::text::xid8;
END
$$;
