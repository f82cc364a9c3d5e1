// The guidelines and the keys, over the page.

export function dialogs() {
  const found = { g: document.getElementById("guidelines"), "?": document.getElementById("help") };
  for (const dialog of Object.values(found)) {
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
  }
  document.getElementById("open-guidelines").addEventListener("click", () => found.g.showModal());
  document.getElementById("open-help").addEventListener("click", () => found["?"].showModal());

  const shortcuts = document.getElementById("shortcuts");
  let off = false;
  try {
    off = localStorage.getItem("shortcuts") === "off";
  } catch {
    // Then they are on.
  }
  shortcuts.checked = !off;
  shortcuts.addEventListener("change", () => {
    try {
      localStorage.setItem("shortcuts", shortcuts.checked ? "on" : "off");
    } catch {
      // For this page alone.
    }
  });
  return {
    open: () => Object.values(found).some((dialog) => dialog.open),
    singleKeys: () => shortcuts.checked,
    key(event) {
      const dialog = found[event.key];
      if (!dialog) return false;
      if (dialog.open) dialog.close();
      else {
        Object.values(found).forEach((one) => one.close());
        dialog.showModal();
      }
      return true;
    },
  };
}
