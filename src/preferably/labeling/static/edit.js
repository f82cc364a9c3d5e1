// A better version of an answer, with what was changed.

import { changes } from "./changes.js";
import { element } from "./element.js";

export function edit(form) {
  const choices = [...form.querySelectorAll("input[name=of]")];
  const originals = [...form.querySelectorAll("textarea.original")];
  const text = document.getElementById("text");
  const shown = document.getElementById("changes");
  const kept = new Map(); // what was written for each of them
  let of = Number(choices.find((one) => one.checked)?.value ?? choices[0]?.value ?? -1);
  let pause = 0;

  const original = () => originals[of]?.value ?? "";

  function show() {
    const parts = text.value === original() ? [] : changes(original(), text.value);
    const names = { in: "ins", out: "del", same: "span" };
    shown.replaceChildren(...(parts.length ? parts.map(([part, kind]) => element(names[kind], {}, part)) : [element("span", { className: "quiet" }, "Nothing yet.")]));
  }

  if (of < 0) text.disabled = true;
  else if (!form.dataset.corrects) text.value = original();
  if (choices.length) choices.find((one) => Number(one.value) === of).checked = true;
  for (const one of choices) {
    one.addEventListener("change", () => {
      kept.set(of, text.value);
      of = Number(one.value);
      text.value = kept.get(of) ?? original();
      show();
    });
  }
  text.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(show, 150);
  });
  document.getElementById("restore").addEventListener("click", () => {
    text.value = original();
    show();
    text.focus();
  });
  show();
  return {
    key(event) {
      if (event.key !== "e") return false;
      text.focus();
      return true;
    },
    read() {
      if (of < 0) return { missing: "There is nothing here that can be edited; skip it.", at: null };
      if (!text.value.trim()) return { missing: "Your version is empty.", at: text };
      if (text.value.trim() === original().trim()) return { missing: "Nothing is changed yet; improve it, or skip it.", at: text };
      return { body: { text: text.value, of } };
    },
  };
}
