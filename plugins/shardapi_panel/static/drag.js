// The pointer's way: rows of one list are dragged onto a row of another, which is marked meanwhile.
export function draggable({ root, from, onto, picked, drop }) {
  let dragged = [];
  const unmark = () => onto.querySelector(".over")?.classList.remove("over");
  const target = (event) => {
    const row = dragged.length ? event.target.closest("li") : null;
    return row && !("protected" in row.dataset) ? row : null;
  };
  from.addEventListener("dragstart", (event) => {
    dragged = picked(event.target.closest("li"));
    event.dataTransfer.effectAllowed = "copy";
    event.dataTransfer.setData("text/plain", dragged.map((one) => one.name).join(", "));
    root.classList.add("dragging");
  });
  from.addEventListener("dragend", () => {
    dragged = [];
    root.classList.remove("dragging");
    unmark();
  });
  onto.addEventListener("dragover", (event) => {
    const row = target(event);
    if (!row?.classList.contains("over")) unmark();
    if (!row) return;
    row.classList.add("over");
    event.preventDefault();
  });
  onto.addEventListener("dragleave", (event) => { if (!onto.contains(event.relatedTarget)) unmark(); });
  onto.addEventListener("drop", (event) => {
    const row = target(event);
    if (!row) return;
    event.preventDefault();
    unmark();
    drop(dragged, row);
  });
}
