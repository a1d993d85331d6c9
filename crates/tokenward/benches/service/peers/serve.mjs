// What both peers share: one HTTP route, `POST /verify`, on plain `node:http`, and the line that tells the benchmark
// how to use it. A peer is started with PORT and with DIR, an empty directory for its database; it ends on SIGTERM.
//
// To install: `npm_config_build_from_source=true npm_config_nodedir=PREFIX npm ci`, where PREFIX/include/node has the
// headers of Node.js. It compiles better-sqlite3, which takes a C++ compiler, make and Python, and downloads no binary.

import { createServer } from 'node:http';

const { PORT, DIR } = process.env;
if (!PORT || !DIR) throw new Error('set PORT, and DIR to an empty directory');

export const port = Number(PORT);
export const databaseFile = `${DIR}/peer.db`;

// `verify` gets the parsed body and gives the answer's object, or a promise of it.
export function serve({ verify, bodies, settings, close }) {
  const server = createServer((request, response) => {
    if (request.method !== 'POST' || request.url !== '/verify') return send(response, 404, { error: 'not found' });
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      let body;
      try {
        body = JSON.parse(Buffer.concat(chunks).toString());
      } catch {
        return send(response, 400, { error: 'the body is not JSON' });
      }
      try {
        send(response, 200, await verify(body));
      } catch (error) {
        // Better Auth throws what it wants answered, with its status; anything else is a bug.
        if (!error.statusCode) console.error(error);
        send(response, error.statusCode ?? 500, { error: error.message });
      }
    });
  });
  server.listen(port, '127.0.0.1', () => {
    const headers = { 'content-type': 'application/json' };
    console.log(JSON.stringify({ method: 'POST', path: '/verify', headers, bodies, check: '"valid":true', settings }));
  });
  process.on('SIGTERM', () => {
    server.close(close);
    server.closeAllConnections(); // the benchmark's connections are kept alive
  });
}

function send(response, status, answer) {
  const text = JSON.stringify(answer);
  // With the length known, Node sends head and body in one piece and without chunks.
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

// The SQLite settings in force, as the database itself tells them.
export function sqliteSettings(database) {
  const pragma = (name) => database.pragma(name, { simple: true });
  const synchronous = ['OFF', 'NORMAL', 'FULL', 'EXTRA'][pragma('synchronous')];
  const { version } = database.prepare('SELECT sqlite_version() AS version').get();
  return `SQLite ${version} with journal_mode=${pragma('journal_mode').toUpperCase()} and synchronous=${synchronous}`;
}
