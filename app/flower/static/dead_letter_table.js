// The table of dead letters: what it shows, and how.

import { filter } from "./dead_letter_filters.js";
import { ago, ask, badge, byId, el, keepFocus, live, missing, number, otherLane, since, stamp, toast } from "./page.js";
import { timeline } from "./timeline.js";

const LIMIT = 50;

export const { base } = byId("dead-letters").dataset;
const { conversation, refusal } = byId("dead-letters").dataset;

export const view = {
  sort: "died",
  order: "descending",
  pages: [null],  // where each page so far begins; the last one is shown
  next: null,
  total: 0,
  asOf: "",  // by the clock; a table that somebody works in is not refreshed
  reveal: false,
  letters: [],
  selected: new Set(),
  open: new Set(),
  decide: {},  // what the buttons of a line do
  followed: new Map(),  // id → state, of what was retried or discarded from here
};

let loads = 0;

export async function load() {
  const mine = ++loads;
  const asked = { ...filter(), sort: view.sort, order: view.order, limit: String(LIMIT) };
  const start = view.pages.at(-1);
  if (start) asked.cursor = start;
  const answer = await ask(`${base}/table${view.reveal ? "?reveal=1" : ""}`, asked);
  if (mine !== loads) return;  // something else was asked for meanwhile
  view.letters = answer.letters;
  view.next = answer.next;
  view.total = answer.total;
  view.asOf = stamp();
  show();
}

/** Load and say what went wrong, instead of leaving it to the console. */
export async function reload() {
  try {
    await load();
    live(true);
  } catch (error) {
    live(false, error.message);
    toast(error.message, true);
  }
}

export function show() {
  keepFocus(byId("letters"), () => byId("letters").replaceChildren(...view.letters.flatMap(lines)));
  const empty = byId("empty");
  empty.hidden = view.letters.length > 0;
  const filtered = Object.keys(filter()).length > 0;
  empty.replaceChildren(filtered
    ? el("p", {}, "No dead letter matches the filter.")
    : el("p", {}, el("strong", {}, "All is well."), " No event has failed for good."));
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const on = head.dataset.sort === view.sort;
    head.setAttribute("aria-sort", on ? view.order : "none");
  }
  byId("sort").value = view.sort;
  byId("order").textContent = view.order === "descending" ? "▼" : "▲";
  byId("previous").disabled = view.pages.length === 1;
  byId("next").disabled = !view.next;
  const first = (view.pages.length - 1) * LIMIT;
  byId("place").textContent = view.letters.length ? `${number(first + 1)} to ${number(first + view.letters.length)} of ${number(view.total)}` : "";
  byId("total").textContent = `${number(view.total)} ${filtered ? "match" : view.total === 1 ? "dead letter" : "dead letters"}, as of ${view.asOf}`;
  showSelection();
}

function lines(letter) {
  const opened = view.open.has(letter.id);
  const line = el("tr", { "data-letter": letter.id },
    cell("", view.followed.has(letter.id) ? null : checkbox(letter.id)),
    cell("Event", opener(letter, opened)),
    cell("Type", letter.type),
    cell("Conversation", letter.conversation ? conversationLink(letter) : missing()),
    cell("Handler", letter.handler ? el("span", { class: "nd-handler" }, letter.handler) : missing(), otherLane(letter)),
    cell("Error", el("span", { class: "nd-error" }, letter.error ?? "—")),
    cell("Attempts", number(letter.attempts)),
    cell("First failure", ago(letter.first_failed_at ?? letter.died_at)),
    cell("Last failure", ago(letter.died_at)),
    cell("Age", since(letter.accepted_at, 1)),
    cell("", decisions(letter)));
  return opened ? [line, details(letter.id)] : [line];
}

/** The user's name, and below it the business's number that the user wrote to. */
function conversationLink({ conversation_id: number, conversation: key }) {
  const at = key.lastIndexOf("/");
  return el("span", { class: "nd-conversation nd-two" },
    el("a", { href: conversation.replace(/0$/, number) }, key.slice(at + 1)), el("small", {}, key.slice(0, at)));
}

const cell = (label, ...children) => el("td", { "data-label": label }, ...children);

function checkbox(id) {
  const box = el("input", { class: "form-check-input", type: "checkbox", "aria-label": `Select event ${id}`,
    onchange: () => { box.checked ? view.selected.add(id) : view.selected.delete(id); showSelection(); } });
  box.checked = view.selected.has(id);
  return box;
}

function opener(letter, opened) {
  return el("button", { class: "btn btn-link nd-open", type: "button", "aria-expanded": String(opened), "data-open": letter.id,
    onclick: () => toggle(letter.id) }, String(letter.id));
}

function toggle(id) {
  view.open.has(id) ? view.open.delete(id) : view.open.add(id);
  const button = document.querySelector(`[data-open="${id}"]`);
  button.setAttribute("aria-expanded", String(view.open.has(id)));
  const line = button.closest("tr");
  if (view.open.has(id)) line.after(details(id));
  else line.nextElementSibling.remove();
}

export const details = (id) => el("tr", { class: "nd-details" }, el("td", { colspan: "11" }, timeline(base, id, view.reveal)));

function decisions(letter) {
  const state = view.followed.get(letter.id);
  if (state) return badge(state);
  if (refusal) return null;
  const button = (label, kind, act) => el("button", { class: `btn btn-sm btn-outline-${kind}`, type: "button",
    "aria-label": `${label} event ${letter.id}`, onclick: act }, label);
  return el("span", { class: "nd-buttons nd-decide" },
    button("Retry", "primary", () => view.decide.retry([letter.id])),
    button("Edit", "secondary", () => view.decide.edit(letter.id)),
    button("Discard", "danger", () => view.decide.discard([letter.id])));
}

function showSelection() {
  const count = view.selected.size;
  byId("selection").textContent = count ? `${number(count)} selected` : "Nothing selected";
  for (const name of ["retry", "discard"]) {
    byId(`${name}-selected`).disabled = Boolean(refusal) || count === 0;
    byId(`${name}-all`).disabled = Boolean(refusal) || view.total === 0;
  }
  const shown = view.letters.map((letter) => letter.id);
  const ticked = shown.filter((id) => view.selected.has(id)).length;
  byId("select-page").checked = ticked > 0 && ticked === shown.length;
  byId("select-page").indeterminate = ticked > 0 && ticked < shown.length;
}

/** A refresh must not take away what somebody is at. */
export function atWork() {
  return view.selected.size > 0 || view.open.size > 0 || document.querySelector(".modal.show")
    || [...view.followed.values()].includes("pending");
}
