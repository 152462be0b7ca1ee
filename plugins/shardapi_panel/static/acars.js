// ACARS: what is typed is shown as the overlay; the preview is a dry run, and only after it can be sent.
import { api, h, moment, toast } from "./panel.js";
import { refuse, sending } from "./form.js";

const MOST = 280;
const KINDS = { "non-emergency": "Message", emergency: "Emergency", critical: "Critical" };
const part = (id) => document.getElementById(id);
const form = part("acars");
const named = (name) => form.elements[name].value;

function overlay() {
  const text = named("text").trim();
  return h("div", { class: `overlay ${named("alertType")}` },
    h("header", {}, h("span", { dir: "auto" }, named("senderName").trim() || "Owner API"), h("span", { class: "kind" }, KINDS[named("alertType")])),
    h("p", { class: text ? "" : "nothing", dir: "auto" }, text || "Nothing written yet"));
}

function draw() {
  part("stage").replaceChildren(overlay());
  const left = MOST - [...named("text").trim()].length, amount = Math.abs(left);
  part("left").textContent = `${amount} ${amount === 1 ? "character" : "characters"} ${left >= 0 ? "left" : "too many"}.`;
}

const body = () => ({ text: named("text"), senderName: named("senderName"), alertType: named("alertType"), durationMs: Number(named("durationMs")) });
const many = (count) => `${count} ${count === 1 ? "client" : "clients"}`;

async function preview() {
  const what = body(), planned = await sending(form, () => api("POST", "/acars", what, { dryRun: true }));
  if (!planned) return;
  part("reach").textContent = `${planned.clients} connected`;
  const once = crypto.randomUUID?.() ?? String(Math.random()); // a repeat after a lost answer sends nothing twice
  const back = h("button", { type: "button", class: "button" }, "Go on writing");
  const send = h("button", { type: "submit", class: "button primary" }, `Send to ${many(planned.clients)}`);
  const reaches = planned.clients ? `${many(planned.clients)} will see this for ${what.durationMs / 1000} s. It cannot be taken back.` : "Nobody is connected, so nobody would see it.";
  const inner = h("form", { method: "dialog", class: "stack" }, h("div", { class: "stage" }, overlay()), h("p", {}, reaches), h("div", { class: "buttons" }, back, send));
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "send-title" }, h("h2", { id: "send-title" }, "Send this alert?"), inner);
  back.addEventListener("click", () => dialog.close());
  inner.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = await sending(inner, () => api("POST", "/acars", what, { idempotencyKey: once }));
    if (!sent) return;
    dialog.close();
    told(what, sent);
  });
  dialog.addEventListener("close", () => { dialog.remove(); form.elements.text.focus(); });
  document.body.append(dialog);
  dialog.showModal();
  send.focus();
}

function told(what, sent) {
  const reached = `${sent.routed} of ${many(sent.clients)}`;
  part("sent").hidden = false;
  part("sent").querySelector("tbody").prepend(h("tr", {}, h("td", {}, moment(new Date(), { seconds: true })), h("td", { dir: "auto" }, what.text.trim()), h("td", { id: "reached" }, h("span", { class: `badge ${sent.routed === sent.clients ? "ok" : "warn"}` }, reached))));
  toast(`The alert reached ${reached}.`, sent.routed === sent.clients ? "ok" : "error");
  form.elements.text.value = "";
  draw();
}

form.addEventListener("input", draw);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  preview().catch((error) => refuse(form, error));
});
addEventListener("beforeunload", (event) => { if (named("text").trim()) event.preventDefault(); });
draw();
