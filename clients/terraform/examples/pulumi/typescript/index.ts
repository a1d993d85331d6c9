import * as pulumi from '@pulumi/pulumi';
import * as tokenward from '@pulumi/tokenward';

const clerk = new tokenward.Role('clerk', { name: 'clerk', permissions: ['invoices:read'] }, { deleteBeforeReplace: true });

const ci = new tokenward.Token(
  'ci',
  { name: 'ci', role: clerk.name, generate: true, overlap: '24h', rotateTriggers: { month: '2027-01' } },
  { deleteBeforeReplace: true },
);

// Of a secret that was made elsewhere only the SHA-256 is here, and nothing in the state.
new tokenward.Token(
  'billing',
  { name: 'billing', role: 'billing', digest: new pulumi.Config().require('billingDigest'), overlap: '24h' },
  { deleteBeforeReplace: true },
);

export const ciToken = pulumi.secret(ci.token);
