// Limits: every bound that two modules must agree on, in one place. A bound of a single module stands beside
// its type. Sizes in bytes, times in milliseconds, unless the name says otherwise.
#ifndef RTM_PROTO_LIMITS_H
#define RTM_PROTO_LIMITS_H

enum {
    // -- messages --
    MAX_CONTROL_MESSAGE = 1 << 20, // one frame to or from the broker
    MAX_BATCH_MESSAGE = 4 << 20,   // one frame to or from the sink
    MAX_WIRE_DEPTH = 8,            // nesting of arrays and maps in a message
    MAX_WIRE_ROWS = 1 << 17,       // rows of one table in a message
    ASSIGN_CHUNK = 256 << 10,      // an ASSIGN, INVENTORY or OUTCOMES is closed when it reaches this
    BATCH_TARGET = 64 << 10,       // a batch is closed when it reaches this ...
    BATCH_LINGER_MS = 20,          // ... or is this old

    // -- names and texts --
    MAX_NAME = 100,   // of a template, a miner, a field
    MAX_CURSOR = 128, // where a table goes on: a name and a number
    MAX_URL = 4096,
    MAX_HOST = 264,           // "host:port"
    MAX_KEY = 512,            // an item's key; longer ones are hashed
    MAX_DETAIL = 200,         // what an outcome says of its error, for people
    MAX_VALIDATOR = 1024,     // ETag, Last-Modified; longer ones are not kept
    MAX_MEMORY = 512,         // what a miner remembers of a source, in its soft state
    MAX_TEMPLATE = 900 << 10, // one template's JSON
    MAX_TEMPLATE_URLS = 20000,
    MAX_FIELDS = 64,    // per template
    MAX_RELATIONS = 32, // templates that one depends on, or blocks
    MAX_SELECTORS = 16, // alternatives of one field
    MAX_SELECTOR = 1024,
    MAX_TITLE = 4 << 10,
    MAX_SUMMARY = 64 << 10,
    MAX_CONTENT = 512 << 10,
    MAX_FIELDS_JSON = 64 << 10, // an item's `fields`
    MAX_ITEM = 640 << 10,       // all of one item

    // -- documents --
    MAX_DOCUMENT = 8 << 20, // decoded bytes of one response (option of the miner)
    MAX_ITEMS = 10000,      // per document; more is an error
    MAX_REDIRECTS = 5,
    MAX_BACKOFF = 86400000,    // of a host, ms; a Retry-After says no more
    MAX_PAGES = 1000,          // of a list in one poll
    DOCUMENT_ARENA = 64 << 20, // all memory of one document's items
};

// Time that means "none" wherever a time is optional.
#define TIME_NONE INT64_MIN

#endif
