// The archive: entries are restored, changed and deleted; each write names the entry as it was read.
import { api, bdi, confirmDialog, h, toast } from "./panel.js";
import { ask, field } from "./form.js";
import { tagged } from "./merging.js";

const path = (uid) => `/archive/${encodeURIComponent(uid)}`;
const choice = (name, label, hint) => h("label", { class: "choice" }, h("input", { type: "checkbox", name, checked: true }), h("span", {}, label, h("span", { class: "hint" }, ` ${hint}`)));

async function restore(uid, name, row) {
  const called = h("input", { name: "name", value: name, dir: "auto", autocomplete: "off" });
  const done = await ask({
    title: ["Restore ", bdi(name)],
    button: "Restore",
    fields: [field("Name", called, "It keeps its uid and gets a free number."), choice("assignments", "With its people", "who were put on it by hand"), choice("relays", "With its relays", "as far as their nets are there")],
    async send(form) {
      const body = { assignments: form.elements.assignments.checked, relays: form.elements.relays.checked };
      if (called.value !== name) body.name = called.value;
      return api("POST", `${path(uid)}/restore`, body);
    },
  });
  if (!done) return;
  row.querySelector("[data-do=restore]").disabled = true;
  if (!row.querySelector(".badge")) row.querySelector("[data-name]").after(" ", h("span", { class: "badge ok" }, "active"));
  toast([bdi(done.name), done.changed ? ` is back as number ${done.netId}${done.skipped?.length ? `; ${done.skipped.length} relays were left out` : ""}.` : " is active already."]);
}

async function edit(uid) {
  let { body: { entry }, tag } = await tagged(path(uid));
  const name = h("input", { name: "name", value: entry.name, dir: "auto", autocomplete: "off" });
  const tags = h("textarea", { name: "tags", rows: "3", dir: "auto", autocomplete: "off" }, entry.tags.join("\n"));
  const notes = h("textarea", { name: "notes", rows: "6", dir: "auto" }, entry.notes);
  const filled = [name, tags, notes].map((control) => [control, control.value]); // a form has other line breaks than an entry may
  const done = await ask({
    title: ["Edit ", bdi(entry.name)],
    button: "Save",
    fields: [field("Name", name), field("Tags", tags, "One a line; up to 32 of 40 characters."), field("Notes", notes, "Up to 8,000 characters.")],
    async send() {
      const edited = filled.filter(([control, before]) => control.value !== before).map(([{ name, value }]) => [name, name === "tags" ? value.split("\n").filter((one) => one.trim()) : value]);
      if (!edited.length) return true;
      try {
        return await api("PATCH", path(uid), Object.fromEntries(edited), { ifMatch: tag });
      } catch (refusal) {
        if (refusal.status !== 412) throw refusal;
        const now = await tagged(path(uid));
        ({ body: { entry }, tag } = now);
        refusal.problem.error = "Someone else has changed this entry since it was opened. Nothing was saved, and what you entered is still here.";
        refusal.problem.hint = `Now it is called ${entry.name}, tagged ${entry.tags.join(", ") || "with nothing"}, with ${entry.notes.length} characters of notes. Save again to put yours in its place, or cancel.`;
        throw refusal;
      }
    },
  });
  if (done) location.reload();
}

async function remove(uid, name, row) {
  if (!(await confirmDialog(["Delete ", bdi(name), " for ever?"], "The entry cannot be brought back. A net of it that is active stays as it is.", { confirm: "Delete for ever", danger: true }))) return;
  await api("DELETE", path(uid));
  row.remove();
  toast([bdi(name), " is deleted."]);
}

document.getElementById("entries")?.addEventListener("click", async (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do, row = event.target.closest("tr");
  if (!what) return;
  const { uid } = row.dataset, name = row.querySelector("[data-name]").textContent;
  try {
    await ({ restore, edit: () => edit(uid), remove })[what](uid, name, row);
  } catch (refusal) {
    toast([refusal.message, refusal.problem?.hint].filter(Boolean).join(" "), "error");
  }
});
