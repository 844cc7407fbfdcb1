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

-- A snapshot of schema 8 lacks these tables alone, which were empty: it stays valid.
UPDATE snapshots SET schema = 9 WHERE schema = 8;
