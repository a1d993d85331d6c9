// The examples of the README and of docs/services.md, as they stand there.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { world } from './world.js';

test('the example of the README works as it stands', async () => {
  const [, example] = /```js\n([^`]*(?:`[^`]+`[^`]*)*?)```/.exec(readFileSync(new URL('../README.md', import.meta.url), 'utf8'));
  const file = fileURLToPath(new URL('../dist/readme.js', import.meta.url));
  writeFileSync(file, example);
  const port = await new Promise((done) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
  const env = { ...process.env, TOKENWARD_URL: world.url, TOKENWARD_TOKEN: world.credential, PORT: String(port) };
  const service = spawn(process.execPath, [file], { env, stdio: 'inherit' });
  try {
    const ask = (headers) => fetch(`http://127.0.0.1:${port}/invoices`, { headers });
    let answer;
    for (let attempt = 0; !answer && attempt < 200; attempt += 1) {
      answer = await ask({ authorization: `Token ${world.tokens.living}` }).catch(() => new Promise((done) => setTimeout(done, 50)));
    }
    assert.equal(await answer.text(), 'hello living');
    assert.equal((await ask({})).status, 401);
  } finally {
    service.kill();
  }
});

test('each framework is guarded by the lines of docs/services.md', async () => {
  const page = readFileSync(new URL('../../../docs/services.md', import.meta.url), 'utf8');
  const [, lines] = /## Each framework[^]*?```js\n([^]*?)```/.exec(page);
  const [begin, ...parts] = lines.split(/^\/\/ (?=Express$|Fastify$|Hono|Deno)/m);
  assert.equal(parts.length, 4);
  // What stands around these lines in a service; each says where it listens.
  const around = {
    Express: ["import express from 'express'; const app = express();", 'const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));'],
    Fastify: ["import Fastify from 'fastify'; const app = Fastify();", "app.get('/invoices', async (request) => request.tokenward.token.name); await app.listen({ port: 0, host: '127.0.0.1' }); console.log(app.server.address().port);"],
    Hono: ["import { Hono } from 'hono'; import { serve } from '@hono/node-server'; import { getConnInfo } from '@hono/node-server/conninfo'; const app = new Hono();", "app.get('/invoices', (c) => c.text(c.get('tokenward').token.name)); serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => console.log(port));"],
    // Of Deno no more than it takes to be called so.
    Deno: ["import { serve } from '@hono/node-server'; const Deno = { serve: (handler) => serve({ fetch: (request) => handler(request, { remoteAddr: { hostname: '127.0.0.1' } }), port: 0, hostname: '127.0.0.1' }, ({ port }) => console.log(port)) };", ''],
  };
  for (const part of parts) {
    const name = /^\w+/.exec(part)[0];
    const file = fileURLToPath(new URL(`../dist/services-${name}.js`, import.meta.url));
    const placed = begin.replace("'https://tokens.acme.example'", 'process.env.TOKENWARD_URL');
    const [before, after] = around[name];
    writeFileSync(file, `${before}\n${placed}\n// ${part}\n${after}\n`);
    const service = spawn(process.execPath, [file], { env: { ...process.env, TOKENWARD_URL: world.url, TOKENWARD_TOKEN: world.credential }, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [port] = await once(service.stdout, 'data');
      const ask = (headers) => fetch(`http://127.0.0.1:${Number(port)}/invoices`, { headers });
      assert.equal(await (await ask({ authorization: `Token ${world.tokens.living}` })).text(), 'living', name);
      assert.equal((await ask({ authorization: `Token ${world.tokens.revoked}` })).status, 401, name);
    } finally {
      service.kill();
    }
  }
});
