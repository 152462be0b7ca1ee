// What every page of the panel may use. Text goes into the page as text, never as HTML.

/** An element: attributes by name, `on…` functions as listeners, children as nodes or text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A name in a sentence, which it does not turn round. */
export const bdi = (name) => h("bdi", {}, name);

/** Raised when the API refuses: `status`, `problem` (its document), and its sentence as the message. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The shard answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

const csrf = document.querySelector('meta[name="csrf-token"]');

/**
 * One call of the Owner API: `api("POST", "/nets", {name})`. Options: query (an object), dryRun, ifMatch, idempotencyKey,
 * reason, signal, answered (called with the Response). Answers the JSON; raises Refused. When the session has ended it
 * asks to sign in, then goes on.
 */
export async function api(method, path, body, options = {}) {
  const url = new URL(`/panel/api${path}`, location.origin);
  for (const [name, value] of Object.entries(options.query ?? {})) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") url.searchParams.append(name, one);
  }
  if (options.dryRun) url.searchParams.set("dryRun", "true");
  const headers = { Accept: "application/json" };
  if (body !== undefined && body !== null) headers["Content-Type"] = "application/json";
  if (options.ifMatch) headers["If-Match"] = options.ifMatch;
  if (options.idempotencyKey) headers["Idempotency-Key"] = options.idempotencyKey;
  if (options.reason) headers["X-Audit-Log-Reason"] = options.reason;
  const send = async () => {
    if (method !== "GET") headers["X-CSRF-Token"] = csrf?.content ?? "";
    const answer = await fetch(url, {
      method,
      headers,
      body: headers["Content-Type"] ? JSON.stringify(body) : undefined,
      signal: options.signal,
      credentials: "same-origin",
      cache: "no-store",
    });
    return { answer, found: await answer.json().catch(() => ({})) };
  };
  let { answer, found } = await send();
  if (answer.status === 401 ? await signInAgain() : found.code === "origin_refused" && await renewed()) {
    ({ answer, found } = await send());
  }
  if (!answer.ok) throw new Refused(answer.status, found);
  options.answered?.(answer);
  return found;
}

/** Events of the shard, live: `stream(["user.*"], (event) => …)`; `event` is the envelope. Returns a function that ends it. */
export function stream(types, onEvent, onState = () => {}) {
  let source, ended = false, last = "", timer;
  const open = () => {
    const query = new URLSearchParams();
    if (types?.length) query.set("types", types.join(","));
    if (last) query.set("since", last);
    source = new EventSource(`/panel/stream?${query}`);
    source.onopen = () => onState("live");
    source.onerror = () => {
      onState("lost");
      source.close();
      if (!ended) timer = setTimeout(look, 1500 + Math.random() * 1500);
    };
    source.onmessage = take;
    for (const type of NAMES) source.addEventListener(type, take);
  };
  const take = (message) => {
    if (message.lastEventId) last = message.lastEventId;
    onEvent(JSON.parse(message.data));
  };
  const look = async () => {
    const answer = await fetch("/panel/session", { cache: "no-store" }).catch(() => null);
    if (ended) return;
    if (answer?.status === 401 && !await signInAgain()) return;
    open();
  };
  open();
  return () => { ended = true; clearTimeout(timer); source.close(); };
}

const NAMES = (document.querySelector('meta[name="event-types"]')?.content ?? "").split(" ").filter(Boolean);

/** A line that tells what happened, for a few seconds; `kind` "error" stays until it is closed. */
export function toast(text, kind = "ok") {
  const box = document.querySelector("#toasts");
  if (!box) return;
  const line = h("div", { class: `toast ${kind}` }, h("span", {}, text),
    h("button", { type: "button", class: "button quiet small", "aria-label": "Close", onclick: () => line.remove() }, "×"));
  box.append(line);
  if (kind !== "error") setTimeout(() => line.remove(), 5000);
}

/** Asks before something is done: resolves to true or false. Options: confirm (the button's word), danger, details (nodes). */
export function confirmDialog(title, text, options = {}) {
  return ask(title, [text && h("p", {}, text), ...(options.details ?? [])], {
    confirm: options.confirm ?? "Confirm", danger: options.danger,
  }).then((values) => values !== null);
}

/** A dialog with a form: resolves to its FormData, or null when it is left. `onSubmit(data)` may return a sentence that keeps it open. */
export function ask(title, content, options = {}) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    const form = h("form", { method: "dialog", class: "stack" }, ...content.filter(Boolean), problem,
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "button", onclick: () => dialog.close() }, options.cancel ?? "Cancel"),
        h("button", { class: `button ${options.danger ? "danger" : "primary"}` }, options.confirm ?? "Save")));
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, h("h2", { id: "dialog-title" }, title), form);
    let values = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const data = new FormData(form);
      const wrong = await options.onSubmit?.(data);
      if (wrong) {
        problem.textContent = wrong;
        problem.hidden = false;
        return;
      }
      values = data;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(values);
    });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("[autofocus]") ?? form.querySelector("input, select, textarea") ?? form.querySelector(".buttons button"))?.focus();
  });
}

/** A time in the reader's own zone, as 2026-11-28T21:05:09. */
export const local = (at) => new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);

/** The same for people: today's without its date. Options: seconds, zone (whether they are told). */
export function moment(value, { seconds = false, zone = false } = {}) {
  const at = new Date(value);
  if (Number.isNaN(at.valueOf())) return "";
  const [day, clock] = local(at).split("T");
  return [
    day !== local(new Date()).slice(0, 10) && day,
    seconds ? clock : clock.slice(0, 5),
    zone && at.toLocaleTimeString("en", { timeZoneName: "short" }).split(" ").at(-1),
  ].filter(Boolean).join(" ");
}

/** Says the times in a part of the page so; data-seconds and data-zone are the options. */
export function tell(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const said = moment(time.dateTime, { seconds: "seconds" in time.dataset, zone: "zone" in time.dataset });
    if (said) { time.title = time.dateTime; time.textContent = said; }
  }
}

let signingIn = null;

/** The session has ended: sign in without leaving the page, so that nothing typed on it is lost. */
function signInAgain() {
  signingIn ??= ask("Sign in again", [
    h("p", {}, "Your session has ended. Nothing on this page is lost."),
    h("div", { class: "field" },
      h("label", { for: "again" }, "Password, or a link from shardapi panel link"),
      h("input", { id: "again", name: "again", type: "password", required: true, autocomplete: "current-password" })),
  ], { confirm: "Sign in", onSubmit: enter }).then((values) => { signingIn = null; return values !== null; });
  return signingIn;
}

async function enter(data) {
  const given = String(data.get("again"));
  const name = given.includes("/panel/sign-in#") || /^[\w-]{43}$/.test(given.trim()) ? "token" : "password";
  const answer = await fetch("/panel/sign-in", {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ [name]: given }),
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) return [found.detail, found.hint].filter(Boolean).join(" ") || "That did not work.";
  carry(found.csrfToken);
  return "";
}

/** Who has signed in again in another tab has another token for changes: take that; false if nobody is signed in. */
async function renewed() {
  const answer = await fetch("/panel/session", { headers: { Accept: "application/json" }, cache: "no-store" });
  if (answer.ok) carry((await answer.json()).csrfToken);
  return answer.ok;
}

function carry(token) {
  csrf.content = token;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
}

// -- the page itself

function themes() {
  const button = document.querySelector("[data-theme-switch]");
  if (!button) return;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const now = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
  const show = () => { button.textContent = now() === "dark" ? "Light" : "Dark"; button.setAttribute("aria-label", `Use the ${now() === "dark" ? "light" : "dark"} theme`); };
  button.addEventListener("click", () => {
    const wanted = now() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = wanted;
    try { localStorage.setItem("panel-theme", wanted); } catch { /* for this page only */ }
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}

/** A form with data-confirm asks first; a button with data-copy copies what it names. */
function enhance() {
  document.addEventListener("submit", async (event) => {
    const form = event.target, button = event.submitter;
    const question = button?.dataset.confirm ?? form.dataset.confirm;
    if (!question || form.dataset.sure) return;
    event.preventDefault();
    if (await confirmDialog(question, button?.dataset.detail ?? form.dataset.detail ?? "", { confirm: button?.textContent.trim(), danger: true })) {
      form.dataset.sure = "yes";
      form.requestSubmit(button);
    }
  });
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.querySelector(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        toast("Copied.");
      } catch {
        getSelection().selectAllChildren(source);
        toast("Press Ctrl+C: the browser does not let a page copy here.", "error");
      }
    });
  }
}

themes();
tell(document);
enhance();
document.querySelector('.side [aria-current]')?.scrollIntoView({ block: "nearest", inline: "center" });
