// Takes the token back, after success, failure and cancellation. Holding it is the right to.

const { ask } = require('./api.js');
const { mask, warn } = require('./runner.js');

async function main() {
  const { STATE_token: token, STATE_url: url, STATE_name: name, STATE_end: end } = process.env;
  // None was made.
  if (!token && !name) return;
  if (!token) {
    warn(`The token ${name} may have been made, and would be accepted until ${end}: nobody answered. \`tokenward token list\` shows it, and \`tokenward token delete ${name}\` takes it back.`);
    return;
  }
  mask(token);
  let failure;
  for (const pause of [0, 300, 3_000]) {
    await new Promise((done) => setTimeout(done, pause));
    try {
      await ask(url, undefined, 'POST', '/revoke', undefined, { token });
      console.log(`Took back the token ${name}.`);
      return;
    } catch (error) {
      failure = error;
    }
  }
  // The job did what it had to do: this is a warning, and no failure.
  warn(`The token ${name} could not be taken back, and is accepted until ${end}: ${failure.message}`);
}

main();
