// A conversation: its events in order, and the switch that lets them wait for a person.

import { ask, badge, byId, el, keepFresh, missing, moment, number, otherLane, revealSwitch, since, toast } from "./page.js";
import { timeline } from "./timeline.js";

const REFRESH_MS = 2000;

const { base, deadLetters, refusal } = byId("conversation-page").dataset;
const view = { reveal: false, open: new Set(), earlier: [], last: "", arrived: false };

const reveal = (mark) => (view.reveal ? `${mark}reveal=1` : "");

async function load() {
  const answer = await ask(`${base}/events${reveal("?")}`);
  showPause(answer.pause, answer.events.length > 0);
  byId("earlier").hidden = view.earlier.length > 0 || !answer.more;
  const seen = new Set(answer.events.map((event) => event.id));
  const events = [...view.earlier.filter((event) => !seen.has(event.id)), ...answer.events];
  byId("empty").hidden = events.length > 0;
  const drawn = JSON.stringify([events, view.reveal]);
  if (drawn === view.last) return;  // whoever reads is not disturbed
  view.last = drawn;
  byId("events").replaceChildren(...events.flatMap(lines));
  const waits = events.find((event) => event.state === "pending");
  byId("waits").hidden = !waits;
  if (waits) byId("waits").replaceChildren("First that waits: ", el("a", { href: `#event-${waits.id}` }, String(waits.id)));
  if (!view.arrived && location.hash) location.replace(location.hash);  // now that the event is there
  view.arrived = true;
}

async function earlier() {
  const first = document.querySelector("[data-event]")?.dataset.event;
  if (!first) return;
  const answer = await ask(`${base}/events?before=${first}${reveal("&")}`);
  view.earlier = [...answer.events, ...view.earlier];
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
  if (paused) note.replaceChildren(el("strong", {}, "Paused"), ` by ${pause.paused_by}, `, since(pause.paused_at), " ago. What arrives is stored and waits.");
}

function lines(event) {
  const opened = view.open.has(event.id);
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const line = el("tr", { "data-event": event.id, id: `event-${event.id}` },
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
  return el("div", { class: "nd-muted" }, "again at ", new Date(event.due_at).toLocaleTimeString());
}

async function turn(action) {
  try {
    const answer = await ask(`${base}/${action}`, {});
    toast(answer.changed ? `The conversation is ${action}d` : `Somebody was first: it is ${action}d already`, !answer.changed);
    await load();
  } catch (error) {
    failed(error);
  }
}

const failed = (error) => toast(error.message, true);

byId("pause").addEventListener("click", () => turn("pause"));
byId("resume").addEventListener("click", () => turn("resume"));
byId("earlier").addEventListener("click", () => earlier().catch(failed));
revealSwitch(byId("reveal"), (on) => {
  view.reveal = on;
  view.earlier = [];
  load().catch(failed);
});
keepFresh(load, REFRESH_MS);
