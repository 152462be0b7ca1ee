// Writes that two people could make at once: each names the version it rests on, and nobody's work is lost unseen.
import { api, h } from "./panel.js";

const TRIES = 4;

export const quoted = (version) => `"${version}"`;

export async function tagged(path) {
  let tag = "";
  const body = await api("GET", path, null, { answered: ({ headers }) => { tag = (headers.get("ETag") ?? "").replace(/^W\//, ""); } });
  return { body, tag };
}

// `base`: {value, tag} that the edit rests on; `read` reads it anew; `send(tag)` writes. The version is the whole
// configuration's, so a 412 is no conflict where what is edited here is still the same. Throws Conflict where it is not.
export async function save(base, read, send) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await send(base.tag);
    } catch (refusal) {
      if (refusal.status !== 412 || tries === TRIES) throw refusal;
      const now = await read();
      if (JSON.stringify(now.value) !== JSON.stringify(base.value)) throw new Conflict(now);
      base.tag = now.tag;
    }
  }
}

export class Conflict extends Error {
  constructor(theirs) {
    super("Someone else has changed this since you began.");
    this.theirs = theirs;
  }
}

// Says so in the form, beside what to do about it.
export function settle(form, lines, { theirs, mine }) {
  form.querySelector(".conflict")?.remove();
  const box = h("div", { class: "conflict", role: "alert", tabindex: "-1", "data-error": "" },
    h("p", {}, h("b", {}, "Someone else has changed this since you began. ")," Nothing was saved, and what you entered is still here."),
    h("ul", {}, ...lines.map((line) => h("li", { dir: "auto" }, line))),
    h("div", { class: "actions" },
      h("button", { type: "button", class: "button", onclick: () => { box.remove(); theirs(); } }, "Drop mine, show theirs"),
      h("button", { type: "button", class: "button danger", onclick: () => { box.remove(); mine(); } }, "Save mine in place of theirs")));
  form.querySelector(".actions").before(box);
  box.focus();
}
