// Fetches the archive, proves it by its checksum, unpacks it into the runner's cache of tools, and puts it on the PATH.

const { createHash } = require('node:crypto');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { fail, input, output } = require('../tokenward-token/runner.js');

async function main() {
  const version = input('version');
  const sha256 = input('sha256').toLowerCase();
  if (!/^[0-9A-Za-z.+-]+$/.test(version)) throw new Error('`version` is a version such as 1.2.3.');
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('`sha256` has 64 hexadecimal digits.');
  const folder = path.join(process.env.RUNNER_TOOL_CACHE || process.env.RUNNER_TEMP, 'tokenward', version, sha256);
  if (fs.existsSync(path.join(folder, 'tokenward'))) {
    console.log(`tokenward ${version} is in the cache.`);
  } else {
    const places = { version, os: process.platform, arch: process.arch };
    const url = input('url').replace(/\{(version|os|arch)\}/g, (_, name) => places[name]);
    const answer = await fetch(url, { signal: AbortSignal.timeout(120_000) });
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}.`);
    const archive = Buffer.from(await answer.arrayBuffer());
    const found = createHash('sha256').update(archive).digest('hex');
    if (found !== sha256) throw new Error(`The archive at ${url} has the SHA-256 ${found}, not ${sha256}. Nothing was unpacked.`);
    // Unpacked beside its place, and moved there whole: another job may look at the same time.
    fs.mkdirSync(path.dirname(folder), { recursive: true });
    const next = fs.mkdtempSync(`${folder}.`);
    execFileSync('tar', ['-xzf', '-', '-C', next], { input: archive });
    if (!fs.existsSync(path.join(next, 'tokenward'))) throw new Error(`The archive at ${url} has no \`tokenward\` at its top.`);
    try {
      fs.renameSync(next, folder);
    } catch (error) {
      if (!fs.existsSync(path.join(folder, 'tokenward'))) throw error;
      fs.rmSync(next, { recursive: true });
    }
  }
  fs.appendFileSync(process.env.GITHUB_PATH, `${folder}\n`);
  output('path', folder);
}

main().catch(fail);
