// Events that are run again: counted first, then begun with a reason; how far each replay is, and a way to stop it.

import { confirm } from "./decide.js";
import { ago, ask, byId, el, keepFocus, keepFresh, number, stamp, toast } from "./page.js";

const REFRESH_MS = 2000;
const COLUMNS = 9;
const TEXTS = ["kind", "type", "conversation", "lane", "handler"];

const { base, refusal } = byId("replays").dataset;
let shown = "";  // what the table shows: it is drawn anew only when that changes, so that a button keeps the focus

function choice() {
  const given = { unhandled: byId("unhandled").checked };
  for (const name of TEXTS) given[name] = byId(name).value.trim();
  for (const name of ["since", "until"]) if (byId(name).value) given[name] = `${byId(name).value}Z`;
  return given;
}

async function refresh() {
  const { replays } = await ask(`${base}/table`);
  byId("updated").textContent = `as of ${stamp()}`;
  const now = JSON.stringify(replays);
  if (now === shown) return;
  shown = now;
  const rows = replays.map(row);
  if (!rows.length) rows.push(el("tr", {}, el("td", { class: "empty-table-message", colspan: COLUMNS }, "No event was run again yet.")));
  keepFocus(byId("rows"), () => byId("rows").replaceChildren(...rows));
}

function row(replay) {
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const goesOn = replay.state === "going on" || replay.state === "left";
  const which = Object.entries(replay.chosen).map(([name, value]) => `${name} ${value}`).join(", ") || "all";
  const state = { "going on": "going on", done: "done", stopped: `stopped by ${replay.stopped_by}`,
    left: "left: the process that made its jobs is gone" }[replay.state];
  return el("tr", { "data-replay": replay.id },
    cell("Replay", String(replay.id)),
    cell("Begun", ago(replay.at)),
    cell("By", replay.who),
    cell("Why", replay.reason ?? ""),
    cell("Which", which + (replay.sends_again ? "; sends again" : "")),
    cell("State", state),
    cell("Events", replay.events === null ? "" : el("span", {}, `${number(replay.looked_at)} of ${number(replay.events)} `,
      el("progress", { value: replay.looked_at, max: Math.max(replay.events, 1), "aria-label": `Progress of replay ${replay.id}` }))),
    cell("Jobs", `${number(replay.jobs)}${replay.waiting ? `, ${number(replay.waiting)} wait` : ""}`),
    el("td", { "data-label": "Stop", class: "nd-decide" }, goesOn
      ? el("button", { type: "button", class: "btn btn-sm btn-outline-danger", disabled: Boolean(refusal),
        "aria-label": `Stop replay ${replay.id}`, onclick: () => stop(replay) }, "Stop")
      : ""));
}

async function begin(event) {
  event.preventDefault();
  const chosen = choice();
  const sendAgain = byId("send_again").checked;
  byId("result").textContent = "Counting…";
  let counted;
  try {
    counted = await ask(`${base}/count`, { choice: chosen });
  } catch (error) {
    byId("result").textContent = error.message;
    return;
  }
  const jobs = counted.jobs.reduce((sum, each) => sum + each.jobs, 0);
  const parts = counted.jobs.map((each) => `${number(each.jobs)} for ${each.handler} in lane ${each.lane}`);
  byId("result").textContent = `${number(counted.events)} events match; ${number(jobs)} jobs${parts.length ? `: ${parts.join(", ")}` : ""}. ` +
    `${number(counted.sends)} replies were sent for them.`;
  if (!jobs) return;
  const sends = sendAgain
    ? `${number(counted.sends)} replies may be sent again: users get them twice, and Meta bills them twice.`
    : "Nothing that was sent is sent again.";
  const answer = await confirm({
    title: `Run ${number(jobs)} jobs again?`, text: sends, yes: "Run again", danger: sendAgain, reason: true, rate: true,
    why: "Why are they run again?",
    work: ({ reason, rate }) => ask(`${base}/start`, { choice: chosen, reason, rate, send_again: sendAgain }),
  });
  if (answer) toast(`Replay ${answer.replay} has begun`);
  refresh();
}

async function stop(replay) {
  const answer = await confirm({
    title: `Stop replay ${replay.id}?`, text: "What has begun is finished; the rest is taken back.", yes: "Stop it", danger: true,
    work: () => ask(`${base}/stop`, { id: replay.id }),
  });
  if (answer) toast(`Replay ${replay.id} is stopped; ${number(answer.taken_back)} jobs were taken back`);
  refresh();
}

byId("choice").addEventListener("submit", begin);
keepFresh(refresh, REFRESH_MS);
