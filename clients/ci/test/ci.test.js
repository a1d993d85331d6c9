// The action with the runner's files and variables as they are documented, and each recipe's own line in a shell.

'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const world = JSON.parse(fs.readFileSync(process.env.TOKENWARD_WORLD, 'utf8'));
const ci = path.join(__dirname, '..');
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'tokenward-ci-'));
process.on('exit', () => fs.rmSync(place, { recursive: true }));

/** One step, with files of its own: what it said, and what it left for later ones. */
async function step(script, inputs, more = {}, meanwhile = () => {}) {
  const folder = fs.mkdtempSync(path.join(place, 'step-'));
  const files = Object.fromEntries(['GITHUB_OUTPUT', 'GITHUB_ENV', 'GITHUB_STATE', 'GITHUB_PATH'].map((name) => [name, path.join(folder, name)]));
  for (const file of Object.values(files)) fs.writeFileSync(file, '');
  const given = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]));
  const about = { GITHUB_JOB: 'deploy', GITHUB_RUN_ID: '7', GITHUB_REPOSITORY: 'acme/shop', GITHUB_SHA: '0a1b', GITHUB_REF: 'refs/heads/main', GITHUB_WORKFLOW: ' a,b\n', RUNNER_TOOL_CACHE: path.join(place, 'cache') };
  const child = spawn(process.execPath, [path.join(ci, script)], { env: { PATH: process.env.PATH, NO_PROXY: '127.0.0.1', ...about, ...files, ...given, ...more } });
  meanwhile(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => { said += part; });
  const code = await new Promise((done) => child.on('close', done));
  const read = (name) => {
    const pairs = fs.readFileSync(files[name], 'utf8').matchAll(/^(\w+)<<(\w+-.*|end_.*)\n([\s\S]*?)\n\2$/gm);
    return Object.fromEntries([...pairs].map(([, key, , value]) => [key, value]));
  };
  return { code, said, output: read('GITHUB_OUTPUT'), env: read('GITHUB_ENV'), state: read('GITHUB_STATE'), path: fs.readFileSync(files.GITHUB_PATH, 'utf8') };
}

const inputs = { url: `${world.url}/`, token: world.admin, role: 'viewer', minutes: '60', env: 'TOKENWARD_TOKEN', organization: '' };

async function codeOf(token) {
  const answer = await fetch(`${world.url}/verify`, { method: 'POST', headers: { authorization: `Token ${world.credential}` }, body: JSON.stringify({ token }) });
  return (await answer.json()).code;
}

test('a token is made, masked before it is anywhere else, and taken back by the post step', async () => {
  const made = await step('tokenward-token/main.js', inputs);
  assert.equal(made.code, 0, made.said);
  const { token } = made.output;
  assert.equal(await codeOf(token), 'valid');
  assert.deepEqual(made.env, { TOKENWARD_TOKEN: token });
  assert.deepEqual(made.said.split('\n').filter((line) => line.includes('twd_')), [`::add-mask::${world.admin}`, `::add-mask::${token}`]);
  const state = Object.fromEntries(Object.entries(made.state).map(([name, value]) => [`STATE_${name}`, value]));
  const end = (Date.parse(made.state.end) - Date.now()) / 60_000;
  assert.ok(end > 58 && end <= 60, `${end} minutes`);
  const post = await step('tokenward-token/post.js', {}, state);
  assert.equal(post.code, 0, post.said);
  assert.equal(await codeOf(token), 'revoked');
  const again = await step('tokenward-token/post.js', {}, state);
  assert.ok(again.code === 0 && !again.said.includes('::warning::'), again.said);
});

test('a token is narrowed, and says which job it is for', async () => {
  const made = await step('tokenward-token/main.js', { ...inputs, permissions: 'invoices:read,\n *:read' });
  assert.equal(made.code, 0, made.said);
  const answer = await fetch(`${world.url}/organization/${world.organization}/apiToken/${made.output.id}`, { headers: { authorization: `Token ${world.admin}` } });
  const { labels, permissions } = await answer.json();
  assert.deepEqual(labels, { ci: 'github', job: 'deploy', run: '7', repository: 'acme/shop', commit: '0a1b', ref: 'refs/heads/main', workflow: 'a b' });
  assert.deepEqual(permissions.sort(), ['*:read', 'invoices:read']);
  const post = await step('tokenward-token/post.js', {}, { STATE_token: made.state.token, STATE_url: made.state.url, STATE_name: made.state.name, STATE_end: made.state.end });
  assert.equal(post.code, 0, post.said);
  const more = await step('tokenward-token/main.js', { ...inputs, permissions: 'invoices:write' });
  assert.ok(more.code === 1 && more.said.includes('invoices:write') && more.output.token === undefined, more.said);
});

/** A way to the server on which each answer to a POST waits for `answer`. */
async function slowly(answer, test) {
  const way = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { host, connection, 'content-length': _, ...headers } = request.headers;
    const asked = await fetch(world.url + request.url, { method: request.method, headers, ...(parts.length > 0 && { body: Buffer.concat(parts) }) });
    const body = await asked.text();
    if (request.method === 'POST') await answer(request, response);
    if (!response.destroyed) response.writeHead(asked.status).end(body);
  });
  await new Promise((done) => way.listen(0, '127.0.0.1', done));
  try { await test(`http://127.0.0.1:${way.address().port}`); } finally { way.closeAllConnections(); way.close(); }
}

test('a job that is cancelled while its token is being made takes it back', async () => {
  let step1;
  const answer = async () => {
    // As the runner does it, only sooner.
    for (const signal of ['SIGINT', 'SIGTERM']) {
      step1.kill(signal);
      await new Promise((done) => setTimeout(done, 200));
    }
  };
  await slowly(answer, async (url) => {
    const made = await step('tokenward-token/main.js', { ...inputs, url }, {}, (child) => { step1 = child; });
    assert.match(made.said, /Stopping/);
    assert.equal(await codeOf(made.state.token), 'valid');
    const post = await step('tokenward-token/post.js', {}, { STATE_token: made.state.token, STATE_url: world.url, STATE_name: made.state.name, STATE_end: made.state.end });
    assert.ok(post.code === 0 && !post.said.includes('::warning::'), post.said);
    assert.equal(await codeOf(made.state.token), 'revoked');
  });
});

test('a token of which nobody knows whether it was made is told with its end', async () => {
  await slowly(async (request) => { request.socket.destroy(); }, async (url) => {
    const lost = await step('tokenward-token/main.js', { ...inputs, url });
    assert.ok(lost.code === 1 && lost.output.token === undefined && lost.state.name.startsWith('run-github-7-'), lost.said);
    const post = await step('tokenward-token/post.js', {}, { STATE_url: lost.state.url, STATE_name: lost.state.name, STATE_end: lost.state.end });
    assert.equal(post.code, 0);
    assert.match(post.said, new RegExp(`::warning::The token ${lost.state.name} may have been made, and would be accepted until 20.*token delete`));
    const answer = await fetch(`${world.url}/organization/${world.organization}/apiToken`, { headers: { authorization: `Token ${world.admin}` } });
    const { results } = await answer.json();
    const it = results.find(({ name }) => name === lost.state.name);
    assert.ok(it, 'it was made');
    await fetch(`${world.url}/organization/${world.organization}/apiToken/${it.id}`, { method: 'DELETE', headers: { authorization: `Token ${world.admin}` } });
  });
});

test('what is no answer of a server is told, and a token that may have been made as well', async () => {
  const strangers = { organizations: '{"results":"many"}', nothing: '', page: '<!doctype html>', half: '{"results":[{"id":"x"}]}' };
  for (const [name, body] of Object.entries(strangers)) {
    const place = http.createServer((request, response) => response.end(body));
    await new Promise((done) => place.listen(0, '127.0.0.1', done));
    const { code, said, state: left } = await step('tokenward-token/main.js', { ...inputs, url: `http://127.0.0.1:${place.address().port}` });
    place.close();
    assert.ok(code === 1 && said.includes('not as Tokenward does') && !left.name, `${name}: ${said}`);
  }
  // The lists are a server's, and what answers the order is not: the post step has to speak of it.
  const lists = { '/organization': { results: [{ id: 'o', name: 'Acme' }] }, '/organization/o/availableRole': { results: [{ id: 'r', name: 'viewer' }] } };
  for (const answer of ['{}', '', '{"token":7}', '{"token":"a\\nb"}']) {
    const place = http.createServer((request, response) => response.end(request.method === 'GET' ? JSON.stringify(lists[request.url]) : answer));
    await new Promise((done) => place.listen(0, '127.0.0.1', done));
    const made = await step('tokenward-token/main.js', { ...inputs, url: `http://127.0.0.1:${place.address().port}` });
    place.closeAllConnections();
    place.close();
    assert.ok(made.code === 1 && made.said.includes('with no token') && made.output.token === undefined && made.state.token === undefined, made.said);
    const post = await step('tokenward-token/post.js', {}, { STATE_url: made.state.url, STATE_name: made.state.name, STATE_end: made.state.end });
    assert.match(post.said, /::warning::The token run-github-7-.* may have been made/);
  }
});

test('a redirect is not followed: it would carry the tokens elsewhere', async () => {
  const heard = [];
  const elsewhere = http.createServer((request, response) => { heard.push(request.headers.authorization); response.end('{}'); });
  await new Promise((done) => elsewhere.listen(0, '127.0.0.1', done));
  const away = http.createServer((request, response) => response.writeHead(307, { location: `http://127.0.0.1:${elsewhere.address().port}${request.url}` }).end());
  await new Promise((done) => away.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${away.address().port}`;
  const made = await step('tokenward-token/main.js', { ...inputs, url });
  const post = await step('tokenward-token/post.js', {}, { STATE_token: 'twd_x', STATE_url: url, STATE_name: 'run-x', STATE_end: '2027-01-01T00:00:00Z' });
  for (const server of [elsewhere, away]) {
    server.closeAllConnections();
    server.close();
  }
  assert.ok(made.code === 1 && post.said.includes('could not be taken back'), `${made.said} ${post.said}`);
  assert.ok(!post.said.replace('::add-mask::twd_x', '').includes('twd_x'), post.said);
  assert.deepEqual(heard, []);
});

test('the post step of a job that made no token does nothing', async () => {
  const { code, said } = await step('tokenward-token/post.js', {});
  assert.deepEqual([code, said], [0, '']);
});

test('a token that cannot be taken back is a warning with its end', async () => {
  const state = { STATE_token: 'twd_x', STATE_url: 'http://127.0.0.1:9', STATE_name: 'run-x', STATE_end: '2027-01-01T00:00:00Z' };
  const { code, said } = await step('tokenward-token/post.js', {}, state);
  assert.equal(code, 0);
  assert.match(said, /::warning::The token run-x could not be taken back, and is accepted until 2027-01-01/);
});

test('what is wrong fails the step, says what to do, and names no token', async () => {
  const wrong = [
    [{ token: '' }, 'fork'],
    [{ url: 'tokens.example.com' }, 'address of the server'],
    [{ url: 'https://u:p@x.example' }, 'without a user'],
    [{ role: '' }, 'what the token may do'],
    [{ role: 'no-such-role' }, 'There is no role `no-such-role`. There are: '],
    [{ minutes: '61' }, '1 to 60'],
    [{ minutes: 'x' }, '1 to 60'],
    [{ env: 'a-b' }, 'name of a variable'],
    [{ env: 'TOKENWARD_URL' }, 'neither Tokenward nor the runner'],
    [{ env: 'github_token' }, 'neither Tokenward nor the runner'],
    [{ organization: 'Other' }, 'no organization `Other`'],
    [{ token: world.tokens.weak }, 'token:manage'],
    [{ token: world.tokens.revoked }, 'revoked'],
    [{ url: 'http://127.0.0.1:9' }, 'cannot be reached'],
  ];
  for (const [change, told] of wrong) {
    const { code, said, output, state: left } = await step('tokenward-token/main.js', { ...inputs, ...change });
    assert.equal(code, 1, JSON.stringify(change));
    const error = said.split('\n').find((line) => line.startsWith('::error::'));
    assert.ok(error?.includes(told), said);
    assert.ok(!error.includes('twd_') && output.token === undefined);
    assert.ok(!left.name, 'the server has refused it, so that the post step has nothing to say');
  }
});

// As a release is made: the steps of its workflow, with a script in the place of what they compile.
function released() {
  const workflow = fs.readFileSync(path.join(ci, '../../.github/workflows/release.yml'), 'utf8');
  const steps = /- name: Archive\n +run: \|\n((?: {10}.*\n)+)/.exec(workflow)[1];
  const targets = [...workflow.matchAll(/target: ([\w-]+),/g)].map(([, target]) => target);
  const folder = fs.mkdtempSync(path.join(place, 'release-'));
  fs.mkdirSync(path.join(folder, 'target/dist'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'target/dist/tokenward'), '#!/bin/sh\necho set up\n', { mode: 0o755 });
  for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE']) fs.writeFileSync(path.join(folder, file), file);
  for (const target of targets) execFileSync('bash', ['-ec', steps], { cwd: folder, env: { PATH: process.env.PATH, NAME: `tokenward-${target}` } });
  return { folder, targets };
}

/** A place for archives, and what was asked of it. */
async function archives(folder, test) {
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url);
    const file = path.join(folder, path.basename(request.url));
    if (fs.existsSync(file)) response.end(fs.readFileSync(file)); else response.writeHead(404).end();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try { await test(`http://127.0.0.1:${server.address().port}`, asked); } finally { server.close(); }
}

const sum = (file) => createHash('sha256').update(fs.readFileSync(file)).digest('hex');

test('the command is set up from an archive of a release with the right checksum alone, once', async () => {
  const { folder, targets } = released();
  const target = targets.find((it) => it.startsWith(process.arch === 'arm64' ? 'aarch64' : 'x86_64'));
  const file = `tokenward-${target}.tar.xz`;
  const sha256 = sum(path.join(folder, file));
  assert.ok(fs.readFileSync(path.join(folder, `${file}.sha256`), 'utf8').startsWith(sha256));
  const usual = /default: (https:.*)/.exec(fs.readFileSync(path.join(ci, 'setup-tokenward/action.yml'), 'utf8'))[1];
  await archives(folder, async (base, asked) => {
    const url = usual.replace('https://github.com', base);
    const bad = await step('setup-tokenward/main.js', { url, version: '1.2.3', sha256: '0'.repeat(64) });
    assert.ok(bad.code === 1 && bad.said.includes('Nothing was unpacked') && bad.path === '', bad.said);
    const first = await step('setup-tokenward/main.js', { url, version: '1.2.3', sha256 });
    assert.equal(first.code, 0, first.said);
    assert.equal(execFileSync(path.join(first.path.trim(), 'tokenward'), { encoding: 'utf8' }), 'set up\n');
    const second = await step('setup-tokenward/main.js', { url, version: '1.2.3', sha256 });
    assert.equal(second.path, first.path);
    assert.deepEqual(asked, Array(2).fill(`/tokenward/tokenward/releases/download/v1.2.3/${file}`), 'the third time it is in the cache');
    assert.deepEqual(fs.readdirSync(path.dirname(first.path.trim())), [sha256], 'nothing is left beside it');
  });
});

test('an archive that is no release is refused, and nothing of it stays', async () => {
  const folder = fs.mkdtempSync(path.join(place, 'archive-'));
  fs.mkdirSync(path.join(folder, 'empty'));
  fs.writeFileSync(path.join(folder, 'other.tar.gz'), execFileSync('tar', ['-czf', '-', '-C', folder, 'empty']));
  fs.writeFileSync(path.join(folder, 'page.tar.xz'), '<!doctype html>');
  await archives(folder, async (base) => {
    const wrong = [
      [{ version: '..' }, 'version such as'], [{ version: '1.2' }, 'version such as'], [{ version: '1.2.3/../x' }, 'version such as'],
      [{ sha256: 'abc' }, '64 hexadecimal digits'], [{ url: `${base}/none.tar.xz` }, 'answers 404'], [{ url: 'http://127.0.0.1:9/x' }, 'cannot be reached'],
      [{ sha256: sum(path.join(folder, 'other.tar.gz')) }, 'no `tokenward`'], [{ url: `${base}/page.tar.xz`, sha256: sum(path.join(folder, 'page.tar.xz')) }, 'tar'],
    ];
    for (const [change, told] of wrong) {
      const { code, said } = await step('setup-tokenward/main.js', { url: `${base}/other.tar.gz`, version: '9.9.9', sha256: '0'.repeat(64), ...change });
      assert.ok(code === 1 && said.includes(told), `${told}: ${said}`);
    }
    assert.deepEqual(fs.readdirSync(path.join(place, 'cache/tokenward/9.9.9')), []);
  });
});

test('the actions name scripts that are there, and node24', () => {
  for (const action of ['setup-tokenward', 'tokenward-token']) {
    const text = fs.readFileSync(path.join(ci, action, 'action.yml'), 'utf8');
    assert.match(text, /using: node24/);
    for (const [, script] of text.matchAll(/^ {2}(?:main|post): (.*)$/gm)) assert.ok(fs.existsSync(path.join(ci, action, script)), script);
  }
  assert.match(fs.readFileSync(path.join(ci, 'tokenward-token/action.yml'), 'utf8'), /post-if: always\(\)/);
});

test("each recipe's own line runs the command with a token that is gone after it", async () => {
  const folder = fs.mkdtempSync(path.join(place, 'recipe-'));
  fs.symlinkSync(world.binary, path.join(folder, 'tokenward'));
  fs.writeFileSync(path.join(folder, 'deploy.sh'), '#!/bin/sh\necho "$TOKENWARD_TOKEN"\nexit 3\n', { mode: 0o755 });
  const line = (file, pattern) => pattern.exec(fs.readFileSync(path.join(ci, file), 'utf8'))[1];
  const lines = {
    'gitlab.yml': line('gitlab.yml', /- (tokenward run .*)/),
    Jenkinsfile: line('Jenkinsfile', /sh '(tokenward run .*)'/),
    'circleci.yml': line('circleci.yml', /- run: (tokenward run .*)/),
    'run.sh': `${path.join(ci, 'run.sh')} ./deploy.sh`,
  };
  for (const [recipe, command] of Object.entries(lines)) {
    const env = { PATH: `${folder}:${process.env.PATH}`, HOME: folder, TOKENWARD_URL: world.url, TOKENWARD_TOKEN: world.admin, DEPLOY_ROLE: 'viewer', DEPLOY_MINUTES: '60' };
    if (recipe === 'run.sh') { delete env.DEPLOY_ROLE; delete env.DEPLOY_MINUTES; }
    const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: folder, env, encoding: 'utf8' });
    assert.equal(status, 3, `${recipe}: ${stderr}`);
    assert.equal(await codeOf(stdout.trim()), 'revoked', recipe);
  }
});
