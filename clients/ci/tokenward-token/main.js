// Makes a token for this job, and leaves it where later steps and the post step find it.

const { randomBytes } = require('node:crypto');

const { ask, base, find, list } = require('./api.js');
const { fail, input, mask, output, state, variable } = require('./runner.js');

/** A text as a label can have it. */
function plain(text = '') {
  const clean = text.replace(/\p{Cc}/gu, '').replace(/,/g, ' ').trim();
  return [...clean].slice(0, 128).join('').trimEnd();
}

async function main() {
  const own = input('token');
  if (!own) throw new Error('`token` is empty. A job of a fork sees no secrets; is this one?');
  mask(own);
  const url = base(input('url'));
  const minutes = Number(input('minutes'));
  if (!Number.isInteger(minutes) || minutes < 1 || minutes > 60) throw new Error('`minutes` is a number from 1 to 60.');
  const name = input('env');
  if (name && !/^[A-Za-z_][0-9A-Za-z_]*$/.test(name)) throw new Error('`env` is the name of a variable.');
  // What reads these would take the token for an address or a file, and say so in a log; those of the runner cannot be set.
  if (/^(TOKENWARD|GITHUB|RUNNER)_/i.test(name) && name !== 'TOKENWARD_TOKEN') throw new Error('`env` is TOKENWARD_TOKEN, or a name that neither Tokenward nor the runner has.');
  if (!input('role')) throw new Error('`role` is empty: say what the token may do.');

  const organizations = list(url, await ask(url, own, 'GET', '/organization'));
  const wanted = input('organization');
  if (!wanted && organizations.length !== 1) throw new Error(`\`token\` sees ${organizations.length} organizations; name one.`);
  const organization = wanted ? find(organizations, wanted, 'organization') : organizations[0];
  const roles = list(url, await ask(url, own, 'GET', `/organization/${organization.id}/availableRole`));
  const permissions = input('permissions').split(/[\s,]+/).filter(Boolean);
  // As `tokenward run` labels its tokens.
  const { GITHUB_JOB: job, GITHUB_RUN_ID: run, GITHUB_REPOSITORY: repository, GITHUB_SHA: commit, GITHUB_REF: ref, GITHUB_WORKFLOW: workflow } = process.env;
  const labels = Object.entries({ ci: 'github', job, run, repository, commit, ref, workflow }).map(([key, value]) => [key, plain(value)]);
  const ordered = { name: `run-github-${run ?? 'job'}-${randomBytes(5).toString('hex')}`, expires_at: new Date(Date.now() + minutes * 60_000).toISOString() };
  const role = find(roles, input('role'), 'role').id;
  // A job that is cancelled now gets SIGINT and, 7.5 s later, SIGTERM: the answer is waited for, so that the post step knows what to
  // take back. It knows what may be there also where no answer comes.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => console.log('Stopping; a token that is being made is taken back by the post step.'));
  state('url', url);
  state('name', ordered.name);
  state('end', ordered.expires_at);
  const made = await ask(url, own, 'POST', `/organization/${organization.id}/apiToken`, {
    ...ordered,
    description: `job ${job} run ${run} of ${repository} at ${commit}`,
    labels: Object.fromEntries(labels.filter(([, value]) => value)),
    role_id: role,
    ...(permissions.length > 0 && { permissions }),
  }).catch((error) => {
    // Where the server has refused, none was made.
    if (error.refused) state('name', '');
    throw error;
  });
  if (typeof made?.token !== 'string' || !/^[!-~]+$/.test(made.token)) throw new Error(`${url} answers, but with no token. Is the address right?`);
  // First of all, so that nothing after it can leave the token in a log or alive.
  mask(made.token);
  state('token', made.token);
  output('token', made.token);
  output('id', made.id);
  if (name) variable(name, made.token);
  console.log(`Made the token ${made.name}, role ${made.role_name}, until ${made.expires_at} at the latest.`);
}

main().catch(fail);
