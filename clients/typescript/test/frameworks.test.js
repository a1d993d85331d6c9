// The published example of each framework, with our middleware, asked over HTTP with a token in each state.

import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { serve } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import express from 'express';
import Fastify from 'fastify';
import { Hono } from 'hono';

import { Tokenward } from '@tokenward/verify';
import { requireToken as expressToken } from '@tokenward/verify/express';
import { requireToken as fastifyToken } from '@tokenward/verify/fastify';
import { requireToken as fetchToken } from '@tokenward/verify/fetch';
import { requireToken as honoToken } from '@tokenward/verify/hono';
import { world } from './world.js';

const tokenward = new Tokenward({ url: world.url, credential: world.credential, timeoutMs: 10_000 });
const needs = { api: 'shop' };
const silent = { onError: () => {} };

const listening = async (server) => {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return [`http://127.0.0.1:${server.address().port}`, () => { server.closeAllConnections(); server.close(); }];
};

const frameworks = {
  express: async (client) => {
    const app = express();
    app.use('/', expressToken(client, needs, silent));
    app.all('/invoices', (request, response) => response.send(`hello ${request.tokenward.token.name}`));
    return listening(http.createServer(app));
  },
  'express, in CommonJS': async (client) => {
    const app = express();
    app.use(createRequire(import.meta.url)('@tokenward/verify/express').requireToken(client, needs, silent));
    app.all('/invoices', (request, response) => response.send(`hello ${request.tokenward.token.name}`));
    return listening(http.createServer(app));
  },
  fastify: async (client) => {
    const app = Fastify();
    app.addHook('onRequest', fastifyToken(client, needs, silent));
    app.all('/invoices', async (request) => `hello ${request.tokenward.token.name}`);
    const place = await app.listen({ port: 0, host: '127.0.0.1' });
    return [place, () => app.close()];
  },
  hono: async (client) => {
    const app = new Hono();
    app.use(honoToken(client, needs, { ...silent, remoteIp: (c) => getConnInfo(c).remote.address }));
    app.all('/invoices', (c) => c.text(`hello ${c.get('tokenward').token.name}`));
    return new Promise((done) => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => done([`http://127.0.0.1:${port}`, () => { server.closeAllConnections(); server.close(); }]));
    });
  },
  fetch: async (client) => {
    const guarded = fetchToken(client, needs, (_, { token }) => new Response(`hello ${token.name}`), { ...silent, remoteIp: () => '127.0.0.1' });
    const app = new Hono();
    app.all('/invoices', (c) => guarded(c.req.raw));
    return new Promise((done) => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => done([`http://127.0.0.1:${port}`, () => { server.closeAllConnections(); server.close(); }]));
    });
  },
};

for (const [name, start] of Object.entries(frameworks)) {
  test(`${name}: a token passes, or is told why not`, async () => {
    const [place, stop] = await start(tokenward);
    try {
      const ask = async (token, method = 'POST', more = {}) => {
        const headers = { ...(token && { authorization: `Bearer ${token}` }), ...more };
        const answer = await fetch(`${place}/invoices?a=b`, { method, headers });
        const text = await answer.text();
        const body = text.startsWith('{') ? JSON.parse(text) : text;
        return [answer.status, body.code ?? body, answer.headers.get('www-authenticate'), body.missing_permission];
      };
      const refused = 'Bearer realm="tokenward", error="invalid_token"';
      assert.deepEqual(await ask(world.tokens.living), [200, 'hello living', null, undefined]);
      assert.deepEqual(await ask(world.tokens.weak), [403, 'permission_denied', null, 'invoices:write']);
      assert.deepEqual(await ask(world.tokens.weak, 'GET'), [200, 'hello weak', null, undefined]);
      assert.deepEqual(await ask(world.bounded.scope_denied), [403, 'scope_denied', null, 'invoices:write']);
      for (const state of ['revoked', 'expired', 'malformed', 'replaced', 'disabled', 'not_yet_valid']) {
        assert.deepEqual(await ask(world.tokens[state]), [401, state, refused, undefined]);
      }
      assert.deepEqual(await ask(world.tokens.network_denied), [403, 'network_denied', null, undefined]);
      assert.deepEqual(await ask(undefined), [401, 'missing_credentials', 'Bearer realm="tokenward"', undefined]);
      assert.deepEqual(await ask(undefined, 'POST', { 'x-api-key': world.tokens.living }), [200, 'hello living', null, undefined]);
      assert.deepEqual((await ask('a', 'POST', { 'x-api-key': 'b' })).slice(0, 2), [401, 'ambiguous_credentials']);
      const twice = await rawRequest(place, ['Authorization', `Token ${world.tokens.living}`, 'Authorization', 'Token b']);
      assert.equal(twice, 401, 'two headers of one name');
    } finally {
      await stop();
    }
  });

  test(`${name}: a service whose own credential is revoked answers 503`, async () => {
    const [place, stop] = await start(new Tokenward({ url: world.url, credential: world.revoked_credential }));
    try {
      const answer = await fetch(`${place}/invoices`, { headers: { authorization: `Token ${world.tokens.living}` } });
      assert.deepEqual([answer.status, (await answer.json()).code], [503, 'unavailable']);
      assert.equal(answer.headers.get('www-authenticate'), null);
    } finally {
      await stop();
    }
  });
}

/** The status of a request with headers as they are, of one name several times. */
function rawRequest(place, headers) {
  return new Promise((done, failed) => {
    const request = http.request(`${place}/invoices`, { headers: ['Host', 'localhost', ...headers] }, (answer) => {
      answer.resume();
      done(answer.statusCode);
    });
    request.on('error', failed).end();
  });
}
