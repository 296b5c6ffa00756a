// A service of WebSockets over HTTP/2 without TLS (RFC 8441), on node:http2: it echoes. Writes one line of JSON for each event:
//   { port } first, then { opened: fields }, { closed: code } or { broke: text }, { request: fields }
import { createServer } from 'node:http2';

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// The first frame of what has come (RFC 6455 section 5.2), unmasked, and the rest; nothing while it is not whole.
function frame(bytes) {
  if (bytes.length < 2) return;
  const short = bytes[1] & 0x7f;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  const mask = 2 + extended;
  if (bytes.length < mask + 4) return;
  const length = extended === 0 ? short : extended === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = mask + 4 + length;
  if (bytes.length < end) return;
  const content = Buffer.from(bytes.subarray(mask + 4, end).map((byte, at) => byte ^ bytes[mask + (at % 4)]));
  return { first: bytes[0], content, rest: bytes.subarray(end) };
}

function framed(first, content) {
  const { length } = content;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
  head[0] = first;
  head[1] = length < 126 ? length : length < 65536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, content]);
}

const server = createServer({ settings: { enableConnectProtocol: true } });
server.on('stream', (stream, headers) => {
  const fields = Object.fromEntries(Object.entries(headers));
  stream.on('error', (error) => tell({ broke: error.message }));
  if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
    tell({ request: fields });
    stream.respond({ ':status': 200 });
    return stream.end('a page');
  }
  tell({ opened: fields });
  const [protocol] = (headers['sec-websocket-protocol'] ?? '').split(', ');
  stream.respond({ ':status': 200, ...(protocol && { 'sec-websocket-protocol': protocol }) });
  let bytes = Buffer.alloc(0);
  stream.on('data', (data) => {
    bytes = Buffer.concat([bytes, data]);
    for (let next = frame(bytes); next; next = frame(bytes)) {
      bytes = next.rest;
      stream.write(framed(next.first, next.content));
      if ((next.first & 0xf) === 8) {
        tell({ closed: next.content.length ? next.content.readUInt16BE(0) : null });
        return stream.end();
      }
    }
  });
});
server.listen(0, '127.0.0.1', () => tell({ port: server.address().port }));
