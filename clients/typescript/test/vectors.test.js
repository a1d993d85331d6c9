// The table that all clients run.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Guard, Tokenward, TokenwardError } from '@tokenward/verify';
import { credentialOf } from '../dist/esm/guard.js';
import { BATCH, PRESENTED_BYTES, REASONS } from '../dist/esm/wire.js';
import { content, listening, serving, world } from './world.js';

const { vectors } = world;
// A busy machine is not what is tested here.
const client = (url, more = {}) => new Tokenward({ url, credential: 'twd_service', timeoutMs: 10_000, ...more });
const compact = (it) => JSON.parse(JSON.stringify(it));

/** A question by the names of this client. */
function question({ token, resource, remote_ip, user_agent, at_least, ...rest }) {
  const names = { project_id: 'projectId', environment_id: 'environmentId', cluster_id: 'clusterId' };
  const ids = resource && Object.fromEntries(Object.entries(resource).map(([name, id]) => [names[name], id]));
  return [token, compact({ ...rest, resource: ids, remoteIp: remote_ip, userAgent: user_agent, atLeast: at_least })];
}

/** A verdict by the names of the table. */
function told({ token, missingPermission, decisionId, retryAfter, explain, ...rest }) {
  const holder = token && {
    id: token.id, name: token.name, kind: token.kind, organization_id: token.organizationId, role_id: token.roleId,
    role_name: token.roleName, expires_at: token.expiresAt?.toISOString() ?? token.expiresAt, labels: token.labels, metadata: token.metadata,
  };
  return compact({ reason: null, ...rest, token: holder, missing_permission: missingPermission, decision_id: decisionId, retry_after: retryAfter });
}

/** Dates of JavaScript have milliseconds. */
function inMillis(verdict) {
  const end = verdict.token?.expires_at;
  return end ? { ...verdict, token: { ...verdict.token, expires_at: new Date(end).toISOString() } } : verdict;
}

test('the limits and the reasons are those of the server', () => {
  assert.equal(PRESENTED_BYTES, vectors.presented_bytes);
  assert.equal(BATCH, vectors.batch);
  const ours = Object.entries(REASONS).map(([code, [status, sentence]]) => ({ code, refuses_credential: status === 401, sentence }));
  assert.deepEqual(ours, vectors.reasons);
});

test('an address is read, or refused', () => {
  for (const { url, base, refused } of vectors.urls) {
    if (refused) assert.throws(() => client(url), { name: 'TokenwardError', kind: 'question' }, url);
    else assert.equal(client(url).base, base);
  }
});

test('a refused address is not quoted with its password', () => {
  assert.throws(() => client('https://user:secret@acme.example'), (error) => !error.message.includes('secret'));
});

test('a question is sent as it is, or never', async () => {
  const sent = [];
  const listener = async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    sent.push([request.method, request.url, request.headers.authorization, JSON.parse(text)]);
    response.end('{"valid":false,"code":"unknown"}');
  };
  await serving(listener, async (url) => {
    for (const row of vectors.questions) {
      sent.length = 0;
      const asked = client(`${url}/below/`).verify(...question(row.ask));
      if (row.refused) {
        await assert.rejects(asked, { kind: 'question' }, JSON.stringify(row.ask));
      } else if (row.malformed) {
        assert.equal((await asked).reason, 'malformed');
      } else {
        await asked;
        assert.deepEqual(sent, [['POST', '/below/verify', 'Token twd_service', row.body]]);
      }
      if (row.refused || row.malformed) assert.deepEqual(sent, []);
    }
  });
});

// Over sockets, and as Deno, Bun and workers ask.
const ways = [['', {}], [', by fetch', { fetch }]];

for (const [row, [way, more]] of vectors.answers.flatMap((row) => ways.map((way) => [row, way]))) {
  test(`an answer: ${row.name}${way}`, async () => {
    const listener = (request, response) => {
      request.resume();
      response.writeHead(row.status, row.headers).end(content(row));
    };
    await serving(listener, async (url) => {
      const errors = [];
      if (row.error) {
        await assert.rejects(client(url, more).verify('twd_x'), (error) => error instanceof TokenwardError && error.kind === row.error);
      } else {
        const verdict = await client(url, more).verify('twd_x');
        assert.deepEqual(told(verdict), inMillis(row.verdict));
        if (verdict.decisionId) assert.equal(verdict.explain, `${url}/decision/${verdict.decisionId}`);
      }
      const guard = new Guard(client(url, more), { permission: 'invoices:write' }, { onError: (error) => errors.push(error) });
      const outcome = await guard.check({ authorization: ['Token twd_x'], apiKey: [], method: 'GET', path: '/' });
      assert.equal(errors.length, row.error ? 1 : 0);
      const { status, code, detail, www_authenticate: challenge, missing_permission: missing, retry_after: wait } = row.respond;
      if (status === 200) {
        assert.equal(outcome.token.name, row.verdict.token.name);
        return;
      }
      assert.equal(outcome.status, status);
      assert.equal(outcome.body.code, code);
      assert.equal(outcome.body.missing_permission, missing);
      assert.equal(outcome.headers['www-authenticate'], challenge);
      if (wait !== undefined) assert.equal(outcome.headers['retry-after'], String(wait));
      if (detail !== undefined) assert.equal(outcome.body.detail, detail);
    });
  });
}

test('one credential of a request is found, or none', () => {
  for (const { headers, token, code } of vectors.credentials) {
    const of = (wanted) => headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
    const found = credentialOf({ authorization: of('authorization'), apiKey: of('x-api-key') });
    assert.deepEqual(found, token === undefined ? { code } : { token }, JSON.stringify(headers));
  }
});

for (const row of vectors.wire) {
  test(`over the wire: ${row.name}`, async () => {
    const sent = Buffer.from(row.base64, 'base64');
    // All at once, and in pieces that end anywhere.
    for (const piece of [sent.length, 7]) {
      if (sent.length > 1_000 && piece === 7) continue;
      let requests = 0;
      const answering = (socket) => socket.on('data', async () => {
        requests += 1;
        for (let at = 0; at < sent.length; at += piece) {
          socket.write(sent.subarray(at, at + piece));
          if (piece < sent.length) await new Promise((done) => setImmediate(done));
        }
        if (row.closes) socket.end();
      });
      await listening(answering, async (url) => {
        const asked = client(url).verify('twd_x');
        if (row.error) await assert.rejects(asked, { name: 'TokenwardError', kind: row.error });
        else assert.equal((await asked).token.roleName, 'devops');
        assert.equal(requests, 1, 'what a server has begun to answer is not asked again');
      });
    }
  });
}
