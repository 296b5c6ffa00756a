// The authorization server of the tests: oidc-provider over TLS on an ephemeral loopback port, client_credentials
// only. Reads one JSON line of settings on stdin ({ certificate, key, ca, audience, scopes, lifetime }; PEM texts),
// writes one JSON line ({ issuer }) once it listens, and ends when its stdin does, so it never outlives its test.
import { createInterface } from 'node:readline';
import crypto from 'node:crypto';
import https from 'node:https';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
const settings = await new Promise((resolve) => lines.once('line', (line) => resolve(JSON.parse(line))));
lines.once('close', () => process.exit(0));

// The clients. Each name says how its tokens are bound and what else is unusual about it.
const secret = { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'a-secret-of-the-tests-and-of-nothing-else' };
const machine = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [], scope: settings.scopes };
// Those who may introspect. Their secret needs encoding (RFC 6749 section 2.3.1).
const service = { ...machine, ...secret, client_secret: 'a secret: 100%+/= of the tests and of nothing else' };
const clients = [
  { ...machine, ...secret, client_id: 'dpop', dpop_bound_access_tokens: true },
  { ...machine, ...secret, client_id: 'dpop-rs256', dpop_bound_access_tokens: true },
  { ...machine, ...secret, client_id: 'plain' },
  { ...machine, ...secret, client_id: 'dpop-opaque', dpop_bound_access_tokens: true },
  {
    ...machine,
    client_id: 'mtls',
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_dns: 'client.example',
    tls_client_certificate_bound_access_tokens: true,
  },
  { ...service, client_id: 'resource server' },
  { ...service, client_id: 'resource-server-es256', introspection_signed_response_alg: 'ES256' },
  { ...service, client_id: 'resource-server-hs256', introspection_signed_response_alg: 'HS256' },
  { ...machine, ...secret, client_id: 'mtls-secret', tls_client_certificate_bound_access_tokens: true },
];

function signingKey(kty, options, alg) {
  const { privateKey } = crypto.generateKeyPairSync(kty, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `tests-${alg}` };
}

const peer = (ctx) => ctx.req.socket.getPeerX509Certificate();
const features = {
  devInteractions: { enabled: false },
  clientCredentials: { enabled: true },
  dPoP: { enabled: true },
  introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId.startsWith('resource') },
  jwtIntrospection: { enabled: true },
  revocation: { enabled: true },
  mTLS: {
    enabled: true,
    tlsClientAuth: true,
    certificateBoundAccessTokens: true,
    getCertificate: (ctx) => peer(ctx)?.toString(),
    certificateAuthorized: (ctx) => ctx.req.socket.authorized,
    certificateSubjectMatches: (ctx, property, expected) =>
      property === 'tls_client_auth_san_dns' && peer(ctx)?.checkHost(expected, { subject: 'never' }) === expected,
  },
  resourceIndicators: {
    enabled: true,
    defaultResource: () => settings.audience,
    getResourceServerInfo: (ctx, resource, client) => ({
      audience: resource,
      scope: settings.scopes,
      accessTokenFormat: client.clientId.endsWith('opaque') ? 'opaque' : 'jwt',
      accessTokenTTL: settings.lifetime,
      jwt: { sign: { alg: client.clientId.endsWith('rs256') ? 'RS256' : 'ES256' } },
    }),
  },
};

const server = https.createServer({
  cert: settings.certificate,
  key: settings.key,
  ca: settings.ca,
  requestCert: true,
  rejectUnauthorized: false, // a client without a certificate is welcome; who needs one is decided per client
});
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    features,
    clientAuthMethods: ['client_secret_basic', 'tls_client_auth'],
    scopes: settings.scopes.split(' '),
    enabledJWA: { introspectionSigningAlgValues: ['RS256', 'ES256', 'HS256'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    jwks: { keys: [signingKey('ec', { namedCurve: 'P-256' }, 'ES256'), signingKey('rsa', { modulusLength: 2048 }, 'RS256')] },
    ttl: { ClientCredentials: settings.lifetime },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});
