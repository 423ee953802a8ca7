// The list of conversations: those of the newest events, or those that somebody looks for.

import { ago, ask, byId, el, keepFocus, keepFresh, missing, number, revealSwitch, stamp, toast } from "./page.js";

const REFRESH_MS = 5000;

const { base, conversation, deadLetters } = byId("conversations").dataset;
const field = byId("looked-for");
const view = { lookedFor: fromAddress(), reveal: false, last: "", loads: 0 };

function fromAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {  // a percent sign that begins nothing
    return "";
  }
}

async function load() {
  const mine = ++view.loads;
  const { conversations } = await ask(`${base}/find${view.reveal ? "?reveal=1" : ""}`, { looked_for: view.lookedFor });
  if (mine !== view.loads) return;  // something else was asked for meanwhile
  byId("total").textContent = `${number(conversations.length)} shown, as of ${stamp()}`;
  byId("hint").textContent = view.lookedFor ? "" : "Those of the newest events.";
  const drawn = JSON.stringify(conversations);
  if (drawn === view.last) return;  // a link may have the focus
  view.last = drawn;
  byId("found").replaceChildren(...conversations.map(line));
  byId("empty").hidden = conversations.length > 0;
  byId("empty").textContent = view.lookedFor
    ? "Nothing found. Names and words are looked for in the newest 50,000 events only; numbers, ids and wamids in all."
    : "No conversation yet.";
}

function line(found) {
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const at = found.key.lastIndexOf("/");
  return el("tr", { "data-conversation": found.id },
    cell("Conversation", el("a", { href: conversation.replace(/0$/, found.id) }, String(found.id))),
    cell("With", el("span", { class: "nd-conversation nd-two" }, found.key.slice(at + 1), el("small", {}, found.key.slice(0, at)))),
    cell("Last event", found.last_at ? el("span", {}, `${found.last_kind} ${found.last_type}, `, ago(found.last_at)) : missing()),
    cell("State", found.paused ? "paused" : "running"),
    cell("Waiting", number(found.waiting)),
    cell("Dead letters", found.dead_letters
      ? el("a", { href: `${deadLetters}#conversation=${found.id}` }, number(found.dead_letters)) : "0"));
}

function look(lookedFor) {
  view.lookedFor = lookedFor;
  // Behind the #, which no server sees
  history.replaceState(null, "", lookedFor ? `#${encodeURIComponent(lookedFor)}` : location.pathname);
  load().catch((error) => toast(error.message, true));
}

field.value = view.lookedFor;
byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  look(field.value.trim());
});
byId("find").addEventListener("reset", () => look(""));
revealSwitch(byId("reveal"), (on) => {
  view.reveal = on;
  load().catch((error) => toast(error.message, true));
});
keepFresh(load, REFRESH_MS);
