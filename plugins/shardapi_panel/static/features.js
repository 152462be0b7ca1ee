// The features: only what was changed here is sent, so that two people lose nothing unless they change the same.
import { api, confirmDialog, toast } from "./panel.js";
import { sending } from "./form.js";
import { Conflict, quoted, save, settle, tagged } from "./merging.js";

const part = (id) => document.getElementById(id);
const given = JSON.parse(part("given").textContent), form = part("features"), shown = part("public");
const LABELS = { maxNets: "Nets at most", globalPttEnabled: "Global push-to-talk", acarsEnabled: "ACARS", readyCheckEnabled: "Ready check", "orgLink.enabled": "Org link", "orgLink.netUid": "Org link's net", "orgLink.roleIds": "Org link's roles" };
const PUBLIC = { enabled: "Shown", name: "Name", roleIds: "Roles" };
const lines = (text) => [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
const at = (value, path) => path.split(".").reduce((inner, name) => inner?.[name], value);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const words = (value) => (value === true ? "on" : value === false ? "off" : Array.isArray(value) ? value.join(", ") || "everyone" : String(value || "none"));
let base = { value: given.features, tag: quoted(given.version) };

async function read() {
  const { body, tag } = await tagged("/features");
  return { value: body.features, tag };
}

function typed(control) {
  if (control.type === "checkbox") return control.checked;
  if (control.type === "number") return control.value === "" ? null : Number(control.value);
  return control.name.endsWith("roleIds") ? lines(control.value) : control.value;
}

function fill(features) {
  for (const path of Object.keys(LABELS)) {
    const control = form.elements[path], value = at(features, path);
    if (control.type === "checkbox") control.checked = value;
    else control.value = Array.isArray(value) ? value.join("\n") : value ?? "";
  }
}

function fillPublic({ publicNet }) {
  shown.elements.name.value = publicNet.name;
  shown.elements.roleIds.value = publicNet.roleIds.join("\n");
  state(publicNet);
}

function state(net) {
  part("public-state").textContent = net.enabled ? "shown" : "hidden";
  part("public-state").classList.toggle("ok", net.enabled);
  part("public-hide").hidden = !net.enabled;
  shown.querySelector("[type=submit]").textContent = net.enabled ? "Save" : "Show";
}

// Sends what differs from the base; what someone else has changed besides is no conflict.
async function put(where, labels, prefix, show, send) {
  const conflict = (error) => {
    if (error instanceof Conflict) return error;
    throw error;
  };
  const changes = Object.keys(labels).filter((path) => where.elements[path] && !same(typed(where.elements[path]), at(base.value, prefix + path)));
  const part = (value) => Object.fromEntries(changes.map((path) => [path, at(value, prefix + path)]));
  const look = { value: part(base.value), tag: base.tag };
  const again = async () => { const now = await read(); return { value: part(now.value), tag: now.tag, all: now }; };
  const saved = await sending(where, () => save(look, again, (tag) => send(changes, tag)).catch(conflict));
  if (saved === undefined) return undefined;
  if (!(saved instanceof Conflict)) {
    base = { value: saved.features, tag: quoted(saved.version) };
    return saved;
  }
  const { all } = saved.theirs;
  const told = changes.map((path) => `${labels[path]}: theirs ${words(at(all.value, prefix + path))}, yours ${words(typed(where.elements[path]))}`);
  settle(where, told, {
    theirs: () => { base = all; show(all.value); },
    mine: () => { base = all; where.requestSubmit(); },
  });
  return undefined;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const saved = await put(form, LABELS, "", fill, (changes, tag) => {
    const features = {};
    for (const path of changes) {
      const [name, inner] = path.split("."), value = typed(form.elements[path]);
      if (inner) (features[name] ??= {})[inner] = value;
      else features[name] = value;
    }
    return api("POST", "/features", { features }, { ifMatch: tag });
  });
  if (saved) {
    fill(saved.features);
    toast(saved.changed ? "The features are saved." : "They were so already.");
  }
});

shown.addEventListener("submit", async (event) => {
  event.preventDefault();
  const saved = await put(shown, PUBLIC, "publicNet.", fillPublic, (changes, tag) => {
    const body = Object.fromEntries(changes.map((path) => [path, typed(shown.elements[path])]));
    return api("POST", "/public-net", body, { ifMatch: tag });
  });
  if (saved) {
    fillPublic(saved.features);
    toast(`The Public Net is shown as ${saved.publicNet.name}.`);
  }
});

async function turn(path, text) {
  const saved = await sending(shown, () => api("POST", path, {}));
  if (!saved) return;
  base = { value: saved.features, tag: quoted(saved.version) };
  fillPublic(saved.features);
  toast(text);
}

part("public-hide").addEventListener("click", () => turn("/public-net/hide", "The Public Net is hidden; its name and roles are kept."));
part("public-remove").addEventListener("click", async () => {
  const sure = await confirmDialog("Hide the Public Net and reset it?", "Its name and its roles go back to the defaults. Whoever talks on it is stopped.", { confirm: "Hide and reset", danger: true });
  if (sure) turn("/public-net/remove", "The Public Net is hidden and as it was at first.");
});
