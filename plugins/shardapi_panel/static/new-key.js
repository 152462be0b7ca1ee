// A bundle ticks its scopes, so that one sees what it holds; a box that is changed afterwards makes them single scopes.
const boxes = [...document.querySelectorAll('input[name="scopes"]')];
const bundles = [...document.querySelectorAll('input[name="bundle"]')];
const what = document.querySelector("#what");

for (const bundle of bundles) {
  bundle.addEventListener("change", () => {
    const held = bundle.dataset.scopes.split(" ");
    if (bundle.value === "single") return;
    for (const box of boxes) box.checked = bundle.value === "everything" || held.includes(box.value);
  });
}
for (const box of boxes) {
  box.addEventListener("change", () => { bundles.find((one) => one.value === "single").checked = true; });
}

function kind() {
  const service = document.querySelector('input[name="kind"]:checked')?.value === "service";
  what.hidden = service;
  what.disabled = service;
}
for (const radio of document.querySelectorAll('input[name="kind"]')) radio.addEventListener("change", kind);
kind();
