// The table of dead letters: filter, sort, page, open, decide; and what becomes of what was retried.

import { confirm, edit, inParts } from "./decide.js";
import { ago, ask, badge, byId, el, keepFresh, live, missing, number, otherLane, revealSwitch, since, toast } from "./page.js";
import { timeline } from "./timeline.js";

const REFRESH_MS = 10000;
const FOLLOW_MS = 1000;
const LIMIT = 50;
const NAMES = ["search", "error_class", "type", "handler", "conversation", "after", "before"];
const PERSONAL = ["search", "conversation"];  // of the names: behind the address's #, which no server sees
const FINAL = ["done", "discarded"];

const root = byId("dead-letters");
const { base, conversation, refusal } = root.dataset;
const form = byId("filters");

const view = {
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
  followed: new Map(),  // id → state, of what was retried or discarded from here
};

// The filter, in the form and in the address

function filter() {
  const found = {};
  for (const name of NAMES) {
    const value = form.elements[name].value.trim();
    if (value) found[name] = name === "after" || name === "before" ? new Date(value).toISOString() : value;
  }
  const ids = new URLSearchParams(location.search).get("ids");
  return ids ? { ...found, ids } : found;
}

function readAddress() {
  const given = new URLSearchParams(location.search);
  const personal = new URLSearchParams(location.hash.slice(1));
  for (const name of NAMES) {
    const field = form.elements[name];
    const value = personal.get(name) ?? given.get(name);
    if (!value) continue;  // somebody may have begun to type already
    if (field.tagName === "SELECT") offer(field, value);
    field.value = value;
  }
  if (given.has("sort")) view.sort = given.get("sort");
  if (given.has("order")) view.order = given.get("order");
}

function writeAddress(keepIds) {
  const given = new URLSearchParams();
  const ids = keepIds && new URLSearchParams(location.search).get("ids");
  if (ids) given.set("ids", ids);
  const personal = new URLSearchParams();
  for (const name of NAMES) {
    const value = form.elements[name].value.trim();
    if (value) (PERSONAL.includes(name) ? personal : given).set(name, value);
  }
  if (view.sort !== "died" || view.order !== "descending") {
    given.set("sort", view.sort);
    given.set("order", view.order);
  }
  history.replaceState(null, "", `${location.pathname}${given.size ? `?${given}` : ""}${personal.size ? `#${personal}` : ""}`);
}

function offer(select, value, label = value) {
  if (![...select.options].some((option) => option.value === value)) select.append(el("option", { value }, label));
}

async function offerFacets() {
  const { facets } = await ask(`${base}/facets`);
  for (const [name, values] of Object.entries(facets)) {
    const select = form.elements[name];
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, "any"));
    for (const [value, count] of values) offer(select, value, `${value} (${number(count)})`);
    if (chosen) offer(select, chosen);
    select.value = chosen;
  }
}

// The table

let loads = 0;

async function load() {
  const mine = ++loads;
  const asked = { ...filter(), sort: view.sort, order: view.order, limit: String(LIMIT) };
  const start = view.pages.at(-1);
  if (start) asked.cursor = start;
  const answer = await ask(`${base}/table${view.reveal ? "?reveal=1" : ""}`, asked);
  if (mine !== loads) return;  // something else was asked for meanwhile
  view.letters = answer.letters;
  view.next = answer.next;
  view.total = answer.total;
  view.asOf = new Date().toLocaleTimeString();
  show();
}

/** Load and say what went wrong, instead of leaving it to the console. */
async function reload() {
  try {
    await load();
    live(true);
  } catch (error) {
    live(false, error.message);
    toast(error.message, true);
  }
}

function show() {
  byId("letters").replaceChildren(...view.letters.flatMap(lines));
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

const details = (id) => el("tr", { class: "nd-details" }, el("td", { colspan: "11" }, timeline(base, id, view.reveal)));

function decisions(letter) {
  const state = view.followed.get(letter.id);
  if (state) return badge(state);
  if (refusal) return null;
  const button = (label, kind, act) => el("button", { class: `btn btn-sm btn-outline-${kind}`, type: "button",
    "aria-label": `${label} event ${letter.id}`, onclick: act }, label);
  return el("span", { class: "nd-buttons nd-decide" },
    button("Retry", "primary", () => retry([letter.id])),
    button("Edit", "secondary", () => editPayload(letter.id)),
    button("Discard", "danger", () => discard([letter.id])));
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

// Decisions

const letters = (count) => `${number(count)} dead ${count === 1 ? "letter" : "letters"}`;

async function retry(ids) {
  if (ids.length === 1) {
    try {
      finish(await ask(`${base}/retry`, { ids }), "retried");
    } catch (error) {
      toast(error.message, true);
    }
    return;
  }
  const answer = await confirm({
    title: `Retry ${letters(ids.length)}?`,
    text: "They run again, those of a conversation in their order.",
    yes: `Retry ${number(ids.length)}`, rate: true,
    work: ({ rate }) => ask(`${base}/retry`, { ids, rate }),
  });
  if (answer) finish(answer, "retried");
}

async function discard(ids) {
  const answer = await confirm({
    title: `Discard ${letters(ids.length)}?`,
    text: "They are kept, with your reason, and will not be handled.",
    yes: `Discard ${number(ids.length)}`, danger: true, reason: true,
    work: ({ reason }) => ask(`${base}/discard`, { ids, reason }),
  });
  if (answer) finish(answer, "discarded");
}

async function editPayload(id) {
  const answer = await edit(base, id);
  if (answer) finish(answer, "edited and retried");
}

function finish(answer, verb) {
  const { changed, refused } = answer;
  if (changed.length) toast(`${changed.length === 1 ? `Event ${changed[0]}` : number(changed.length)} ${verb}`);
  for (const { id, why } of refused.slice(0, 3)) toast(`Event ${id} was left alone: ${why}`, true);
  if (refused.length > 3) toast(`${number(refused.length - 3)} more were left alone`, true);
  for (const id of [...changed, ...refused.map((each) => each.id)]) {
    view.selected.delete(id);
    view.followed.set(id, verb === "discarded" ? "discarded" : "pending");
  }
  view.total -= changed.length;
  show();
  follow();
}

async function decideAll(action) {
  const chosen = filter();
  let asked;
  try {
    asked = await ask(`${base}/count`, { filter: chosen });
  } catch (error) {
    toast(error.message, true);
    return;
  }
  const discarding = action === "discard";
  const result = await confirm({
    title: `${discarding ? "Discard" : "Retry"} ${letters(asked.count)}?`,
    text: Object.keys(chosen).length ? "All that match the filter now." : "All there are now: no filter is set.",
    yes: `${discarding ? "Discard" : "Retry"} ${number(asked.count)}`,
    danger: discarding, reason: discarding, rate: !discarding,
    work: (answers, progress, stopped) =>
      inParts(`${base}/${action}`, chosen, asked.now, asked.count, answers, progress, stopped),
  });
  if (result) {
    tell(result, discarding ? "discarded" : "retried");
    ask(`${base}/reconcile`, {}).catch(() => null);  // or the next sweep does it; for many it takes seconds
  }
  restart();
}

/** What a decision about many came to, and for a retry what becomes of them, until all are final. */
function tell(result, verb) {
  const node = byId("result");
  const more = el("span");
  const left = result.refused.length ? ` ${number(result.refused.length)} were left alone: ${result.refused[0].why}.` : "";
  node.replaceChildren(
    el("strong", {}, `${number(result.changed)} ${verb}.`), left, result.stopped ? ` Stopped${result.failed ? ` (${result.failed})` : ""}; the others stay dead.` : "", " ", more,
    el("button", { type: "button", class: "btn-close", "aria-label": "Close", onclick: () => { node.hidden = true; } }));
  node.hidden = false;
  if (verb === "retried" && result.since) watch(result.since, more);
}

async function watch(from, node) {
  while (node.isConnected && !byId("result").hidden) {
    const { states } = await ask(`${base}/progress?since=${encodeURIComponent(from)}`).catch(() => ({ states: null }));
    if (states) {
      node.replaceChildren(...Object.entries(states).flatMap(([state, count]) => [badge(state), ` ${number(count)} `]));
      if (!states.pending) return states.dead && !atWork() ? reload() : null;
    }
    await pause(FOLLOW_MS);
  }
}

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

let following = false;

/** Ask what became of what was decided from here, until each of them is final or dead again. */
async function follow() {
  if (following) return;
  following = true;
  try {
    for (;;) {
      const open = [...view.followed].filter(([, state]) => !FINAL.includes(state) && state !== "dead").map(([id]) => id);
      if (!open.length) return;
      const { states } = await ask(`${base}/states?ids=${open.slice(0, 500).join(",")}`).catch(() => ({ states: {} }));
      for (const [id, { state, tries }] of Object.entries(states)) settle(Number(id), state, tries);
      for (const id of open) if (!(id in states) && Object.keys(states).length) view.followed.delete(id);
      await pause(FOLLOW_MS);
    }
  } finally {
    following = false;
  }
}

function settle(id, state, tries) {
  if (view.followed.get(id) === state) return;
  if (state === "dead") {
    if (tries) toast(`Event ${id} failed again`, true);
    again(id).catch((error) => toast(error.message, true));
  }
  view.followed.set(id, state);
  const line = document.querySelector(`[data-letter="${id}"]`);
  line?.lastElementChild.replaceChildren(badge(state));
  if (view.open.has(id) && line) {
    line.nextElementSibling.replaceWith(details(id));
  }
}

/** One that is dead still can be decided about anew. */
async function again(id) {
  const reveal = view.reveal ? "&reveal=1" : "";
  const { letters: [letter] } = await ask(`${base}/table?ids=${id}${reveal}`);
  const place = view.letters.findIndex((each) => each.id === id);
  if (!letter || place < 0) return;
  view.followed.delete(id);
  view.letters[place] = letter;
  view.total += 1;
  show();
}

// Moving about

function restart() {
  view.pages = [null];
  view.selected.clear();
  view.open.clear();
  view.followed.clear();
  return reload();
}

function turn(forward) {
  if (forward) view.pages.push(view.next);
  else view.pages.pop();
  view.open.clear();
  return reload();
}

/** The heads of the table sort it, and on a phone, where they are not seen, a list of them. */
function sortable(head) {
  const label = head.textContent;
  const { sort } = head.dataset;
  const order = () => (view.sort === sort && view.order === "descending" ? "ascending" : "descending");
  head.replaceChildren(el("button", { type: "button", class: "nd-sort", onclick: () => sortBy(sort, order()) }, label));
  offer(byId("sort"), sort, label);
}

function sortBy(sort, order) {
  Object.assign(view, { sort, order });
  writeAddress(true);
  restart();
}

/** A refresh must not take away what somebody is at. */
function atWork() {
  return view.selected.size > 0 || view.open.size > 0 || document.querySelector(".modal.show")
    || [...view.followed.values()].includes("pending");
}

form.addEventListener("submit", (event) => { event.preventDefault(); writeAddress(false); restart(); });
form.addEventListener("reset", () => setTimeout(() => { writeAddress(false); restart(); }));
for (const name of ["error_class", "type", "handler"]) form.elements[name].addEventListener("change", () => form.requestSubmit());
document.querySelectorAll("th[data-sort]").forEach(sortable);
byId("sort").addEventListener("change", () => sortBy(byId("sort").value, "descending"));
byId("order").addEventListener("click", () => sortBy(view.sort, view.order === "descending" ? "ascending" : "descending"));
revealSwitch(byId("reveal"), (on) => { view.reveal = on; reload(); });
byId("previous").addEventListener("click", () => turn(false));
byId("next").addEventListener("click", () => turn(true));
byId("select-page").addEventListener("change", (event) => {
  for (const { id } of view.letters) if (!view.followed.has(id)) event.target.checked ? view.selected.add(id) : view.selected.delete(id);
  show();
});
byId("retry-selected").addEventListener("click", () => retry([...view.selected]));
byId("discard-selected").addEventListener("click", () => discard([...view.selected]));
byId("retry-all").addEventListener("click", () => decideAll("retry"));
byId("discard-all").addEventListener("click", () => decideAll("discard"));

byId("more").addEventListener("click", () => expand(!form.classList.contains("nd-expanded")));

/** On a phone the filters beyond the search are folded away until they are asked for or in use. */
function expand(on) {
  form.classList.toggle("nd-expanded", on);
  byId("more").setAttribute("aria-expanded", String(on));
  byId("more").textContent = on ? "Fewer filters" : "More filters";
}

readAddress();
expand(NAMES.some((name) => name !== "search" && form.elements[name].value));
offerFacets().catch(() => null);
keepFresh(async () => {
  if (atWork()) return;
  view.followed.clear();
  await load();
}, REFRESH_MS);
