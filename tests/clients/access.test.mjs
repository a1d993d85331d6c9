// Roles, members and resources through the published TypeScript SDK, unchanged. TOKENWARD_URL is where the server
// listens, TOKENWARD_TOKEN a token of an admin, TOKENWARD_SESSION a session of the organization's owner.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import {
  AccountInfoApi, ClustersApi, Configuration, EnvironmentMainCallsApi, EnvironmentSecretApi, EnvironmentVariableApi, EnvironmentsApi,
  MembersApi, OrganizationApiTokenApi, OrganizationCustomRoleApi, OrganizationEventApi, OrganizationMainCallsApi,
  OrganizationPolicyApiTokenApi, ProjectEnvironmentVariableApi, ProjectMainCallsApi, ProjectSecretApi, ProjectsApi, VariableMainCallsApi,
} from 'qovery-typescript-axios';

const { TOKENWARD_URL: url, TOKENWARD_TOKEN: adminToken, TOKENWARD_SESSION: session } = process.env;
assert.ok(url && adminToken && session, 'set TOKENWARD_URL, TOKENWARD_TOKEN and TOKENWARD_SESSION');

const MODES = ['DEVELOPMENT', 'PREVIEW', 'STAGING', 'PRODUCTION'];
const admin = sdk({ apiKey: `Token ${adminToken}` });
const owner = sdk({ accessToken: session });
let organization;
let roles;

before(async () => {
  organization = (await admin.organizations.listOrganization()).data.results[0].id;
  const { data } = await admin.organizations.listOrganizationAvailableRoles(organization);
  roles = new Map(data.results.map((it) => [it.name, it.id]));
});

test('organizations are made, read, edited and deleted', async () => {
  const made = await owner.organizations.createOrganization({ name: 'Second', plan: 'ENTERPRISE', description: null });
  assert.equal(made.status, 201);
  const { id } = made.data;
  assert.equal((await owner.organizations.getOrganization(id)).data.name, 'Second');
  const edited = await owner.organizations.editOrganization(id, { name: 'Second', description: 'changed' });
  assert.equal(edited.data.description, 'changed');
  assert.equal((await owner.organizations.deleteOrganization(id)).status, 204);
  await refused(404, owner.organizations.getOrganization(id));
  await refused(403, admin.organizations.createOrganization({ name: 'Third', plan: 'FREE' }));
});

test('a custom role is made, filled, given to a token, and deleted', async () => {
  const cluster = (await admin.clusters.createCluster(organization, cluster_('role-cluster'))).data;
  const project = (await admin.projects.createProject(organization, { name: 'role-project' })).data;
  const { status, data: role } = await admin.roles.createOrganizationCustomRole(organization, { name: 'sdk-role' });
  assert.equal(status, 201);
  assert.equal(role.description, '');
  assert.deepEqual(role.project_permissions.find((it) => it.project_id === project.id).permissions.map((it) => it.permission),
    ['NO_ACCESS', 'NO_ACCESS', 'NO_ACCESS', 'NO_ACCESS']);
  // What was read goes back, names and all: that is how the published console and Terraform edit.
  const edit = { ...role, project_permissions: role.project_permissions.map((it) => (it.project_id === project.id
    ? { ...it, is_admin: false, permissions: MODES.map((mode) => ({ environment_type: mode, permission: 'MANAGER' })) } : it)) };
  for (const key of ['id', 'created_at', 'updated_at']) delete edit[key];
  edit.cluster_permissions = edit.cluster_permissions.map((it) => (it.cluster_id === cluster.id ? { ...it, permission: 'ENV_CREATOR' } : it));
  const { data: edited } = await admin.roles.editOrganizationCustomRole(organization, role.id, edit);
  assert.equal(edited.cluster_permissions.find((it) => it.cluster_id === cluster.id).permission, 'ENV_CREATOR');
  assert.deepEqual((await admin.roles.getOrganizationCustomRole(organization, role.id)).data, edited);
  assert.ok((await admin.roles.listOrganizationCustomRoles(organization)).data.results.some((it) => it.id === role.id));

  const { data: token } = await admin.tokens.createOrganizationApiToken(organization, { name: 'with-sdk-role', role_id: role.id });
  const deployer = sdk({ apiKey: `Token ${token.token}` });
  assert.deepEqual((await deployer.projects.listProject(organization)).data.results.map((it) => it.id), [project.id]);
  const made = await deployer.environments.createEnvironment(project.id, { name: 'dev', cluster: cluster.id, mode: 'DEVELOPMENT' });
  assert.equal(made.status, 201);
  await refused(403, deployer.environment.deleteEnvironment(made.data.id));
  await refused(403, deployer.project.deleteProject(project.id));
  await refused(403, deployer.tokens.createOrganizationApiToken(organization, { name: 'more', role_id: role.id }));
  const inUse = await refused(409, admin.roles.deleteOrganizationCustomRole(organization, role.id));
  assert.match(inUse.data.detail, /with-sdk-role/);
  await admin.tokens.deleteOrganizationApiToken(organization, token.id);
  assert.equal((await admin.roles.deleteOrganizationCustomRole(organization, role.id)).status, 204);
  await admin.project.deleteProject(project.id);
  await admin.clusters.deleteCluster(organization, cluster.id, 'DEFAULT');
});

test('somebody is invited, accepts, gets another role and leaves', async () => {
  const { status, data: invited } = await admin.members.postInviteMember(organization, { email: 'sdk@acme.example', role_id: roles.get('viewer') });
  assert.equal(status, 201);
  assert.equal(invited.invitation_status, 'PENDING');
  assert.equal(invited.role, 'VIEWER');
  await refused(409, admin.members.postInviteMember(organization, { email: 'SDK@acme.example', role_id: roles.get('viewer') }));
  const [listed] = (await admin.members.getOrganizationInvitedMembers(organization)).data.results;
  assert.equal(listed.id, invited.id);
  assert.notEqual(listed.invitation_link, invited.invitation_link);
  assert.equal((await admin.members.getMemberInvitation(organization, invited.id)).data.email, 'sdk@acme.example');
  // The published client sends no body and no secret: an invitation is not accepted by knowing its id.
  await refused(400, owner.members.postAcceptInviteMember(organization, invited.id));
  const accepted = await fetch(`${url}/organization/${organization}/inviteMember/${invited.id}`, {
    method: 'POST',
    body: JSON.stringify({ secret: invited.invitation_link.split('/').at(-1), password: 'correct horse battery' }),
  });
  assert.equal(accepted.status, 201);
  const member = (await admin.members.getOrganizationMembers(organization)).data.results.find((it) => it.email === 'sdk@acme.example');
  assert.equal(member.role_name, 'viewer');
  assert.ok(member.last_activity_at);
  const changed = await admin.members.editOrganizationMemberRole(organization, { user_id: member.id, role_id: roles.get('devops') });
  assert.equal(changed.status, 200);
  await refused(403, admin.members.postOrganizationTransferOwnership(organization, { user_id: member.id }));
  assert.equal((await admin.members.deleteMember(organization, { user_id: member.id })).status, 204);

  const { data: second } = await admin.members.postInviteMember(organization, { email: 'gone@acme.example', role: 'VIEWER' });
  assert.equal((await admin.members.deleteInviteMember(organization, second.id)).status, 204);
  await refused(404, admin.members.getMemberInvitation(organization, second.id));
});

test('an account is a user\'s, not a token\'s', async () => {
  const { data } = await owner.account.getAccountInformation();
  assert.equal(data.nickname.length > 0, true);
  const edited = await owner.account.editAccountInformation({ communication_email: 'mail@acme.example' });
  assert.equal(edited.data.communication_email, 'mail@acme.example');
  const answer = await refused(403, admin.account.getAccountInformation());
  assert.equal(answer.data.code, 'user_required');
});

test('projects, environments and clusters live and die', async () => {
  const { status, data: cluster } = await admin.clusters.createCluster(organization, cluster_('life'));
  assert.equal(status, 201);
  assert.equal(cluster.status, 'READY');
  assert.equal((await admin.clusters.editCluster(organization, cluster.id, { ...cluster_('life-2'), kubernetes: 'MANAGED' })).data.kubernetes, 'MANAGED');
  assert.ok((await admin.clusters.listOrganizationCluster(organization)).data.results.every((it) => it.status && it.updated_at));
  assert.equal((await admin.clusters.getClusterStatus(organization, cluster.id)).data.cluster_id, cluster.id);
  assert.ok((await admin.clusters.getOrganizationClusterStatus(organization)).data.results.length > 0);

  const made = await admin.projects.createProject(organization, { name: 'life' });
  assert.equal(made.status, 200);
  const project = made.data.id;
  assert.equal((await admin.project.editProject(project, { name: 'life', description: 'x' })).data.description, 'x');
  assert.equal((await admin.project.getProject(project)).data.organization.id, organization);

  const environment = (await admin.environments.createEnvironment(project, { name: 'live', cluster: cluster.id, mode: 'PRODUCTION' })).data;
  assert.equal(environment.cluster_name, 'life-2');
  assert.equal((await admin.environment.editEnvironment(environment.id, { name: 'live-2' })).data.mode, 'PRODUCTION');
  assert.equal((await admin.environment.getEnvironment(environment.id)).data.name, 'live-2');
  assert.equal((await admin.environment.getEnvironmentStatus(environment.id)).data.state, 'READY');
  assert.equal((await admin.environments.listEnvironment(project)).data.results.length, 1);
  assert.equal((await admin.environments.getProjectEnvironmentsStatus(project)).data.results[0].state, 'READY');
  await variables(project, environment.id);
  assert.equal((await admin.environment.deleteEnvironment(environment.id, true)).status, 204);
  await refused(404, admin.environment.getEnvironmentStatus(environment.id));
  assert.equal((await admin.project.deleteProject(project)).status, 204);
  assert.equal((await admin.clusters.deleteCluster(organization, cluster.id)).status, 204);
});

async function variables(project, environment) {
  const built = (await admin.projectVariables.listProjectEnvironmentVariable(project)).data.results[0];
  assert.deepEqual([built.key, built.value, built.variable_type], ['QOVERY_PROJECT_ID', '||Q_PRJ_ID||', 'BUILT_IN']);
  const variable = (await admin.projectVariables.createProjectEnvironmentVariable(project,
    { key: 'LEVEL', value: 'info', mount_path: null, description: null, enable_interpolation_in_file: null })).data;
  assert.ok(!('description' in variable));
  const edited = await admin.projectVariables.editProjectEnvironmentVariable(project, variable.id, { key: 'LEVEL', value: 'debug' });
  assert.equal(edited.data.value, 'debug');
  const alias = (await admin.environmentVariables.createEnvironmentEnvironmentVariableAlias(environment, variable.id, { key: 'L' })).data;
  assert.equal(alias.aliased_variable.id, variable.id);
  const cover = (await admin.environmentVariables.createEnvironmentEnvironmentVariableOverride(environment, variable.id, { value: 'warn' })).data;
  assert.equal(cover.overridden_variable.id, variable.id);
  const own = (await admin.environmentVariables.createEnvironmentEnvironmentVariable(environment, { key: 'OWN', value: '1' })).data;
  await admin.environmentVariables.editEnvironmentEnvironmentVariable(environment, own.id, { key: 'OWN', value: '2' });
  assert.ok((await admin.environmentVariables.listEnvironmentEnvironmentVariable(environment)).data.results.length >= 5);
  await admin.environmentVariables.deleteEnvironmentEnvironmentVariable(environment, own.id);
  await admin.projectVariables.deleteProjectEnvironmentVariable(project, variable.id);

  for (const [api, at, what] of [[admin.projectSecrets, project, 'Project'], [admin.environmentSecrets, environment, 'Environment']]) {
    const secret = (await api[`create${what}Secret`](at, { key: 'PASSWORD', value: 'hidden-value' })).data;
    assert.equal(secret.variable_type, 'VALUE');
    await api[`edit${what}Secret`](at, secret.id, { key: 'PASSWORD', value: 'hidden-value-2' });
    const { data } = await api[`list${what}Secrets`](at);
    assert.ok(!JSON.stringify(data).includes('hidden-value'));
    const scope = what.toUpperCase();
    const found = (await admin.variables.listVariables(at, scope, true)).data.results;
    assert.ok(found.some((it) => it.id === secret.id));
    await api[`delete${what}Secret`](at, secret.id);
  }
}

test('a policy token is made, listed with its policy, bounded by it, and deleted', async () => {
  const policy = 'allow if input.request.method == "GET"';
  const wanted = { name: 'reader', description: 'looks around', opa_policy: policy };
  const { status, data: made } = await admin.policyTokens.createOrganizationPolicyApiToken(organization, wanted);
  assert.equal(status, 201);
  assert.match(made.token, /^twp_[0-9A-Za-z]{38}$/);
  assert.equal(made.role_name, 'admin');
  assert.equal(made.user_sub, `policy:${made.id}:reader`);
  assert.ok(!('opa_policy' in made));
  await refused(409, admin.policyTokens.createOrganizationPolicyApiToken(organization, wanted));
  const bad = await refused(400, admin.policyTokens.createOrganizationPolicyApiToken(organization, { ...wanted, opa_policy: 'package x' }));
  assert.match(bad.data.detail, /package/);
  const all = (await admin.policyTokens.listOrganizationPolicyApiTokens(organization)).data.results;
  const listed = all.find((it) => it.id === made.id);
  assert.equal(listed.opa_policy, policy);
  assert.equal(listed.description, 'looks around');
  assert.ok(all.every((it) => !('token' in it)));

  for (const client of [sdk({ apiKey: `Token ${made.token}` }), sdk({ accessToken: made.token })]) {
    await client.projects.listProject(organization);
    await refused(401, client.projects.createProject(organization, { name: 'not-by-a-reader' }));
  }
  assert.equal((await admin.policyTokens.deleteOrganizationPolicyApiToken(organization, made.id)).status, 204);
  await refused(401, sdk({ apiKey: `Token ${made.token}` }).projects.listProject(organization));
  await refused(404, admin.policyTokens.deleteOrganizationPolicyApiToken(organization, made.id));
});

test('the audit log tells what was done, page by page', async () => {
  const first = (await admin.events.getOrganizationEvents(organization, 5)).data;
  assert.equal(first.events.length, 5);
  for (const event of first.events) JSON.parse(event.change);
  const token = new URL(first.links.next).searchParams.get('continueToken');
  const second = (await admin.events.getOrganizationEvents(organization, 5, null, null, token)).data;
  assert.ok(second.events.every((it) => first.events.every((other) => other.id !== it.id)));
  const created = (await admin.events.getOrganizationEvents(organization, 100, null, null, undefined, undefined, 'CREATE', 'PROJECT')).data;
  assert.ok(created.events.length > 0 && created.events.every((it) => it.event_type === 'CREATE' && it.target_type === 'PROJECT'));
  const { data } = await admin.events.getOrganizationEventTargets(organization, null, null, undefined, 'PROJECT');
  assert.ok(data.targets.some((it) => it.name === 'life'));
});

function cluster_(name) {
  return { name, region: 'eu-west-3', cloud_provider: 'AWS' };
}

function sdk(credential) {
  const c = new Configuration({ basePath: url, ...credential });
  return {
    account: new AccountInfoApi(c), clusters: new ClustersApi(c), environment: new EnvironmentMainCallsApi(c),
    environmentSecrets: new EnvironmentSecretApi(c), environmentVariables: new EnvironmentVariableApi(c), environments: new EnvironmentsApi(c),
    events: new OrganizationEventApi(c), members: new MembersApi(c), organizations: new OrganizationMainCallsApi(c),
    policyTokens: new OrganizationPolicyApiTokenApi(c),
    project: new ProjectMainCallsApi(c), projectSecrets: new ProjectSecretApi(c), projectVariables: new ProjectEnvironmentVariableApi(c),
    projects: new ProjectsApi(c), roles: new OrganizationCustomRoleApi(c), tokens: new OrganizationApiTokenApi(c),
    variables: new VariableMainCallsApi(c),
  };
}

/** The answer to a call that must be refused with this status. */
async function refused(status, call) {
  const answer = await call.then(
    ({ status: accepted }) => assert.fail(`expected ${status}, got ${accepted}`),
    (error) => error.response ?? assert.fail(error),
  );
  assert.equal(answer.status, status, JSON.stringify(answer.data));
  return answer;
}
