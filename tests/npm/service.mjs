// A service that takes requests from clinch alone: it verifies the assertion before it believes anything else.
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const keys = createRemoteJWKSet(new URL(process.env.CLINCH_JWKS ?? 'http://127.0.0.1:9901/.well-known/jwks.json'));
const expected = {
  typ: 'clinch-identity+jwt',
  algorithms: ['ES256'],
  issuer: 'https://api.example.com',
  audience: 'accounts.internal',
};

const server = createServer(async (request, response) => {
  try {
    const { payload } = await jwtVerify(request.headers['clinch-identity'] ?? '', keys, expected);
    response.end(JSON.stringify({ hello: payload.sub, told: payload }));
  } catch {
    response.writeHead(403).end('only through clinch');
  }
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => console.log(`port ${server.address().port}`));
