-- How far each part of each source was read, and the number of the claim that may publish from it.
CREATE TABLE source_claims (source TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE source_positions (
    source TEXT NOT NULL, part TEXT NOT NULL, position TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (source, part)
) WITHOUT ROWID;

-- A snapshot is of cells and views, which are the same: it stays valid.
UPDATE snapshots SET schema = 8 WHERE schema = 7;
