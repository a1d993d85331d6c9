// A real server, and what may stand in its place.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Guard, Tokenward } from '@tokenward/verify';
import { YES, answer, listening, serving, world } from './world.js';

const { url, credential, tokens } = world;
const real = new Tokenward({ url, credential, timeoutMs: 10_000 });
const silent = { onError: () => {} };

test('each state of a token has its reason', async () => {
  for (const [state, token] of Object.entries(tokens)) {
    const verdict = await real.verify(token, { permission: 'invoices:write', remoteIp: '192.0.2.7' });
    const expected = { living: undefined, weak: 'permission_denied' };
    assert.equal(verdict.reason, state in expected ? expected[state] : state, state);
    assert.equal(verdict.valid, state === 'living');
  }
  const weak = await real.verify(tokens.weak, { permission: 'invoices:write' });
  assert.equal(weak.missingPermission, 'invoices:write');
  assert.equal(weak.token.roleName, 'viewer');
  const page = await fetch(weak.explain, { headers: { authorization: `Token ${credential}` } });
  assert.equal((await page.json()).code, 'permission_denied');
});

test('a batch is answered in its order, malformed ones among them', async () => {
  const asked = [tokens.weak, 'line\nbreak', tokens.living, tokens.revoked].map((token) => ({ token, permission: 'invoices:write' }));
  const verdicts = await real.verifyBatch(asked);
  assert.deepEqual(verdicts.map((it) => it.code), ['permission_denied', 'malformed', 'valid', 'revoked']);
  assert.deepEqual(await real.verifyBatch([]), []);
  assert.deepEqual((await real.verifyBatch([{ token: '' }])).map((it) => it.code), ['malformed']);
  await assert.rejects(real.verifyBatch(Array(1_001).fill({ token: 'x' })), { kind: 'question' });
  const many = await real.verifyBatch(Array(1_000).fill({ token: tokens.living }));
  assert.ok(many.length === 1_000 && many.every((it) => it.valid));
});

test('a batch that is answered with fewer verdicts is an error', async () => {
  await serving((_, response) => response.end('{"results":[{"valid":false,"code":"unknown"}]}'), async (place) => {
    const two = [{ token: 'a' }, { token: 'b' }];
    await assert.rejects(new Tokenward({ url: place, credential, timeoutMs: 10_000 }).verifyBatch(two), { kind: 'answer' });
  });
});

test("a credential that is refused is the service's error, and never its caller's 401", async () => {
  for (const own of [world.revoked_credential, world.weak_credential]) {
    const errors = [];
    const guard = new Guard(new Tokenward({ url, credential: own }), { identity: 'any' }, { onError: (it) => errors.push(it) });
    const outcome = await guard.check({ authorization: [`Token ${tokens.living}`], apiKey: [], method: 'GET', path: '/' });
    assert.deepEqual([outcome.status, outcome.headers['www-authenticate'], errors[0].kind], [503, undefined, 'credential']);
    assert.ok(!JSON.stringify(outcome.body).includes('credential'));
    assert.ok(!errors[0].message.includes(own));
  }
  assert.throws(() => new Tokenward({ url, credential: '' }), { kind: 'question' });
  assert.throws(() => new Tokenward({ url, credential: 'a\nb' }), { kind: 'question' });
});

test('a slip of the pen in what is needed stops the start', () => {
  for (const needs of [{}, { permission: '' }, { permission: 'a:b', api: 'c' }, { api: '' }, { identity: 'all' }, { permission: '*' }]) {
    assert.throws(() => new Guard(real, needs), { kind: 'question' }, JSON.stringify(needs));
  }
});

test('a slow server costs no more than the time limit', async () => {
  for (const slow of [() => {}, (socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"valid"'))]) {
    await listening(slow, async (place) => {
      const begun = performance.now();
      await assert.rejects(new Tokenward({ url: place, credential, timeoutMs: 300 }).verify('x'), { kind: 'unavailable' });
      const took = performance.now() - begun;
      assert.ok(took > 250 && took < 1_500, `${took} ms`);
    });
  }
});

test('a server that is gone is an error at once', async () => {
  const gone = await listening(() => {}, (place) => place);
  await assert.rejects(new Tokenward({ url: gone, credential }).verify('x'), { kind: 'unavailable' });
});

test('a broken idle connection is tried once more, and nothing else is', async () => {
  let requests = 0;
  let broken = 0;
  // Answers the first request of a connection, and ends the connection at its second one.
  const once = (socket) => {
    let seen = 0;
    socket.on('data', () => {
      requests += 1;
      seen += 1;
      if (seen === 1) {
        answer(socket, YES);
        return;
      }
      broken += 1;
      socket.resetAndDestroy();
    });
  };
  await listening(once, async (place) => {
    const client = new Tokenward({ url: place, credential, timeoutMs: 10_000 });
    for (let round = 0; round < 8; round += 1) {
      assert.ok((await client.verify('x')).valid, 'by another connection');
      // So that the connection is idle before the next one looks for it.
      await new Promise((done) => setTimeout(done, 5));
    }
    assert.ok(broken >= 3, `${broken} were broken`);
    assert.equal(requests, 8 + broken);
  });
  requests = 0;
  const never = (socket) => socket.on('data', () => {
    requests += 1;
    socket.resetAndDestroy();
  });
  await listening(never, async (place) => {
    await assert.rejects(new Tokenward({ url: place, credential, timeoutMs: 10_000 }).verify('x'), { kind: 'unavailable' });
    assert.equal(requests, 1, 'a new connection that breaks is no idle one');
  });
});

test('connections are shared', async () => {
  const ports = new Set();
  const listener = (request, response) => {
    ports.add(request.socket.remotePort);
    request.resume();
    setTimeout(() => response.end(YES), 2);
  };
  await serving(listener, async (place) => {
    const client = new Tokenward({ url: place, credential, timeoutMs: 10_000 });
    for (let round = 0; round < 10; round += 1) await client.verify('x');
    // `fetch` may answer a moment before its connection is free.
    assert.ok(ports.size <= 2, `${ports.size} connections`);
    await Promise.all(Array.from({ length: 64 }, async () => {
      for (let round = 0; round < 10; round += 1) await client.verify('x');
    }));
    assert.ok(ports.size <= 128, `${ports.size} connections`);
  });
});

test('a yes is remembered only where somebody wrote that revoked tokens live so long', async () => {
  let asked = 0;
  let yes = true;
  const listener = (request, response) => {
    asked += 1;
    request.resume();
    response.end(yes ? YES : '{"valid":false,"code":"revoked"}');
  };
  await serving(listener, async (place) => {
    const plain = new Tokenward({ url: place, credential, timeoutMs: 10_000 });
    await plain.verify('x');
    await plain.verify('x');
    assert.equal(asked, 2);
    const remembering = new Tokenward({ url: place, credential, revokedTokensLiveForMs: 500, timeoutMs: 10_000 });
    await remembering.verify('x', { permission: 'a:b' });
    yes = false;
    assert.ok((await remembering.verify('x', { permission: 'a:b' })).valid);
    assert.equal(asked, 3);
    assert.equal((await remembering.verify('x', { permission: 'a:c' })).valid, false, 'another question');
    await new Promise((done) => setTimeout(done, 600));
    assert.equal((await remembering.verify('x', { permission: 'a:b' })).reason, 'revoked');
    assert.throws(() => new Tokenward({ url: place, credential, revokedTokensLiveForMs: 1_001 }), { kind: 'question' });
  });
});

test('an error that a client threw by itself is a refusal too', async () => {
  const broken = { verify: () => Promise.reject(new RangeError('bug')) };
  const outcome = await new Guard(broken, { identity: 'any' }, silent).check({ authorization: ['Token x'], apiKey: [], method: 'GET', path: '/' });
  assert.equal(outcome.status, 503);
});
