// A fan-out hub on ws, as its README shows a broadcast: every text message goes
// verbatim to all other connections of the channel that the query parameter
// channel, or else the path, names. Prints {"addr":…,"pid":…} once it listens and
// ends on SIGTERM or SIGINT.
import { WebSocket, WebSocketServer } from "ws";

const maxMessage = 64 * 1024; // bytes

const rooms = new Map(); // channel → Set of sockets

function channelOf(target) {
  const url = new URL(target, "ws://hub");
  return url.searchParams.get("channel") || url.pathname;
}

function join(channel, socket) {
  const room = rooms.get(channel) ?? new Set();
  rooms.set(channel, room.add(socket));
  return room;
}

function leave(channel, socket) {
  const room = rooms.get(channel);
  room?.delete(socket);
  if (room?.size === 0) rooms.delete(channel);
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: 4096,
  perMessageDeflate: false,
  maxPayload: maxMessage,
  clientTracking: false,
});

server.on("connection", (socket, request) => {
  const channel = channelOf(request.url);
  const room = join(channel, socket);
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => leave(channel, socket));
  socket.on("message", (data, isBinary) => {
    if (isBinary) return;
    for (const peer of room) {
      if (peer !== socket && peer.readyState === WebSocket.OPEN) peer.send(data, { binary: false });
    }
  });
});

server.on("listening", () => {
  const { address, port } = server.address();
  console.log(JSON.stringify({ addr: `${address}:${port}`, pid: process.pid }));
});

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
