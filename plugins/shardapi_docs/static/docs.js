"use strict";
(() => {
  const ROOT = "/docs";
  const make = (name, properties = {}, ...inside) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...inside);
    return node;
  };
  const load = (name) => fetch(`${ROOT}/${name}`, { credentials: "omit" }).then((answer) => answer.json());

  // -- search: the same ranking as the page that answers without a script

  const box = document.getElementById("q"), hits = document.getElementById("hits"), MOST = 12;
  const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
  let places = null, chosen = -1;

  function rank(wanted, place) {
    let sum = 0;
    for (const word of wanted) {
      if (place.named.includes(word)) sum += 8;
      else if (place.named.some((one) => one.startsWith(word))) sum += 5;
      else if (place.named.some((one) => one.includes(word))) sum += 3;
      else if (place.rest.some((one) => one.startsWith(word))) sum += 1;
      else return 0;
    }
    return sum;
  }

  async function index() {
    const found = await load("index.json");
    return found.map(([title, kind, url, text, more]) => ({
      title, kind, url, text, named: words(title), rest: words(`${text} ${more}`),
    }));
  }

  function choose(place) {
    const options = [...hits.querySelectorAll("[role=option]")];
    if (!options.length) return;
    chosen = (place + options.length) % options.length;
    options.forEach((one, at) => one.setAttribute("aria-selected", String(at === chosen)));
    options[chosen].scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", options[chosen].id);
  }

  function close() {
    hits.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }

  function option(place, at) {
    const line = make("div", { id: `hit-${at}` }, make("b", { textContent: place.title }), " ", make("span", { textContent: place.kind }));
    if (place.text) line.append(make("i", { textContent: place.text.replaceAll("`", "") }));
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", "false");
    line.addEventListener("mousedown", (event) => event.preventDefault());
    line.addEventListener("click", () => go(place));
    return line;
  }

  function go(place) {
    close();
    location.assign(along(new URL(`${ROOT}/${place.url}`, location.origin)));
  }

  let shown = [];
  async function look() {
    places ??= index();
    const there = await places, wanted = words(box.value);
    if (!wanted.length || document.activeElement !== box) return close();
    shown = there.map((place) => [rank(wanted, place), place]).filter(([sum]) => sum)
      .sort((one, other) => other[0] - one[0]).slice(0, MOST).map(([, place]) => place);
    hits.replaceChildren(...shown.map(option));
    if (!shown.length) hits.append(make("p", { textContent: "Nothing. Try fewer words, or their beginnings." }));
    hits.hidden = false;
    box.setAttribute("aria-expanded", "true");
    chosen = -1;
    choose(0);
  }

  box.setAttribute("role", "combobox");
  box.setAttribute("aria-controls", "hits");
  box.setAttribute("aria-expanded", "false");
  box.setAttribute("aria-autocomplete", "list");
  hits.setAttribute("role", "listbox");
  hits.setAttribute("aria-label", "Found");
  box.addEventListener("focus", () => { places ??= index(); });
  box.addEventListener("input", look);
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter" && !hits.hidden && shown[chosen]) go(shown[chosen]);
    else if (event.key === "Escape" && !hits.hidden) close();
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=radio]), textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    box.focus();
    box.select();
  });

  // -- the language of examples goes along in links: nothing is stored

  const choices = [...document.querySelectorAll("[name=language]")];
  let language = new URLSearchParams(location.search).get("in") || "";
  if (choices.length && !choices.some((one) => one.value === language)) language = "";
  const along = (url) => {
    if (language) url.searchParams.set("in", language);
    return url.href;
  };

  function carry() {
    for (const link of document.querySelectorAll(`a[href^="${ROOT}"]`)) link.href = along(new URL(link.href));
  }

  for (const choice of choices) {
    if (language) choice.checked = choice.value === language;
    choice.addEventListener("change", () => {
      language = choice.value;
      history.replaceState(null, "", along(new URL(location.href)));
      carry();
    });
  }
  if (language) carry();

  // -- code is copied

  for (const figure of document.querySelectorAll("figure.code")) {
    if (!navigator.clipboard) break;
    const button = make("button", { type: "button", className: "small", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(figure.querySelector("pre").textContent + "\n");
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    figure.classList.add("copied");
    figure.append(button);
  }

  // -- calls are tried: the key is in this variable and in the fields it is typed into, and nowhere else

  let key = "", calls = null;
  const keyFields = new Set();
  const SHOWN = [
    "content-type", "etag", "retry-after", "ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining",
    "x-ratelimit-reset", "idempotent-replayed", "x-request-id",
  ];
  const LONGEST = 200000;

  function field(called, control, note = "") {
    return make("label", {}, make("span", { textContent: note ? `${called}, ${note}` : called }), control);
  }

  function keyField() {
    const control = make("input", { type: "password", autocomplete: "off", spellcheck: false, value: key, placeholder: "scok_…" });
    control.dataset.key = "";
    control.addEventListener("input", () => {
      key = control.value.trim();
      for (const other of keyFields) if (other !== control) other.value = control.value;
    });
    keyFields.add(control);
    return field("Key", control, "forgotten when you leave the page");
  }

  addEventListener("pagehide", () => {
    key = "";
    for (const control of keyFields) control.value = "";
  });

  function form(call) {
    const parts = { given: new Map(), body: null, dry: null };
    const made = make("form", { className: "trial", autocomplete: "off" });
    if (call.keyed) made.append(keyField());
    for (const one of call.parameters) {
      const control = make("input", { type: "text", required: one.required, value: one.example, spellcheck: false });
      parts.given.set(one, control);
      made.append(field(one.name, control, one.required ? "" : "may be left out"));
    }
    if (call.body !== null) {
      parts.body = make("textarea", { value: call.body, spellcheck: false });
      made.append(field("Body", parts.body));
    }
    if (call.writes) options(made, parts);
    const send = make("button", { type: "submit", className: "try", textContent: "Send" });
    const stop = make("button", { type: "button", className: "small", textContent: "Stop", hidden: true });
    const outcome = make("div", { className: "outcome" });
    outcome.setAttribute("role", "status");
    made.append(make("div", { className: "send" }, send, stop), outcome);
    made.addEventListener("submit", (event) => {
      event.preventDefault();
      run(call, parts, { send, stop, outcome });
    });
    return made;
  }

  function options(made, parts) {
    parts.dry = make("input", { type: "checkbox", checked: true });
    const warning = make("span", { className: "warn", textContent: "This will be done for real.", hidden: true });
    parts.dry.addEventListener("change", () => { warning.hidden = parts.dry.checked; });
    const label = make("label", { className: "tick" }, parts.dry, "Dry run: change nothing");
    const more = make("details", {}, make("summary", { textContent: "Other write options" }));
    for (const name of ["Idempotency-Key", "If-Match", "X-Audit-Log-Reason"]) {
      const control = make("input", { type: "text", spellcheck: false });
      parts.given.set({ name, in: "header" }, control);
      more.append(field(name, control));
    }
    made.append(label, warning, more);
  }

  function request(call, parts) {
    let path = call.path;
    const query = new URLSearchParams(), headers = {};
    for (const [one, control] of parts.given) {
      if (one.in === "path") path = path.replace(`{${one.name}}`, encodeURIComponent(control.value));
      else if (control.value && one.in === "query") query.append(one.name, control.value);
      else if (control.value) headers[one.name] = control.value;
    }
    if (parts.dry?.checked) query.append("dryRun", "true");
    if (call.keyed && key) headers.Authorization = `Bearer ${key}`;
    const asked = { method: call.method, headers, credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" };
    if (parts.body?.value.trim()) {
      asked.body = parts.body.value;
      headers["Content-Type"] = "application/json";
    }
    const url = new URL(location.origin);
    url.pathname = path;
    url.search = query.toString();
    return [url, asked];
  }

  async function run(call, parts, { send, stop, outcome }) {
    const ending = new AbortController();
    const end = () => ending.abort();
    send.disabled = true;
    stop.hidden = !call.streams;
    stop.addEventListener("click", end);
    const began = performance.now();
    try {
      const [url, asked] = request(call, parts);
      const answer = await fetch(url, { ...asked, signal: ending.signal });
      await show(answer, outcome, Math.round(performance.now() - began), call.streams);
    } catch (error) {
      if (!ending.signal.aborted) outcome.replaceChildren(make("p", { className: "line bad", textContent: `No answer: ${error.message}` }));
    } finally {
      stop.removeEventListener("click", end);
      stop.hidden = true;
      send.disabled = false;
    }
  }

  async function show(answer, outcome, took, streams) {
    const line = make("p", {
      className: `line ${answer.ok || answer.status === 304 ? "good" : "bad"}`,
      textContent: `${answer.status} ${answer.statusText}, ${took} ms`,
    });
    const list = make("dl");
    for (const name of SHOWN) {
      const value = answer.headers.get(name);
      if (value !== null) list.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
    }
    const text = make("code"), block = make("pre", { tabIndex: 0 }, text);
    outcome.replaceChildren(line, list, make("figure", { className: "code" }, block));
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    for (let piece = await reader?.read(); piece && !piece.done; piece = await reader.read()) {
      said += piece.value;
      if (streams) {
        said = said.slice(-LONGEST);
        text.textContent = said;
        block.scrollTop = block.scrollHeight;
      }
    }
    const all = /json/.test(answer.headers.get("content-type") || "") ? pretty(said) : said;
    text.textContent = all.length > LONGEST ? `${all.slice(0, LONGEST)}\n… ${all.length - LONGEST} characters more` : all;
    block.scrollTop = 0;
  }

  function pretty(said) {
    try {
      return JSON.stringify(JSON.parse(said), null, 2);
    } catch {
      return said;
    }
  }

  for (const section of document.querySelectorAll("[data-call]")) {
    const button = make("button", { type: "button", className: "try", textContent: "Try it" });
    button.setAttribute("aria-expanded", "false");
    let opened = null;
    button.addEventListener("click", async () => {
      if (!opened) {
        calls ??= load("calls.json");
        opened = form((await calls)[section.dataset.call]);
        button.after(opened);
      } else {
        opened.hidden = !opened.hidden;
      }
      button.setAttribute("aria-expanded", String(!opened.hidden));
      if (!opened.hidden) opened.querySelector("input, textarea, button").focus();
    });
    section.querySelector(".shown").prepend(button);
  }

  // -- the menu shows where one is

  document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest" });
})();
