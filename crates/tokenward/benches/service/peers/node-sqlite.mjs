// The peer that a good engineer would write by hand in an afternoon: a hash, one prepared SELECT, an answer.
// 100,000 tokens of ten roles; some are revoked or expired, so that the SELECT has something to refuse.

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import Database from 'better-sqlite3';
import { databaseFile, serve, sqliteSettings } from './serve.mjs';

const TOKENS = 100_000;
const ROLES = 10;
const PERMISSION = 'invoices:read';

const database = new Database(databaseFile);
database.pragma('journal_mode = WAL');
database.pragma('synchronous = NORMAL');
database.exec(`
  CREATE TABLE role (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE role_permission (
    role_id INTEGER NOT NULL REFERENCES role,
    permission TEXT NOT NULL,
    PRIMARY KEY (role_id, permission)
  ) STRICT, WITHOUT ROWID;
  -- The hash is what a token is looked up by: with the row in its index, finding it is one descent.
  CREATE TABLE token (
    hash BLOB PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role_id INTEGER NOT NULL REFERENCES role,
    expires_at INTEGER,
    revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;
`);

const hash = (token) => createHash('sha256').update(token).digest();

const find = database.prepare(`
  SELECT token.id, token.name
  FROM token JOIN role_permission USING (role_id)
  WHERE token.hash = ? AND role_permission.permission = ?
    AND token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > ?)
`);

function verify({ token, permission }) {
  if (typeof token !== 'string' || typeof permission !== 'string') return { valid: false };
  const found = find.get(hash(token), permission, Date.now());
  return found ? { valid: true, id: found.id, name: found.name } : { valid: false };
}

// Fills the database and gives a thousand of the tokens, all of them valid.
const fill = database.transaction(() => {
  const addRole = database.prepare('INSERT INTO role (id, name) VALUES (?, ?)');
  const addPermission = database.prepare('INSERT INTO role_permission (role_id, permission) VALUES (?, ?)');
  for (let role = 0; role < ROLES; role++) {
    addRole.run(role, `role ${role}`);
    for (const permission of [PERMISSION, 'invoices:write', 'customers:read', `reports-${role}:read`]) {
      addPermission.run(role, permission);
    }
  }
  const addToken = database.prepare(
    'INSERT INTO token (hash, id, name, role_id, expires_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const now = Date.now();
  const day = 24 * 60 * 60 * 1000;
  const valid = [];
  for (let i = 0; i < TOKENS; i++) {
    const token = `tok_${randomBytes(32).toString('base64url')}`;
    const expires = i % 100 === 25 ? now - day : now + 90 * day;
    const revoked = i % 100 === 75 ? now - day : null;
    addToken.run(hash(token), randomUUID(), `token ${i}`, i % ROLES, expires, revoked);
    if (i % 100 === Math.floor(i / 100) % ROLES) valid.push(token); // one of each hundred, of every role in turn
  }
  return valid;
});

const { dependencies } = createRequire(import.meta.url)('./package.json'); // exact versions
serve({
  verify,
  bodies: fill().map((token) => JSON.stringify({ token, permission: PERMISSION })),
  settings:
    `node:http on Node ${process.versions.node}, one process, better-sqlite3 ${dependencies['better-sqlite3']}, ` +
    `${sqliteSettings(database)}; ${TOKENS} tokens in the file; a verification is one SELECT and writes nothing`,
  close: () => database.close(),
});
