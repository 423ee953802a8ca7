// A conversation: its events in order, and the switch that lets them wait for a person.

import { ask, badge, byId, el, keepFocus, keepFresh, missing, moment, number, otherLane, revealSwitch, since, stamp, toast } from "./page.js";
import { bubbles } from "./chat.js";
import { confirm } from "./decide.js";
import { timeline } from "./timeline.js";

const REFRESH_MS = 2000;
const MAX_EARLIER = 20;  // times a hundred events, that one is looked for in

const { base, deadLetters, refusal } = byId("conversation-page").dataset;
const view = { reveal: false, open: new Set(), earlier: [], earlierSends: [], last: "", arrived: false };

const reveal = (mark) => (view.reveal ? `${mark}reveal=1` : "");

async function load() {
  const answer = await ask(`${base}/events${reveal("?")}`);
  showPause(answer.pause, answer.events.length > 0);
  showDialogs(answer.dialogs);
  byId("earlier").hidden = view.earlier.length > 0 || !answer.more;
  const seen = new Set(answer.events.map((event) => event.id));
  const events = [...view.earlier.filter((event) => !seen.has(event.id)), ...answer.events];
  const sends = [...view.earlierSends.filter((send) => !answer.sends.some((each) => each.id === send.id)), ...answer.sends];
  byId("empty").hidden = events.length > 0;
  const drawn = JSON.stringify([events, sends, view.reveal]);
  if (drawn === view.last) return;  // whoever reads is not disturbed
  view.last = drawn;
  keepFocus(byId("events"), () => byId("events").replaceChildren(...events.flatMap(lines)));
  const said = bubbles(events, sends, (event) => el("a", { href: `#event-${event.id}` }, String(event.id)));
  byId("chat").replaceChildren(...said);
  byId("silent").hidden = said.length > 0 || events.length === 0;
  const waits = events.find((event) => event.state === "pending");
  byId("waits").hidden = !waits;
  if (waits) byId("waits").replaceChildren("First that waits: ", el("a", { href: `#event-${waits.id}` }, String(waits.id)));
  if (view.arrived) return;
  view.arrived = true;
  if (location.hash) await arrive();
}

/** Show the event that the address names, among earlier ones where it is not among the last. */
async function arrive() {
  for (let page = 0; page < MAX_EARLIER && !byId(location.hash.slice(1)) && !byId("earlier").hidden; page += 1) await earlier();
  location.replace(location.hash);  // now that the event is there
}

async function earlier() {
  const first = document.querySelector("[data-of]")?.dataset.of;
  if (!first) return;
  const answer = await ask(`${base}/events?before=${first}${reveal("&")}`);
  view.earlier = [...answer.events, ...view.earlier];
  view.earlierSends = [...answer.sends, ...view.earlierSends];
  view.last = "";
  await load();
  byId("earlier").hidden = !answer.more;
}

function showPause(pause, known) {
  const paused = Boolean(pause?.paused_at);
  byId("name").textContent = pause?.key ?? (known ? "events that belong to no conversation" : "there is no conversation with this number");
  byId("state").textContent = !pause && !known ? "unknown" : paused ? "paused" : "running";
  byId("pause").hidden = !pause || paused || Boolean(refusal);
  byId("resume").hidden = !pause || !paused || Boolean(refusal);
  const note = byId("paused");
  note.hidden = !paused;
  if (paused) note.replaceChildren(el("strong", {}, "Paused"), ` by ${pause.paused_by}, `, since(pause.paused_at), " ago",
    pause.paused_until ? `, until ${stamp(pause.paused_until)}` : null,
    pause.paused_why ? `: ${pause.paused_why}` : null,
    pause.skips ? ". What arrives is stored, and messages are skipped when the pause ends." : ". What arrives is stored and waits.");
}

function showDialogs(dialogs) {
  byId("dialogs").hidden = dialogs.length === 0;
  byId("dialogs").replaceChildren(...dialogs.map((dialog) => el("div", {},
    dialog.expects ? el("span", {}, "Its next message answers ", el("strong", {}, dialog.expects)) : "Kept",
    dialog.due_at ? ` until ${stamp(dialog.due_at)}` : null,
    dialog.lane_name === "main" ? null : ` in lane ${dialog.lane_name}`,
    dialog.state ? `: ${dialog.state}` : null)));
}

function lines(event) {
  const opened = view.open.has(event.id);
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const line = el("tr", { "data-event": event.id, "data-of": event.event_id, id: `event-${event.id}` },
    cell("Event", el("button", { class: "btn btn-link nd-open", type: "button", "aria-expanded": String(opened),
      onclick: () => { opened ? view.open.delete(event.id) : view.open.add(event.id); view.last = ""; load().catch(failed); } }, String(event.id)),
      el("div", { class: "nd-key" }, event.key)),
    cell("State", event.state === "dead" ? el("a", { href: `${deadLetters}?ids=${event.id}` }, badge("dead")) : badge(event.state),
      event.late ? " late" : null, waiting(event)),
    cell("Type", event.type),
    cell("Sent", moment(event.occurred_at)),
    cell("Handler", event.handler ? el("span", { class: "nd-handler" }, event.handler) : missing(), otherLane(event)),
    cell("Attempts", number(event.attempts)),
    cell("Error", event.error ? el("span", { class: "nd-error" }, event.error) : null));
  return opened ? [line, el("tr", { class: "nd-details" }, el("td", { colspan: "7" }, timeline(deadLetters, event.id, view.reveal)))] : [line];
}

function waiting(event) {
  if (event.state !== "pending" || !event.due_at) return null;
  return el("div", { class: "nd-muted" }, "again at ", moment(event.due_at));
}

/** Show the chat or the table of events; somebody who came for one event sees the table. */
function choose(shown) {
  for (const name of ["chat", "events"]) {
    byId(`${name}-view`).hidden = name !== shown;
    byId(`show-${name}`).classList.toggle("active", name === shown);
    byId(`show-${name}`).setAttribute("aria-pressed", String(name === shown));
  }
}

async function turn(action, asked) {
  try {
    const answer = await asked;
    if (!answer) return;
    toast(answer.changed ? `The conversation is ${action}d` : `Somebody was first: it is ${action}d already`, !answer.changed);
    await load();
  } catch (error) {
    failed(error);
  }
}

const pause = () => confirm({
  title: "Pause this conversation?", text: "Its handlers run nothing until the pause ends. What arrives is stored.",
  yes: "Pause", reason: "optional", pause: true, why: "Why? (shown to others)", work: (answers) => ask(`${base}/pause`, answers),
});

const failed = (error) => toast(error.message, true);

byId("pause").addEventListener("click", () => turn("pause", pause()));
byId("resume").addEventListener("click", () => turn("resume", ask(`${base}/resume`, {})));
for (const name of ["chat", "events"]) byId(`show-${name}`).addEventListener("click", () => choose(name));
const followAddress = () => choose(location.hash.startsWith("#event-") ? "events" : "chat");
followAddress();
window.addEventListener("hashchange", followAddress);
byId("earlier").addEventListener("click", () => earlier().catch(failed));
revealSwitch(byId("reveal"), (on) => {
  view.reveal = on;
  view.earlier = [];
  view.earlierSends = [];
  load().catch(failed);
});
keepFresh(load, REFRESH_MS);
