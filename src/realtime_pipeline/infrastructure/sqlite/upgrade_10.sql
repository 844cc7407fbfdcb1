-- Panes of windows: a row for each chunk. `chunk` is MessagePack.
CREATE TABLE panes (
    partition INTEGER NOT NULL, fingerprint TEXT NOT NULL, start_ms INTEGER NOT NULL, chunk BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (partition, fingerprint, start_ms, chunk)
) WITHOUT ROWID;

-- A snapshot of schema 9 lacks this table alone, which was empty: it stays valid.
UPDATE snapshots SET schema = 10 WHERE schema = 9;
