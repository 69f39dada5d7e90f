// HTTP/2 and HTTP/1 origins of another implementation, Node's: h2_origin.js NAME PORT h2c|h2|h1 [CERT KEY]
// Answers tell who, by which protocol, how many connections and requests there were.
"use strict";
const fs = require("fs");
const http = require("http");
const http2 = require("http2");

const [name, port, kind, cert, key] = process.argv.slice(2);
const counts = { connections: 0, requests: 0 };

function answer(request, response) {
    counts.requests += 1;
    const url = new URL(request.url, "http://origin");
    if (url.pathname === "/trailers") {
        response.setHeader("trailer", "x-count");
        response.writeHead(200, { "content-type": "text/plain" });
        response.write("body\n");
        response.addTrailers({ "x-count": String(counts.requests) });
        response.end();
        return;
    }
    if (url.pathname === "/goaway") {
        // The answer comes, and nothing more on this connection.
        request.stream.session.close();
    }
    let length = 0;
    const trailers = () => request.trailers;
    request.on("data", (piece) => { length += piece.length; });
    request.on("end", () => {
        const told = { name, protocol: request.httpVersion, method: request.method, path: request.url, length, ...counts };
        told.host = request.authority || request.headers.host;
        told.trailers = trailers();
        const body = JSON.stringify(told) + "\n";
        response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
        response.end(body);
    });
}

let server;
if (kind === "h1") {
    server = http.createServer(answer);
    server.on("connection", () => { counts.connections += 1; });
} else if (kind === "h2c") {
    server = http2.createServer(answer);
    server.on("session", () => { counts.connections += 1; });
} else {
    server = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key), allowHTTP1: false }, answer);
    server.on("session", () => { counts.connections += 1; });
}
server.listen(Number(port), "127.0.0.1", () => console.log(`serving ${name}`));
