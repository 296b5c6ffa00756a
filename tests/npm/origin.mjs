// A service on node:http that says on stdout what it got, one line of JSON for each request:
//   { port } first, then { method, url, fields: [[name, value]], length, sha256, trailers }
// A line on stdin lets go of what waits in /events and /poll.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const waiting = [];
createInterface({ input: process.stdin }).on('line', () => waiting.splice(0).forEach((go) => go()));
const released = () => new Promise((go) => waiting.push(go));
const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at].toLowerCase(), raw[2 * at + 1]]);

async function read(request) {
  const hash = createHash('sha256');
  let length = 0;
  for await (const part of request) {
    length += part.length;
    hash.update(part);
  }
  const { method, url, rawHeaders, rawTrailers } = request;
  return { method, url, fields: pairs(rawHeaders), length, sha256: hash.digest('hex'), trailers: pairs(rawTrailers) };
}

function blob(request, response, url) {
  const size = Number(url.searchParams.get('size'));
  const content = Buffer.alloc(size, 'every byte counts. ');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [from, to] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, size];
  const extent = range ? { 'content-range': `bytes ${from}-${to - 1}/${size}` } : {};
  response.writeHead(range ? 206 : 200, { 'content-length': to - from, 'x-sha256': sha256, 'accept-ranges': 'bytes', ...extent });
  response.end(request.method === 'HEAD' ? undefined : content.subarray(from, to));
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://service');
  const told = await read(request);
  tell(told);
  switch (url.pathname) {
    case '/x/blob':
      return blob(request, response, url);
    case '/x/events':
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      await released();
      return response.end('data: second\n\n');
    case '/x/poll':
      await released();
      return response.end('news\n');
    case '/x/trailers':
      response.writeHead(200, { trailer: 'x-checksum, clinch-subject' });
      response.write('body\n');
      response.addTrailers({ 'x-checksum': 'of the body', 'clinch-subject': 'root' });
      return response.end();
    default:
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify(told));
  }
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
// What is no HTTP is told, too: a proxy that passes such a thing on is to be found out. To break off is its right.
server.on('clientError', (error, socket) => {
  if (error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE') tell({ method: error.code, url: 'no request', length: 0 });
  socket.destroy();
});
server.listen(0, '127.0.0.1', () => tell({ port: server.address().port }));
