// The appearance, as this browser keeps it.

const group = document.getElementById("themes");

function stored() {
  try {
    return localStorage.getItem("theme") ?? "";
  } catch {
    return "";
  }
}

for (const one of group.querySelectorAll("input")) one.checked = one.value === stored();
group.addEventListener("change", (event) => {
  const { value } = event.target;
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  try {
    if (value) localStorage.setItem("theme", value);
    else localStorage.removeItem("theme");
  } catch {
    // For this page alone.
  }
});
