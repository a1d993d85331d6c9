// The published TypeScript SDK as a client of a running Tokenward: what its users do, unchanged.
// TOKENWARD_URL is where the server listens, TOKENWARD_TOKEN a token of an admin.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Configuration, OrganizationApiTokenApi, OrganizationMainCallsApi } from 'qovery-typescript-axios';

const { TOKENWARD_URL: url, TOKENWARD_TOKEN: adminToken } = process.env;
assert.ok(url && adminToken, 'set TOKENWARD_URL and TOKENWARD_TOKEN');

const asToken = (token) => sdk({ apiKey: `Token ${token}` });
const asBearer = (token) => sdk({ accessToken: token });
const admin = asToken(adminToken);
let organization;
let roles;

before(async () => {
  await ready(30_000);
  organization = (await admin.organizations.listOrganization()).data.results[0];
  roles = new Map((await list(admin.organizations.listOrganizationAvailableRoles(organization.id))).map((it) => [it.name, it.id]));
});

test('a token sees its organization and no other', async () => {
  const organizations = await list(admin.organizations.listOrganization());
  assert.deepEqual(organizations.map((it) => it.name), ['Acme']);
  assert.equal(organizations[0].id, organization.id);
});

test('the built-in roles are there by name, and the owner is not handed out', () => {
  for (const name of ['admin', 'devops', 'billing', 'viewer']) assert.ok(roles.has(name), `no role ${name}`);
  assert.ok(!roles.has('owner'));
});

test('a token works in both header forms, and from its deletion on in none', async () => {
  const { status, data: created } = await create({ name: 'deploy', description: 'CI', role_id: roles.get('devops') });
  assert.equal(status, 201);
  assert.match(created.token, /^twd_[0-9A-Za-z]{38}$/);
  assert.equal(created.name, 'deploy');
  assert.equal(created.description, 'CI');
  assert.equal(created.role_name, 'devops');

  for (const client of [asToken(created.token), asBearer(created.token)]) {
    const [seen] = await list(client.organizations.listOrganization());
    assert.equal(seen.id, organization.id);
  }

  const gone = await admin.tokens.deleteOrganizationApiToken(organization.id, created.id);
  assert.equal(gone.status, 204);
  for (const client of [asToken(created.token), asBearer(created.token)]) {
    const answer = await refused(401, client.organizations.listOrganization());
    assert.ok(answer.headers['www-authenticate'], 'a 401 says how to authenticate');
  }
  await refused(404, admin.tokens.deleteOrganizationApiToken(organization.id, created.id));
});

test('the list is filtered by name and never shows a token again', async () => {
  await create({ name: 'filter-one', role_id: roles.get('viewer') });
  await create({ name: 'filter-two', role_id: roles.get('viewer') });
  const all = await list(admin.tokens.listOrganizationApiTokens(organization.id));
  const one = await list(admin.tokens.listOrganizationApiTokens(organization.id, 'filter-one'));
  assert.deepEqual(one.map((it) => it.name), ['filter-one']);
  assert.ok(all.length > 1);
  assert.ok(all.every((it) => !('token' in it)));
});

test('a token made without a description reads back without one, and an empty one stays empty', async () => {
  await create({ name: 'undescribed', role_id: roles.get('viewer') });
  await create({ name: 'described as nothing', description: '', role_id: roles.get('viewer') });
  assert.equal((await find('undescribed')).description ?? null, null);
  assert.equal((await find('described as nothing')).description, '');
});

test('a role of null is the admin, as it always was', async () => {
  const { data: created } = await create({ name: 'of old', role_id: null });
  assert.equal(created.role_name, 'admin');
});

test('a name is taken only once, until its token is deleted', async () => {
  const { data: first } = await create({ name: 'unique', role_id: roles.get('viewer') });
  await refused(409, create({ name: 'unique', role_id: roles.get('viewer') }));
  await admin.tokens.deleteOrganizationApiToken(organization.id, first.id);
  await create({ name: 'unique', role_id: roles.get('viewer') });
});

test('a viewer may look and not touch', async () => {
  const { data: created } = await create({ name: 'spectator', role_id: roles.get('viewer') });
  const viewer = asToken(created.token);
  await list(viewer.tokens.listOrganizationApiTokens(organization.id));
  await refused(403, viewer.tokens.createOrganizationApiToken(organization.id, { name: 'more', role_id: roles.get('viewer') }));
  await refused(403, viewer.tokens.deleteOrganizationApiToken(organization.id, created.id));
});

test('what does not exist, and a token that is none, are refused', async () => {
  const nowhere = '01890a5d-ac96-774b-bcce-b302099a8057';
  await refused(404, admin.tokens.listOrganizationApiTokens(nowhere));
  await refused(401, asToken(`${adminToken.slice(0, -1)}_`).organizations.listOrganization());
});

function sdk(credential) {
  const configuration = new Configuration({ basePath: url, ...credential });
  return { organizations: new OrganizationMainCallsApi(configuration), tokens: new OrganizationApiTokenApi(configuration) };
}

const create = (request) => admin.tokens.createOrganizationApiToken(organization.id, request);

const list = async (call) => (await call).data.results;

async function find(name) {
  const found = await list(admin.tokens.listOrganizationApiTokens(organization.id, name));
  assert.equal(found.length, 1);
  return found[0];
}

/** The answer to a call that must be refused with this status and a body that says what the contract's clients read. */
async function refused(status, call) {
  const answer = await call.then(
    ({ status: accepted }) => assert.fail(`expected ${status}, got ${accepted}`),
    (error) => error.response ?? assert.fail(error),
  );
  assert.equal(answer.status, status, JSON.stringify(answer.data));
  assert.equal(answer.data.status, status);
  for (const key of ['error', 'detail', 'message', 'code']) assert.equal(typeof answer.data[key], 'string', key);
  return answer;
}

async function ready(milliseconds) {
  const until = Date.now() + milliseconds;
  let last;
  while (Date.now() < until) {
    try {
      last = (await fetch(`${url}/readyz`)).status;
      if (last === 200) return;
    } catch (error) {
      last = error.cause ?? error;
    }
    await sleep(50);
  }
  assert.fail(`${url}/readyz was not ready within ${milliseconds} ms: ${last}`);
}
