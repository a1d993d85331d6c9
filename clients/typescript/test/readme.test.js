// The example of the README, as it stands there.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
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
