// An OAuth client as an application would write it, on oauth4webapi. Reads one JSON document on stdin and writes one:
//   { issuer, ca, certificate?, key?, client_id, client_secret?, bind: 'dpop' | 'mtls' | 'none', scope, resource,
//     resolve: { host: port }, calls: [{ method, url, with?: 'oauth4webapi' | 'dpop' }] }
//   -> { token, private_jwk?, challenges, answers: [{ status, challenge, body }] }
// `challenges` counts the answers that asked for a nonce (RFC 9449 section 9) and were tried again with it.
// With `with: 'dpop'` the proof of a call is made by the npm package dpop: a second opinion on what a proof is.
// `resolve` sends the calls to a host to a port of 127.0.0.1 instead, so that a test needs no fixed port and no DNS.
// `private_jwk` is the DPoP key, for tests that go on with this very token.
import * as dpop from 'dpop';
import * as oauth from 'oauth4webapi';
import { text } from 'node:stream/consumers';
import { Agent, buildConnector, fetch } from 'undici';

const task = JSON.parse(await text(process.stdin));
const connect = buildConnector({ ca: task.ca, cert: task.certificate, key: task.key });
const dispatcher = new Agent({
  connect(target, done) {
    const port = task.resolve[target.hostname];
    connect(port ? { ...target, hostname: '127.0.0.1', port, servername: target.hostname } : target, done);
  },
});
const http = { [oauth.customFetch]: (url, init) => fetch(url, { ...init, dispatcher }) };

const issuer = new URL(task.issuer);
const discovery = await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...http });
const server = await oauth.processDiscoveryResponse(issuer, discovery);
const client = { client_id: task.client_id };
const keys = task.bind === 'dpop' ? await oauth.generateKeyPair('ES256', { extractable: true }) : undefined;
const DPoP = keys && oauth.DPoP(client, keys);

const authentication = task.client_secret ? oauth.ClientSecretBasic(task.client_secret) : oauth.TlsClientAuth();
const wanted = { scope: task.scope, resource: task.resource };
const granted = await oauth.clientCredentialsGrantRequest(server, client, authentication, wanted, { DPoP, ...http });
const { access_token: token } = await oauth.processClientCredentialsResponse(server, client, granted);

let challenges = 0;
async function call({ method, url, with: maker }) {
  if (maker === 'dpop') {
    const proof = await dpop.generateProof(keys, url, method, undefined, token);
    return fetch(url, { method, dispatcher, headers: { authorization: `DPoP ${token}`, dpop: proof } });
  }
  const request = () => oauth.protectedResourceRequest(token, method, new URL(url), undefined, undefined, { DPoP, ...http });
  try {
    return await request().catch((error) => {
      if (oauth.isDPoPNonceError(error)) {
        challenges += 1;
        return request(); // the handle has kept the nonce of the answer
      }
      throw error;
    });
  } catch (error) {
    if (error instanceof oauth.WWWAuthenticateChallengeError) return error.response;
    throw error;
  }
}

const answers = [];
for (const one of task.calls) {
  const answer = await call(one);
  const body = await answer.text();
  answers.push({ status: answer.status, challenge: answer.headers.get('www-authenticate'), body });
}
const private_jwk = keys && (await crypto.subtle.exportKey('jwk', keys.privateKey));
console.log(JSON.stringify({ token, private_jwk, challenges, answers }));
await dispatcher.close();
