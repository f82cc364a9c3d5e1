// What was changed from one text to another, by words: [text, "same" | "in" | "out"].

const MOST = 4_000_000; // pairs of words that are compared; above it the middle is told as replaced

export function changes(before, after) {
  const old = before.match(/\s*\S+|\s+$/g) ?? [];
  const now = after.match(/\s*\S+|\s+$/g) ?? [];
  let first = 0;
  while (first < old.length && first < now.length && old[first] === now[first]) first += 1;
  let end = 0;
  while (end < old.length - first && end < now.length - first && old.at(-1 - end) === now.at(-1 - end)) end += 1;
  const parts = [];
  add(parts, old.slice(0, first), "same");
  middle(parts, old.slice(first, old.length - end), now.slice(first, now.length - end));
  add(parts, old.slice(old.length - end), "same");
  return parts;
}

function add(parts, words, kind) {
  if (!words.length) return;
  const last = parts.at(-1);
  if (last?.[1] === kind) last[0] += words.join("");
  else parts.push([words.join(""), kind]);
}

function middle(parts, old, now) {
  if (!old.length || !now.length || old.length * now.length > MOST) {
    add(parts, old, "out");
    add(parts, now, "in");
    return;
  }
  const width = now.length + 1; // common[i * width + j]: the longest common run of words of old[i:] and now[j:]
  const common = new Uint16Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      common[at] = old[i] === now[j] ? 1 + common[at + width + 1] : Math.max(common[at + width], common[at + 1]);
    }
  }
  let [i, j] = [0, 0];
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      add(parts, [old[i]], "same");
      i += 1;
      j += 1;
    } else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) {
      add(parts, [old[i]], "out");
      i += 1;
    } else {
      add(parts, [now[j]], "in");
      j += 1;
    }
  }
  add(parts, old.slice(i), "out");
  add(parts, now.slice(j), "in");
}
