-- One sign-in link an account: a new one ends those before it.
DELETE FROM sign_in_link WHERE EXISTS (
    SELECT 1 FROM sign_in_link AS newer WHERE newer.account_id = sign_in_link.account_id AND newer.id > sign_in_link.id
);
CREATE UNIQUE INDEX sign_in_link_account ON sign_in_link (account_id);

-- When somebody proved to read what is sent to the address; NULL is never. Of accounts that are older nothing is known.
ALTER TABLE account ADD COLUMN email_proven_at INTEGER;

-- When the password was last typed in this session.
ALTER TABLE session ADD COLUMN proven_at INTEGER NOT NULL DEFAULT 0;

-- Who did it, by kind and id; the names beside them are for people.
ALTER TABLE token ADD COLUMN creator_kind TEXT;
UPDATE token SET creator_kind = CASE
    WHEN creator_id IN (SELECT id FROM account) THEN 'user'
    WHEN creator_id IS NOT NULL THEN 'token'
    WHEN creator_name IS NOT NULL THEN 'operator'
END;
ALTER TABLE invitation ADD COLUMN inviter_kind TEXT;
ALTER TABLE invitation ADD COLUMN inviter_id BLOB;
UPDATE invitation SET inviter_kind = 'user', inviter_id = (
    SELECT a.id FROM account a JOIN member m ON m.account_id = a.id
    WHERE a.email = invitation.inviter AND m.organization_id = invitation.organization_id
);
UPDATE invitation SET inviter_kind = NULL WHERE inviter_id IS NULL;
ALTER TABLE environment ADD COLUMN last_updated_by_kind TEXT;
ALTER TABLE environment ADD COLUMN last_updated_by_id BLOB;
CREATE INDEX invitation_inviter ON invitation (inviter_id);

-- Of the link that was mailed: whoever has that one reads what is sent to the address. `digest` is that of the link which
-- the inviter passes on.
ALTER TABLE invitation ADD COLUMN mailed_digest BLOB;
