// Times with seconds in the reader's own zone; the health page renews itself; the replay's second field only where it is used.
import { api } from "./panel.js";

const EVERY = 15000;
let asking = false;

function seconds(within) {
  for (const time of within.querySelectorAll("time[data-seconds]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.valueOf())) continue;
    const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const today = at.toDateString() === new Date().toDateString();
    time.title = time.dateTime;
    time.textContent = today ? clock : `${at.toLocaleDateString()} ${clock}`;
  }
}

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
    seconds(adopted.parentElement);
  }
}

const since = document.querySelector("#since"), after = document.querySelector("#after-field");
if (since && after) {
  const show = () => { after.hidden = since.value !== "id"; };
  since.addEventListener("change", show);
  show();
}
seconds(document);
if (document.querySelector("#live")) setInterval(renew, EVERY);
