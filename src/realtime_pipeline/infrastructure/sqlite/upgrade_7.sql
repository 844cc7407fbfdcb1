-- Sums that projections of a shop's own add up, by product.
CREATE TABLE sums (
    projection TEXT NOT NULL, product_id TEXT NOT NULL, measure TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (projection, product_id, measure)
) WITHOUT ROWID;

-- A snapshot of schema 6 lacks this table alone, which was empty: it stays valid.
UPDATE snapshots SET schema = 7 WHERE schema = 6;
