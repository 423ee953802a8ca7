// What a person decides about dead letters, and what becomes of what was retried.

import { filter } from "./dead_letter_filters.js";
import { atWork, base, details, reload, show, view } from "./dead_letter_table.js";
import { confirm, edit, inParts } from "./decide.js";
import { ask, badge, byId, el, number, toast } from "./page.js";

const FOLLOW_MS = 1000;
const FINAL = ["done", "discarded"];

const letters = (count) => `${number(count)} dead ${count === 1 ? "letter" : "letters"}`;

export async function retry(ids) {
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

export async function discard(ids) {
  const answer = await confirm({
    title: `Discard ${letters(ids.length)}?`,
    text: "They are kept, with your reason, and will not be handled.",
    yes: `Discard ${number(ids.length)}`, danger: true, reason: true,
    work: ({ reason }) => ask(`${base}/discard`, { ids, reason }),
  });
  if (answer) finish(answer, "discarded");
}

export async function editPayload(id) {
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

export async function decideAll(action, restart) {
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
