// The same requests to several resource servers, and where they disagree. Reads one JSON document on stdin:
//   { issuer, key, kid, audience, ca, targets: { name: url, ... } }     key and ca: PEM files
// and prints a Markdown table of the differences, or with `all: true` of everything. Each target protects `url` with DPoP-bound
// JWT access tokens of `issuer`, signed with `key` (ES256). Every case says what is right, and by which section.
import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';

const settings = JSON.parse(await text(process.stdin));
const issuerKey = crypto.createPrivateKey(readFileSync(settings.key));
const ca = readFileSync(settings.ca);
const base64url = (value) => Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);
const sha256 = (value) => crypto.createHash('sha256').update(value).digest('base64url');
const ecdsa = (key) => (input) => crypto.sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
const eddsa = (key) => (input) => crypto.sign(null, Buffer.from(input), key);
const rsa = (key, hash, padding) => (input) => crypto.sign(hash, Buffer.from(input), { key, padding, saltLength: padding === crypto.constants.RSA_PKCS1_PSS_PADDING ? crypto.constants.RSA_PSS_SALTLEN_DIGEST : undefined });
function jws(header, claims, sign) {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${sign(input).toString('base64url')}`;
}

// A client's key, and what is wrong with it or not.
function pair(kty, options, thumbprinted) {
  const { privateKey, publicKey } = crypto.generateKeyPairSync(kty, options);
  const jwk = publicKey.export({ format: 'jwk' });
  const jkt = sha256(JSON.stringify(Object.fromEntries(thumbprinted.map((name) => [name, jwk[name]]))));
  return { key: privateKey, jwk, jkt, full: privateKey.export({ format: 'jwk' }) };
}
const p256 = () => pair('ec', { namedCurve: 'P-256' }, ['crv', 'kty', 'x', 'y']);
const owner = p256();
const thief = p256();
const p384 = pair('ec', { namedCurve: 'P-384' }, ['crv', 'kty', 'x', 'y']);
const ed25519 = pair('ed25519', undefined, ['crv', 'kty', 'x']);
const rsa2048 = pair('rsa', { modulusLength: 2048 }, ['e', 'kty', 'n']);
const rsa1024 = pair('rsa', { modulusLength: 1024 }, ['e', 'kty', 'n']);

function token({ header = {}, claims = {}, bound = owner, raw } = {}) {
  const all = {
    iss: settings.issuer, aud: settings.audience, sub: 'alice', client_id: 'app', jti: crypto.randomUUID(),
    iat: now() - 5, exp: now() + 300, scope: 'read', cnf: { jkt: bound.jkt }, ...claims,
  };
  const head = { alg: 'ES256', typ: 'at+jwt', kid: settings.kid, ...header };
  return jws(head, raw ? raw(JSON.stringify(all)) : all, ecdsa(issuerKey));
}

// A case changes one thing of a good request: the token, the proof, or how they are sent.
const wrap = (change) => (world) => ({ ...good(world), ...change(world) });
function good({ url }) {
  const at = token();
  return { token: at, proof: proof(url, at) };
}
function proof(url, at, { header = {}, claims = {}, holder = owner, sign, raw, rawHeader } = {}) {
  const all = { jti: crypto.randomUUID(), htm: 'GET', htu: `${url.origin}${url.pathname}`, iat: now(), ath: sha256(at), ...claims };
  const head = { typ: 'dpop+jwt', alg: 'ES256', jwk: holder.jwk, ...header };
  return jws(rawHeader ? rawHeader(JSON.stringify(head)) : head, raw ? raw(JSON.stringify(all)) : all, sign ?? ecdsa(holder.key));
}
const proved = (change) => wrap(({ url }) => { const at = token(); return { token: at, proof: proof(url, at, typeof change === 'function' ? change(url, at) : change) }; });
const bearing = (change, how) => wrap(({ url }) => { const at = token(change); return { token: at, proof: proof(url, at, how) }; });
const other = (holder, alg, sign) => wrap(({ url }) => { const at = token({ bound: holder }); return { token: at, proof: proof(url, at, { holder, header: { alg }, sign }) }; });
const tail = (value, letter) => value.slice(0, -1) + letter;
const lastBits = (value) => tail(value, String.fromCharCode(value.charCodeAt(value.length - 1) + 1)); // other pad bits, same bytes
const insert = (member) => (json) => `${json.slice(0, -1)},${member}}`;

const accept = 'accept';
const reject = 'reject';
const either = 'either';
// [what, what is right, by which section, the request]
const cases = [
  ['a good request', accept, 'RFC 9449 §7.1', good],
  ['proof: unknown claims and header members', accept, 'RFC 9449 §4.2', proved({ header: { x: [1], y: { z: null } }, claims: { a: 1, b: [] } })],
  ['proof: iat with a fraction', accept, 'RFC 7519 §2', proved(() => ({ claims: { iat: now() + 0.5 } }))],
  ['proof: iat as 1.7e9-like number', accept, 'RFC 7519 §2', proved({ raw: (json) => json.replace(/"iat":(\d)(\d+)/, '"iat":$1.$2e9') })],
  ['htu with a default port spelled by nobody, upper-case scheme and host', accept, 'RFC 9449 §4.3, RFC 3986 §6.2.2.1', proved((url) => ({ claims: { htu: `HTTPS://${url.host.toUpperCase()}${url.pathname}` } }))],
  ['htu with an encoded unreserved letter', accept, 'RFC 3986 §6.2.2.2', proved((url) => ({ claims: { htu: `${url.origin}/%${url.pathname.charCodeAt(1).toString(16)}${url.pathname.slice(2)}` } }))],
  ['htu with dot segments that lead to the same path', accept, 'RFC 3986 §6.2.2.3', proved((url) => ({ claims: { htu: `${url.origin}/x/..${url.pathname}` } }))],
  ['htu with query and fragment', accept, 'RFC 9449 §4.3(9)', proved((url) => ({ claims: { htu: `${url.href}?a=1#b` } }))],
  ['scheme spelled DPOP and two spaces', accept, 'RFC 9110 §11.1, §11.4', wrap((w) => ({ scheme: 'DPOP ', ...good(w) }))],
  ['header name spelled dPoP', accept, 'RFC 9449 §4.1', wrap((w) => ({ name: 'dPoP', ...good(w) }))],
  ['proof signed by Ed25519, alg EdDSA', either, 'RFC 9449 §11.6: local policy', other(ed25519, 'EdDSA', eddsa(ed25519.key))],
  ['proof signed by Ed25519, alg Ed25519', either, 'RFC 9864 §2.2; RFC 9449 §11.6: local policy', other(ed25519, 'Ed25519', eddsa(ed25519.key))],
  ['cnf with an unknown member beside jkt', accept, 'RFC 7800 §3.1', bearing({ claims: { cnf: { jkt: owner.jkt, 'kc-jkt-type': 'DPoP' } } })],
  ['token typ at+JWT', accept, 'RFC 9068 §4, RFC 2045 §5.1', bearing({ header: { typ: 'at+JWT' } })],
  ['token typ application/at+jwt', accept, 'RFC 9068 §4', bearing({ header: { typ: 'application/at+jwt' } })],
  ['token with aud as an array', accept, 'RFC 7519 §4.1.3', bearing({ claims: { aud: ['https://other.example', settings.audience] } })],
  ['token with exp as a fraction', accept, 'RFC 7519 §2', bearing({ claims: { exp: now() + 100.5 } })],
  ['proof: typ dpop+JWT', either, 'RFC 9449 §4.2 names one spelling; RFC 7515 §4.1.9', proved({ header: { typ: 'dpop+JWT' } })],
  ['proof: typ application/dpop+jwt', either, 'RFC 9449 §4.2 names one spelling; RFC 7515 §4.1.9', proved({ header: { typ: 'application/dpop+jwt' } })],
  ['proof: 300 s in the past', either, 'RFC 9449 §11.1: seconds or minutes, local policy', proved(() => ({ claims: { iat: now() - 300 } }))],
  ['proof: 90 s in the future', either, 'RFC 9449 §11.1: local policy; FAPI 2.0 §5.3.2.1 for servers: at most 60 s', proved(() => ({ claims: { iat: now() + 90 } }))],
  ['proof: iat a string', reject, 'RFC 7519 §2', proved(() => ({ claims: { iat: `${now()}` } }))],
  ['proof: iat null', reject, 'RFC 9449 §4.2', proved({ claims: { iat: null } })],
  ['proof: iat 1e308', reject, 'RFC 9449 §4.3(11)', proved({ raw: (json) => json.replace(/"iat":\d+/, '"iat":1e308') })],
  ['proof: iat negative', reject, 'RFC 9449 §4.3(11)', proved({ claims: { iat: -1 } })],
  ['proof: exp in the past', reject, 'RFC 7519 §4.1.4', proved(() => ({ claims: { exp: now() - 60 } }))],
  ['proof: nbf in the future', reject, 'RFC 7519 §4.1.5', proved(() => ({ claims: { nbf: now() + 300 } }))],
  ['proof: jti a number', reject, 'RFC 9449 §4.2', proved({ claims: { jti: 7 } })],
  ['proof: jti empty', either, 'RFC 9449 §4.2: an identifier, and an empty one is none', proved({ claims: { jti: '' } })],
  ['proof: jti of 4 KiB', either, 'RFC 9449 §11.1: refuse it, or keep only a hash', proved({ claims: { jti: 'j'.repeat(4096) } })],
  ['proof: htm with a space', reject, 'RFC 9449 §4.3(8)', proved({ claims: { htm: 'GET ' } })],
  ['proof: htm an array', reject, 'RFC 9449 §4.2', proved({ claims: { htm: ['GET'] } })],
  ['HEAD with a proof for GET', reject, 'RFC 9449 §4.3(8)', wrap((w) => ({ method: 'HEAD', ...good(w) }))],
  ['htu relative', reject, 'RFC 9449 §4.2: an absolute URI', proved((url) => ({ claims: { htu: url.pathname } }))],
  ['htu without slashes, https:host/path', reject, 'RFC 3986 §3', proved((url) => ({ claims: { htu: `https:${url.host}${url.pathname}` } }))],
  ['htu with backslashes', reject, 'RFC 3986 §2', proved((url) => ({ claims: { htu: `https:\\\\${url.host}\\${url.pathname.slice(1)}` } }))],
  ['htu with a tab in the host', reject, 'RFC 3986 §3.2.2', proved((url) => ({ claims: { htu: `https://lo\tcalhost:${url.port}${url.pathname}` } }))],
  ['htu with spaces at the ends', reject, 'RFC 3986 §3', proved((url) => ({ claims: { htu: ` ${url.origin}${url.pathname} ` } }))],
  ['htu with userinfo', reject, 'RFC 9110 §4.2.4', proved((url) => ({ claims: { htu: `https://user@${url.host}${url.pathname}` } }))],
  ['htu with plain http', reject, 'RFC 9449 §4.3(9)', proved((url) => ({ claims: { htu: `http://${url.host}${url.pathname}` } }))],
  ['htu with an encoded slash', reject, 'RFC 3986 §2.2', proved((url) => ({ claims: { htu: `${url.origin}%2F${url.pathname.slice(1)}` } }))],
  ['htu with a slash at the end', reject, 'RFC 3986 §6.2', proved((url) => ({ claims: { htu: `${url.origin}${url.pathname}/` } }))],
  ['htu with a port written 0…', reject, 'RFC 3986 §6.2.2: not one of its equivalences', proved((url) => ({ claims: { htu: `https://${url.hostname}:0${url.port}${url.pathname}` } }))],
  ['ath with other pad bits', reject, 'RFC 9449 §4.2, RFC 7515 §2', proved((url, at) => ({ claims: { ath: lastBits(sha256(at)) } }))],
  ['ath with padding', reject, 'RFC 7515 §2', proved((url, at) => ({ claims: { ath: `${sha256(at)}=` } }))],
  ['ath over the scheme and the token', reject, 'RFC 9449 §4.2', proved((url, at) => ({ claims: { ath: sha256(`DPoP ${at}`) } }))],
  ['jwk with d empty', reject, 'RFC 9449 §4.3(7)', proved({ header: { jwk: { ...owner.jwk, d: '' } } })],
  ['jwk with d null', reject, 'RFC 9449 §4.3(7)', proved({ header: { jwk: { ...owner.jwk, d: null } } })],
  ['jwk with its private part', reject, 'RFC 9449 §4.3(7)', proved({ header: { jwk: owner.full } })],
  ['jwk of EC with p', either, 'RFC 9449 §4.3(7): no private key; which members that means is not said', proved({ header: { jwk: { ...owner.jwk, p: 'AA' } } })],
  ['jwk with a symmetric k', either, 'RFC 9449 §4.3(7): no private key; which members that means is not said', proved({ header: { jwk: { ...owner.jwk, k: 'AA' } } })],
  ['jwk with use enc', either, 'RFC 7517 §4.2: the intended use', proved({ header: { jwk: { ...owner.jwk, use: 'enc' } } })],
  ['jwk with alg ES384', reject, 'RFC 7517 §4.4, RFC 8725 §3.1', proved({ header: { jwk: { ...owner.jwk, alg: 'ES384' } } })],
  ['jwk with key_ops sign', either, 'RFC 7517 §4.3: the intended operations', proved({ header: { jwk: { ...owner.jwk, key_ops: ['sign'] } } })],
  ['jwk with x in other pad bits', reject, 'RFC 7515 §2, RFC 7638 §7', proved({ header: { jwk: { ...owner.jwk, x: lastBits(owner.jwk.x) } } })],
  ['jwk missing, a kid of the issuer instead', reject, 'RFC 9449 §4.2', proved({ header: { jwk: undefined, kid: settings.kid } })],
  ['jwk an array', reject, 'RFC 7517 §4', proved({ header: { jwk: ['EC', 'P-256', owner.jwk.x, owner.jwk.y] } })],
  ['jwk twice, the thief\'s first', either, 'RFC 7515 §4: refuse, or use the last', proved({ rawHeader: (json) => json.replace('{', `{"jwk":${JSON.stringify(thief.jwk)},`) })],
  ['alg twice, none first', either, 'RFC 7515 §4: refuse, or use the last', proved({ rawHeader: (json) => json.replace('{', '{"alg":"none",') })],
  ['htu twice', either, 'RFC 7519 §4: refuse, or use the last', proved({ raw: (json) => json.replace('{', '{"htu":"https://evil.example/",') })],
  ['jti twice by escape', either, 'RFC 7519 §4: refuse, or use the last', proved({ raw: (json) => json.replace('{', '{"\\u006ati":"other",') })],
  ['crit empty', reject, 'RFC 7515 §4.1.11', proved({ header: { crit: [] } })],
  ['crit names exp', reject, 'RFC 7515 §4.1.11', proved({ header: { crit: ['exp'] } })],
  ['crit a string', reject, 'RFC 7515 §4.1.11', proved({ header: { crit: 'x', x: 1 } })],
  ['b64 false and critical', reject, 'RFC 7797 §7', proved({ header: { b64: false, crit: ['b64'] } })],
  ['alg ES384 with a key of P-256', reject, 'RFC 7518 §3.4', proved({ header: { alg: 'ES384' } })],
  ['alg in lower case', reject, 'RFC 7515 §4.1.1', proved({ header: { alg: 'es256' } })],
  ['signature with a byte more', reject, 'RFC 7518 §3.4', proved({ sign: (input) => Buffer.concat([ecdsa(owner.key)(input), Buffer.alloc(1)]) })],
  ['signature empty', reject, 'RFC 7515 §5.2', proved({ sign: () => Buffer.alloc(0) })],
  ['a fourth part after the signature', reject, 'RFC 7515 §3.1', wrap((w) => { const one = good(w); return { ...one, proof: `${one.proof}.AA` }; })],
  ['header of the proof with padding', reject, 'RFC 7515 §2', wrap((w) => { const one = good(w); return { ...one, proof: one.proof.replace('.', '=.') }; })],
  ['two proofs in one line', reject, 'RFC 9449 §4.3(1)', wrap((w) => { const one = good(w); return { ...one, proof: `${one.proof}, ${proof(w.url, one.token)}` }; })],
  ['RSA key of 1024 bits, PS256', reject, 'RFC 7518 §3.5', other(rsa1024, 'PS256', rsa(rsa1024.key, 'sha256', crypto.constants.RSA_PKCS1_PSS_PADDING))],
  ['alg RS256, announced by nobody', either, 'RFC 9449 §11.6: local policy', other(rsa2048, 'RS256', rsa(rsa2048.key, 'sha256', crypto.constants.RSA_PKCS1_PADDING))],
  ['alg ES384', either, 'RFC 9449 §11.6: local policy', other(p384, 'ES384', (input) => crypto.sign('sha384', Buffer.from(input), { key: p384.key, dsaEncoding: 'ieee-p1363' }))],
  ['token without cnf', reject, 'RFC 9449 §7.1', bearing({ claims: { cnf: undefined } })],
  ['cnf null', reject, 'RFC 7800 §3.1', bearing({ claims: { cnf: null } })],
  ['cnf an array', reject, 'RFC 7800 §3.1', bearing({ claims: { cnf: [owner.jkt] } })],
  ['cnf.jkt with padding', reject, 'RFC 9449 §6.1', bearing({ claims: { cnf: { jkt: `${owner.jkt}=` } } })],
  ['cnf.jkt with other pad bits', reject, 'RFC 9449 §6.1', bearing({ claims: { cnf: { jkt: lastBits(owner.jkt) } } })],
  ['cnf.jkt twice', either, 'RFC 7519 §4: refuse, or use the last', bearing({ raw: (json) => json.replace('"cnf":{', `"cnf":{"jkt":"${thief.jkt}",`) })],
  ['cnf with jkt and x5t#S256, no certificate', reject, 'RFC 8705 §3', bearing({ claims: { cnf: { jkt: owner.jkt, 'x5t#S256': sha256('x') } } })],
  ['token: iss an array', reject, 'RFC 7519 §4.1.1', bearing({ claims: { iss: [settings.issuer] } })],
  ['token: iss missing', reject, 'RFC 9068 §2.2', bearing({ claims: { iss: undefined } })],
  ['token: aud with a slash more', reject, 'RFC 9068 §4', bearing({ claims: { aud: `${settings.audience}/` } })],
  ['token: exp a string', reject, 'RFC 7519 §2', bearing({ claims: { exp: `${now() + 100}` } })],
  ['token: exp missing', reject, 'RFC 9068 §2.2', bearing({ claims: { exp: undefined } })],
  ['token: nbf in the future', reject, 'RFC 7519 §4.1.5', bearing({ claims: { nbf: now() + 300 } })],
  ['token: nbf a string', reject, 'RFC 7519 §2', bearing({ claims: { nbf: '1' } })],
  ['token: iat in the future', either, 'RFC 7519 §4.1.6 demands nothing', bearing({ claims: { iat: now() + 600, exp: now() + 900 } })],
  ['token: sub missing', reject, 'RFC 9068 §2.2', bearing({ claims: { sub: undefined } })],
  ['token: client_id missing', reject, 'RFC 9068 §2.2', bearing({ claims: { client_id: undefined } })],
  ['token: jti missing', reject, 'RFC 9068 §2.2', bearing({ claims: { jti: undefined } })],
  ['token: typ missing', reject, 'RFC 9068 §4', bearing({ header: { typ: undefined } })],
  ['token: typ dpop+jwt', reject, 'RFC 9068 §4', bearing({ header: { typ: 'dpop+jwt' } })],
  ['token: crit unknown', reject, 'RFC 7515 §4.1.11', bearing({ header: { crit: ['x'], x: 1 } })],
  ['token: scope twice', either, 'RFC 7519 §4: refuse, or use the last', bearing({ raw: insert('"scope":"admin"') })],
  ['token: the scheme twice', reject, 'RFC 9110 §11.4', wrap((w) => { const one = good(w); return { ...one, token: `DPoP ${one.token}` }; })],
  ['token also in the query', reject, 'RFC 6750 §2, RFC 9700 §4.3.2', wrap((w) => { const one = good(w); return { ...one, query: `?access_token=${one.token}` }; })],
  ['bound token as Bearer with its proof', reject, 'RFC 9449 §7.2', wrap((w) => ({ scheme: 'Bearer', ...good(w) }))],
  ['Host twice', reject, 'RFC 9112 §3.2', wrap((w) => ({ more: [['Host', w.url.host]], ...good(w) }))],
  ['Host of somebody else', reject, 'RFC 9110 §7.4', wrap((w) => ({ host: 'evil.example', ...good(w) }))],
  ['Connection names DPoP', either, 'RFC 9110 §7.6.1: checked before it is removed', wrap((w) => ({ more: [['Connection', 'DPoP']], ...good(w) }))],
];

function exchange(url, { token: at, proof: jwt, scheme = 'DPoP', name = 'DPoP', method = 'GET', query = '', host = url.host, more = [] }) {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: '127.0.0.1', port: url.port, servername: 'localhost', ca, ALPNProtocols: ['http/1.1'] });
    let answer = '';
    const done = () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0));
    socket.setTimeout(8000, () => socket.destroy());
    socket.on('secureConnect', () => {
      const fields = [['Host', host], ['Connection', 'close'], ['Authorization', `${scheme} ${at}`], [name, jwt], ...more];
      socket.write(`${method} ${url.pathname}${query} HTTP/1.1\r\n${fields.map(([field, value]) => `${field}: ${value}\r\n`).join('')}\r\n`);
    });
    socket.setEncoding('utf8').on('data', (data) => { answer += data; }).on('close', done).on('error', done);
  });
}

const names = Object.keys(settings.targets);
const verdict = (status) => (status >= 200 && status < 300 ? accept : status >= 400 && status < 500 ? reject : `fails (${status || 'no answer'})`);
console.log(`| request | right | by | ${names.join(' | ')} |`);
console.log(`|---|---|---|${names.map(() => '---|').join('')}`);
let [differing, wrong] = [0, Object.fromEntries(names.map((name) => [name, 0]))];
for (const [what, right, by, make] of cases) {
  const answers = [];
  for (const name of names) {
    const url = new URL(settings.targets[name]);
    const found = verdict(await exchange(url, make({ url })));
    const bad = right !== either && found !== right;
    if (bad) wrong[name] += 1;
    answers.push(bad ? `**${found}**` : found);
  }
  const differs = new Set(answers).size > 1;
  if (differs) differing += 1;
  if (differs || settings.all) console.log(`| ${what} | ${right} | ${by} | ${answers.join(' | ')} |`);
}
console.log(`\n${cases.length} requests, ${differing} answered differently. Wrong by the section named: ${names.map((name) => `${name} ${wrong[name]}`).join(', ')}.`);
