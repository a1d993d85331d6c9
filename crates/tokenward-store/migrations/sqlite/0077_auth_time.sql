-- When the person of a session was last asked who that is: by us, or by a provider that says when it asked (`auth_time`). Null where a
-- provider does not say, which is no fresh proof.
ALTER TABLE session ADD COLUMN auth_time INTEGER;
UPDATE session SET auth_time = proven_at WHERE methods NOT LIKE '%oidc:%';
-- When each provider last proved a session, and for how long that lay unused before a later proof by something else: `corp=TIME/IDLE`,
-- with spaces between. None of a session that is older: where a provider alone counts for a time, it is asked.
ALTER TABLE session ADD COLUMN provider_proofs TEXT NOT NULL DEFAULT '';
