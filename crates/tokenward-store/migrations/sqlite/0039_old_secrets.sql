-- When a replaced secret of a token last came back after its overlap, and why the token was switched off where nobody did it by hand.
ALTER TABLE token ADD COLUMN reused_at INTEGER;
ALTER TABLE token ADD COLUMN disabled_because TEXT;

-- Of a replaced secret: it ends after so long a silence, counted from then on at the earliest; and whether the log is still to be told
-- that its time is over.
ALTER TABLE token_secret ADD COLUMN silent_for INTEGER;
ALTER TABLE token_secret ADD COLUMN silent_from INTEGER;
ALTER TABLE token_secret ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
CREATE INDEX token_secret_untold ON token_secret (expires_at) WHERE untold;
