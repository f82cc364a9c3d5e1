// The postman: takes letters to the server one by one, again and again until they are there, and says how it stands.

import { deliver } from "./delivery.js";
import { drop, isOnlyInMemory, keep, lettersOf } from "./outbox.js";
import { element } from "./element.js";

const { person, token } = document.body.dataset;
const LONGEST = 30_000; // milliseconds between two attempts
const status = document.getElementById("outbox");
const refused = document.getElementById("refused");

let attempts = 0;
let timer = 0;
let shut = null; // why nothing can be sent until the page is loaded again
const waiting = new Map(); // id -> the letter, and whom to tell how it ended

// Keep an answer and send it. Resolves once it is saved or refused, however long that takes.
export async function send(turn, body) {
  const letter = { id: body.id, person, turn, body, at: Date.now(), refused: null };
  say("saving", "Saving…");
  await keep(letter);
  const outcome = new Promise((resolve) => waiting.set(letter.id, { letter, resolve }));
  again();
  return outcome;
}

// Whether an answer to a turn is on its way from this browser.
export async function isUnderway(turn) {
  return (await lettersOf(person)).some((one) => one.turn === turn && !one.refused);
}

// One browser sends one letter at a time, whatever the number of its tabs.
function alone(work) {
  return navigator.locks ? navigator.locks.request("preferably-post", work) : work();
}

async function round() {
  clearTimeout(timer);
  timer = 0;
  if (shut) return report();
  let later = null;
  let delivered = 0;
  await alone(async () => {
    for (const letter of await todo()) {
      const outcome = await deliver(letter, token);
      if (outcome.state === "saved") {
        attempts = 0;
        delivered += waiting.has(letter.id) ? 0 : 1;
        await drop(letter.id);
        remember(letter, outcome.receipt);
      } else if (outcome.state === "refused") {
        await keep({ ...letter, refused: { status: outcome.status, message: outcome.message } });
      } else {
        later = outcome;
        break;
      }
      tell(letter, outcome);
    }
  });
  if (later?.state === "shut") shut = later;
  else if (later) {
    attempts += 1;
    const pause = Math.min(LONGEST, 1000 * 2 ** (attempts - 1)) * (0.75 + Math.random() / 2);
    timer = setTimeout(round, Math.max(pause, later.wait));
  }
  await report();
  if (delivered && !later) flash(delivered === 1 ? "The answer that waited is saved." : `${delivered} answers that waited are saved.`);
}

// What is to be sent. An answer of this page that another tab has taken there is sent again: the receipt is the same.
async function todo() {
  const letters = await lettersOf(person);
  for (const letter of letters) if (letter.refused) tell(letter, { state: "refused", ...letter.refused });
  const kept = new Set(letters.map((one) => one.id));
  const gone = [...waiting.values()].map((one) => one.letter).filter((one) => !kept.has(one.id));
  return [...letters.filter((one) => !one.refused), ...gone];
}

function tell(letter, outcome) {
  const known = waiting.get(letter.id);
  waiting.delete(letter.id);
  if (known) known.resolve(outcome);
  else if (outcome.state === "saved") document.dispatchEvent(new CustomEvent("delivered", { detail: letter.turn }));
}

// The next page says "saved", which is true already.
function remember(letter, receipt) {
  try {
    sessionStorage.setItem("saved", JSON.stringify({ id: letter.id, turn: letter.turn, late: receipt.late, person }));
  } catch {
    // Then it does not say so.
  }
}

export function lastSaved() {
  try {
    const saved = JSON.parse(sessionStorage.getItem("saved") ?? "null");
    return saved?.person === person ? saved : null;
  } catch {
    return null;
  }
}

function say(kind, text, ...more) {
  status.replaceChildren(...(text ? [element("p", { className: kind }, text, ...more)] : []));
}

async function report() {
  const letters = await lettersOf(person);
  const count = letters.filter((one) => !one.refused).length;
  showRefused(letters.filter((one) => one.refused));
  if (!count) {
    if (!status.querySelector(".saved")) say("", "");
    return;
  }
  const answers = count === 1 ? "1 answer waits" : `${count} answers wait`;
  const where = isOnlyInMemory() ? "on this page: leave it open" : "in this browser";
  if (shut) {
    const way = shut.status === 401 ? element("a", { href: "/login" }, "Come back in") : element("a", { href: "" }, "Load the page again");
    say("waits", `${shut.message} ${answers} ${where}, to be sent once you are back. `, way);
  } else if (timer) {
    const now = element("button", { type: "button", className: "small" }, "Try now");
    now.addEventListener("click", again);
    say("waits", `The server cannot be reached: ${answers} ${where}, and will be sent by itself. `, now);
  }
}

function showRefused(letters) {
  refused.hidden = !letters.length;
  refused.replaceChildren(...letters.map(card));
}

function card(letter) {
  const { message, status: code } = letter.refused;
  const box = element("div", { className: "notice bad", role: "alert" }, element("p", {}, element("b", {}, "An answer was not taken. "), message));
  const buttons = element("div", { className: "buttons" }, element("a", { className: "button", href: `/turns/${letter.turn}` }, "Open the task"));
  if (code === 409) {
    const change = element("button", { type: "button" }, "Send it as a change");
    change.addEventListener("click", async () => {
      const body = { ...letter.body, id: crypto.randomUUID(), corrects: true };
      await keep({ ...letter, id: body.id, body, refused: null });
      await drop(letter.id);
      again();
    });
    buttons.append(change);
  }
  const away = element("button", { type: "button", className: "plain" }, "Throw it away");
  away.addEventListener("click", async () => {
    await drop(letter.id);
    await report();
  });
  buttons.append(away);
  box.append(buttons);
  return box;
}

function again() {
  attempts = 0;
  void round();
}

function greet() {
  const saved = lastSaved();
  let said = null;
  try {
    said = sessionStorage.getItem("said");
    sessionStorage.setItem("said", saved ? saved.id : "");
  } catch {
    return;
  }
  if (!saved || said === saved.id) return;
  const late = saved.late ? " (late: somebody else may have had it too)" : "";
  flash(`Saved${late}. `, element("a", { href: `/turns/${saved.turn}` }, "Change it"));
}

function flash(text, ...more) {
  say("saved", text, ...more);
  const shown = status.firstElementChild;
  setTimeout(() => shown.remove(), 6000);
}

window.addEventListener("online", again);
window.addEventListener("beforeunload", (event) => {
  if (isOnlyInMemory()) event.preventDefault();
});
if (person) {
  greet();
  void round();
}
