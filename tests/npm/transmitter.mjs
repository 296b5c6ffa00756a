// A transmitter of security events (RFC 8417) on npm jose. Writes one line, { jwks }, and then one for each that it reads:
//   { id, key, header, claims } -> { id, set }
// Keys: `t1` and `e1` are in the JWK Set, for RS256 and ES256; `t2` is RS256 and published nowhere.
import { createInterface } from 'node:readline';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';

const keys = {
  t1: await generateKeyPair('RS256'),
  t2: await generateKeyPair('RS256'),
  e1: await generateKeyPair('ES256'),
};
const published = async (kid) => ({ ...(await exportJWK(keys[kid].publicKey)), kid, use: 'sig' });
console.log(JSON.stringify({ jwks: { keys: [await published('t1'), await published('e1')] } }));

for await (const line of createInterface({ input: process.stdin })) {
  const { id, key, header, claims } = JSON.parse(line);
  const set = await new SignJWT(claims).setProtectedHeader(header).sign(keys[key].privateKey);
  console.log(JSON.stringify({ id, set }));
}
