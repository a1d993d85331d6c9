// A provider of identities that says what a test wants, and signs it: for what no real provider would send.
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createServerOverTls } from "node:https";

// Where to listen; over TLS where a certificate and its key are named, by what both files begin with.
const [port = "0", certificate] = process.argv.slice(2);
const scheme = certificate ? "https" : "http";

const pair = (type, options) => generateKeyPairSync(type, options);
const keys = {
  RS256: pair("rsa", { modulusLength: 2048 }),
  ES256: pair("ec", { namedCurve: "P-256" }),
  ES384: pair("ec", { namedCurve: "P-384" }),
  EdDSA: pair("ed25519"),
};
keys.PS256 = keys.RS256;
const hidden = pair("rsa", { modulusLength: 2048 });
const jwk = (alg, kid = alg) => ({ ...keys[alg].publicKey.export({ format: "jwk" }), kid, use: "sig" });

let wants = {};
let seen = { discovery: 0, keys: 0, tokens: 0, userinfo: 0 };
const codes = new Map();
const encoded = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

function signed(algorithm, header, claims) {
  const body = `${encoded(header)}.${encoded(claims)}`;
  const name = { RS256: "sha256", PS256: "sha256", ES256: "sha256", ES384: "sha384", EdDSA: null }[algorithm];
  if (algorithm === "none") return `${body}.`;
  if (algorithm === "HS256") {
    const secret = keys.RS256.publicKey.export({ format: "pem", type: "spki" });
    return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
  }
  const key = { key: wants.hidden ? hidden.privateKey : keys[algorithm].privateKey, dsaEncoding: "ieee-p1363" };
  if (algorithm === "PS256") Object.assign(key, { padding: 6, saltLength: 32 });
  return `${body}.${sign(name, Buffer.from(body), key).toString("base64url")}`;
}

function idToken(issuer, code) {
  const algorithm = wants.alg ?? "RS256";
  const now = Math.floor(Date.now() / 1000) + (wants.clock ?? 0);
  const claims = { iss: issuer, aud: code.client_id, sub: "ada", iat: now, exp: now + 300, nonce: code.nonce, auth_time: now };
  Object.assign(claims, wants.claims ?? {});
  for (const name of Object.keys(claims)) if (claims[name] === null) delete claims[name];
  return signed(algorithm, { alg: algorithm, kid: algorithm, ...wants.header }, claims);
}

async function answer(request, response) {
  const issuer = `${scheme}://${request.headers.host}`;
  const url = new URL(request.url, issuer);
  let text = "";
  for await (const chunk of request) text += chunk;
  const json = (value, status = 200) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof value === "string" ? value : JSON.stringify(value));
  };
  if ([wants.silent].flat().includes(url.pathname)) return;
  switch (url.pathname) {
    case "/wants":
      wants = JSON.parse(text);
      return json({});
    case "/seen":
      return json(seen);
    case "/.well-known/openid-configuration":
      seen.discovery += 1;
      if (wants.redirect) return response.writeHead(302, { location: `${issuer}/elsewhere` }).end();
      return json({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
        userinfo_endpoint: `${issuer}/userinfo`,
        end_session_endpoint: `${issuer}/end`,
        authorization_response_iss_parameter_supported: true,
        ...wants.discovery,
      });
    case "/keys":
      seen.keys += 1;
      if (wants.keys === "large") return json(JSON.stringify({ keys: [], more: "x".repeat(5_000_000) }));
      return json(wants.keys ?? { keys: [...["RS256", "ES256", "ES384", "EdDSA"].map((alg) => jwk(alg)), jwk("RS256", "PS256"), { kty: "XYZ" }] });
    case "/logout-token": {
      // What a test wants said of somebody who has signed out here: the claims, and how they are signed.
      const { alg = "RS256", header = {}, claims } = JSON.parse(text);
      const now = Math.floor(Date.now() / 1000) + (wants.clock ?? 0);
      const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
      const all = { iss: issuer, aud: "tokenward", iat: now, jti: randomBytes(8).toString("hex"), events, ...claims };
      for (const name of Object.keys(all)) if (all[name] === null) delete all[name];
      return json(JSON.stringify({ token: signed(alg, { alg, kid: alg, typ: "logout+jwt", ...header }, all) }));
    }
    case "/authorize": {
      const asked = Object.fromEntries(url.searchParams);
      const code = randomBytes(16).toString("hex");
      codes.set(code, asked);
      const back = new URL(asked.redirect_uri);
      back.searchParams.set("code", code);
      back.searchParams.set("state", asked.state);
      if (wants.iss !== null) back.searchParams.set("iss", wants.iss ?? issuer);
      return response.writeHead(302, { location: back.href }).end();
    }
    case "/token": {
      seen.tokens += 1;
      const form = Object.fromEntries(new URLSearchParams(text));
      const asked = codes.get(form.code);
      const challenge = createHash("sha256").update(form.code_verifier ?? "").digest("base64url");
      const [, basic] = /^Basic (.*)$/.exec(request.headers.authorization ?? "") ?? [];
      const client = basic ? Buffer.from(basic, "base64").toString() : `${form.client_id}:${form.client_secret}`;
      if (client !== "tokenward:a+secret" && client !== "tokenward:a secret") return json({ error: "invalid_client" }, 401);
      if (!asked || asked.code_challenge !== challenge || asked.redirect_uri !== form.redirect_uri) return json({ error: "invalid_grant" }, 400);
      if (!wants.reuse) codes.delete(form.code);
      return json(wants.token ?? { access_token: "access", token_type: "Bearer", id_token: idToken(issuer, asked) });
    }
    case "/userinfo":
      seen.userinfo += 1;
      if (request.headers.authorization !== "Bearer access") return json({}, 401);
      return json(wants.userinfo ?? { sub: wants.claims?.sub ?? "ada" });
    default:
      return json({}, 404);
  }
}

const server = certificate
  ? createServerOverTls({ cert: readFileSync(`${certificate}.pem`), key: readFileSync(`${certificate}.key`) }, answer)
  : createServer(answer);
server.listen(Number(port), "127.0.0.1", () => console.log(`listens on ${scheme}://127.0.0.1:${server.address().port}`));
