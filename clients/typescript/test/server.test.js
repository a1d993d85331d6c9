// A real server, and what may stand in its place.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';

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

test('no token stands in what is shown of a client, or in an error', async () => {
  const [own, theirs] = ['twd_of_the_service', 'twd_of_a_caller'];
  const gone = await listening(() => {}, (place) => place);
  const client = new Tokenward({ url: gone, credential: own, revokedTokensLiveForMs: 500 });
  const error = await client.verify(theirs).catch((cause) => cause);
  const byFetch = new Tokenward({ url: gone, credential: own, fetch });
  const others = await byFetch.verify(theirs).catch((cause) => cause);
  assert.deepEqual([error.kind, others.kind], ['unavailable', 'unavailable']);
  for (const it of [client, byFetch, new Guard(client, { identity: 'any' }), error, others]) {
    const shown = [inspect(it, { showHidden: true, depth: 9 }), JSON.stringify(it), String(it)].join(' ');
    assert.ok(!shown.includes(own) && !shown.includes(theirs), shown);
  }
});

test('a redirect is not followed: it would carry the tokens elsewhere', async () => {
  const heard = [];
  await serving((request, response) => { heard.push(request.headers.authorization); response.end(YES); }, async (elsewhere) => {
    const away = (request, response) => { request.resume(); response.writeHead(307, { location: `${elsewhere}/verify` }).end(); };
    await serving(away, async (place) => {
      for (const more of [{}, { fetch }]) {
        await assert.rejects(new Tokenward({ url: place, credential, timeoutMs: 10_000, ...more }).verify('x'), { kind: 'answer' });
      }
    });
  });
  assert.deepEqual(heard, []);
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

test('of many questions each ends in its own time, and those that are answered are', { timeout: 60_000 }, async () => {
  // Answers whoever asks about `yes`, and nobody else.
  const some = (socket) => socket.on('data', (part) => String(part).includes('"yes"') && answer(socket, YES));
  await listening(some, async (place) => {
    const client = new Tokenward({ url: place, credential, timeoutMs: 2_000 });
    const refused = (asked) => assert.rejects(asked, { kind: 'unavailable', message: /did not answer within 2000 ms/ });
    const first = refused(client.verify('no'));
    assert.ok((await client.verify('yes')).valid);
    await new Promise((done) => setTimeout(done, 500));
    // Its time ends after the first one's.
    const second = refused(client.verify('no'));
    await first;
    assert.ok((await client.verify('yes')).valid, 'while another waits');
    await second;
    await refused(client.verify('no'));
    assert.ok((await client.verify('yes')).valid, 'after all have ended');
  });
});

test('a long answer comes whole, in however many pieces', async () => {
  const verdict = { ...JSON.parse(YES), token: { ...JSON.parse(YES).token, name: 'ü€'.repeat(2_000) } };
  const text = Buffer.from(JSON.stringify({ results: Array.from({ length: 100 }, (_, at) => ({ ...verdict, decision_id: `d${at}` })) }));
  assert.ok(text.length > 1_000_000);
  const listener = (request, response) => { request.resume(); response.writeHead(200, { 'content-length': text.length }).end(text); };
  const inChunks = (request, response) => { request.resume(); response.write(text.subarray(0, 500_001)); response.end(text.subarray(500_001)); };
  for (const it of [listener, inChunks]) {
    await serving(it, async (place) => {
      const asked = Array(100).fill({ token: 'x' });
      const verdicts = await new Tokenward({ url: place, credential, timeoutMs: 30_000 }).verifyBatch(asked);
      assert.deepEqual(verdicts.map((one) => one.decisionId), asked.map((_, at) => `d${at}`));
      assert.ok(verdicts.every((one) => one.token.name === verdict.token.name));
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
    assert.equal(ports.size, 1);
    await Promise.all(Array.from({ length: 64 }, async () => {
      for (let round = 0; round < 10; round += 1) await client.verify('x');
    }));
    assert.ok(ports.size <= 64, `${ports.size} connections`);
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

test('a server that starts again between two questions costs none of them', async () => {
  let [asked, port] = [0, 0];
  const start = async () => {
    const server = http.createServer((request, response) => {
      asked += 1;
      request.resume();
      response.end(YES);
    });
    await new Promise((done) => server.listen(port, '127.0.0.1', done));
    ({ port } = server.address());
    return async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    };
  };
  let stop = await start();
  const client = new Tokenward({ url: `http://127.0.0.1:${port}`, credential, timeoutMs: 10_000 });
  for (let round = 0; round < 3; round += 1) {
    assert.ok((await Promise.all(Array.from({ length: 8 }, () => client.verify('x')))).every((it) => it.valid));
    await stop();
    if (round === 1) await assert.rejects(client.verify('x'), { kind: 'unavailable' });
    stop = await start();
  }
  assert.equal(asked, 24);
  await stop();
});

test('64 at once are answered by a real server, each with its own verdict', async () => {
  const asked = Array.from({ length: 640 }, (_, at) => (at % 3 === 0 ? 'weak' : at % 3 === 1 ? 'revoked' : 'living'));
  const verdicts = await Promise.all(Array.from({ length: 64 }, async (_, worker) => {
    const mine = [];
    for (const state of asked.slice(worker * 10, worker * 10 + 10)) mine.push((await real.verify(tokens[state], { permission: 'invoices:write' })).code);
    return mine;
  }));
  const codes = { weak: 'permission_denied', revoked: 'revoked', living: 'valid' };
  assert.deepEqual(verdicts.flat(), asked.map((state) => codes[state]));
});

test('an answer that comes too late answers no other question', async () => {
  let requests = 0;
  const held = [];
  const late = (socket) => socket.on('data', () => {
    requests += 1;
    if (requests === 1) held.push(socket);
    else answer(socket, '{"valid":false,"code":"revoked"}');
  });
  await listening(late, async (place) => {
    const client = new Tokenward({ url: place, credential, timeoutMs: 300 });
    await assert.rejects(client.verify('x'), { kind: 'unavailable' });
    answer(held[0], YES);
    assert.equal((await new Tokenward({ url: place, credential, timeoutMs: 10_000 }).verify('y')).reason, 'revoked');
  });
});

test('what nobody asked for ends its connection, and answers nothing', async () => {
  const connections = [];
  const twice = (socket) => {
    connections.push(socket);
    socket.on('data', () => {
      const first = connections.length === 1;
      answer(socket, first ? YES : '{"valid":false,"code":"revoked"}');
      // Behind the answer, when it was read and the connection is idle.
      if (first) setImmediate(() => setImmediate(() => answer(socket, YES)));
    });
  };
  await listening(twice, async (place) => {
    const client = new Tokenward({ url: place, credential, timeoutMs: 10_000 });
    assert.ok((await client.verify('x')).valid);
    await new Promise((done) => connections[0].once('close', done));
    assert.equal((await client.verify('x')).reason, 'revoked');
    assert.equal(connections.length, 2);
  });
});

test('an address of IPv6 is asked', async (context) => {
  const server = http.createServer((request, response) => {
    request.resume();
    response.end(request.headers.host === `[::1]:${server.address().port}` ? YES : '{"valid":false,"code":"unknown"}');
  });
  const failed = await new Promise((done) => server.once('error', done).listen(0, '::1', () => done(undefined)));
  if (failed) return context.skip('this machine has no IPv6');
  const client = new Tokenward({ url: `http://[::1]:${server.address().port}`, credential, timeoutMs: 10_000 });
  assert.ok((await client.verify('x')).valid);
  server.closeAllConnections();
  server.close();
});

/** What a process of its own says. `code` finds `Tokenward`, `url` and `credential`. */
async function elsewhere(code, place, env = {}) {
  const begin = `import { Tokenward } from '@tokenward/verify'; const [url, credential] = process.argv.slice(1);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', `${begin}\n${code}`, place, credential], { env: { ...process.env, ...env } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => { said += part; });
  const status = await new Promise((done) => child.on('close', done));
  return [status, said.trim()];
}

test('a process ends although connections of it are idle', async () => {
  // It says `done`, and nobody ends it.
  const code = `const client = new Tokenward({ url, credential, timeoutMs: 30_000 });
    await Promise.all([client.verify('x'), client.verify('y')]); console.log('done');`;
  await listening((socket) => socket.on('data', () => answer(socket, YES)), async (place) => {
    assert.deepEqual(await elsewhere(code, place), [0, 'done']);
  });
});

test('a process lives while it waits for an answer, by a connection that was idle too', async () => {
  const code = `const client = new Tokenward({ url, credential, timeoutMs: 30_000 });
    for (const token of ['a', 'b', 'c']) await client.verify(token); console.log('done');`;
  const slowly = (socket) => socket.on('data', () => setTimeout(() => answer(socket, YES), 200));
  await listening(slowly, async (place) => {
    assert.deepEqual(await elsewhere(code, place), [0, 'done']);
  });
});

test('who is no Node.js, leads `fetch` by a proxy, or brings one, asks by it', async () => {
  const yes = JSON.stringify(YES);
  const asking = `const by = []; const mine = async (at) => { by.push(String(at)); return new Response(${yes}); };
    const ask = async (more) => (await new Tokenward({ url, credential, ...more }).verify('x')).valid;`;
  const says = 'console.log(await ask(), JSON.stringify(by));';
  const proxy = `globalThis[Symbol.for('undici.globalDispatcher.1')] = new (class EnvHttpProxyAgent { dispatch() {} })();`;
  const named = (name) => `Object.defineProperty(globalThis, 'navigator', { value: { userAgent: '${name}' }, configurable: true });`;
  await listening((socket) => socket.on('data', () => answer(socket, YES)), async (place) => {
    const all = [`${asking} globalThis.fetch = mine; ${says}`, `${asking} globalThis.fetch = mine; ${named('Node.js/22')} ${says}`];
    for (const code of all) assert.deepEqual(await elsewhere(code, place), [0, 'true []'], code);
    const other = ['Deno/2.5.0', 'Bun/1.3.0', 'Cloudflare-Workers'].map((it) => `${asking} globalThis.fetch = mine; ${named(it)} ${says}`);
    for (const code of [...other, `${asking} globalThis.fetch = mine; ${proxy} ${says}`, `${asking} console.log(await ask({ fetch: mine }), JSON.stringify(by));`]) {
      assert.deepEqual(await elsewhere(code, place), [0, `true ["${place}/verify"]`], code);
    }
  });
});

test('with TLS a server is asked when its certificate is good, and told nothing before', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'tokenward-tls-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = ['key.pem', 'cert.pem'].map((it) => join(folder, it));
  const arguments_ = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=t', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert];
  execFileSync('openssl', arguments_, { stdio: 'ignore' });
  const heard = [];
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    heard.push(request.headers.authorization);
    request.resume();
    response.end(YES);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  const code = `try { const client = new Tokenward({ url, credential, timeoutMs: 30_000 });
    for (let round = 0; round < 3; round += 1) await client.verify('x'); console.log('yes'); } catch (error) { console.log(error.kind, error.message); }`;
  const [status, said] = await elsewhere(code, `https://localhost:${port}`);
  assert.ok(status === 0 && /^unavailable .*cannot be reached: .*(certificate|self-signed)/.test(said), said);
  const [, other] = await elsewhere(code, `https://127.0.0.1:${port}`, { NODE_EXTRA_CA_CERTS: cert });
  assert.match(other, /^unavailable .*does not match/);
  assert.deepEqual(heard, []);
  assert.deepEqual(await elsewhere(code, `https://localhost:${port}`, { NODE_EXTRA_CA_CERTS: cert }), [0, 'yes']);
  assert.deepEqual(heard, Array(3).fill(`Token ${credential}`));
  server.closeAllConnections();
  server.close();
});
