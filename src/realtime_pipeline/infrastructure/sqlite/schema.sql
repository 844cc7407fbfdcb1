-- One file: the log, the cells, the views and the outputs. Times are milliseconds since 1970, UTC.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The log: `key` is the routing key of a record, `origin` is where it came from. `unused` makes an older program that
-- has the file open fail when it appends, since it writes six columns: it would not update `log_partitions`.
CREATE TABLE records (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, key BLOB, value BLOB NOT NULL,
    appended_at_ms INTEGER NOT NULL, origin TEXT, unused INTEGER,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;

-- Cells: one row for each partition, and the state of its customers. `record` is MessagePack.
CREATE TABLE cells (
    partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL,
    watermark_ms INTEGER NOT NULL, newest_ms INTEGER NOT NULL, appended_at_ms INTEGER NOT NULL,
    largest_ms INTEGER NOT NULL
);
CREATE TABLE counts (
    partition INTEGER NOT NULL, class TEXT NOT NULL, records INTEGER NOT NULL,
    PRIMARY KEY (partition, class)
) WITHOUT ROWID;
CREATE TABLE customers (customer_id TEXT NOT NULL UNIQUE, record BLOB NOT NULL);
CREATE TABLE tombstones (digest TEXT PRIMARY KEY, forgotten_at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (session_key INTEGER PRIMARY KEY, last_at_ms INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE reviews (
    customer_id TEXT NOT NULL, product_id TEXT NOT NULL, rating INTEGER NOT NULL, text TEXT NOT NULL,
    occurred_at_ms INTEGER NOT NULL,
    PRIMARY KEY (customer_id, product_id)
) WITHOUT ROWID;
-- Panes of windows: what a partition has counted of a span of time, a row for each chunk of it. `chunk` is MessagePack.
CREATE TABLE panes (
    partition INTEGER NOT NULL, fingerprint TEXT NOT NULL, start_ms INTEGER NOT NULL, chunk BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (partition, fingerprint, start_ms, chunk)
) WITHOUT ROWID;

-- Views: the position of each source partition, and the aggregates of all events. Prices are in ten-thousandths.
CREATE TABLE sources (
    partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, position INTEGER NOT NULL,
    watermark_ms INTEGER NOT NULL, newest_ms INTEGER NOT NULL, appended_at_ms INTEGER NOT NULL,
    largest_ms INTEGER NOT NULL
);
CREATE TABLE products (
    id INTEGER PRIMARY KEY, product_id TEXT NOT NULL UNIQUE,
    interactions INTEGER NOT NULL, ratings INTEGER NOT NULL, rating_sum INTEGER NOT NULL,
    name TEXT, name_at_ms INTEGER, category TEXT, category_at_ms INTEGER, price INTEGER, price_at_ms INTEGER,
    listed INTEGER NOT NULL  -- entries added to the product's list of sessions since it was trimmed
);
CREATE INDEX rated_products ON products (product_id) WHERE ratings > 0;
CREATE TABLE activity (
    country TEXT NOT NULL, -- '' for what was done anywhere
    hour INTEGER NOT NULL, product INTEGER NOT NULL,
    views INTEGER NOT NULL, carts INTEGER NOT NULL, purchases INTEGER NOT NULL,
    PRIMARY KEY (hour, country, product)
) WITHOUT ROWID;
CREATE TABLE product_sessions (
    product INTEGER NOT NULL, session_key INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (product, session_key)
) WITHOUT ROWID;
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- By projection (`domain/views/sums.py`), what it sums up of each product.
CREATE TABLE sums (
    projection TEXT NOT NULL, product_id TEXT NOT NULL, measure TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (projection, product_id, measure)
) WITHOUT ROWID;
-- What the catalogue states of each product: `facts` is JSON, fact -> [value, time]; `sold` since the stock was set.
CREATE TABLE listings (
    id INTEGER PRIMARY KEY, product_id TEXT NOT NULL UNIQUE, facts TEXT NOT NULL, sold INTEGER NOT NULL,
    is_removed INTEGER NOT NULL
);
-- Units sold at each time, as long as a stock level of an earlier time can come.
CREATE TABLE sales (
    product_id TEXT NOT NULL, at_ms INTEGER NOT NULL, units INTEGER NOT NULL,
    PRIMARY KEY (product_id, at_ms)
) WITHOUT ROWID;
CREATE INDEX sales_by_time ON sales (at_ms);

-- Outputs: the position up to which they were emitted, the dead letters and the late events.
CREATE TABLE output_positions (partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, position INTEGER NOT NULL);
CREATE TABLE dead_letters (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL, key BLOB, value BLOB NOT NULL,
    appended_at_ms INTEGER NOT NULL, origin TEXT, customer_id TEXT,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;
CREATE INDEX letters_of_customers ON dead_letters (customer_id) WHERE customer_id IS NOT NULL;
-- Marks: how dead letters were handled.
CREATE TABLE dead_letter_marks (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;

-- Late events: records that no window of some definitions counts. `missed` is JSON, definition -> number of windows.
CREATE TABLE late_events (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, missed TEXT NOT NULL, occurred_at_ms INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, key BLOB, value BLOB NOT NULL, appended_at_ms INTEGER NOT NULL, origin TEXT,
    customer_id TEXT,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;
CREATE INDEX late_events_of_customers ON late_events (customer_id) WHERE customer_id IS NOT NULL;

-- The log's partitions: `first` is the position of the first record still held, `next` the position of the next record
-- to append, `size` the bytes of all keys and values.
CREATE TABLE log_partitions (
    partition INTEGER PRIMARY KEY, first INTEGER NOT NULL, next INTEGER NOT NULL, size INTEGER NOT NULL
);

-- Snapshots: copies of cells and views. `positions` is JSON, partition -> position. A chunk is MessagePack,
-- compressed by zlib.
CREATE TABLE snapshots (
    number INTEGER PRIMARY KEY AUTOINCREMENT, schema INTEGER NOT NULL, taken_at_ms INTEGER NOT NULL,
    positions TEXT NOT NULL, is_complete INTEGER NOT NULL
);
CREATE TABLE snapshot_chunks (
    snapshot INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, rows BLOB NOT NULL,
    PRIMARY KEY (snapshot, number)
);
-- Digests of forgotten customers that a snapshot may still hold: the snapshot `number`, which was the newest that had
-- begun, or an older one.
CREATE TABLE snapshot_forgotten (digest TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;

-- Sources: how far each part of each was read, and the number of the claim that may publish from it.
CREATE TABLE source_claims (source TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE source_positions (
    source TEXT NOT NULL, part TEXT NOT NULL, position TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (source, part)
) WITHOUT ROWID;

-- Results of windows that are final, and how far they are written. `key` and `result` are JSON.
CREATE TABLE window_results (
    fingerprint TEXT NOT NULL, start_ms INTEGER NOT NULL, key TEXT NOT NULL, written_at_ms INTEGER NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (fingerprint, start_ms, key)
) WITHOUT ROWID;
CREATE INDEX window_results_by_age ON window_results (fingerprint, written_at_ms, start_ms);
CREATE TABLE window_progress (
    fingerprint TEXT PRIMARY KEY, emitted_ms INTEGER NOT NULL, settled_ms INTEGER NOT NULL, marked_ms INTEGER NOT NULL,
    marked_at_ms INTEGER NOT NULL
) WITHOUT ROWID;

PRAGMA user_version = 11;
