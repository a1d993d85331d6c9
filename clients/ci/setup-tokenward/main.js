// Fetches the archive, proves it by its checksum, unpacks it into the runner's cache of tools, and puts it on the PATH.

const { createHash } = require('node:crypto');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { fail, input, output } = require('../tokenward-token/runner.js');

// What a release has archives for (`.github/workflows/release.yml`), as Node.js names the machine.
const TARGETS = { 'linux-x64': 'x86_64-unknown-linux-gnu', 'linux-arm64': 'aarch64-unknown-linux-gnu' };

/** Where the archive is. */
function address(version) {
  const machine = `${process.platform}-${process.arch}`;
  const url = input('url');
  if (url.includes('{target}') && !TARGETS[machine]) {
    throw new Error(`No release has an archive for ${machine}: there are ${Object.keys(TARGETS).join(' and ')}. Name the \`url\` of one that you have made.`);
  }
  const places = { version, target: TARGETS[machine] };
  return url.replace(/\{(version|target)\}/g, (_, name) => places[name]);
}

async function fetched(url, sha256) {
  let answer;
  try {
    answer = await fetch(url, { signal: AbortSignal.timeout(120_000) });
  } catch (error) {
    throw new Error(`${url} cannot be reached: ${error.cause?.message ?? error.message}`);
  }
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}. Is there a version of that number?`);
  const archive = Buffer.from(await answer.arrayBuffer());
  const found = createHash('sha256').update(archive).digest('hex');
  if (found !== sha256) throw new Error(`The archive at ${url} has the SHA-256 ${found}, not ${sha256}. Nothing was unpacked.`);
  return archive;
}

/** Unpacks beside the folder, and moves it there whole: another job may look at the same time. */
function unpack(archive, folder, url) {
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const place = fs.mkdtempSync(`${folder}.`);
  try {
    // A file: of a pipe tar does not see how it is compressed.
    const file = path.join(place, 'archive');
    const next = path.join(place, 'unpacked');
    fs.writeFileSync(file, archive);
    fs.mkdirSync(next);
    execFileSync('tar', ['-xf', file, '-C', next, '--strip-components=1'], { stdio: ['ignore', 'inherit', 'inherit'] });
    if (!fs.existsSync(path.join(next, 'tokenward'))) throw new Error(`The archive at ${url} has no \`tokenward\` in its folder.`);
    fs.renameSync(next, folder);
  } catch (error) {
    if (!fs.existsSync(path.join(folder, 'tokenward'))) throw error;
  } finally {
    fs.rmSync(place, { recursive: true });
  }
}

async function main() {
  const version = input('version');
  const sha256 = input('sha256').toLowerCase();
  if (!/^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$/.test(version)) throw new Error('`version` is a version such as 1.2.3.');
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('`sha256` has 64 hexadecimal digits: that of the archive.');
  const cache = process.env.RUNNER_TOOL_CACHE || process.env.RUNNER_TEMP;
  if (!cache) throw new Error('Neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set. This runs as a step of GitHub Actions.');
  const folder = path.join(cache, 'tokenward', version, sha256);
  if (fs.existsSync(path.join(folder, 'tokenward'))) {
    console.log(`tokenward ${version} is in the cache.`);
  } else {
    const url = address(version);
    unpack(await fetched(url, sha256), folder, url);
  }
  fs.appendFileSync(process.env.GITHUB_PATH, `${folder}\n`);
  output('path', folder);
}

main().catch(fail);
