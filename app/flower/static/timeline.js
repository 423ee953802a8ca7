// One event opened: its payload, every attempt with its traceback, and what happened to it.

import { ask, badge, duration, el, moment, stamp } from "./page.js";

/** A node that fills itself with the event's timeline. */
export function timeline(base, id, reveal) {
  const node = el("div", { class: "nd-event", "data-event": id }, el("p", { class: "nd-muted" }, "Loading…"));
  ask(`${base}/${id}${reveal ? "?reveal=1" : ""}`)
    .then((answer) => node.replaceChildren(...parts(answer.event, answer.edits)))
    .catch((error) => node.replaceChildren(el("p", { class: "text-danger", role: "alert" }, error.message)));
  return node;
}

function parts(event, edits) {
  const attempts = event.moments.filter((each) => each.what === "attempt");
  const last = attempts.at(-1);
  const left = [
    el("h3", {}, "Attempts"), ...(attempts.length ? attempts.map((each) => attempt(each, each === last)) : [none("No handler has run.")]),
    el("h3", {}, "Timeline"), el("ol", { class: "nd-timeline" }, ...event.moments.map(line)),
  ];
  const right = [
    el("h3", {}, "Payload"), code(event.payload), el("p", { class: "nd-key" }, event.key),
    ...(edits.length ? [el("h3", {}, "Before it was edited"), ...edits.map(edit)] : []),
  ];
  return [el("section", {}, ...left), el("section", {}, ...right)];
}

const code = (text) => el("pre", { class: "detail-code", tabindex: "0" }, el("code", {}, text));
const none = (text) => el("p", { class: "nd-muted" }, text);

function attempt({ at, detail }, open) {
  const ended = detail.seconds == null ? "running, or its worker died" : `${detail.error ?? "succeeded"}`;
  return el("details", { open },
    el("summary", {}, `Attempt ${detail.number}: ${ended}`),
    el("p", { class: "nd-muted" }, moment(at), ` on ${detail.worker}`, detail.seconds == null ? "" : `, took ${took(detail.seconds)}`),
    detail.answer ? el("p", {}, "It answered:") : null,
    detail.answer ? code(detail.answer) : null,
    detail.traceback ? code(detail.traceback) : null);
}

const took = (seconds) => (seconds < 10 ? `${seconds.toFixed(3)} s` : duration(seconds));

const STATES = ["done", "dead", "discarded", "unhandled"];

function line({ at, what, detail }) {
  return el("li", {}, moment(at), " ", STATES.includes(what) ? badge(what) : el("strong", {}, what), " ", words(what, detail));
}

function words(what, detail) {
  if (what === "attempt") return `${detail.number}: ${detail.error ?? (detail.seconds == null ? "under way, or its worker died" : "succeeded")}`;
  if (what === "received") return `delivery ${detail.delivery_id}${detail.door === "postgres" ? ", stored in Postgres" : ""}`;
  if (what === "joined") return `${detail.messages} messages in one list: jobs ${detail.jobs}`;
  if (what === "expects") return `${detail.answer}${detail.until ? ` until ${stamp(detail.until)}` : ""}`;
  if (what === "paused") return `by ${detail.who}${detail.until ? ` until ${stamp(detail.until)}` : ""}${detail.why ? `: ${detail.why}` : ""}`;
  if (detail.who) return `by ${detail.who}${detail.reason ? `: ${detail.reason}` : ""}`;
  return "";
}

function edit({ at, who, reason, payload }) {
  return el("details", {},
    el("summary", {}, "Edited by ", who, " ", moment(at), reason ? `: ${reason}` : ""),
    code(payload));
}
