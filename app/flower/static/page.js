// What our pages share. Text from the server becomes text nodes and nothing else: no HTML is ever made of it.

const SECONDS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export const byId = (id) => document.getElementById(id);

/** An element with attributes, listeners (onclick: f) and children (nodes, or anything else as text). */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** The JSON answer; an Error with the server's sentence otherwise. */
export async function ask(url, body) {
  const options = { headers: { Accept: "application/json" }, credentials: "same-origin" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
    options.headers["X-XSRFToken"] = cookie("_xsrf");
  }
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("Flower does not answer");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw new Error(answer?.error ?? (response.redirected ? "log in again: reload this page" : `error ${response.status}`));
}

function cookie(name) {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

/** A message at the corner of the page, read out too. */
export function toast(message, failed = false) {
  const node = el("div", { class: `toast align-items-center text-bg-${failed ? "danger" : "success"} border-0`, role: failed ? "alert" : "status" },
    el("div", { class: "d-flex" },
      el("div", { class: "toast-body" }, message),
      el("button", { type: "button", class: "btn-close btn-close-white me-2 m-auto", "data-bs-dismiss": "toast", "aria-label": "Close" })));
  node.addEventListener("hidden.bs.toast", () => node.remove());
  byId("toast-container").append(node);
  bootstrap.Toast.getOrCreateInstance(node, { delay: failed ? 10000 : 5000 }).show();
}

/** Seconds as "3 min 20 s", the largest units. */
export function duration(seconds, units = 2) {
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of SECONDS) {
    if (left >= size || (unit === "s" && parts.length === 0)) parts.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
    if (parts.length === units) break;
  }
  return parts.join(" ");
}

/** A time in the one form of all pages, Flower's own too: in UTC, as in logs. */
export const stamp = (time = new Date()) => `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A time, with that of the browser's own zone as a tooltip. */
export const moment = (time) => el("time", { datetime: time, title: `${new Date(time).toLocaleString()} where you are` }, stamp(time));

/** How long ago, with the time itself as a tooltip. */
export function since(time, units = 2) {
  if (!time) return missing();
  const text = duration((Date.now() - new Date(time)) / 1000, units);
  return el("time", { class: "text-nowrap", datetime: time, title: stamp(time) }, text);
}

/** How long ago, and below it the time by the clock, to look it up in a log. */
export function ago(time) {
  const passed = since(time, 1);
  passed.append(" ago");
  return el("span", { class: "nd-two" }, passed, el("small", {}, stamp(time)));
}

export const number = (value) => Number(value).toLocaleString();
export const UNKNOWN = "—";  // only a store that does not answer knows it
// The lane of a job, where it is not the one that handlers run in without a name
export const otherLane = ({ lane_name: lane }) => lane && lane !== "main" ? el("small", {}, ` lane ${lane}`) : null;
export const missing = () => el("span", { class: "value-missing" }, "—");

/** Draw a place anew, and let the focus stay: on what has the same name, else in the same line, else on the place. */
export function keepFocus(place, draw) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const name = (node) => node.getAttribute("aria-label") ?? node.textContent;
  const line = focused && [...place.children].findIndex((each) => each.contains(focused));
  draw();
  if (!focused || focused.isConnected) return;
  const reachable = (around) => [...(around?.querySelectorAll("a, button:enabled, input:enabled, summary") ?? [])];
  const same = reachable(place).find((node) => name(node) === name(focused));
  const next = same ?? reachable(place.children[Math.min(line, place.children.length - 1)])[0] ?? place;
  if (next === place) place.tabIndex = -1;
  next.focus();
}

const BADGES = { done: "success", pending: "warning", dead: "danger", discarded: "secondary" };

/** A state with its colour. */
export const badge = (state) => el("span", { class: `badge text-bg-${BADGES[state] ?? "secondary"}` }, state);

/** A toggle that asks for personal data; calls `changed` when it was pressed. */
export function revealSwitch(button, changed) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? "Hide personal data" : "Show personal data";
    changed(on);
  });
}

/** Calls `refresh` now and every so often while the page is seen, one call at a time; the dot tells whether it works. */
export function keepFresh(refresh, milliseconds) {
  let running = false;
  async function turn() {
    if (running || document.hidden) return;
    running = true;
    try {
      await refresh();
      live(true);
    } catch (error) {
      live(false, error.message);
    } finally {
      running = false;
    }
  }
  setInterval(turn, milliseconds);
  document.addEventListener("visibilitychange", turn);
  return turn();
}

/** Show whether the page is up to date; `why` not is said in words. */
export function live(well, why = "") {
  const dot = byId("live");
  dot.className = `status-dot ${well ? "status-dot-live" : "status-dot-error"}`;
  let notice = byId("not-live");
  if (!notice) {
    notice = el("p", { class: "alert alert-warning", id: "not-live", role: "alert", hidden: true });
    dot.closest("header").after(notice);
  }
  const words = well ? "" : `This page is not up to date: ${why}. It tries again by itself.`;
  if (notice.textContent !== words) notice.textContent = words;  // said once by a screen reader
  notice.hidden = well;
  const status = dot.nextElementSibling;
  if (!well && status.textContent === "Loading…") status.textContent = "not known";
}
