// A target in Node with Express: checks the signature, knows what it has done, answers by the reply.
//   npm install express && TARGET_SECRET=whsec_... PORT=3000 node receiver.js
const { createHmac, timingSafeEqual } = require("node:crypto");
const express = require("express");

const key = Buffer.from(process.env.TARGET_SECRET.replace("whsec_", ""), "base64");
const done = new Map(); // webhook-id -> answer; keep it in your database

function verify(body, headers) {
  const [id, time] = [headers["webhook-id"], headers["webhook-timestamp"]];
  if (!id || !(Math.abs(Date.now() / 1000 - Number(time)) < 300)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function answer({ type, data }) {
  return type === "message.text" ? { replies: [{ text: `You said: ${data.text}` }] } : {};
}

const app = express();
// The signature is over the bytes as they came, so they are not parsed before it is checked
app.post("/hooks", express.raw({ type: "*/*", limit: "4mb" }), (request, response) => {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  if (!verify(body, request.headers)) return response.sendStatus(401);
  const id = request.headers["webhook-id"];
  if (!done.has(id)) done.set(id, answer(JSON.parse(body)));
  response.json(done.get(id));
});
const server = app.listen(process.env.PORT ?? 3000, "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
