// A real provider of identities (npm `oidc-provider`), with one client. What it says of whoever signs in can stand in a file of
// `claims`, whether in the ID token (`id_token`) or by UserInfo alone.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [redirect, file] = process.argv.slice(2);
const usual = { claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] }, scopes: [] };
const said = file ? JSON.parse(readFileSync(file, "utf8")) : undefined;
const { claims, scopes } = said ? { claims: { openid: ["sub", ...Object.keys(said.claims)] }, scopes: said.scopes ?? [] } : usual;
const person = (id) => said?.claims ?? { email: `${id}@acme.example`, email_verified: true, name: id };
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "tokenward", client_secret: "a secret", redirect_uris: [redirect], grant_types: ["authorization_code"] }],
    claims,
    scopes: ["openid", "email", "profile", ...scopes],
    conformIdTokenClaims: !said?.id_token,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    findAccount: async (_, id) => ({
      accountId: id,
      claims: async () => ({ ...person(id), sub: id }),
    }),
  });
  server.on("request", provider.callback());
  console.log(`listens on ${issuer}`);
});
