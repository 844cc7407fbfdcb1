-- Retention of the log, and snapshots to rebuild a store from.

-- The log's partitions: `first` is the position of the first record still held, `next` the position of the next record
-- to append, `size` the bytes of all keys and values.
CREATE TABLE IF NOT EXISTS log_partitions (
    partition INTEGER PRIMARY KEY, first INTEGER NOT NULL, next INTEGER NOT NULL, size INTEGER NOT NULL
);
INSERT OR IGNORE INTO log_partitions
    SELECT partition, min(position), 1 + max(position), sum(length(value) + ifnull(length(key), 0)) FROM records
    GROUP BY partition;
-- Partitions whose records were all deleted: their positions are not used again.
INSERT OR IGNORE INTO log_partitions SELECT partition, position, position, 0 FROM cells WHERE position > 0;

-- An older program that still has the file open would append without updating `log_partitions`. It writes six columns:
-- with a seventh its statement fails.
ALTER TABLE records ADD COLUMN unused INTEGER;

-- Copies of cells and views; `positions` is JSON, partition -> position. A chunk is MessagePack,
-- compressed by zlib.
CREATE TABLE IF NOT EXISTS snapshots (
    number INTEGER PRIMARY KEY AUTOINCREMENT, schema INTEGER NOT NULL, taken_at_ms INTEGER NOT NULL,
    positions TEXT NOT NULL, is_complete INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshot_chunks (
    snapshot INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, rows BLOB NOT NULL,
    PRIMARY KEY (snapshot, number)
);
-- Digests of forgotten customers that a snapshot may still hold: the snapshot `number`, which was the newest that had
-- begun, or an older one.
CREATE TABLE IF NOT EXISTS snapshot_forgotten (digest TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
