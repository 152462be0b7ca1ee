#!/usr/bin/env node
// Receives webhooks: verifies who sent them, keeps each event once, answers at once, and does the work afterwards.
//
//     SECRET=whsec_... ./receive-webhooks.js [PORT] [events.jsonl]
//
// It listens on 127.0.0.1:8080; put your proxy with TLS before it. An event is answered when it is in the file, on disk;
// what comes twice is kept once. The work is `handle`: started again, it goes on where it was. It needs Node 18 or later
// and nothing besides.

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");

const TOLERANCE = 300; // seconds that a clock may differ, and after which a copy of a delivery is worth nothing
const MOST = 1024 * 1024;

// Your work; if it throws an error the program ends, and begins with this event the next time.
async function handle(event) {
  console.log(event.at, event.type, JSON.stringify(event.data));
}

// The bytes that sign: what follows whsec_ is base64, another secret is meant as it is.
function keyOf(secret) {
  if (!secret.startsWith("whsec_")) return Buffer.from(secret);
  const key = Buffer.from(secret.slice(6), "base64");
  if (key.toString("base64") !== secret.slice(6)) throw new Error("SECRET: what follows whsec_ is not base64");
  return key;
}

// Whether the shard has sent this, a short while ago.
function isGenuine(key, headers, body) {
  const { "webhook-id": id = "", "webhook-timestamp": at = "", "webhook-signature": given = "" } = headers;
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE) return false;
  const mac = crypto.createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64");
  const wanted = Buffer.from(`v1,${mac}`);
  return given.split(" ").some((one) => { // while a secret is rotated there are two
    const signature = Buffer.from(one);
    return signature.length === wanted.length && crypto.timingSafeEqual(signature, wanted);
  });
}

// A file with an event on each line, and beside it how far the work has come.
class Inbox {
  constructor(path) {
    this.path = path;
    this.place = `${path}.done`;
    this.file = fs.openSync(path, "a");
    const found = fs.readFileSync(path);
    this.size = found.lastIndexOf("\n") + 1;
    fs.ftruncateSync(this.file, this.size); // the power went in the middle of a line: it was never answered
    this.known = new Set(this.lines(found.subarray(0, this.size)).map((line) => JSON.parse(line).id));
    this.done = fs.existsSync(this.place) ? Number(fs.readFileSync(this.place, "utf8")) : 0;
    this.waiting = this.lines(found.subarray(this.done, this.size));
    this.working = false;
  }

  lines(bytes) {
    return bytes.toString().split("\n").slice(0, -1);
  }

  // Have an event on disk, once. Throws an error, and then it is not there.
  keep(id, event) {
    if (this.known.has(id)) return;
    const line = JSON.stringify(event);
    try {
      fs.appendFileSync(this.file, `${line}\n`);
      fs.fsyncSync(this.file);
    } catch (error) {
      fs.ftruncateSync(this.file, this.size);
      throw error;
    }
    this.size += Buffer.byteLength(line) + 1;
    this.known.add(id);
    this.waiting.push(line);
    setImmediate(() => this.work());
  }

  // Handle what waits, in its order.
  async work() {
    if (this.working) return;
    this.working = true;
    while (this.waiting.length) {
      const line = this.waiting[0];
      await handle(JSON.parse(line));
      this.done += Buffer.byteLength(line) + 1;
      fs.writeFileSync(`${this.place}.new`, String(this.done));
      fs.renameSync(`${this.place}.new`, this.place);
      this.waiting.shift();
    }
    this.working = false;
  }
}

function receive(key, inbox, request, body) {
  if (request.method !== "POST") return 405;
  if (!isGenuine(key, request.headers, body)) return 401;
  try {
    inbox.keep(request.headers["webhook-id"], JSON.parse(body));
    return 204;
  } catch (error) {
    console.error(`cannot keep an event: ${error.message}`);
    return 503; // the shard waits, and sends it again
  }
}

function main(port = "8080", path = "events.jsonl") {
  if (!process.env.SECRET) throw new Error("SECRET is not set");
  const key = keyOf(process.env.SECRET), inbox = new Inbox(path);
  const server = http.createServer((request, response) => {
    const pieces = [];
    let length = 0;
    request.on("data", (piece) => {
      length += piece.length;
      if (length <= MOST) return pieces.push(piece);
      request.removeAllListeners("data").removeAllListeners("end").resume();
      response.writeHead(413, { Connection: "close" }).end();
    });
    request.on("end", () => response.writeHead(receive(key, inbox, request, Buffer.concat(pieces))).end());
  });
  server.listen(Number(port), "127.0.0.1", () => {
    console.log(`Listens on http://127.0.0.1:${server.address().port}`);
    inbox.work();
  });
}

try {
  main(...process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
