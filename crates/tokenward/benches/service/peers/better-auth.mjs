// The peer Better Auth with its API-key plugin, on SQLite and set up for production, with 1,000 keys of one user.
// Verifying has no HTTP endpoint of its own (`auth.api.verifyApiKey` is for the server only), so a route calls it.

import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { apiKey } from '@better-auth/api-key';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import Database from 'better-sqlite3';
import { databaseFile, port, serve, sqliteSettings } from './serve.mjs';

if (process.env.NODE_ENV !== 'production') throw new Error('set NODE_ENV=production');

const KEYS = 1000;
const permissions = { invoices: ['read'] };

const database = new Database(databaseFile);
database.pragma('journal_mode = WAL');
database.pragma('synchronous = NORMAL');

const auth = betterAuth({
  database,
  baseURL: `http://127.0.0.1:${port}`,
  secret: randomBytes(32).toString('base64'),
  emailAndPassword: { enabled: true }, // only to make the owner of the keys
  plugins: [
    // The limit's default is ten requests a day for each key; the benchmark would soon measure denials.
    apiKey({ rateLimit: { enabled: false } }),
  ],
  logger: { disabled: true },
  telemetry: { enabled: false },
});

await (await getMigrations(auth.options)).runMigrations();

const { user } = await auth.api.signUpEmail({
  body: { name: 'Owner', email: 'owner@example.com', password: randomBytes(16).toString('hex') },
});
const bodies = [];
for (let i = 0; i < KEYS; i++) {
  const { key } = await auth.api.createApiKey({ body: { userId: user.id, name: `key ${i}`, permissions } });
  bodies.push(JSON.stringify({ key, permissions }));
}

const { dependencies } = createRequire(import.meta.url)('./package.json'); // exact versions
serve({
  verify: ({ key, permissions }) => auth.api.verifyApiKey({ body: { key, permissions } }),
  bodies,
  settings:
    `node:http on Node ${process.versions.node}, one process, NODE_ENV=production, better-auth ` +
    `${dependencies['better-auth']} and @better-auth/api-key ${dependencies['@better-auth/api-key']}, better-sqlite3 ` +
    `${dependencies['better-sqlite3']}, ${sqliteSettings(database)}; ${KEYS} keys in the file, their rate limit, ` +
    "logging and telemetry off; a verification is one SELECT and writes the key's row twice, in two UPDATEs that are " +
    'a transaction each (lastRequest, then updatedAt)',
  close: () => database.close(),
});
