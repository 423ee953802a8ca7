// The filters of the table of dead letters: in the form, and in the address, so that a link shows the same.

import { ask, byId, el, number } from "./page.js";

const NAMES = ["search", "error_class", "type", "handler", "conversation", "after", "before"];
const PERSONAL = ["search", "conversation"];  // of the names: behind the address's #, which no server sees
const ORDERS = ["ascending", "descending"];

export const form = byId("filters");

/** The conditions that are given, as the server wants them. */
export function filter() {
  const found = {};
  for (const name of NAMES) {
    const value = form.elements[name].value.trim();
    if (value) found[name] = name === "after" || name === "before" ? `${value}Z` : value;
  }
  const ids = new URLSearchParams(location.search).get("ids");
  return ids ? { ...found, ids } : found;
}

/** Fill the form, and take sort and order into `view`. */
export function readAddress(view) {
  const given = new URLSearchParams(location.search);
  const personal = new URLSearchParams(location.hash.slice(1));
  for (const name of NAMES) {
    const field = form.elements[name];
    const value = personal.get(name) ?? given.get(name);
    if (!value) continue;  // somebody may have begun to type already
    if (field.tagName === "SELECT") offer(field, value);
    field.value = value;
  }
  // An address that somebody mistyped shows the table as it is without it
  if (document.querySelector(`th[data-sort="${CSS.escape(given.get("sort") ?? "")}"]`)) view.sort = given.get("sort");
  if (ORDERS.includes(given.get("order"))) view.order = given.get("order");
  expand(NAMES.some((name) => name !== "search" && form.elements[name].value));
}

export function writeAddress(view, keepIds) {
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

export function offer(select, value, label = value) {
  if (![...select.options].some((option) => option.value === value)) select.append(el("option", { value }, label));
}

/** Offer the types, errors and handlers that there are. */
export async function offerFacets(base) {
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

/** On a phone the filters beyond the search are folded away until they are asked for or in use. */
function expand(on) {
  form.classList.toggle("nd-expanded", on);
  byId("more").setAttribute("aria-expanded", String(on));
  byId("more").textContent = on ? "Fewer filters" : "More filters";
}

byId("more").addEventListener("click", () => expand(!form.classList.contains("nd-expanded")));
