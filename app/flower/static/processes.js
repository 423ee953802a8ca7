// The table of processes: who is alive, of which release, with which handlers; and a warning where they differ.

import { nothing } from "./held.js";
import { ask, byId, el, missing, UNKNOWN } from "./page.js";

const LABELS = ["Process", "Release", "Queues", "Handlers"];

let alive = null;  // worker → its queues, as heartbeats have it; null where Redis does not answer
let said = new Map();  // process → what it says of itself

/** Ask all processes what they are; they take a moment to answer. */
export async function loadProcesses(base) {
  const { processes, findings } = await ask(`${base}/processes`);
  said = new Map(processes.map((each) => [each.name, each]));
  redraw("differences", findings, () => findings.map(({ what, fix }) =>
    el("p", { class: "alert alert-warning mt-2 mb-0", role: "alert" }, el("strong", {}, what), `. To do: ${fix}.`)));
  draw();
}

/** Show who is alive; a worker that has not said yet what it is has no release. */
export function showProcesses(workers) {
  alive = workers;
  draw();
}

function draw() {
  const queues = new Map([...[...said.values()].map((each) => [each.name, each.queues]), ...Object.entries(alive ?? {})]);
  const rows = [...queues].filter(([name]) => !alive || name in alive || !said.get(name)?.queues.length).sort();
  redraw("processes", [alive, rows, [...said.values()]], () => rows.length
    ? rows.map(([name, its]) => row(name, its, said.get(name)))
    : [nothing(LABELS.length, alive ? "No process is alive." : UNKNOWN)]);
}

function row(name, queues, process) {
  const cells = [name, process?.release ?? missing(), queues.join(", ") || missing(), handlers(process)];
  return el("tr", { "data-process": name }, ...cells.map((cell, index) => el("td", { "data-label": LABELS[index] }, cell)));
}

function handlers(process) {
  if (!process || !process.handlers.length && !process.lacking.length) return missing();
  const { handlers: known, lacking } = process;
  const lacks = lacking.length ? el("strong", {}, `, without ${lacking.join(", ")}`) : "";
  return el("details", {}, el("summary", {}, String(known.length), lacks), ...known.map((each) => el("div", {}, each)));
}

/** Draw only what has changed: something in it may be open, or have the focus. */
function redraw(id, values, children) {
  const key = JSON.stringify(values);
  if (byId(id).dataset.shown === key) return;
  byId(id).dataset.shown = key;
  byId(id).replaceChildren(...children());
}
