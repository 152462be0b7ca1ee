// The rules as a table to edit; all of them are saved at once.
import { api, h, toast } from "./panel.js";
import { refuse, sending } from "./form.js";
import { Conflict, quoted, save, settle, tagged } from "./merging.js";

const part = (id) => document.getElementById(id);
const given = JSON.parse(part("given").textContent), form = part("rules"), rows = part("rows");
const nets = new Map(given.nets.map((net) => [net.uid, net]));
const [submit] = form.querySelectorAll("[type=submit]");
const plain = (rules) => rules.map(({ roleId, netUids }) => ({ roleId, netUids: [...netUids] }));
let base = { value: plain(given.rules), tag: quoted(given.version) }, mine = plain(given.rules);

const nameOf = (uid) => nets.get(uid)?.name ?? uid;
const told = (rule) => `Role ${rule.roleId || "(none)"}: ${rule.netUids.map(nameOf).join(", ") || "no nets"}`;

function row(rule, place) {
  const role = h("input", { class: "mono", name: `rules[${place}].roleId`, value: rule.roleId, list: "roles", "aria-label": "Role id", autocomplete: "off", spellcheck: "false" });
  const many = h("td", { class: "num", "data-label": "Connected" }, String(given.roles[rule.roleId] ?? 0));
  role.addEventListener("input", () => {
    rule.roleId = role.value.trim();
    many.textContent = String(given.roles[rule.roleId] ?? 0);
    changed();
  });
  const chips = rule.netUids.map((uid) => h("button", { type: "button", class: "chip", dir: "auto", "aria-label": `Take ${nameOf(uid)} from this rule`, onclick: () => {
    rule.netUids = rule.netUids.filter((one) => one !== uid);
    draw(place);
  } }, `${nameOf(uid)} ×`));
  const more = h("select", { name: `rules[${place}].netUids`, "aria-label": `Add a net to the rule of role ${rule.roleId || place + 1}` },
    h("option", { value: "" }, "Add a net…"), ...given.nets.filter((net) => !rule.netUids.includes(net.uid)).map((net) => h("option", { value: net.uid }, `${String(net.slot).padStart(2, "0")} ${net.name}`)));
  more.addEventListener("change", () => {
    if (more.value) rule.netUids.push(more.value);
    draw(place);
  });
  const gone = h("button", { type: "button", class: "button quiet small", "aria-label": `Remove the rule of role ${rule.roleId || place + 1}`, onclick: () => {
    mine.splice(place, 1);
    draw(Math.min(place, mine.length - 1));
  } }, "Remove");
  return h("tr", {}, h("td", { "data-label": "Role id" }, h("div", { class: "field" }, role)), h("td", { "data-label": "Nets" }, h("div", { class: "field chips" }, ...chips, more)), many, h("td", { class: "end" }, gone));
}

function draw(focus = -1) {
  rows.replaceChildren(...mine.map(row));
  part("none").hidden = mine.length > 0;
  if (focus >= 0) rows.children[focus]?.querySelector("select").focus();
  changed();
}

function changed() {
  const same = JSON.stringify(mine) === JSON.stringify(base.value);
  submit.disabled = part("discard").disabled = same;
  part("state").textContent = same ? "" : "Not saved yet";
}

async function read() {
  const { body, tag } = await tagged("/rules");
  return { value: plain(body.rules), tag };
}

function take(now) {
  base = now;
  mine = plain(now.value);
  draw();
}

async function put() {
  try {
    const saved = await sending(form, () => save(base, read, (tag) => api("POST", "/rules", { rules: mine }, { ifMatch: tag })).catch((error) => {
      if (error instanceof Conflict) return error;
      throw error;
    }));
    if (saved === undefined) return changedAfter();
    if (saved instanceof Conflict) {
      const lines = saved.theirs.value.length ? saved.theirs.value.map((rule) => `Theirs: ${told(rule)}`) : ["Theirs: no rules at all"];
      settle(form, lines, { theirs: () => take(saved.theirs), mine: () => { base = saved.theirs; put(); } });
      return changedAfter();
    }
    take({ value: plain(saved.rules), tag: quoted(saved.version) });
    toast("The rules are saved; everyone connected is where they say.");
    part("state").textContent = "Saved";
  } catch (error) {
    refuse(form, error);
  }
}

function changedAfter() { submit.disabled = part("discard").disabled = false; }

part("add").addEventListener("click", () => {
  mine.push({ roleId: "", netUids: [] });
  draw();
  rows.lastElementChild.querySelector("input").focus();
});
part("discard").addEventListener("click", () => {
  mine = plain(base.value);
  form.querySelectorAll("[data-error]").forEach((node) => node.remove());
  draw();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  put();
});
addEventListener("beforeunload", (event) => { if (!submit.disabled) event.preventDefault(); });
draw();
