// The dialogs in which a person decides, and the work that follows: one request, or part after part of all that match.
// They appear without an animation: Bootstrap ignores whoever closes a dialog while it is still moving.

import { ask, byId, number } from "./page.js";

const WHY = "Why need they not be handled?";

/** Ask with a dialog, also for what is true here (a reason may be "optional"); `work(answers, progress, stopped)` runs while it is open. Resolves with what it returned, or null. */
export function confirm({ title, text, yes, danger = false, reason = false, rate = false, pause = false, why = WHY, work }) {
  const dialog = byId("confirm");
  const modal = bootstrap.Modal.getOrCreateInstance(dialog);
  const form = dialog.querySelector("form");
  const button = byId("confirm-yes");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  button.textContent = yes;
  button.className = `btn ${danger ? "btn-danger" : "btn-primary"}`;
  dialog.querySelector("label[for=reason]").textContent = why;
  byId("confirm-reason").hidden = !reason;
  byId("confirm-rate").hidden = !rate;
  byId("confirm-pause").hidden = !pause;
  byId("reason").required = reason === true;
  byId("reason").value = "";
  byId("rate").value = "";
  byId("hours").value = "";
  byId("meanwhile").value = "keep";
  busy(false);
  const giveFocusBack = focused();
  return new Promise((resolve) => {
    let stopped = false;
    let working = null;
    const numberIn = (id) => (byId(id).value ? Number(byId(id).value) : null);
    const answers = () => ({
      ...(reason || rate ? { reason: byId("reason").value, rate: numberIn("rate") } : {}),
      ...(pause ? { hours: numberIn("hours"), skips: byId("meanwhile").value === "skip" } : {}),
    });
    const submit = async (event) => {
      event.preventDefault();
      busy(true);
      working = work(answers(), progress, () => stopped);
      try {
        await working;
        modal.hide();
      } catch (error) {
        busy(false);
        byId("confirm-error").textContent = error.message;
      }
    };
    const closed = async () => {
      stopped = true;  // the part under way is finished
      giveFocusBack();
      form.removeEventListener("submit", submit);
      resolve(working ? await working.catch(() => null) : null);
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("hidden.bs.modal", closed, { once: true });
    modal.show();
    (reason ? byId("reason") : button).focus();
  });
}

/** What gives the focus back to where it is now; to what is around it if that is gone by then. */
function focused() {
  const chain = [];
  for (let node = document.activeElement; node && node !== document.body; node = node.parentElement) chain.push(node);
  return () => {
    const place = chain.find((node) => node.isConnected);
    if (place && place.tabIndex < 0) place.tabIndex = -1;
    place?.focus();
  };
}

function busy(on) {
  byId("confirm-yes").disabled = on;
  byId("confirm-no").textContent = on ? "Stop" : "Cancel";
  byId("confirm-error").textContent = "";
  byId("confirm-progress").hidden = true;
}

function progress(done, total) {
  const bar = byId("confirm-progress");
  const percent = total ? Math.min(100, Math.round((100 * done) / total)) : 100;
  bar.hidden = false;
  bar.setAttribute("aria-valuenow", percent);
  bar.firstElementChild.style.width = `${percent}%`;
  byId("confirm-text").textContent = `${number(done)} of ${number(total)}`;
}

/** Decide about all that match, part after part; {changed, refused, since}, also when it was stopped or broke off. */
export async function inParts(url, filter, until, total, answers, progressed, stopped) {
  const all = { changed: 0, refused: [], since: null, stopped: false, failed: null };
  let last = 0;
  do {
    const asked = { ...answers, filter, until, after_lane: last, since: all.since, first: all.changed };
    let part;
    try {
      part = await ask(url, asked);
    } catch (error) {
      if (!all.changed) throw error;  // nothing is done yet: the dialog says so and can be tried again
      return { ...all, stopped: true, failed: error.message };
    }
    all.changed += part.changed.length;
    all.refused.push(...part.refused);
    all.since ??= part.since ?? null;
    last = part.last_lane;
    progressed(all.changed + all.refused.length, total);
    all.stopped = last != null && stopped();
  } while (last != null && !all.stopped);
  return all;
}

/** Edit a payload in the editor; resolves with the server's answer, or null. */
export function edit(base, id) {
  const dialog = byId("edit");
  const modal = bootstrap.Modal.getOrCreateInstance(dialog);
  const form = dialog.querySelector("form");
  const area = byId("edit-payload");
  const wrong = (text) => { byId("edit-error").textContent = text; };
  byId("edit-title").textContent = `Edit and retry event ${id}`;
  byId("edit-reason").value = "";
  area.value = "";
  wrong("");
  ask(`${base}/${id}?reveal=1`).then((answer) => { area.value = answer.event.payload; }).catch((error) => wrong(error.message));
  const giveFocusBack = focused();
  return new Promise((resolve) => {
    let result = null;
    const submit = async (event) => {
      event.preventDefault();
      byId("edit-save").disabled = true;
      try {
        result = await ask(`${base}/${id}/edit`, { payload: area.value, reason: byId("edit-reason").value });
        modal.hide();
      } catch (error) {
        wrong(error.message);
      } finally {
        byId("edit-save").disabled = false;
      }
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("hidden.bs.modal", () => {
      form.removeEventListener("submit", submit);
      giveFocusBack();
      resolve(result);
    }, { once: true });
    modal.show();
    area.focus();
  });
}
