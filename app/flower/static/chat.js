// A conversation as a chat: what was said, by whom, what became of it, and how far each reply got.

import { el, missing, moment } from "./page.js";

const TICKS = { queued: "waits to leave", sending: "leaving", accepted: "✓ accepted", sent: "✓ sent", delivered: "✓✓ delivered", read: "✓✓ read",
  played: "✓✓ played" };
const AUTHORS = { user: "user", person: "a person of the business", bot: "bot" };

/** The messages of these events and replies, the earliest first, as items of a list. */
export function bubbles(events, sends, link) {
  const jobs = Map.groupBy(events, (event) => event.event_id);
  const incoming = [...jobs.values()].filter(([first]) => first.said).map((of) => ({ at: of[0].occurred_at, node: received(of, link) }));
  const outgoing = sends.map((send) => ({ at: send.at, node: sent(send) }));
  return [...incoming, ...outgoing].sort((a, b) => new Date(a.at) - new Date(b.at)).map(({ node }) => node);
}

function received(jobs, link) {
  const [first] = jobs;
  const states = jobs.map((job) => [job.lane_name === "main" ? null : `${job.lane_name}: `, job.state, job.late ? ", late" : null,
    job.attempts > 1 ? `, ${job.attempts} attempts` : null, job.error ? `: ${job.error}` : null].filter(Boolean).join(""));
  const foot = el("span", {}, moment(first.occurred_at), " · event ", link(first), " · ", states.join(" · "));
  return bubble(first.said, foot, jobs.some((job) => job.state === "dead"));
}

function sent(send) {
  const failed = ["failed", "dead"].includes(send.stands_at);
  const foot = el("span", {}, moment(send.at), ` · ${TICKS[send.stands_at] ?? send.stands_at}`, send.error ? `: ${send.error}` : null,
    send.attempts > 1 ? ` · ${send.attempts} attempts` : null);
  const node = bubble(send.said, foot, failed);
  if (send.stands_at === "read") node.classList.add("nd-read");
  return node;
}

function bubble(said, foot, failed) {
  const type = said.type === "text" ? null : el("span", { class: "nd-type" }, said.type.replaceAll("_", " "));
  return el("li", { class: `nd-bubble nd-${said.side}${failed ? " nd-failed" : ""}` },
    el("span", { class: "visually-hidden" }, `${AUTHORS[said.side]}: `),
    type, said.words ? el("span", { class: "nd-words" }, said.words) : type ? null : missing(),
    said.choices.length ? el("span", { class: "nd-choices" }, ...said.choices.map((choice) => el("span", {}, choice))) : null,
    el("small", {}, foot));
}
