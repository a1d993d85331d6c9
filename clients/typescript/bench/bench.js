// How much time of its own does the client take, and how much of what load clients reach do 64 at once reach?
//
//     scripts/clients bench
//
// Beside the client, in one run, by turns, of the same server, with 64 connections and the same body: what people load-test with on
// Node.js (autocannon, undici), and sockets that send a ready request and look for nothing but its end, which no client can beat. They
// read by the events of a stream; ours reads into bytes of its own, and so does a second kind of them, to show what that alone is worth.

import net from 'node:net';

import autocannon from 'autocannon';
import { Pool } from 'undici';

import { Tokenward } from '../dist/esm/index.js';
import { world } from '../test/world.js';

const [TIMES, AT_ONCE, SECONDS, ROUNDS] = [1_000, 64, 1, 5];
const token = world.tokens.living;
const { hostname, port, host } = new URL(world.url);
const body = JSON.stringify({ token, permission: 'invoices:write' });
const headers = { authorization: `Token ${world.credential}`, 'content-type': 'application/json' };
const YES = '"valid":true';

/** A connection that sends what is ready, and reads by events, or into bytes of its own. */
async function bare(into) {
  const request = `POST /verify HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Token ${world.credential}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  let text = '';
  let done;
  const came = (part) => {
    text += part;
    if (text.endsWith('}')) done();
  };
  const onread = into && { buffer: into, callback: (bytes, buffer) => { came(buffer.toString('latin1', 0, bytes)); return true; } };
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true, ...(onread && { onread }) });
  if (!into) socket.on('data', (part) => came(part.toString('latin1')));
  await new Promise((connected) => socket.once('connect', connected));
  return async () => {
    text = '';
    const whole = new Promise((resolve) => { done = resolve; });
    socket.write(request);
    await whole;
    if (!text.includes(YES)) throw new Error(text);
  };
}

const pool = new Pool(world.url, { connections: AT_ONCE, pipelining: 1 });
const post = { path: '/verify', method: 'POST', headers, body };

async function byUndici() {
  const { statusCode, body: coming } = await pool.request(post);
  const text = await coming.text();
  if (statusCode !== 200 || !text.includes(YES)) throw new Error(text);
}

/** By what undici itself is made of. */
const byDispatch = () => new Promise((done, failed) => {
  let text = '';
  pool.dispatch(post, {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData(_, part) { text += part.toString('latin1'); },
    onResponseEnd() { if (text.includes(YES)) done(); else failed(new Error(text)); },
    onResponseError(_, error) { failed(error); },
  });
});

const median = (all) => all.sort((a, b) => a - b)[all.length >> 1];

/** Microseconds of one question, in the middle. */
async function each(ask) {
  const took = [];
  for (let time = 0; time < TIMES; time += 1) {
    const begun = performance.now();
    await ask();
    took.push((performance.now() - begun) * 1_000);
  }
  return median(took);
}

/** Questions a second, each of these over and over, and the microseconds of this process's processor that each took. */
async function together(asks) {
  const [begun, used] = [performance.now(), process.cpuUsage()];
  let times = 0;
  await Promise.all(asks.map(async (ask) => {
    while (performance.now() - begun < SECONDS * 1_000) {
      await ask();
      times += 1;
    }
  }));
  return told(times, performance.now() - begun, used);
}

function told(times, took, used) {
  const { user, system } = process.cpuUsage(used);
  return { rate: times / (took / 1_000), processor: (user + system) / times };
}

/** The same by autocannon, from its first answer to its last: it begins and ends by the tick of a second. */
async function byAutocannon() {
  let [times, first, last, used] = [0, 0, 0];
  const run = autocannon({ url: `${world.url}/verify`, method: 'POST', headers, body, connections: AT_ONCE, pipelining: 1, duration: SECONDS });
  run.on('response', () => {
    last = performance.now();
    if (times === 0) [first, used] = [last, process.cpuUsage()];
    times += 1;
  });
  const { non2xx, errors } = await run;
  if (non2xx + errors > 0) throw new Error(`autocannon: ${non2xx} answers are none, ${errors} errors`);
  return told(times, last - first, used);
}

const settings = { url: world.url, credential: world.credential, timeoutMs: 30_000 };
const asking = (client) => async () => {
  if (!(await client.verify(token, { permission: 'invoices:write' })).valid) throw new Error('it is not valid');
};
const [ours, oneBare] = [asking(new Tokenward(settings)), await bare()];
// In turns, so that what else the machine does is the same for both.
const rounds = [];
for (let round = 0; round < 3; round += 1) rounds.push([await each(ours), await each(oneBare)]);
const [took, least] = [0, 1].map((at) => median(rounds.map((it) => it[at])));
console.log(`typescript: one connection ${took.toFixed(0)} µs, bare socket ${least.toFixed(0)} µs: ${(took - least).toFixed(0)} µs of its own`);

const several = (make) => Promise.all(Array.from({ length: AT_ONCE }, make));
const [byEvents, byBytes] = [await several(() => bare()), await several(() => bare(Buffer.alloc(16_384)))];
const OURS = 'the client';
const LOAD = ['autocannon', 'undici request', 'undici dispatch'];
const ways = {
  [OURS]: () => together(Array(AT_ONCE).fill(ours)),
  autocannon: byAutocannon,
  'undici request': () => together(Array(AT_ONCE).fill(byUndici)),
  'undici dispatch': () => together(Array(AT_ONCE).fill(byDispatch)),
  '64 bare sockets': () => together(byEvents),
  '64 bare sockets that read into their own bytes': () => together(byBytes),
};
const found = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
// The first round does not count: connections are made in it, and code is compiled.
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const [name, way] of Object.entries(ways)) {
    const burst = await way();
    if (round > 0) found[name].push(burst);
  }
}
const of = (name, what) => median(found[name].map((it) => it[what]));
const share = (name) => `${((of(OURS, 'rate') / of(name, 'rate')) * 100).toFixed(0)}%`;
for (const name of Object.keys(ways)) {
  const figures = `${of(name, 'rate').toFixed(0)}/s, ${of(name, 'processor').toFixed(0)} µs of the processor each`;
  console.log(`typescript: 64 at once, ${name}: ${figures}${name === OURS ? '' : `; the client reaches ${share(name)}`}`);
}
const best = LOAD.reduce((one, other) => (of(other, 'rate') > of(one, 'rate') ? other : one));
console.log(`typescript: ${share(best)} of the best load client (${best}), ${share('64 bare sockets')} of bare sockets`);
// What Deno, Bun and workers have.
const byFetch = asking(new Tokenward({ ...settings, fetch }));
const fetched = [await each(byFetch), (await together(Array(AT_ONCE).fill(byFetch))).rate];
console.log(`typescript: by the fetch of Node.js, one connection ${fetched[0].toFixed(0)} µs, 64 at once ${fetched[1].toFixed(0)}/s`);
process.exit();
