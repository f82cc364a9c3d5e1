// The invitation is behind the # of the address, which browsers send to nobody; here it is sent in a body.

const code = location.hash.slice(1);
const form = document.getElementById("join");
const fault = document.getElementById("fault");
const waiting = document.getElementById("waiting");
let known = null; // what the invitation is for

async function post(address, body) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  let response;
  try {
    response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body), redirect: "error" });
  } catch {
    throw new Error("The server cannot be reached; try again in a moment.");
  }
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(told.error ?? (response.status === 429 ? "Too many tries; wait a minute." : `The server answered ${response.status}.`));
  return told;
}

function complain(message) {
  waiting.hidden = true;
  fault.hidden = false;
  fault.textContent = message;
}

function show({ role, name, password }) {
  waiting.hidden = true;
  form.hidden = false;
  document.getElementById("greeting").textContent = name ? `Welcome back, ${name}` : "Come in";
  const what = { labeler: "You are invited to compare answers of language models.", lead: "You are invited as a lead: you see how the labeling goes, and settle what others disagree on.", admin: "You are invited as an admin: you invite others, and see how the labeling goes." };
  document.getElementById("about").textContent = name ? "This link works once; your answers are where you left them." : what[role];
  document.getElementById("name-field").hidden = Boolean(name);
  form.elements.name.required = !name;
  form.elements.password.required = password;
  document.getElementById("password-optional").hidden = password;
  form.querySelector(name ? "button" : "input").focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const enter = document.getElementById("enter");
  enter.disabled = true;
  fault.hidden = true;
  try {
    const { to } = await post("/join", { code, name: form.elements.name.value, password: form.elements.password.value });
    history.replaceState(null, "", "/join"); // the code is used up, and need not stay in the history
    location.replace(to);
  } catch (error) {
    enter.disabled = false;
    complain(error.message);
  }
});

window.addEventListener("hashchange", () => location.reload());
if (!code) complain("This address lacks its last part. Open the whole link that you were sent.");
else {
  try {
    known = await post("/join/look", { code });
    show(known);
  } catch (error) {
    complain(error.message);
  }
}
