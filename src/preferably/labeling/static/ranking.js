// Several in an order, with ties: by ranks on the answers, by keys, or by dragging letters on the board.

import { element } from "./element.js";
import { Order } from "./order.js";

export function ranking(form) {
  const answers = [...form.querySelectorAll(".answer")];
  const radios = answers.map((_, place) => [...form.querySelectorAll(`input[name="rank-${place}"]`)]);
  const letters = answers.map((_, place) => String.fromCharCode(65 + place));
  const board = document.getElementById("board");
  const order = new Order(radios.map((group) => Number(group.find((one) => one.checked)?.value) || null));
  let held = null; // the answer that keys move
  let drag = null;

  function piece(place) {
    const rank = order.ranks[place];
    const made = element("button", { type: "button", className: "piece" }, letters[place]);
    made.dataset.place = place;
    made.setAttribute("aria-label", `Answer ${letters[place]}, ${rank === null ? "no rank yet" : `rank ${rank}`}`);
    made.setAttribute("aria-pressed", String(held === place));
    return made;
  }

  function show(focus = null) {
    const parts = [element("span", { className: "word" }, order.tiers.length ? "best" : "Rank them, or drag their letters here")];
    order.tiers.forEach((tier, index) => {
      parts.push(gap(index, index ? "›" : ""));
      const box = element("span", { className: tier.length > 1 ? "tier tied" : "tier" }, ...tier.map(piece));
      box.dataset.tier = index;
      parts.push(box);
    });
    parts.push(gap(order.tiers.length, ""));
    if (order.tiers.length) parts.push(element("span", { className: "word" }, "worst"));
    if (order.pool.length) {
      parts.push(element("span", { className: "pool" }, element("span", { className: "word" }, "no rank yet"), ...order.pool.map(piece)));
    }
    board.replaceChildren(...parts);
    radios.forEach((group, place) => group.forEach((one) => (one.checked = Number(one.value) === order.ranks[place])));
    answers.forEach((answer, place) => answer.classList.toggle("preferred", held === place));
    if (focus !== null) board.querySelector(`[data-place="${focus}"]`)?.focus({ preventScroll: true });
  }

  function gap(index, text) {
    const made = element("span", { className: "between" }, text);
    made.dataset.gap = index;
    made.setAttribute("aria-hidden", "true");
    return made;
  }

  function take(place) {
    held = place;
    show(place);
    answers[place].scrollIntoView({ block: "nearest" });
  }

  form.addEventListener("change", (event) => {
    const [, place] = /^rank-(\d+)$/.exec(event.target.name ?? "") ?? [];
    if (place === undefined) return;
    held = Number(place);
    order.set(held, Number(event.target.value));
    show();
  });

  board.addEventListener("click", (event) => {
    const target = event.target.closest(".piece");
    if (target && !drag?.moved) take(Number(target.dataset.place));
  });

  board.addEventListener("focusin", (event) => {
    if (event.target.dataset.place !== undefined) held = Number(event.target.dataset.place);
  });

  board.addEventListener("pointerdown", (event) => {
    const target = event.target.closest(".piece");
    if (!target || event.button) return;
    drag = { place: Number(target.dataset.place), x: event.clientX, y: event.clientY, moved: false, ghost: null, target };
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag || (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 6)) return;
    if (!drag.moved) {
      drag.moved = true;
      drag.target.classList.add("dragged");
      drag.ghost = element("span", { className: "ghost" }, letters[drag.place]);
      document.body.append(drag.ghost);
    }
    drag.ghost.style.left = `${event.clientX - 20}px`;
    drag.ghost.style.top = `${event.clientY - 20}px`;
    for (const one of board.querySelectorAll(".over")) one.classList.remove("over");
    spot(event)?.mark.classList.add("over");
  });

  document.addEventListener("pointerup", (event) => finish(event));
  document.addEventListener("pointercancel", () => finish(null));

  function finish(event) {
    if (!drag) return;
    const { place, moved, ghost } = drag;
    ghost?.remove();
    const found = moved && event ? spot(event) : null;
    if (found) {
      found.drop(place);
      held = place;
    }
    if (moved) show(found ? place : null);
    setTimeout(() => (drag = null)); // after the click that browsers make of it
  }

  // Where a letter would come to lie: on another it ties with it, else it goes before or behind the nearest.
  function spot(event) {
    const around = board.getBoundingClientRect();
    if (event.clientY < around.top - 40 || event.clientY > around.bottom + 40) return null;
    const under = document.elementFromPoint(event.clientX, event.clientY);
    if (under?.closest(".pool")) return { mark: under.closest(".pool"), drop: (place) => order.remove(place) };
    const tier = under?.closest(".tier");
    const index = tier ? Number(tier.dataset.tier) : -1;
    const alone = tier && order.tiers[index].length === 1 && order.tiers[index][0] === drag.place;
    if (tier && !alone) {
      const box = tier.getBoundingClientRect();
      const inside = (event.clientX - box.left) / box.width;
      if (inside > 0.2 && inside < 0.8) return { mark: tier, drop: (place) => order.join(place, index) };
    }
    const gaps = [...board.querySelectorAll(".between")].map((mark) => {
      const box = mark.getBoundingClientRect();
      const far = Math.hypot(event.clientX - (box.left + box.width / 2), event.clientY - (box.top + box.height / 2));
      return { mark, far };
    });
    const nearest = gaps.reduce((best, one) => (one.far < best.far ? one : best));
    return { mark: nearest.mark, drop: (place) => order.insert(place, Number(nearest.mark.dataset.gap)) };
  }

  show();
  return {
    key(event) {
      const letter = letters.indexOf(event.key.toUpperCase());
      const rank = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
      if (letter >= 0) take(letter);
      else if (held === null) return false;
      else if (rank && rank <= answers.length) order.set(held, rank);
      else if (event.key === "ArrowLeft" || event.key === "ArrowRight") order.step(held, event.key === "ArrowLeft" ? -1 : 1);
      else if (event.key === "=") order.tie(held);
      else if (event.key === "Delete" || event.key === "Backspace") order.remove(held);
      else return false;
      if (letter < 0) show(held);
      return true;
    },
    read() {
      const ranks = order.settled;
      const first = letters[order.pool[0]];
      return ranks ? { body: { ranks } } : { missing: `${first} has no rank yet.`, at: board.querySelector(".pool .piece") };
    },
  };
}
