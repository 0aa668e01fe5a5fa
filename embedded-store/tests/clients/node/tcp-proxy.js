// A TCP proxy whose connections can be cut, as a network would.

import net from "node:net";
import { once } from "node:events";

export async function tcpProxy(target) {
  const open = new Set();
  const server = net.createServer((client) => {
    const upstream = net.connect(target);
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      open.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => open.forEach((connection) => connection.destroy());
  return {
    port: server.address().port,
    cut,
    close() {
      server.close();
      cut();
    },
  };
}
