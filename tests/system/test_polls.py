"""Lists and their details in a real cluster: what is followed again after somebody died, and what is said of gaps."""
import threading

import psycopg2
import pytest

from cluster import Cluster, wait_until
from pg import Cluster as Postgres
from scripted_peers import Web, listing


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as p:
        yield p


@pytest.fixture
def web():
    w = Web()
    yield w
    w.close()


def template(web, name, path, **members):
    document = {"name": name, "kind": "html", "url": web.url(path), "items": "li", "key": "::attr(id)", "every": "1s",
                "fields": {"title": "a::text", "url": "a::attr(href)"}, "politeness": {"gap": "0s", "concurrency": 8}, **members}
    return {k: v for k, v in document.items() if v is not None}


def page(first, n, more=None):
    body = listing(*[(i, f"/item/{i}", f"title {i}") for i in range(first, first - n, -1)])
    return 200, {}, body.replace("</ul>", f'</ul><a rel="next" href="{more}">older</a>' if more else "</ul>")


def owner(c):
    name = next(s["miner"] for s in c.ctl_json("sources") if s["miner"])
    return next(m for m in c.miners if m.name == name)


def wait_remembered(c, *name):
    """Rows are there a little before the broker has what their poll left behind: before that, whoever kills a miner takes it away."""
    wait_until(lambda: all(s["last_stored_ms"] for s in c.ctl_json("sources", *name)), 20, "what the polls left is at the broker")


def wait_complete(c, n, what, timeout=40):
    """Waits until n items have their details."""
    wait_until(lambda: c.sql("select count(*) from items where detail_at is not null")[0][0] == n, timeout, what,
               ignore=(psycopg2.OperationalError, psycopg2.errors.UndefinedTable))


def test_details_are_followed_once_whoever_dies(postgres, web):
    def publish(n):
        web.pages["/list"] = page(n, 6)
        web.pages[f"/item/{n}"] = (200, {}, f"<p>text {n}</p>")
    for i in range(1, 7):
        publish(i)
    with Cluster(miners=2, slot="1s", postgres=postgres) as c:
        c.add(template(web, "board", "/list", detail={"fields": {"content": "p"}}))
        wait_complete(c, 6, "six details")
        owner(c).kill()  # another one takes over, which has seen nothing
        publish(7)
        wait_complete(c, 7, "the seventh, by another miner")
        for m in c.miners:
            if not m.running:
                m.start()
        c.sink.restart()
        publish(8)
        wait_complete(c, 8, "the eighth, after the sink's death")
        c.broker.restart()
        publish(9)
        wait_complete(c, 9, "the ninth, after the broker's death")
        for m in c.miners:
            m.restart()
        publish(10)
        wait_complete(c, 10, "the tenth, after both miners' death")
        assert [len(web.asked(f"/item/{i}")) for i in range(1, 11)] == [1] * 10
        assert c.sql("select count(*), count(distinct key), max(revision) from items") == [(10, 10, 1)]


def test_details_that_were_under_way_are_followed_again_and_no_others(postgres, web):
    stuck = threading.Event()
    web.pages["/list"] = page(6, 6)
    for i in range(1, 7):
        web.pages[f"/item/{i}"] = (200, {}, f"<p>text {i}</p>")
    web.pages["/item/3"] = lambda handler: stuck.wait(20) and (200, {}, "<p>text 3</p>")
    with Cluster(miners=2, slot="1s", postgres=postgres) as c:
        c.add(template(web, "board", "/list", detail={"fields": {"content": "p"}}))
        wait_complete(c, 5, "all details but one")
        wait_until(lambda: web.asked("/item/3"), 10, "the last one is under way")
        owner(c).kill()
        stuck.set()
        wait_complete(c, 6, "the last one, by another miner")
        asked = [len(web.asked(f"/item/{i}")) for i in range(1, 7)]
        assert asked[:2] + asked[3:] == [1] * 5 and asked[2] >= 2


def gaps(c, *args):
    return [(g["state"], g["reason"], g["found"]) for g in c.ctl_json("gaps", *args)]


def test_a_429_of_one_miners_detail_page_stops_all_miners(postgres, web):
    pages = Web("127.0.0.2")  # both lists lead there

    def publish(path, *items):
        web.pages[path] = (200, {}, listing(*[(i, pages.url(f"/d/{i}", host="127.0.0.2"), f"title {i}") for i in items]))

    def details():
        return {key: done for key, done in c.sql("select key, detail_at is not null from items")}

    try:
        for i in (1, 11, 12):
            pages.pages[f"/d/{i}"] = (200, {}, f"<p>text {i}</p>")
        pages.pages["/d/2"] = (429, {"Retry-After": "600"}, b"")
        publish("/a", 1)
        publish("/b", 11)
        with Cluster(miners=2, slot="1s", postgres=postgres) as c:
            for name, host in (("a", "127.0.0.1"), ("b", "localhost")):
                document = template(web, name, f"/{name}", detail={"fields": {"content": "p"}})
                c.add({**document, "url": web.url(f"/{name}", host=host)})
            wait_complete(c, 2, "the first details")
            wait_until(lambda: len({s["miner"] for s in c.ctl_json("sources")} - {""}) == 2, 40, "a miner for each")
            publish("/a", 2, 1)
            wait_until(lambda: pages.asked("/d/2"), 20, "the one that is too much")
            told = len(web.asked("/b"))
            wait_until(lambda: len(web.asked("/b")) > told + 1, 20, "the other miner to have heard")
            publish("/b", 12, 11)
            told = len(web.asked("/b"))
            wait_until(lambda: len(web.asked("/b")) > told + 2 and "12" in details(), 20, "polls of the other list")
            assert details() == {"1": True, "2": False, "11": True, "12": False}
            assert len(pages.asked("/d/2")) == 1 and not pages.asked("/d/12")
    finally:
        pages.close()


def test_gaps_are_on_record(postgres, web):
    web.pages["/a"] = page(20, 10, "/a?p=2")
    web.pages["/b"] = page(20, 10)
    web.pages["/c"] = page(20, 10)
    with Cluster(miners=2, slot="1s", postgres=postgres) as c:
        for name, order in (("a", "newest"), ("b", "newest"), ("c", "ranked")):
            c.add(template(web, name, f"/{name}", order=order))
        c.wait_rows("select count(*) from items", 30)
        wait_remembered(c)
        assert gaps(c) == []
        # nobody polls while the lists move on
        for m in c.miners:
            m.kill()
        web.pages.update({"/a": page(45, 10, "/a?p=2"), "/a?p=2": page(35, 10, "/a?p=3"), "/a?p=3": page(25, 10, "/a?p=4"),
                          "/b": page(45, 10), "/c": page(45, 10)})
        for m in c.miners:
            m.start()
        wait_until(lambda: c.sql("select count(*) from items")[0][0] == 30 + 25 + 10 + 10, 40, "the later items")
        wait_until(lambda: len(gaps(c)) == 2, 20, "two gaps")
        assert sorted(gaps(c)) == [("closed", "paged_back", 15), ("open", "no_next_page", 0)]
        assert gaps(c, "a") == [("closed", "paged_back", 15)] and gaps(c, "c") == [("unprovable", "", 0)]
        row, = c.ctl_json("gaps", "b")
        assert row["template"] == "b" and row["url"] == web.url("/b") and 0 < row["from_ms"] < row["to_ms"]
        assert "no_next_page" in c.ctl("gaps", "b", check=True).stdout
        assert c.ctl("gaps", "nobody").returncode == 1
        known = c.sql("select s.template, g.reason, g.found, g.closed_at is not null, g.since < g.until,"
                      " extract(epoch from g.since)::numeric * 1000 from gaps g join sources s using (source_id) order by 1")
        assert [k[:5] for k in known] == [("a", "paged_back", 15, True, True), ("b", "no_next_page", 0, False, True)]
        assert int(known[1][5]) == row["from_ms"]
        states = "select template, continuity from sources order by 1"
        wait_until(lambda: c.sql(states) == [("a", "continuous"), ("b", "continuous"), ("c", "unprovable")] or
                   c.sql(states) == [("a", "continuous"), ("b", "gap"), ("c", "unprovable")], 20, "the states")
        # the next list reaches back; the gap stays where it was, over a restart of the broker
        web.pages["/b"] = page(47, 10)
        wait_until(lambda: c.sql(states)[1] == ("b", "continuous"), 20, "continuity")
        c.broker.restart()
        wait_until(lambda: sorted(gaps(c)) == [("closed", "paged_back", 15), ("open", "no_next_page", 0)], 20, "the gaps")
        assert c.sql("select count(*) from items where template_id = (select template_id from templates where name = 'a')"
                     " and not backfill")[0][0] >= 10


# -- the language, from a template to rows --


@pytest.fixture(scope="module")
def rtm(postgres):
    with Cluster(miners=1, slot="1s", postgres=postgres) as c:
        wait_until(lambda: c.sql("select 1 from items") == [], 20, "the schema", ignore=(psycopg2.errors.UndefinedTable,))
        yield c


def rows(c, name, columns="key"):
    return c.sql(f"select {columns} from items join templates using (template_id) where name = %s order by key", [name])


def wait_keys(c, name, keys):
    wait_until(lambda: [k for k, in rows(c, name)] == sorted(keys), 20, f"the items {keys} of {name}")


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_prototypes_dialect(rtm, web, wrapped):
    head = '<head><meta property="og:title" content="{0}"><meta property="og:description" content="about {0}">' \
           '<meta property="og:image" content="/pictures/{0}.png"><meta name="keywords" content="a, {0}">' \
           '<meta name="author" content="ann"></head><body><div class="section">{1}</div></body>'
    config = {"uri": web.url("/home"), "homepageLinksPath": ["h2 > a", "h3 a"], "title": 'meta[property="og:title"]',
              "description": 'meta[property="og:description"]', "image": 'meta[property="og:image"]',
              "keywords": 'meta[name="keywords"]', "metaAuthor": 'meta[name="author"]', "urlFilters": ["item?id=", "/ads/"],
              "pageFilters": [{"path": ".section", "value": "Sponsored"}]}
    web.pages["/home"] = (200, {}, '<h2><a href="/one">1</a></h2><h2><a href="item?id=7">2</a></h2><h2><a href="/ads/x">3</a>'
                                   '</h2><h2><a href="/paid">4</a></h2><h2><a href="/bare">5</a></h2><p><a href="/no">6</a>')
    web.pages["/one"] = (200, {}, head.format("one", "News"))
    web.pages["/paid"] = (200, {}, head.format("paid", "Sponsored"))
    web.pages["/bare"] = (200, {}, "<h1>no title for machines</h1>")
    name = "old-site" if wrapped else "127.0.0.1-%d" % web.port
    rtm.add({"source": "Old Site", "config": config, "disabled": True} if wrapped else config)
    if wrapped:
        assert next(t for t in rtm.ctl_json("list") if t["name"] == name)["enabled"] is False
        rtm.ctl("enable", name, check=True)
    rtm.ctl("wait", name, check=True)
    wait_keys(rtm, name, [web.url("/one")])
    assert rtm.sql("select title, description, url, image, source, author, keywords from ingress where source = %s", [name]) == [
        ("one", "about one", web.url("/one"), web.url("/pictures/one.png"), name, "ann", "a, one")]
    asked = {r[1] for r in web.requests}
    assert {"/one", "/paid", "/bare"} <= asked and not asked & {"/item?id=7", "/ads/x", "/no"}
    rtm.ctl("remove", name, check=True)


def test_filters_of_lists_and_details(rtm, web):
    def item(i, title, points):
        return f'<li id="{i}"><a href="/d/{i}">{title}</a><b>{points}</b></li>'
    web.pages["/f"] = (200, {}, "<ul>" + item(1, "Linux 6", "10") + item(2, "Windows", "10") + item(3, "LINUX ad", "10") +
                       item(4, "BSD", "0") + item(5, "Linux 5", "3") + item(6, "linux", "4") + "</ul>")
    for i, text in ((1, "long text"), (5, "buy now"), (6, "other")):
        web.pages[f"/d/{i}"] = (200, {}, f"<p>{text}</p>")
    fields = {"title": "a::text", "url": "a::attr(href)", "points": {"select": "b", "type": "integer"}}
    rtm.add(template(web, "filters", "/f", fields=fields, keep={"title": ["(?i)\\blinux\\b", "BSD"]},
                     drop={"title": " ad$", "points": "^0$"},
                     detail={"fields": {"content": "p"}, "keep": {"content": "text|other"}, "drop": {"content": "^buy"}}))
    rtm.ctl("wait", "filters", check=True)
    wait_keys(rtm, "filters", ["1", "6"])
    assert rows(rtm, "filters", "content, fields") == [("long text", {"points": 10}), ("other", {"points": 4})]
    assert not any(web.asked(f"/d/{i}") for i in (2, 3, 4)) and len(web.asked("/d/5")) == 1
    rtm.ctl("remove", "filters", check=True)


def test_an_api_that_lists_ids(rtm, web):
    answers = {8: ["null", '{"id": 8, "title": "Eight"}'], 7: ['{"id": 7, "title": "Seven", "url": "/seven", "time": 1784885400}'],
               6: ['{"id": 6, "deleted": true}']}
    web.pages["/new.json"] = (200, {}, "[8, 7, 6]")
    for i, texts in answers.items():
        web.pages[f"/item/{i}.json"] = lambda _, texts=texts: (200, {}, texts.pop(0) if len(texts) > 1 else texts[0])
    rtm.add({"name": "ids", "url": web.url("/new.json"), "kind": "json", "key": "$", "every": "1s", "politeness": {"gap": "0ms"},
             "fields": {"id": "$", "url": {"format": "/show?id={id}"}, "api": {"format": "/item/{id}.json", "type": "url"}},
             "detail": {"follow": "api", "fields": {"title": {"select": "$.title", "required": True}, "url": "$.url",
                                                    "published": "$.time"}}})
    wait_keys(rtm, "ids", ["7", "8"])
    assert rows(rtm, "ids", "key, title, url, extract(epoch from published_at)::bigint, fields->>'id'") == [
        ("7", "Seven", web.url("/seven"), 1784885400, "7"), ("8", "Eight", web.url("/show?id=8"), None, "8")]
    assert [len(web.asked(f"/item/{i}.json")) for i in (8, 7, 6)] == [2, 1, 1]
    rtm.ctl("remove", "ids", check=True)


def test_the_first_poll_after_a_change_of_key_is_backfill(rtm, web):
    def known():
        rows_ = rows(rtm, "rekeyed", "key, backfill, last_absent_at is not null")
        return {key: (backfill, dated) for key, backfill, dated in rows_}

    def wait_for(n):
        wait_until(lambda: len(known()) == n, 20, f"{n} rows")

    web.pages["/k"] = page(3, 3)
    rtm.add(template(web, "rekeyed", "/k"))
    wait_for(3)
    web.pages["/k"] = page(4, 4)
    wait_for(4)
    rtm.add(template(web, "rekeyed", "/k", fresh_within="30s"), "--replace")  # what it finds is the same
    web.pages["/k"] = page(5, 5)
    wait_for(5)
    old = {str(i): (i < 4, i > 3) for i in range(1, 6)}
    assert known() == old
    rtm.add(template(web, "rekeyed", "/k", key="a::attr(href)"), "--replace", "--force")
    wait_for(10)
    new = {f"/item/{i}": (True, False) for i in range(1, 6)}
    assert known() == old | new
    web.pages["/k"] = page(6, 6)
    wait_for(11)
    assert known() == old | new | {"/item/6": (False, True)}
    rtm.ctl("remove", "rekeyed", check=True)


def test_relative_dates_stay_where_they_were_first_seen(rtm, web):
    def shown(title, when):
        web.pages["/rel"] = (200, {}, f"<ul><li id=1><a href=/1>{title}</a><i>{when}</i></ul>")

    def rows_(columns):
        return rows(rtm, "relative", columns)

    shown("one", "2 hours ago")
    rtm.add(template(web, "relative", "/rel", dates={"relative": True},
                     fields={"title": "a::text", "url": "a::attr(href)", "published": "i"}))
    wait_until(lambda: rows_("key"), 20, "the item")
    (behind, published, words), = rows_("extract(epoch from fetched_at - published_at), published_at, fields->>'published'")
    assert 7200 <= behind < 7261 and words == "2 hours ago"
    before = len(web.asked("/rel"))
    shown("one", "3 hours ago")
    wait_until(lambda: len(web.asked("/rel")) > before + 2, 20, "more polls")
    assert rows_("revision, published_at") == [(1, published)]
    shown("two", "1 day ago")
    wait_until(lambda: rows_("title") == [("two",)], 20, "the revision")
    assert rows_("revision, published_at, fields->>'published'") == [(2, published, "1 day ago")]
    rtm.ctl("remove", "relative", check=True)


def test_a_watched_page_has_a_revision_for_each_change(rtm, web):
    def shown(keys, rest):
        web.pages["/keys"] = (200, {}, f"<title>Keys</title><h1>{rest}</h1><ul id=keys>{''.join(f'<li>{k}</li>' for k in keys)}</ul>")

    def row():
        rows_ = rows(rtm, "keys", "key, title, content, revision")
        return rows_[0] if len(rows_) == 1 else None
    shown(["A1"], "one")
    rtm.add({"name": "keys", "kind": "page", "url": web.url("/keys"), "items": "#keys", "every": "1s", "politeness": {"gap": "0s"}})
    wait_until(row, 20, "the page")
    assert row() == (web.url("/keys"), "Keys", "A1", 1)
    shown(["A1", "B2"], "two")
    wait_until(lambda: row()[3] == 2, 20, "the change")
    assert row()[2] == "A1\nB2"
    shown(["A1", "B2"], "three")
    before = len(web.asked("/keys"))
    wait_until(lambda: len(web.asked("/keys")) > before + 2, 20, "polls of what is not watched")
    assert row()[3] == 2
    web.pages["/keys"] = (200, {}, "<title>Keys</title>moved")
    wait_until(lambda: rtm.ctl_json("sources", "keys")[0]["last_error"] == "rotted", 20, "what is watched is not there")
    rtm.ctl("remove", "keys", check=True)


def test_one_story_of_several_sources_can_be_grouped(rtm, web):
    for name, link in (("one", "https://www.news.example/a/?b=2&amp;a=1&amp;utm_source=x"), ("two", "http://news.example/a?a=1&amp;b=2#top")):
        web.pages[f"/{name}"] = (200, {}, f"<ul><li id=1><a href='{link}'>Story</a><li id=2><a href='/own'>Other</a></ul>")
        rtm.add(template(web, f"group-{name}", f"/{name}"))
    wait_until(lambda: rtm.sql("select url_norm, count(*) from items where title = 'Story' group by 1") ==
               [("https://news.example/a?a=1&b=2", 2)], 20, "both in one group")
    for name in ("one", "two"):
        rtm.ctl("remove", f"group-{name}", check=True)


def test_a_page_that_is_gone_is_asked_no_more(rtm, web):
    web.pages["/going"] = page(2, 2)
    web.pages["/staying"] = page(1, 1)
    for name in ("going", "staying"):
        rtm.add(template(web, name, f"/{name}"))
    wait_until(lambda: len(rows(rtm, "going")) == 2, 20, "its rows")
    web.pages["/going"] = (410, {}, b"")

    def state():
        source, = rtm.ctl_json("sources", "going")
        return source["state"], source["last_error"]
    wait_until(lambda: state() == ("quarantined", "gone"), 20, "its end")
    before, others = len(web.asked("/going")), len(web.asked("/staying"))
    wait_until(lambda: len(web.asked("/staying")) > others + 3, 20, "others go on")
    assert len(web.asked("/going")) == before
    web.pages["/going"] = page(3, 3)
    rtm.ctl("enable", "going", check=True)
    wait_until(lambda: len(rows(rtm, "going")) == 3, 20, "what came meanwhile")
    for name in ("going", "staying"):
        rtm.ctl("remove", name, check=True)


def test_every_member_of_a_field(rtm, web):
    web.pages["/m"] = (200, {}, """<!doctype html><ul><li id="x1"><a href="/1">one <em>&amp; a half</em></a><i>t1</i><i>t2</i>
        <b>1,234 points</b><time datetime="2026-07-24T09:30:00+02:00">today</time><span lang="de">slug-1</span></li>
        <li id="x2"><a href="/2">two</a></li><li id="x3">no title</li></ul>""")
    fields = {"title": {"select": ["h9", "a::text"], "required": True}, "url": {"format": web.url("/by/{slug}")},
              "slug": {"select": "xpath:.//span[@lang='de']", "match": "^slug-(.*)$", "default": "none"},
              "tags": {"select": "i", "all": True, "type": "list"}, "points": {"select": "b", "type": "integer"},
              "published": "time::attr(datetime)", "markup": {"select": "a", "type": "html"}}
    rtm.add(template(web, "members", "/m", fields=fields, track=["title"]))
    rtm.ctl("wait", "members", check=True)
    wait_keys(rtm, "members", ["x1", "x2"])
    found = rows(rtm, "members", "title, url, fields, published_at at time zone 'UTC'")
    assert found[0][:2] == ("one & a half", web.url("/by/1")) and str(found[0][3]) == "2026-07-24 07:30:00"
    assert found[0][2] == {"slug": "1", "tags": ["t1", "t2"], "points": 1234, "markup": "one <em>&amp; a half</em>"}
    assert found[1][:2] == ("two", web.url("/by/none"))
    # only what is tracked makes a revision
    body = web.pages["/m"][2]
    web.pages["/m"] = (200, {}, body.replace("1,234", "9"))
    polls = len(web.asked("/m"))
    wait_until(lambda: len(web.asked("/m")) > polls + 1, 20, "further polls")
    assert rows(rtm, "members", "revision") == [(1,), (1,)]
    web.pages["/m"] = (200, {}, body.replace("one <em>", "1 <em>"))
    wait_until(lambda: rows(rtm, "members", "revision") == [(2,), (1,)], 20, "a revision")
    assert rows(rtm, "members", "title")[0] == ("1 & a half",)
    rtm.ctl("remove", "members", check=True)


def test_a_page_that_names_its_feed(rtm, web):
    feed = '<rss version="2.0"><channel><title>f</title>{}</channel></rss>'
    entry = "<item><guid>{0}</guid><title>t{0}</title></item>"
    web.pages["/blog"] = (200, {}, '<!doctype html><html><head><link rel="alternate" type="application/rss+xml" href="/rss">'
                                   "</head><body>hello</body></html>")
    web.pages["/rss"] = (200, {}, feed.format("".join(map(entry.format, (2, 1)))))
    rtm.add({"name": "blog", "url": web.url("/blog"), "every": "1s", "politeness": {"gap": "0s"}})
    wait_keys(rtm, "blog", ["1", "2"])
    source = lambda: rtm.ctl_json("sources", "blog")[0]
    wait_remembered(rtm, "blog")
    rtm.miners[0].restart()
    web.pages["/rss"] = (200, {}, feed.format("".join(map(entry.format, (3, 2, 1)))))
    wait_keys(rtm, "blog", ["1", "2", "3"])
    assert len(web.asked("/blog")) == 1
    # the feed loses everything: that is said, not stored
    web.pages["/rss"] = (200, {}, feed.format(""))
    wait_until(lambda: source()["last_error"] == "rotted", 20, "rot is told")
    web.pages["/rss"] = (200, {}, feed.format("".join(map(entry.format, (4, 3, 2, 1)))))
    wait_keys(rtm, "blog", ["1", "2", "3", "4"])
    rtm.ctl("remove", "blog", check=True)


def test_pages_into_rows(rtm, web):
    for n in range(1, 6):
        web.pages["/p" if n == 1 else f"/p?page={n}"] = page(60 - 10 * n, 10) if n < 5 else page(10, 0)
    rtm.add(template(web, "pages", "/p", next={"format": "?page={page}"}, pages=10))
    rtm.ctl("wait", "pages", check=True)
    assert len(rows(rtm, "pages")) == 40
    web.pages.update({"/p": page(75, 10), "/p?page=2": page(65, 10), "/p?page=3": page(55, 10)})
    wait_until(lambda: len(rows(rtm, "pages")) == 40 + 25, 20, "what came since")
    rtm.ctl("remove", "pages", check=True)
