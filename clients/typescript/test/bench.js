// How much time of its own does the client take, and how much of what the server can do do 64 at once reach?
//
//     scripts/clients bench
//
// Compared with sockets that send a ready request and look for nothing but its end: no load client of Node.js is faster. They read by
// the events of a stream, as load clients do; ours reads into bytes of its own, and so does a second kind of them, to show what that alone
// is worth.

import net from 'node:net';

import { Tokenward } from '@tokenward/verify';

import { world } from './world.js';

const [TIMES, AT_ONCE, EACH] = [1_000, 64, 100];
const token = world.tokens.living;
const { hostname, port, host } = new URL(world.url);

/** A connection that sends what is ready, and reads by events, or into bytes of its own. */
async function bare(into) {
  const body = JSON.stringify({ token, permission: 'invoices:write' });
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
  return {
    ask: async () => {
      text = '';
      const whole = new Promise((resolve) => { done = resolve; });
      socket.write(request);
      await whole;
      if (!text.includes('"valid":true')) throw new Error(text);
    },
    close: () => socket.destroy(),
  };
}

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
async function many(asks) {
  const [begun, used] = [performance.now(), process.cpuUsage()];
  await Promise.all(asks.map(async (ask) => {
    for (let time = 0; time < EACH; time += 1) await ask();
  }));
  const [took, { user, system }, times] = [performance.now() - begun, process.cpuUsage(used), asks.length * EACH];
  return { rate: times / (took / 1_000), processor: (user + system) / times };
}

const client = new Tokenward({ url: world.url, credential: world.credential, timeoutMs: 30_000 });
const ours = async () => {
  if (!(await client.verify(token, { permission: 'invoices:write' })).valid) throw new Error('it is not valid');
};
const one = await bare();
// In turns, so that what else the machine does is the same for both.
const rounds = [];
for (let round = 0; round < 3; round += 1) rounds.push([await each(ours), await each(one.ask)]);
const [took, least] = [0, 1].map((at) => median(rounds.map((it) => it[at])));
console.log(`typescript: one connection ${took.toFixed(0)} µs, bare socket ${least.toFixed(0)} µs: ${(took - least).toFixed(0)} µs of its own`);
const byEvents = await Promise.all(Array.from({ length: AT_ONCE }, () => bare()));
const byBytes = await Promise.all(Array.from({ length: AT_ONCE }, () => bare(Buffer.alloc(16_384))));
const kinds = [Array(AT_ONCE).fill(ours), byEvents.map((it) => it.ask), byBytes.map((it) => it.ask)];
// Once before it counts, so that ours has its connections too.
for (const asks of kinds) await many(asks);
const bursts = [];
for (let round = 0; round < 5; round += 1) {
  const burst = [];
  for (const asks of kinds) burst.push(await many(asks));
  bursts.push(burst);
}
const of = (at, what) => median(bursts.map((it) => it[at][what]));
const [reached, most, more] = kinds.map((_, at) => of(at, 'rate'));
const share = (all) => `${((reached / all) * 100).toFixed(0)}%`;
console.log(`typescript: 64 at once ${reached.toFixed(0)}/s, 64 bare sockets ${most.toFixed(0)}/s: ${share(most)}`);
console.log(`typescript: 64 bare sockets that read into their own bytes ${more.toFixed(0)}/s: ${share(more)}`);
console.log(`typescript: of the processor ${kinds.map((_, at) => `${of(at, 'processor').toFixed(0)} µs`).join(', ')} a question, in this order`);
// What Deno, Bun and workers have.
const elsewhere = new Tokenward({ url: world.url, credential: world.credential, timeoutMs: 30_000, fetch });
const byFetch = async () => elsewhere.verify(token, { permission: 'invoices:write' });
const fetched = [await each(byFetch), (await many(Array(AT_ONCE).fill(byFetch))).rate];
console.log(`typescript: by the fetch of Node.js, one connection ${fetched[0].toFixed(0)} µs, 64 at once ${fetched[1].toFixed(0)}/s`);
for (const it of [one, ...byEvents, ...byBytes]) it.close();
process.exit();
