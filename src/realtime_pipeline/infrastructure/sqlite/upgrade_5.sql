-- Forgetting a customer takes their dead letters back: found by an index, not by reading all of the partition's.
CREATE INDEX letters_of_customers ON dead_letters (customer_id) WHERE customer_id IS NOT NULL;

-- What people did about dead letters; builds between two releases have made it already.
CREATE TABLE IF NOT EXISTS dead_letter_marks (
    partition INTEGER NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;
