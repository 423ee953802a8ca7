// Replies that wait for a person: sent again, taken for sent, or dropped; one by one, or all that match the filter.

import { confirm } from "./decide.js";
import { ago, ask, byId, el, keepFocus, keepFresh, number, revealSwitch, stamp, toast } from "./page.js";

const REFRESH_MS = 3000;
const COLUMNS = 8;
const VERBS = {
  send_again: { label: "Send again", done: "sent again", kind: "primary",
    text: "What may have been sent already can arrive twice, and Meta bills it twice." },
  was_sent: { label: "Was sent", done: "taken for sent", kind: "secondary", text: "You have seen it in the chat, or at Meta." },
  drop: { label: "Drop", done: "dropped", kind: "danger", text: "It will not be sent. It is kept, with who decided." },
};

const { base, refusal } = byId("outbox").dataset;
let reveal = false;
let shown = "";  // ids in the table: it is drawn anew only when they change, so that a button keeps the focus

const filter = () => ({ sure: byId("sure").value, code: byId("code").value.trim() });

async function refresh() {
  const { sends, stopped, more } = await ask(`${base}/table?${new URLSearchParams({ ...filter(), ...(reveal ? { reveal: 1 } : {}) })}`);
  byId("updated").textContent = `as of ${stamp()}`;
  showStopped(stopped);
  for (const button of document.querySelectorAll("[data-all]")) button.disabled = Boolean(refusal) || !sends.length;
  const now = `${reveal} ${sends.map((each) => `${each.id}${each.stands_at}`).join()}`;
  if (now === shown) return;
  shown = now;
  const rows = sends.map(row);
  if (!rows.length) rows.push(el("tr", {}, el("td", { class: "empty-table-message", colspan: COLUMNS }, "No reply waits for a person.")));
  if (more) rows.push(el("tr", {}, el("td", { class: "empty-table-message", colspan: COLUMNS }, `The first ${number(sends.length)}; the buttons above are for all that match.`)));
  keepFocus(byId("sends"), () => byId("sends").replaceChildren(...rows));
}

function row(send) {
  const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
  const buttons = Object.entries(VERBS).flatMap(([action, { label, kind }]) => [
    el("button", { type: "button", class: `btn btn-sm btn-outline-${kind}`, disabled: Boolean(refusal),
      "aria-label": `${label}: reply ${send.id}`, onclick: () => one(action, send) }, label), " "]);
  return el("tr", { "data-send": send.id },
    cell("Reply", `${send.id} (${send.step})`),
    cell("Event", String(send.event_id)),
    cell("Conversation", el("span", { class: "nd-conversation" }, send.conversation)),
    cell("State", send.unsure ? "may have been sent" : "not sent"),
    cell("Why", el("span", { class: "nd-error" }, send.error ?? "")),
    cell("Attempts", number(send.attempts)),
    cell("Written", ago(send.created_at)),
    el("td", { "data-label": "Decide", class: "nd-decide" }, ...buttons));
}

function showStopped(stopped) {
  const ids = stopped.map((each) => each.number).join();
  if (byId("stopped").dataset.ids === ids) return;
  byId("stopped").dataset.ids = ids;
  byId("stopped").replaceChildren(...stopped.map((each) =>
    el("p", { class: "alert alert-danger nd-bar", role: "alert" },
      el("span", {}, "Nothing leaves from number ", el("strong", {}, each.number), `: ${each.error}. Give it a new token, or put it right at Meta.`),
      el("button", { type: "button", class: "btn btn-sm btn-danger", disabled: Boolean(refusal), onclick: () => resume(each.number) }, `Resume ${each.number}`))));
}

async function one(action, send) {
  const { label, text, done, kind } = VERBS[action];
  const answer = await confirm({
    title: `${label}: reply ${send.id}?`, text, yes: label, danger: kind === "danger",
    work: () => ask(`${base}/decide/${action}`, { ids: [send.id] }),
  });
  if (!answer) return;
  if (answer.changed.length) toast(`Reply ${send.id} ${done}`);
  else toast(`Reply ${send.id} was left alone: it waits for no decision any more`, true);
  refresh();
}

async function all(action) {
  const { label, text, done, kind } = VERBS[action];
  const chosen = filter();
  const changed = await confirm({
    title: `${label}: all that match?`, text, yes: label, danger: kind === "danger",
    work: async (_answers, _progress, stopped) => {
      let count = 0;
      let after = 0;
      while (after !== null && !stopped()) {
        const part = await ask(`${base}/decide/${action}`, { filter: chosen, after });
        count += part.changed.length;
        after = part.last;
      }
      return { count };
    },
  });
  if (changed) byId("result").textContent = `${number(changed.count)} ${done}.`;
  refresh();
}

async function resume(which) {
  try {
    await ask(`${base}/resume`, { number: which });
    toast(`Number ${which} sends again`);
  } catch (error) {
    toast(error.message, true);
  }
  refresh();
}

for (const button of document.querySelectorAll("[data-all]")) button.addEventListener("click", () => all(button.dataset.all));
for (const id of ["sure", "code"]) byId(id).addEventListener("change", () => refresh());
revealSwitch(byId("reveal"), (on) => {
  reveal = on;
  refresh();
});
keepFresh(refresh, REFRESH_MS);
