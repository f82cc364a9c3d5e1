// One of two: a scale from A to B, with a tie in the middle.

export function pair(form) {
  const steps = [...form.querySelectorAll(".cell input")]; // from the left to the right
  const choices = [...form.querySelectorAll("input[name=verdict]")];
  const answers = [...form.querySelectorAll(".answer")];
  const chosen = document.getElementById("chosen");
  const middle = (steps.length - 1) / 2;
  const letters = { t: "tie", b: "both_bad", u: "unsure" };

  function choose(input) {
    input.checked = true;
    input.focus({ preventScroll: true });
    show();
  }

  function show() {
    const now = choices.find((one) => one.checked);
    chosen.textContent = now ? now.dataset.meaning : "Which is better?";
    answers.forEach((answer, place) => answer.classList.toggle("preferred", now?.value.startsWith(`${place}:`) ?? false));
  }

  function move(by) {
    const at = steps.findIndex((one) => one.checked);
    const to = at < 0 ? middle + by : at + by;
    choose(steps[Math.min(steps.length - 1, Math.max(0, to))]);
  }

  form.addEventListener("change", show);
  show();
  return {
    key(event) {
      if (event.key === "ArrowLeft") move(-1);
      else if (event.key === "ArrowRight") move(1);
      else if (letters[event.key]) choose(choices.find((one) => one.value === letters[event.key]));
      else if (/^[1-9]$/.test(event.key) && steps[event.key - 1]) choose(steps[event.key - 1]);
      else return false;
      return true;
    },
    read() {
      const value = choices.find((one) => one.checked)?.value;
      if (!value) return { missing: "Choose first: which is better?", at: steps[0] };
      if (!value.includes(":")) return { body: { choice: value, strength: null } };
      const [place, strength] = value.split(":");
      return { body: { choice: Number(place), strength: strength ? Number(strength) : null } };
    },
  };
}
