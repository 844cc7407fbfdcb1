-- Forgetting a customer deletes their dead letters: this index finds them without a scan of the partition.
CREATE INDEX letters_of_customers ON dead_letters (customer_id) WHERE customer_id IS NOT NULL;

-- Marks: how dead letters were handled. Builds between two releases have created the table already.
CREATE TABLE IF NOT EXISTS dead_letter_marks (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;
