// The page of dead letters: filter, sort, page, open, decide.

import { decideAll, discard, editPayload, retry } from "./dead_letter_decisions.js";
import { form, offer, offerFacets, readAddress, writeAddress } from "./dead_letter_filters.js";
import { atWork, base, load, reload, show, view } from "./dead_letter_table.js";
import { byId, el, keepFresh, revealSwitch } from "./page.js";

const REFRESH_MS = 10000;

view.decide = { retry, edit: editPayload, discard };

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
  writeAddress(view, true);
  restart();
}

form.addEventListener("submit", (event) => { event.preventDefault(); writeAddress(view, false); restart(); });
form.addEventListener("reset", () => setTimeout(() => { writeAddress(view, false); restart(); }));
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
byId("retry-all").addEventListener("click", () => decideAll("retry", restart));
byId("discard-all").addEventListener("click", () => decideAll("discard", restart));

readAddress(view);
offerFacets(base).catch(() => null);
keepFresh(async () => {
  if (atWork()) return;
  view.followed.clear();
  await load();
}, REFRESH_MS);
