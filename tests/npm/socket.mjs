// A WebSocket as an application would open it, over HTTP/2 (RFC 8441) or, with `http1`, over HTTP/1.1, on undici. Reads one JSON
// document on stdin:
//   { ca, host, port, path, headers, http1, protocols, say: [text] }
// and writes one line of JSON for each event: { open: { alpn, protocol } }, { message: text }, { error: text },
// { close: { code, reason } }. What it says is said once it is open, one text after the answer to the one before.
// A line on stdin after the document closes it with 1000.
import { createInterface } from 'node:readline';
import { Agent, WebSocket, buildConnector } from 'undici';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const task = JSON.parse((await lines.next()).value);
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const allowH2 = !task.http1;
const connect = buildConnector({ ca: task.ca, allowH2 });
let alpn;
const dispatcher = new Agent({
  allowH2,
  connect: (target, done) =>
    connect({ ...target, hostname: '127.0.0.1', port: task.port, servername: task.host }, (error, socket) => {
      alpn = socket?.alpnProtocol;
      done(error, socket);
    }),
});
const url = `wss://${task.host}${task.path}`;
const socket = new WebSocket(url, { dispatcher, headers: task.headers, protocols: task.protocols ?? [] });
const say = [...task.say];
const next = () => say.length && socket.send(say.shift());
socket.addEventListener('open', () => {
  tell({ open: { alpn, protocol: socket.protocol } });
  next();
});
socket.addEventListener('message', ({ data }) => {
  tell({ message: data });
  next();
});
socket.addEventListener('error', ({ error }) => tell({ error: String(error?.message ?? error) }));
socket.addEventListener('close', ({ code, reason }) => {
  tell({ close: { code, reason } });
  process.exit(0);
});
await lines.next();
socket.close(1000, 'done');
