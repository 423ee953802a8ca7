// The pipeline at a glance: numbers every few seconds, charts every half minute.

import { loadHeld } from "./held.js";
import { ask, byId, duration, el, keepFresh, moment, number, stamp, UNKNOWN } from "./page.js";
import { loadProcesses, showProcesses } from "./processes.js";
import { showTargets } from "./targets.js";

const NUMBERS_MS = 3000;
const CHARTS_MS = 30000;
const PROCESSES_MS = 15000;  // each worker is asked what it is
const HEIGHT = 200;  // pixels

const { base, deadLetters, outbox } = byId("pipeline").dataset;

// Numbers

async function numbers() {
  const now = await ask(`${base}/numbers`);
  for (const node of document.querySelectorAll("[data-number]")) {
    node.textContent = known(node.dataset.number.split(".").reduce((value, name) => value?.[name], now));
  }
  for (const node of document.querySelectorAll("[data-duration]")) node.textContent = age(now.size, now[node.dataset.duration]);
  byId("died").textContent = now.minute?.died ? `${number(now.minute.died)} in the last minute` : "";
  const workers = now.workers && Object.keys(now.workers).length;
  byId("workers-alive").textContent = known(workers);
  byId("workers-alive").closest("article").classList.toggle("metric-card-danger", workers === 0);
  byId("updated").textContent = `as of ${stamp()}`;
  showAlerts(now);
  showPlaces(now);
  showProcesses(now.workers);
  showTargets(now.targets, numbers);
  await loadHeld(now.pending != null);
}

const STORES = { postgres: "Postgres", redis: "Redis" };
const known = (value) => (value == null ? UNKNOWN : number(value));

function age(size, seconds) {
  if (size == null) return UNKNOWN;
  return size ? duration(seconds) : "nothing waits";
}

const PAGES = { dead_letters: ["dead letters", deadLetters], outbox: ["outbox", outbox], held: ["what is held", "#held-lanes"] };

function showAlerts({ alerts, unanswered }) {
  const key = JSON.stringify([alerts, unanswered]);
  if (byId("alerts").dataset.shown === key) return;  // a link may have the focus
  byId("alerts").dataset.shown = key;
  const notice = (...children) => el("p", { class: "alert alert-danger", role: "alert" }, ...children);
  byId("alerts").replaceChildren(
    ...unanswered.map((store) => notice(el("strong", {}, `${STORES[store]} does not answer`), ": what only it knows is shown as —, and alerts about it are missing.")),
    ...alerts.map((alert) => notice("Alert: ", el("strong", {}, alert.name.replaceAll("_", " ")), ...words(alert))));
}

/** The number, its threshold, since when, what to do, and where to look. */
function words({ text, since: at, remedy }) {
  const [label, link] = PAGES[remedy?.page] ?? [];
  return [text ? `: ${text}` : "", at ? ", since " : "", at ? moment(at) : "", ". ", remedy?.text ?? "", link ? " " : "", link ? el("a", { href: link }, `See ${label}`) : ""];
}

function showPlaces(now) {
  const rows = [
    ["journal (deliveries not split yet)", now.journal],
    ["fallback store (deliveries in Postgres, not split yet)", now.second_door],
    ["pending events", now.pending],
    [`in paused conversations (${known(now.paused_lanes)})`, now.paused],
    ["messages of the last hour without a handler", now.unhandled],
    ["replies that wait to leave", now.replies_waiting],
    ["jobs of targets", now.forwards_waiting],
    ["replies that wait for a person", now.replies_dead, outbox],
    ...Object.entries(now.queues ?? {}).map(([queue, length]) => [`queue ${queue}`, length, queue === "dead_letters" ? deadLetters : null]),
    ["taken by a worker, not acknowledged yet", now.unacked],
    ["messages that could not be run, in quarantine", now.quarantined],
  ];
  byId("places").replaceChildren(...rows.map(([name, value, link]) =>
    el("tr", {}, el("td", {}, link ? el("a", { href: link }, name) : name), el("td", { class: "text-end" }, known(value)))));
}

// Charts

const CHARTS = {
  rates: [["in", "arrived", "--flower-active"], ["done", "done", "--flower-success"],
    ["failed attempts", "failed_attempts", "--flower-warning"], ["dead", "died", "--flower-danger"]],
  backlog: [["unfinished", "size", "--flower-active"], ["in the journal", "journal", "--flower-warning"]],
  age: [["seconds", "oldest_seconds", "--flower-warning"]],
  dead: [["dead letters", "dead_letters", "--flower-danger"]],
};
const drawn = {};
let span = "hour";

async function charts() {
  const { points, step, seconds } = await ask(`${base}/samples?span=${span}`);
  const end = Math.floor(Date.now() / 1000 / step) * step - step;  // the step under way is not complete
  const known = new Map(points.map((point) => [point.at, point]));
  const times = [];
  for (let at = end - seconds; at <= end; at += step) times.push(at);
  for (const [name, lines] of Object.entries(CHARTS)) {
    draw(name, lines, [times, ...lines.map(([, member]) => times.map((at) => known.get(at)?.[member] ?? null))]);
  }
}

function draw(name, lines, data) {
  const place = document.querySelector(`[data-chart="${name}"]`);
  const width = place.clientWidth - 16;
  drawn[name]?.destroy();
  const css = getComputedStyle(document.documentElement);
  const muted = css.getPropertyValue("--flower-text-muted").trim();
  const grid = { stroke: css.getPropertyValue("--bs-border-color").trim(), width: 1 };
  const axis = { stroke: muted, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  // The legend has the values under the pointer, else the newest ones
  const newest = data[1].findLastIndex((value) => value != null);
  const showNewest = (plot) => { if (plot.cursor.idx == null && newest >= 0) plot.setLegend({ idx: newest }, false); };
  drawn[name] = new uPlot({
    width, height: HEIGHT,
    hooks: { ready: [showNewest], setCursor: [showNewest] },
    legend: { live: true },
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.1] } },
    axes: [{ ...axis, space: 60, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 56, values: (_, ticks) => ticks.map((value) => compact.format(value)) }],
    series: [{ label: "UTC", value: (_, at) => (at == null ? "—" : clock(at)) },
      ...lines.map(([label, , colour]) => ({
        label, width: 2, stroke: css.getPropertyValue(colour).trim(), spanGaps: false, points: { size: 4 },
        value: (_, value) => (value == null ? "—" : number(Math.round(value * 10) / 10)),
      }))],
  }, data, place);
}

const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);  // in UTC, as all times
const compact = new Intl.NumberFormat(undefined, { notation: "compact" });

for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => {
    span = button.dataset.span;
    for (const each of document.querySelectorAll("[data-span]")) {
      each.classList.toggle("active", each === button);
      each.setAttribute("aria-pressed", String(each === button));
    }
    byId("charts-title").textContent = `Last ${span}`;
    charts();
  });
}
window.addEventListener("resize", () => charts());
new MutationObserver(() => charts()).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });

keepFresh(numbers, NUMBERS_MS);
keepFresh(charts, CHARTS_MS);
keepFresh(() => loadProcesses(base), PROCESSES_MS);
