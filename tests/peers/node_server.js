// An HTTP/2 server made of Node's own http2 module. It accepts every request, unless a deed is given for its device:
//   status, body, long  the answer; a body of so many bytes that is no JSON
//   early               answer when the headers are there, not at the end of the body
//   info, trailers      103 before the answer, trailers behind it
//   settings, ping      said before the answer
//   reset               RST_STREAM with this code instead of an answer
//   close, destroy      end the session with GOAWAY behind the answer; cut it without one
//   goaway              GOAWAY with this last stream id before the answer
//   once                only the first time
// One line for each request and session on stdout.
'use strict';
const fs = require('node:fs');
const http2 = require('node:http2');

const [port, keyFile, chainFile, settings, deeds] = process.argv.slice(2);
const deedOf = JSON.parse(deeds);
const server = http2.createSecureServer({
  key: fs.readFileSync(keyFile), cert: fs.readFileSync(chainFile), settings: JSON.parse(settings),
});

function answer(stream, deed) {
  const session = stream.session;
  if (deed.settings) session.settings(deed.settings);
  if (deed.ping) session.ping(() => console.log('pong'));
  if (deed.goaway !== undefined) session.goaway(0, deed.goaway, Buffer.from('{"reason":"Shutdown"}'));
  if (deed.destroy) return session.destroy();
  if (deed.reset !== undefined) return stream.close(deed.reset);
  if (deed.info) stream.additionalHeaders({ ':status': 103 });
  const body = deed.body === undefined ? 'x'.repeat(deed.long ?? 0) : JSON.stringify(deed.body);
  if (deed.trailers) stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': 'yes' }));
  stream.respond({ ':status': deed.status ?? 200 }, { endStream: !body && !deed.trailers, waitForTrailers: !!deed.trailers });
  if (body || deed.trailers) stream.end(body);
  if (deed.close) session.close();
}

server.on('session', (session) => {
  console.log('session');
  session.on('error', () => {});
  session.on('goaway', (code) => console.log(`goaway ${code}`));
});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const device = parseInt(headers[':path'].split('/').pop(), 16);
  const deed = deedOf[device] ?? {};
  if (deed.once) delete deedOf[device];
  let size = 0;
  stream.on('data', (chunk) => { size += chunk.length; });
  stream.on('end', () => {
    console.log(`request ${device} ${headers['apns-topic']} ${size}`);
    if (!deed.early) answer(stream, deed);
  });
  if (deed.early) answer(stream, deed);
});
server.on('sessionError', () => {});
server.listen(Number(port), '127.0.0.1');
