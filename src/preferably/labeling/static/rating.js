// Every answer on every axis: number keys rate and go on.

export function rating(form) {
  const axes = [...form.querySelectorAll(".axis")];
  const count = Number(form.dataset.count);
  let now = 0;

  const radios = (axis) => [...axis.querySelectorAll("input")];

  function go(to) {
    now = Math.min(axes.length - 1, Math.max(0, to));
    mark();
    const group = radios(axes[now]);
    (group.find((one) => one.checked) ?? group[0]).focus();
  }

  function mark() {
    axes.forEach((axis, at) => axis.classList.toggle("now", at === now));
  }

  form.addEventListener("focusin", (event) => {
    const at = axes.indexOf(event.target.closest(".axis"));
    if (at >= 0) {
      now = at;
      mark();
    }
  });
  if (axes.length) mark();
  return {
    key(event) {
      if (!axes.length) return false;
      if (/^[0-9]$/.test(event.key)) {
        const wanted = event.key === "0" ? "" : event.key;
        const input = radios(axes[now]).find((one) => one.value === wanted);
        if (!input) return false;
        input.checked = true;
        go(now + 1);
      } else if (event.key === "ArrowUp" || event.key === "ArrowDown") go(now + (event.key === "ArrowUp" ? -1 : 1));
      else return false;
      return true;
    },
    read() {
      const scores = {};
      let any = false;
      for (const axis of axes) {
        const value = radios(axis).find((one) => one.checked)?.value;
        scores[axis.dataset.axis] ??= new Array(count).fill(null);
        scores[axis.dataset.axis][Number(axis.dataset.place)] = value ? Number(value) : null;
        any ||= Boolean(value);
      }
      return any || form.dataset.corrects ? { body: { scores } } : { missing: "Rate something first, or skip it.", at: axes[0]?.querySelector("input") };
    },
  };
}
