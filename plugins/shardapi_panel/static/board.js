// The board, live: rows are changed one by one, once a frame; the list as a whole is drawn by the server alone.
import { h } from "./panel.js";
import { draggable } from "./drag.js";
import { Feed } from "./feed.js";
import { Listbox } from "./listbox.js";
import { Live } from "./live.js";
import { assign, disconnect, move, told, unassign } from "./moves.js";
import { archive, make, operate, rename } from "./nets.js";
import { GLOBAL, Roster } from "./roster.js";

const MINUTE = 60000, FEW = 20;
const part = (id) => document.getElementById(id);
const root = part("board"), netList = part("nets"), peopleList = part("people");
const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const flag = (node, name, on) => { if (node.classList.contains(name) !== on) node.classList.toggle(name, on); };
const say = (text) => { part("say").textContent = text; };

// -- rows

const wall = matchMedia("(min-width: 110rem)"), broad = matchMedia("(min-width: 75rem)");
const roomy = () => wall.matches || (broad.matches && board.nets.size <= FEW); // so that it says who is on each net
const netRows = new Map(), personRows = new Map(), blank = { net: part("net-row").content.firstElementChild, person: part("person-row").content.firstElementChild };
const skew = Date.now() - Number(root.dataset.at);
const dirty = { net: new Set(), person: new Set(), head: false };
let frame = 0, only = null, ready = false;

const board = new Roster(
  (what, which) => {
    if (!ready) return;
    if (what === "head") dirty.head = true;
    else dirty[what].add(which);
    frame ||= requestAnimationFrame(draw);
  },
  () => live.again(),
);

function read() {
  for (const row of peopleList.children) {
    const { u: id, n, s } = row.dataset, name = row.firstElementChild.textContent;
    personRows.set(id, row);
    board.putPerson({ id, name, slots: n ? n.split(" ").map(Number) : [], since: 1000 * Number(s), service: row.classList.contains("service") });
  }
  for (const row of netList.children) {
    const { slot, uid, t } = row.dataset, talkers = (t ? t.split(" ") : []).map((id) => ({ id, name: board.people.get(id)?.name ?? id }));
    netRows.set(Number(slot), row);
    board.putNet({ slot: Number(slot), uid, name: row.children[1].textContent, protected: "protected" in row.dataset, talkers });
  }
  board.open = root.classList.contains("open");
}

function draw() {
  frame = 0;
  const few = board.nets.size <= FEW;
  if (root.classList.contains("few") !== few) {
    flag(root, "few", few);
    for (const slot of board.nets.keys()) dirty.net.add(slot);
  }
  for (const slot of dirty.net) drawNet(slot);
  for (const id of dirty.person) drawPerson(id);
  if (dirty.net.size || dirty.person.size || dirty.head) drawHead();
  if (dirty.person.size || dirty.net.size) sift();
  dirty.net.clear();
  dirty.person.clear();
  dirty.head = false;
  feed.draw();
}

function drawHead() {
  const button = part("operation");
  flag(root, "open", board.open);
  button.setAttribute("aria-checked", String(board.open));
  write(button.querySelector("b"), board.open ? "open" : "closed");
  write(part("connected"), String(board.connected));
  write(part("talking"), String(board.talking));
  write(part("amount"), String(board.amount));
  part("nets-none").hidden = board.amount > 0;
  part("people-none").hidden = board.people.size > 0;
}

function drawNet(slot) {
  const net = board.nets.get(slot);
  let row = netRows.get(slot);
  if (row && (!net || row.dataset.uid !== net.uid)) {
    netRows.delete(slot);
    if (only === slot) show(null);
    nets.gone(row);
    row = null;
  }
  if (!net) return;
  if (!row) {
    row = nets.adopt(document.importNode(blank.net, true));
    row.dataset.slot = slot;
    row.dataset.uid = net.uid;
    row.toggleAttribute("data-protected", net.kept);
    row.children[0].textContent = slot < 250 ? String(slot).padStart(2, "0") : "––";
    netRows.set(slot, row);
    const later = [...netList.children].find((one) => Number(one.dataset.slot) > slot);
    netList.insertBefore(row, later ?? null);
    nets.stop();
  }
  const talkers = [...net.talkers.values()], count = board.occupancy(slot);
  write(row.children[1], net.name);
  write(row.children[2], talkers.join(", "));
  write(row.children[3], String(count));
  flag(row, "talks", talkers.length > 0);
  flag(row, "empty", !count);
  row.style.setProperty("--on", String(Math.min(1, count / board.fullest)));
  if (roomy()) drawMembers(row, slot);
  const label = `${net.name}, number ${slot}, ${count} ${count === 1 ? "operator" : "operators"}${talkers.length ? `, talking: ${talkers.join(", ")}` : ""}${net.kept ? ", protected" : ""}`;
  if (row.getAttribute("aria-label") !== label) row.setAttribute("aria-label", label);
  if (only === slot) show(slot);
}

function drawMembers(row, slot) {
  const names = [];
  for (const one of board.people.values()) if (one.slots.has(slot) && !one.service) names.push(one.name);
  if (row.children.length < 5) row.append(h("small"));
  write(row.children[4], slot < 250 ? names.sort(order.compare).join(", ") : "");
}

function drawPerson(id) {
  const one = board.people.get(id);
  let row = personRows.get(id);
  if (!one) {
    personRows.delete(id);
    if (row) people.gone(row);
    return;
  }
  if (row && row.children[0].textContent !== one.name) {
    row.remove();
    write(row.children[0], one.name);
    place(row, one);
  }
  if (!row) {
    row = people.adopt(document.importNode(blank.person, true));
    row.dataset.u = id;
    row.draggable = !part("assign").hidden;
    personRows.set(id, row);
    write(row.children[0], one.name);
    place(row, one);
    people.stop();
  }
  const names = board.namesOf(one), talks = board.talks(id);
  write(row.children[1], names);
  write(row.children[2], age(one.since));
  flag(row, "service", one.service);
  flag(row, "talks", talks);
  const label = `${one.name}${one.service ? ", listens only" : ""}, ${names ? `on ${names}` : "on no net"}${talks ? ", talking" : ""}, for ${age(one.since)}`;
  if (row.getAttribute("aria-label") !== label) row.setAttribute("aria-label", label);
}

function place(row, one) { // by name, by halving: others do not move
  const rows = peopleList.children;
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1, other = rows[middle];
    const before = order.compare(other.firstElementChild.textContent, one.name) || (other.dataset.u < one.id ? -1 : 1);
    if (before < 0) low = middle + 1;
    else high = middle;
  }
  peopleList.insertBefore(row, rows[low] ?? null);
}

function age(since) {
  const minutes = Math.max(0, Math.floor((Date.now() - skew - since) / MINUTE));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h ${minutes % 60}` : `${Math.floor(minutes / 1440)} d`;
}

// -- what is shown of the roster

function sift() {
  const wanted = part("find").value.trim().toLocaleLowerCase();
  let shown = 0;
  for (const [id, row] of personRows) {
    const one = board.people.get(id);
    if (!one) continue;
    const hit = (only === null || only === GLOBAL || one.slots.has(only)) && (!wanted || one.name.toLocaleLowerCase().includes(wanted) || id.toLowerCase().includes(wanted));
    if (row.hidden === hit) row.hidden = !hit;
    shown += hit;
  }
  const all = only === null && !wanted;
  write(part("shown"), all ? "" : `${shown} of ${board.people.size}`);
  people.stop();
}

function show(slot) { // only who is on this net; null for everyone
  const net = slot === null ? null : board.nets.get(slot);
  only = net ? slot : null;
  part("only").hidden = !net;
  if (net) part("only").textContent = `On ${net.name} ×`;
  if (net) part("only").setAttribute("aria-label", `Only operators on ${net.name}; show everyone`);
}

const chosenNet = () => {
  const [row] = nets.picked;
  return row ? board.nets.get(Number(row.dataset.slot)) : null;
};
const chosenPeople = () => [...people.picked].filter((row) => !row.hidden).map((row) => board.people.get(row.dataset.u)).filter(Boolean);

const doing = {
  "net-new": () => make(say),
  "net-rename": () => { const net = chosenNet(); if (net && !net.kept) rename(net, say); },
  "net-archive": () => { const net = chosenNet(); if (net && !net.kept) archive(net, board.occupancy(net.slot), say); },
  assign: () => assign(chosenPeople(), board, say),
  unassign: () => { const those = chosenPeople(); if (those.length) unassign(those, board, say, only); },
  disconnect: () => { const those = chosenPeople(); if (those.length) disconnect(those, say); },
};

// A button that is not there is of a plugin that is off.
const keys = (given) => Object.fromEntries(Object.entries(given).filter(([, id]) => !part(id).hidden).map(([key, id]) => [key, doing[id]]));

const nets = new Listbox(netList, {
  chosen() {
    const net = chosenNet();
    part("net-rename").disabled = part("net-archive").disabled = !net || net.kept;
    show(net ? net.slot : null);
    sift();
  },
  keys: keys({ n: "net-new", r: "net-rename", F2: "net-rename", Delete: "net-archive" }),
});
const people = new Listbox(peopleList, {
  many: true,
  chosen(rows) {
    part("unassign").disabled = part("disconnect").disabled = !rows.size;
  },
  keys: keys({ a: "assign", Enter: "assign", u: "unassign", d: "disconnect", Delete: "unassign" }),
});

draggable({
  root, from: peopleList, onto: netList,
  picked(row) {
    if (!people.picked.has(row)) people.set([row]);
    return chosenPeople();
  },
  async drop(those, row) {
    const net = board.nets.get(Number(row.dataset.slot));
    const moved = await move(those, net, "assign").catch((refusal) => ({ applied: 0, failed: [refusal.message] }));
    say(told(those, net, "assign", moved));
  },
});

// -- the line

const feed = new Feed(part("feed"), board, () => { frame ||= requestAnimationFrame(draw); });
let live = null;

function begin() {
  read();
  ready = true;
  for (const slot of netRows.keys()) drawNet(slot);
  for (const [id, row] of personRows) {
    row.draggable = !part("assign").hidden;
    drawPerson(id);
  }
  feed.past(JSON.parse(part("past").textContent));
  feed.draw();
  drawHead();
  live = new Live(root, root.dataset.cursor, {
    load(state, since) {
      board.load(state);
      feed.retell();
      for (const event of since) board.hear(event);
    },
    hear(event) {
      board.hear(event);
      feed.add(event);
    },
    say,
  });
  setInterval(() => { for (const [id, row] of personRows) if (!row.hidden) drawPerson(id); }, MINUTE / 2);
}

for (const width of [wall, broad]) width.addEventListener("change", () => { for (const slot of netRows.keys()) drawNet(slot); });
part("operation").addEventListener("click", () => operate(board, say));
for (const [id, act] of Object.entries(doing)) part(id).addEventListener("click", act);
part("find").addEventListener("input", sift);
part("find").addEventListener("keydown", (event) => { if (event.key === "ArrowDown") { people.seen()[0]?.focus(); event.preventDefault(); } });
part("only").addEventListener("click", () => nets.set([]));
part("talk-too").addEventListener("change", (event) => flag(part("feed"), "quiet", !event.target.checked));
// What the server drew is painted first; a page that is not seen is not painted at all.
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin));
