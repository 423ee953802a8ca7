// The table of targets: how forwarders see each, and the switch that lets one wait for a person.

import { confirm } from "./decide.js";
import { ask, byId, el, missing, moment, number, toast, UNKNOWN } from "./page.js";

const MS = 1000;

const { targets: base, refusal } = byId("pipeline").dataset;
const rows = new Map();  // target → its row: kept while it is shown, so that a button keeps the focus

/** Show the targets; the card is there where there are any. `reload` asks for the numbers again. */
export function showTargets(targets, reload) {
  byId("targets-card").hidden = !targets.length;
  if (targets.map(({ name }) => name).join() !== [...rows.keys()].join()) {
    rows.clear();
    for (const { name } of targets) rows.set(name, el("tr", { "data-target": name }, ...LABELS.map((label) => el("td", { "data-label": label }))));
    byId("targets").replaceChildren(...rows.values());
  }
  for (const target of targets) fill(rows.get(target.name), target, reload);
}

const LABELS = ["Target", "State", "Attempts, 5 min", "Failed", "Answered within (p50, p99)", "Last error", "Decide"];

function fill(row, target, reload) {
  const key = JSON.stringify(target);
  if (row.dataset.shown === key) return;
  row.dataset.shown = key;
  const seen = target.known && target.forwarders > 0;
  const values = [
    target.name, state(target),
    seen ? number(target.attempts) : UNKNOWN, seen ? number(target.failures) : UNKNOWN,
    `${taken(target.p50_seconds)}, ${taken(target.p99_seconds)}`, target.last_error || missing(),
  ];
  values.forEach((value, index) => row.children[index].replaceChildren(value));
  showButton(row.lastElementChild, target, reload);
}

function state(target) {
  const { paused } = target;
  if (paused) return el("span", {}, paused.who ? `paused by ${paused.who}, since ` : "stopped since ", moment(paused.since), paused.reason ? `: ${paused.reason}` : "");
  if (!target.known) return UNKNOWN;
  if (!target.forwarders) return "no forwarder posts to it";
  const rests = target.throttled_seconds > 0 ? `, left alone for ${Math.ceil(target.throttled_seconds)} s` : "";
  return BREAKERS[target.breaker] + rests;
}

const BREAKERS = {
  closed: "breaker closed", open: "breaker open: it fails, and is left alone for a while",
  "half-open": "breaker half-open: one attempt shows whether it is back",
};

const taken = (seconds) => (seconds == null ? UNKNOWN : `${number(Math.round(seconds * MS))} ms`);

/** The button stays the same, since it may have the focus. */
function showButton(cell, target, reload) {
  const button = cell.firstElementChild ?? el("button", { type: "button", class: "btn btn-sm btn-outline-secondary" });
  const [label, act] = target.paused ? ["Resume", resume] : ["Pause", pause];
  button.textContent = label;
  button.setAttribute("aria-label", `${label} target ${target.name}`);
  button.disabled = Boolean(refusal) || !target.pause_known;
  button.onclick = () => act(target.name).then(reload).catch((error) => toast(error.message, true));
  if (!button.isConnected) cell.append(button);
}

async function pause(name) {
  await confirm({
    title: `Pause target ${name}?`, text: "Nothing is posted to it until somebody resumes it. What comes for it waits, and nothing is lost.",
    yes: "Pause", reason: true, why: "Why?", work: (answers) => ask(`${base}/${name}/pause`, answers),
  });
}

const resume = (name) => ask(`${base}/${name}/resume`, {});
