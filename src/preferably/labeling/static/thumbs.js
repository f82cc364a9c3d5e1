// Good or bad, for each answer.

export function thumbs(form) {
  const groups = [...form.querySelectorAll("fieldset.thumbs")];
  let now = 0;

  const radios = (at) => [...groups[at].querySelectorAll("input")];

  function go(to) {
    now = Math.min(groups.length - 1, Math.max(0, to));
    const group = radios(now);
    (group.find((one) => one.checked) ?? group[0]).focus();
    groups[now].closest(".answer").scrollIntoView({ block: "nearest" });
  }

  form.addEventListener("focusin", (event) => {
    const at = groups.indexOf(event.target.closest("fieldset.thumbs"));
    if (at >= 0) now = at;
  });
  return {
    key(event) {
      if (event.key === "y" || event.key === "n") {
        radios(now)[event.key === "y" ? 0 : 1].checked = true;
        go(now + 1);
      } else if (event.key === "ArrowUp" || event.key === "ArrowDown") go(now + (event.key === "ArrowUp" ? -1 : 1));
      else return false;
      return true;
    },
    read() {
      const given = groups.map((_, at) => radios(at).findIndex((one) => one.checked));
      if (given.every((one) => one < 0)) return { missing: "Give a thumb first, or skip it.", at: radios(0)[0] };
      return { body: { thumbs: given.map((one) => (one < 0 ? null : one === 0)) } };
    },
  };
}
