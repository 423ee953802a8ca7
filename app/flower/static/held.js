// The table of events that wait for their next attempt, and what a person decides about them.

import { confirm, inParts } from "./decide.js";
import { ask, byId, duration, el, keepFocus, number, since, toast, UNKNOWN } from "./page.js";

const COLUMNS = 8;
const PART = 50;

const { held: base, conversation, refusal } = byId("pipeline").dataset;
const rows = new Map();  // event id → its row: kept while it is shown, so that a button keeps the focus
const view = { sort: "due", order: "ascending", limit: PART };

export const nothing = (columns, text) => el("tr", {}, el("td", { class: "empty-table-message", colspan: columns }, text));

/** Load and show the table; while Postgres does not answer nothing is known of it. */
export async function loadHeld(known) {
  const { held, total } = known ? await ask(`${base}/table`, { ...view }) : { held: null, total: null };
  byId("held-count").textContent = total ? `(${number(total)})` : "";
  byId("held-retry-all").disabled = Boolean(refusal) || !total;
  byId("held-more").hidden = !total || held.length >= total;
  for (const head of document.querySelectorAll("th[data-held-sort]")) {
    head.setAttribute("aria-sort", head.dataset.heldSort === view.sort ? view.order : "none");
  }
  show(held);
}

function show(held) {
  const ids = held?.map((each) => each.id) ?? [];
  const unchanged = ids.length > 0 && ids.join() === [...rows.keys()].join();
  if (unchanged) {
    for (const each of held) fill(rows.get(each.id), each);
    return;
  }
  rows.clear();
  for (const each of held ?? []) rows.set(each.id, fill(el("tr", {}, ...cells(each.id)), each));
  keepFocus(byId("held"), () => byId("held").replaceChildren(...(rows.size ? rows.values() : [nothing(COLUMNS, held ? "No conversation is held up." : UNKNOWN)])));
}

function sortable(head) {
  const label = head.textContent;
  const sort = head.dataset.heldSort;
  head.replaceChildren(el("button", { type: "button", class: "nd-sort", onclick: () => {
    const again = view.sort === sort && view.order === "ascending";
    Object.assign(view, { sort, order: again ? "descending" : "ascending" });
    loadHeld(true).catch((error) => toast(error.message, true));
  } }, label));
}

const LABELS = ["Conversation", "Event", "Error", "Attempts", "Failed", "Again in", "Waiting"];

function cells(id) {
  const button = (label, kind, onclick) =>
    el("button", { type: "button", class: `btn btn-sm btn-outline-${kind}`, "aria-label": `${label} event ${id}`, disabled: Boolean(refusal), onclick }, label);
  return [
    ...LABELS.map((label) => el("td", { "data-label": label })),
    el("td", { "data-label": "Decide", class: "text-nowrap" },
      button("Retry", "primary", () => retry([id])), " ", button("Skip", "danger", () => skip([id]))),
  ];
}

function fill(row, each) {
  const link = conversation.replace(/0$/, each.conversation_id);
  const values = [
    el("a", { href: `${link}#event-${each.id}` }, each.conversation ?? `lane ${each.lane}`),
    `${each.id} (${each.type}${each.lane_name === "main" ? "" : `, lane ${each.lane_name}`})`,
    el("span", { class: "nd-error" }, each.error),
    number(each.attempts),
    since(each.failed_at, 1),
    new Date(each.due_at) > Date.now() ? duration((new Date(each.due_at) - Date.now()) / 1000) : "now",
    each.blocks_lane ? `${number(each.waiting)}, held up` : number(each.waiting),
  ];
  values.forEach((value, index) => {
    if (index || !row.children[0].childElementCount) row.children[index].replaceChildren(value);  // a link may have the focus
  });
  return row;
}

// Decisions

async function retry(ids) {
  try {
    finish(await ask(`${base}/retry`, { ids }), "retried");
  } catch (error) {
    toast(error.message, true);
  }
}

async function skip(ids) {
  const answer = await confirm({
    title: `Skip event ${ids[0]}?`,
    text: "It is kept, with your reason, and will not be handled. Its conversation goes on.",
    yes: "Skip", danger: true, reason: true,
    work: ({ reason }) => ask(`${base}/skip`, { ids, reason }),
  });
  if (answer) finish(answer, "skipped");
}

function finish({ changed, refused }, verb) {
  if (changed.length) toast(`Event ${changed[0]} ${verb}`);
  for (const { id, why } of refused) toast(`Event ${id} was left alone: ${why}`, true);
}

async function retryAll() {
  let asked;
  try {
    asked = await ask(`${base}/count`, { filter: {} });
  } catch (error) {
    toast(error.message, true);
    return;
  }
  const result = await confirm({
    title: `Retry ${number(asked.count)} now?`,
    text: "All that wait for their next attempt, also those that hold up no conversation.",
    yes: `Retry ${number(asked.count)}`,
    work: (answers, progress, stopped) =>
      inParts(`${base}/retry`, {}, asked.now, asked.count, answers, progress, stopped),
  });
  if (!result) return;
  const left = result.refused.length ? ` ${number(result.refused.length)} were left alone.` : "";
  const stopped = result.stopped ? ` Stopped${result.failed ? ` (${result.failed})` : ""}; the others wait on.` : "";
  byId("held-result").textContent = `${number(result.changed)} retried.${left}${stopped}`;
}

byId("held-retry-all").addEventListener("click", retryAll);
byId("held-more").addEventListener("click", () => {
  view.limit += PART;
  loadHeld(true).catch((error) => toast(error.message, true));
});
document.querySelectorAll("th[data-held-sort]").forEach(sortable);
