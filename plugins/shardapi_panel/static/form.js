// Forms that write through the API: a refusal is shown beside the field it is about, and nothing typed is lost.
import { h } from "./panel.js";

let numbers = 0;

export function field(label, control, hint) {
  control.id ||= `f${++numbers}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, hint ? h("p", { class: "hint" }, hint) : null);
}

export function clear(form) {
  for (const node of form.querySelectorAll("[data-error]")) node.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-describedby");
  }
}

function controlOf(form, path) {
  const names = [path, path.replace(/\[.*$/, ""), path.replace(/^[a-z]+\./i, ""), path.replace(/^.*\]\./, "")];
  return names.map((name) => form.querySelector(`[name="${CSS.escape(name)}"], [data-path="${CSS.escape(name)}"]`)).find(Boolean);
}

export function refuse(form, refusal) {
  clear(form);
  const problem = refusal.problem ?? {};
  const message = problem.error || problem.detail || refusal.message || "That did not work.";
  let first = null;
  for (const { path, message: why } of problem.errors ?? []) {
    const control = controlOf(form, path);
    if (!control) continue;
    const note = h("p", { class: "wrong", id: `e${++numbers}`, "data-error": "" }, why);
    (control.closest(".field") ?? control.parentElement).append(note);
    control.setAttribute("aria-invalid", "true");
    control.setAttribute("aria-describedby", note.id);
    first ||= control;
  }
  const all = h("div", { class: "notice bad", role: "alert", "data-error": "" }, h("p", {}, message), problem.hint ? h("p", { class: "hint" }, problem.hint) : null);
  const actions = form.querySelector(".buttons, form > .actions");
  if (actions) actions.before(all);
  else form.append(all);
  (first ?? all).focus?.();
  return all;
}

export async function sending(form, work) {
  const buttons = [...form.querySelectorAll("button")].filter((button) => !button.disabled);
  for (const button of buttons) button.disabled = true;
  form.setAttribute("aria-busy", "true");
  clear(form);
  try {
    return await work();
  } catch (refusal) {
    for (const button of buttons) button.disabled = false;
    refuse(form, refusal);
    return undefined;
  } finally {
    form.removeAttribute("aria-busy");
    for (const button of buttons) button.disabled = false;
  }
}

// A dialog with a form; settles with what `send` answered, or undefined where it was closed.
export function ask({ title, fields, button, danger = false, send }) {
  const cancel = h("button", { type: "button", class: "button" }, "Cancel");
  const submit = h("button", { type: "submit", class: danger ? "button danger" : "button primary" }, button);
  const heading = h("h2", { id: `t${++numbers}` }, title);
  const form = h("form", { method: "dialog", class: "stack", novalidate: "" }, ...fields.filter(Boolean), h("div", { class: "buttons" }, cancel, submit));
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": heading.id }, heading, form);
  const back = document.activeElement;
  document.body.append(dialog);
  return new Promise((resolve) => {
    let answer;
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const given = await sending(form, () => send(form));
      if (given === undefined) return;
      answer = given;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (back?.isConnected) back.focus();
      resolve(answer);
    });
    dialog.showModal();
    (form.querySelector("[autofocus], input, select, textarea") ?? submit).focus();
  });
}
