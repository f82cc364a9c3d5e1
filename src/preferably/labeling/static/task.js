// The page of a task: keys, what is read from it, and what happens once it is sent.

import { dialogs } from "./dialogs.js";
import { edit } from "./edit.js";
import { pair } from "./pair.js";
import { isUnderway, lastSaved, send } from "./post.js";
import { ranking } from "./ranking.js";
import { rating } from "./rating.js";
import { secondsSpent } from "./seconds.js";
import { thumbs } from "./thumbs.js";
import { views } from "./views.js";

const form = document.getElementById("task");
const { turn, kind, after, corrects } = form.dataset;
const fault = document.getElementById("fault");
const gold = document.getElementById("gold");
const rationale = document.getElementById("rationale");
const over = dialogs();
const shown = views(form);
const asked = { pair, ranking, rating, thumbs, edit }[kind](form);
let sent = false;

function complain(message, at) {
  fault.textContent = "";
  fault.textContent = message;
  at?.focus();
}

function hold() {
  sent = true;
  form.classList.add("sent");
  for (const part of form.querySelectorAll(".answers, .edits, .more, #bar")) part.inert = true;
}

function release() {
  sent = false;
  form.classList.remove("sent");
  for (const part of form.querySelectorAll("[inert]")) part.inert = false;
}

function leave() {
  location.assign(after);
}

async function answer() {
  if (sent) return;
  const found = asked.read();
  if (!found.body) {
    complain(found.missing, found.at);
    return;
  }
  fault.textContent = "";
  const body = {
    id: crypto.randomUUID(),
    ...found.body,
    seconds: secondsSpent(),
    rationale: rationale.value,
    flags: [...form.querySelectorAll("input[name=flag]:checked")].map((one) => one.value),
  };
  if (corrects) body.corrects = true;
  hold();
  const outcome = await send(turn, body);
  if (outcome.state === "saved") {
    if (outcome.receipt.gold) tell(outcome.receipt.gold);
    else leave();
  } else if (outcome.status === 409) location.assign(after); // another tab was first; the next page says so
  else {
    release();
    complain("It was not taken; see above.", null);
    window.scrollTo({ top: 0 });
  }
}

// Quietly, before the next one: that this was a question with a known answer.
function tell({ right, why, expected }) {
  document.getElementById("gold-verdict").textContent = right ? "As expected." : "Not as expected.";
  document.getElementById("gold-expected").textContent = expected;
  document.getElementById("gold-why").textContent = why;
  gold.classList.add(right ? "right" : "wrong");
  document.getElementById("bar").hidden = true;
  gold.hidden = false;
  document.getElementById("gold-on").focus();
}

async function skip() {
  if (sent) return;
  hold();
  const { token } = document.body.dataset;
  try {
    const headers = { "Content-Type": "application/json", Accept: "application/json", "X-Token": token };
    const response = await fetch(`/skip/${turn}`, { method: "POST", headers, body: "{}", redirect: "error" });
    if (response.ok || response.status === 409) {
      leave();
      return;
    }
    const told = await response.json().catch(() => ({}));
    release();
    complain(told.error ?? "It could not be skipped; try again.", null);
  } catch {
    release();
    complain("The server cannot be reached. Answer it, and it is kept here; or skip it later.", null);
  }
}

const others = {
  s: () => document.getElementById("skip")?.click(),
  r: () => rationale.focus(),
  f: () => form.querySelector("input[name=flag]")?.focus(),
  z: () => lastSaved() && location.assign(`/turns/${lastSaved().turn}`),
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.defaultPrevented || event.isComposing) return;
  const writes = target.matches("textarea, select, input[type=text]");
  if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void answer();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "Escape" && writes) {
    target.blur();
    return;
  }
  if (writes || !over.singleKeys()) return;
  if (over.open()) {
    if (key === "g" || key === "?") over.key(event), event.preventDefault();
    return;
  }
  if (key === "Enter") {
    if (target.matches("a, button:not(.piece), summary")) return;
    event.preventDefault();
    if (!event.repeat) void answer();
    return;
  }
  if (sent) return;
  if (event.repeat && !key.startsWith("Arrow")) return;
  if (asked.key(event) || shown.key(event) || over.key(event)) event.preventDefault();
  else if (Object.hasOwn(others, key)) {
    event.preventDefault();
    others[key]();
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void answer();
});
document.getElementById("skip")?.addEventListener("click", () => void skip());
document.getElementById("gold-on").addEventListener("click", leave);

// A page from the browser's memory is of a task that was answered meanwhile.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

// An answer to this very task that waited, from before the page was loaded: it goes first, and then the next task comes.
document.addEventListener("delivered", (event) => event.detail === turn && !sent && leave());
if (!corrects && (await isUnderway(turn))) {
  hold();
  document.addEventListener("delivered", (event) => event.detail === turn && leave());
}
// Until here a click would have done nothing, or have sent the form as a form.
for (const button of form.querySelectorAll("#skip, #send")) button.disabled = false;
form.dataset.ready = "yes";
