// The health page renews itself; the replay's second field only where it is used; the audit is filtered by the reader's clock.
import { api, local, tell } from "./panel.js";

const EVERY = 15000;
let asking = false;

async function renew() {
  const live = document.querySelector("#live");
  if (asking || document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]")) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" }).catch(() => null);
  if (answer?.redirected || answer?.status === 401) { // the session has ended: asked once, the page is left as it is else
    asking = true;
    await api("GET", "/status").then(() => { asking = false; return renew(); }, () => {});
    return;
  }
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const wanted of ["#live", ".page-head time"]) {
    const next = fresh.querySelector(wanted), before = document.querySelector(wanted);
    if (!next || !before) continue;
    const adopted = document.adoptNode(next);
    before.replaceWith(adopted);
    tell(adopted.parentElement);
  }
}

const since = document.querySelector("#since"), after = document.querySelector("#after-field");
if (since && after) {
  const show = () => { after.hidden = since.value !== "id"; };
  since.addEventListener("change", show);
  show();
}
for (const input of document.querySelectorAll("[type=datetime-local]")) { // the address has UTC
  const [label] = input.labels, at = new Date(`${input.defaultValue}Z`);
  label.textContent = label.textContent.replace("UTC", Intl.DateTimeFormat().resolvedOptions().timeZone);
  if (at.valueOf()) input.value = local(at);
  input.form.addEventListener("formdata", ({ formData }) => { if (input.value) formData.set(input.name, new Date(input.value).toISOString().slice(0, 19)); });
}
if (document.querySelector("#live")) setInterval(renew, EVERY);
