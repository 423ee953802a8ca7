// Erase a person: how much it is, a question, and what came of it.

import { confirm } from "./decide.js";
import { ask, byId, number } from "./page.js";

const { base, refusal } = byId("erasure").dataset;

const words = (found) => `${number(found.events)} events of ${number(found.conversations)} conversations (${number(found.unfinished_jobs)} jobs of theirs have not ended and never will) and ${number(found.sends)} replies`;

async function load() {
  try {
    byId("planned").textContent = `This is about ${words(await ask(`${base}/count`))}.`;
    byId("erase").disabled = Boolean(refusal);
  } catch (error) {
    byId("planned").textContent = error.message;
  }
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const reason = byId("erasure-reason").value.trim();
  const erased = await confirm({
    title: "Erase this person?", text: byId("planned").textContent, yes: "Erase", danger: true, work: () => ask(`${base}/erase`, { reason }),
  });
  if (!erased) return;
  const left = erased.left.map((place) => `${place.name} names the person still, in ${number(place.rows)} rows${place.ours ? ": erase again" : ", a table of your handlers"}`);
  byId("result").textContent = [`Erased: ${words(erased)}.`, ...(left.length ? left : ["Nothing in either store names the person any more."])].join(" ");
  byId("erase").disabled = true;
});

load();
