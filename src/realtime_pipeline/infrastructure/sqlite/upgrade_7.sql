-- Sums that projections of a shop's own add up, by product.
CREATE TABLE sums (
    projection TEXT NOT NULL, product_id TEXT NOT NULL, measure TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (projection, product_id, measure)
) WITHOUT ROWID;
