"""What polls prove, in Postgres: the columns of sources and the rows of gaps. A scripted miner, a real sink and Postgres."""
import pytest

from scripted_miner import NEW, T0, Miner, Sink, batch, item, poll_row

MINUTE = 60_000
CONTINUOUS, GAP, UNPROVABLE = 1, 2, 3
PAGED_BACK, NO_NEXT_PAGE = 1, 2


@pytest.fixture
def pair(database):
    with Sink(database) as sink, Miner() as miner:
        miner.connect(sink)
        yield sink, miner


def proof(minute, continuity, since=0, reason=0, found=0, source=1):
    return poll_row(source, due=T0 + minute * MINUTE) + [continuity, since, reason, found]


def test_a_poll_without_items_is_acknowledged_and_kept(cluster, database, pair):
    _, miner = pair
    assert miner.store(batch([], polls=[proof(1, CONTINUOUS)])) == []
    state = "SELECT continuity, extract(epoch FROM continuity_poll)::bigint * 1000 FROM sources"
    assert cluster.rows(database, state) == [("continuous", T0 + MINUTE)]
    miner.store(batch([], polls=[proof(3, GAP, T0 + MINUTE, NO_NEXT_PAGE)]))
    miner.store(batch([], polls=[proof(2, CONTINUOUS)]))  # out of a spool, say
    assert cluster.rows(database, state) == [("gap", T0 + 3 * MINUTE)]
    assert miner.store(batch([item("a")], polls=[proof(4, UNPROVABLE)])) == [NEW]
    assert cluster.rows(database, state) == [("unprovable", T0 + 4 * MINUTE)]


def test_gaps_are_kept_once(cluster, database, pair):
    sink, miner = pair
    gaps = ("SELECT extract(epoch FROM since)::bigint * 1000, extract(epoch FROM date_trunc('second', until))::bigint * 1000, reason, found,"
            " closed_at IS NOT NULL FROM gaps ORDER BY since")
    miner.store(batch([item("a")], polls=[proof(3, GAP, T0 + MINUTE, NO_NEXT_PAGE)]))
    assert cluster.rows(database, gaps) == [(T0 + MINUTE, T0 + 3 * MINUTE, "no_next_page", 0, False)]
    # told again: by the same poll, and by the next one because the first one's outcome was lost
    miner.store(batch([], polls=[proof(3, GAP, T0 + MINUTE, NO_NEXT_PAGE)]))
    miner.store(batch([], polls=[proof(4, CONTINUOUS, T0 + MINUTE, PAGED_BACK, 12)]))
    assert cluster.rows(database, gaps) == [(T0 + MINUTE, T0 + 4 * MINUTE, "paged_back", 12, True)]
    gap = (9, GAP, T0 + 8 * MINUTE, NO_NEXT_PAGE)
    miner.store(batch([], polls=[proof(*gap), proof(*gap, source=2)]))
    assert len(cluster.rows(database, gaps)) == 3
    # one that follows without a break is the same one, which goes on
    miner.store(batch([], polls=[proof(10, GAP, T0 + 9 * MINUTE, NO_NEXT_PAGE, 5)]))
    assert cluster.rows(database, gaps)[1:2] == [(T0 + 8 * MINUTE, T0 + 10 * MINUTE, "no_next_page", 5, False)] or \
        cluster.rows(database, gaps)[2:3] == [(T0 + 8 * MINUTE, T0 + 10 * MINUTE, "no_next_page", 5, False)]
    assert len(cluster.rows(database, gaps)) == 3
    miner.store(batch([], polls=[proof(11, CONTINUOUS, T0 + 10 * MINUTE, PAGED_BACK, 5)]))  # but a closed one is another
    assert len(cluster.rows(database, gaps)) == 4
    # an older poll's gap does not come over a newer one's
    miner.store(batch([], polls=[proof(2, GAP, T0 + MINUTE, NO_NEXT_PAGE)]))
    assert cluster.rows(database, gaps)[0][3:] == (12, True)
    assert not sink.log("proofs_refused")


def test_a_gap_that_touches_two_goes_on_with_one(cluster, database, pair):
    """A source whose polls stay unfinished tells its gaps from one moment, open and closed in turns. No other's is lost for it."""
    sink, miner = pair
    gaps = ("SELECT extract(epoch FROM since)::bigint * 1000, extract(epoch FROM date_trunc('second', until))::bigint * 1000, closed_at IS NOT NULL"
            " FROM gaps ORDER BY since")
    miner.store(batch([], polls=[proof(5, GAP, T0 + MINUTE, NO_NEXT_PAGE)]))
    miner.store(batch([], polls=[proof(9, GAP, T0 + 5 * MINUTE, NO_NEXT_PAGE)]))
    miner.store(batch([], polls=[proof(13, CONTINUOUS, T0 + 5 * MINUTE, PAGED_BACK, 3)]))
    assert cluster.rows(database, gaps) == [(T0 + MINUTE, T0 + 9 * MINUTE, False), (T0 + 5 * MINUTE, T0 + 13 * MINUTE, True)]
    last = batch([], polls=[proof(17, GAP, T0 + 5 * MINUTE, NO_NEXT_PAGE), proof(17, GAP, T0 + 16 * MINUTE, NO_NEXT_PAGE, source=2)])
    expected = [(T0 + MINUTE, T0 + 9 * MINUTE, False), (T0 + 5 * MINUTE, T0 + 17 * MINUTE, False), (T0 + 16 * MINUTE, T0 + 17 * MINUTE, False)]
    for _ in range(2):  # and told twice
        miner.store(last)
        assert cluster.rows(database, gaps) == expected
    miner.store(batch([], polls=[proof(7, GAP, T0 + 4 * MINUTE, NO_NEXT_PAGE)]))  # late: it is within the first one
    assert cluster.rows(database, gaps) == expected
    assert not sink.log("proofs_refused")


def test_nonsense_is_refused(pair):
    _, miner = pair
    miner.store(batch([item("a")]))
    miner.ship(batch([], polls=[proof(1, 99)]))
    miner.pump_until(lambda: miner.errors, what="an error")
    assert miner.errors[-1][0] == 400
