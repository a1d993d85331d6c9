-- How many bytes the answer has that is kept for a key, as it is sealed; and where it is not kept, the name of the limit that it
-- went beyond. Answers from before stay as they are and can be read until their hour is over.
ALTER TABLE idempotency ADD COLUMN answer_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE idempotency ADD COLUMN unkept TEXT;
UPDATE idempotency SET answer_bytes = octet_length(answer) WHERE answer IS NOT NULL;

-- Numbers and bytes of one holder are counted from the index alone: no answer is read for it.
DROP INDEX idempotency_holder;
CREATE INDEX idempotency_holder ON idempotency (holder_id, scope, answer_bytes);
