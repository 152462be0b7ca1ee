// Presets: a preview is the dry run of the apply; what it shows is what the apply does.
import { api, bdi, confirmDialog, h, toast } from "./panel.js";
import { refuse, sending } from "./form.js";
import { quoted, tagged } from "./merging.js";

const WHAT = { "net.create": "Make the net", "archive.restore": "Restore the net", "net.rename": "Rename the net to", "features.set": "Set the features", "rules.set": "Set the rules", assign: "Put on a net", "operation.set": "Operation" };
const part = (id) => document.getElementById(id);
const path = (name) => `/presets/${encodeURIComponent(name)}`;
const known = new Map();

async function learn() { // names for what steps name by uid and user id
  const [status, roster] = await Promise.all([api("GET", "/status"), api("GET", "/roster").catch(() => ({ operators: [] }))]);
  for (const net of status.nets) known.set(net.uid, net.name);
  for (const one of roster.operators) known.set(one.userId, one.displayName || one.userId);
}

function object(step, names) {
  if (step.step === "operation.set") return step.open ? "open" : "closed";
  if (step.step !== "assign") return step.name ?? "";
  return [bdi(known.get(step.userId) ?? step.userId), " → ", bdi(known.get(step.netUid) ?? names.get(step.netId) ?? (step.netUid || "a new net"))];
}

function outcome(step, done) {
  if (!step.ok) return ["bad", step.error ?? "cannot be made"];
  if (!step.changed) return ["same", "so already"];
  return ["good", done ? "done" : "will change"];
}

function table(results, done) {
  const names = new Map(results.filter((step) => step.name !== undefined && step.netId !== undefined).map((step) => [step.netId, step.name]));
  const rank = (step) => (step.ok ? (step.changed ? 1 : 2) : 0);
  const sorted = [...results].sort((a, b) => rank(a) - rank(b));
  return h("div", { class: "table-wrap scroll", tabindex: "0", role: "region", "aria-label": "Steps" },
    h("table", { class: "steps" }, h("thead", {}, h("tr", {}, ...["Step", "What", "Comes to"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...sorted.map((step) => {
        const [look, words] = outcome(step, done);
        return h("tr", { class: look }, h("td", {}, WHAT[step.step] ?? step.step), h("td", { dir: "auto" }, object(step, names)), h("td", {}, h("span", { class: `badge ${look === "good" ? "ok" : look}` }, words)));
      }))));
}

function sum(results, done) {
  const bad = results.filter((step) => !step.ok).length, change = results.filter((step) => step.ok && step.changed).length;
  const same = results.length - bad - change;
  return `${change} ${change === 1 ? "step" : "steps"} ${done ? "changed something" : "will change something"}, ${same} ${same === 1 ? "is" : "are"} so already${bad ? `, ${bad} cannot be made` : ""}.`;
}

async function plan(name, query) {
  try {
    const answer = await api("POST", `${path(name)}/apply${query}`, {});
    return { results: answer.results };
  } catch (refusal) {
    if (!refusal.problem?.results) throw refusal;
    return { results: refusal.problem.results, refusal };
  }
}

async function preview(name) {
  let made;
  try {
    [made] = await Promise.all([plan(name, "?dryRun=true"), learn()]);
  } catch (refusal) {
    return toast(refusal.problem?.error ?? refusal.message, "error");
  }
  const apply = h("button", { type: "submit", class: "button primary" }, "");
  const close = h("button", { type: "button", class: "button" }, "Close");
  const body = h("div", { class: "plan" }), heading = h("h2", { id: "plan-title" }, "Preview of ", bdi(name));
  const form = h("form", { method: "dialog", class: "stack" }, body, h("div", { class: "buttons" }, close, apply));
  const dialog = h("dialog", { class: "dialog wide", "aria-labelledby": "plan-title" }, heading, form);
  const show = ({ results, refusal }, done) => {
    const nothing = !results.some((step) => step.ok && step.changed);
    apply.textContent = refusal ? "Apply what can be made" : "Apply";
    apply.hidden = done || nothing;
    body.replaceChildren(h("p", { role: "status" }, results.length ? sum(results, done) : "It carries nothing."), table(results, done));
  };
  show(made, false);
  close.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const done = await sending(form, () => api("POST", `${path(name)}/apply`, made.refusal ? { partial: true } : {}).catch(async (refusal) => {
      if (!refusal.problem?.results) throw refusal;
      made = { results: refusal.problem.results, refusal }; // the shard has moved on since the preview
      show(made, false);
      refuse(form, refusal);
      return null;
    }));
    if (!done) return;
    heading.replaceChildren(bdi(name), " is applied");
    show(done, true);
    toast([bdi(name), ` is applied: ${done.applied} changed, ${done.skipped} so already${done.failed ? `, ${done.failed} refused` : ""}.`], done.failed ? "error" : "ok");
    close.focus();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  (apply.hidden ? close : apply).focus();
}

async function remove(name, row) {
  if (!(await confirmDialog(["Delete ", bdi(name), "?"], "What it was applied to stays as it is. The preset itself cannot be brought back.", { confirm: "Delete", danger: true }))) return;
  try {
    await api("DELETE", path(name));
    row.remove();
    toast([bdi(name), " is deleted."]);
  } catch (refusal) {
    toast(refusal.problem?.error ?? refusal.message, "error");
  }
}

part("presets")?.addEventListener("click", (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do, row = event.target.closest("tr");
  if (what === "preview") preview(row.dataset.name);
  if (what === "delete") remove(row.dataset.name, row);
});

// -- the board of now

async function collected(form) {
  const wanted = (name) => form.elements[name].checked;
  const status = await api("GET", "/status");
  const nets = status.nets.filter((net) => !net.protected);
  const preset = { name: form.elements.name.value, nets: nets.map(({ name, netUid }, place) => ({ id: place + 1, name, netUid })) };
  if (wanted("with-people")) {
    const { entries } = await api("GET", "/assignments");
    preset.assignments = entries.filter((entry) => entry.source === "manual").map(({ userId, netUid }) => ({ userId, netUid }));
  }
  if (wanted("with-state")) preset.open = status.operationOpen;
  if (wanted("with-rules")) preset.rules = (await api("GET", "/rules")).rules.map(({ roleId, netUids }) => ({ roleId, netUids }));
  if (wanted("with-features")) preset.features = (await api("GET", "/features")).features;
  return preset;
}

// The list's revision is every preset's: a 412 matters only where this name has come or gone meanwhile.
async function save(preset, revision, there) {
  try {
    return await api("POST", "/presets", preset, { ifMatch: revision });
  } catch (refusal) {
    if (refusal.status !== 412) throw refusal;
    const { body, tag } = await tagged("/presets"), now = body.presets.some((one) => one.name === preset.name.trim());
    if (now === there && !there) return save(preset, tag, there);
    const text = "Presets were saved or deleted by someone else since this page was read. Nothing was saved yet.";
    const sure = await confirmDialog(["Save ", bdi(preset.name.trim()), " all the same?"], text, { confirm: now ? "Save over theirs" : "Save", danger: true });
    if (sure) return save(preset, tag, now);
    throw new Error("Nothing was saved. The name you entered is still here.");
  }
}

part("save").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, name = form.elements.name.value.trim();
  const there = [...document.querySelectorAll("#presets tbody tr")].some((row) => row.dataset.name === name);
  if (there && !(await confirmDialog(["Save over ", bdi(name), "?"], "There is a preset of that name; it becomes the board of now.", { confirm: "Save over it", danger: true }))) return;
  const saved = await sending(form, async () => save(await collected(form), quoted(form.dataset.revision), there));
  if (saved) location.reload();
});
