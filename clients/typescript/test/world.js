// What clients/testing/world.py made ready, and small servers that answer as a test wants.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';

assert.ok(process.env.TOKENWARD_WORLD, 'run this by scripts/clients');
export const world = JSON.parse(readFileSync(process.env.TOKENWARD_WORLD, 'utf8'));

/** The bytes of an answer of the table. */
export function content(row) {
  if (row.json !== undefined) return Buffer.from(JSON.stringify(row.json));
  return row.bytes === undefined ? Buffer.from(row.base64, 'base64') : Buffer.alloc(row.bytes, 'x');
}

/** An HTTP server on a free port for as long as `use` runs; it gets the address. */
export async function serving(listener, use) {
  const server = http.createServer(listener);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try {
    return await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The same with bare sockets. */
export async function listening(onSocket, use) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try {
    return await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

export const YES = JSON.stringify({
  valid: true,
  code: 'valid',
  token: { id: 'i', name: 'n', kind: 'api_token', organization_id: 'o', role_id: 'r', role_name: 'devops', expires_at: null },
});

/** Answers a request to a bare socket. */
export function answer(socket, text) {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}
