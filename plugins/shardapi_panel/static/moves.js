// What the board can do to people: put them on nets, take them off, send them home.
import { api, bdi, h, moment, toast } from "./panel.js";
import { ask, field } from "./form.js";

const AT_ONCE = 200;

const called = (people) => (people.length === 1 ? bdi(people[0].name) : names(people));
export const names = (people) => (people.length === 1 ? people[0].name : `${people.length} operators`);

export async function move(people, net, action, minutes) {
  const userIds = people.map((one) => one.id), failed = [];
  let applied = 0;
  if (minutes) {
    for (const userId of userIds) applied += (await api("POST", "/assignments/temporary", { userId, netUid: net.uid, expiresMinutes: minutes })).changed;
  } else if (userIds.length === 1) {
    const answer = await api("POST", "/assignments", { userId: userIds[0], netUid: net.uid, action });
    applied = Number(answer.changed);
    if (answer.hint) failed.push(answer.hint);
  } else {
    for (let from = 0; from < userIds.length; from += AT_ONCE) {
      const assignments = userIds.slice(from, from + AT_ONCE).map((userId) => ({ userId, netUid: net.uid }));
      const answer = await api("POST", "/assignments/bulk", { assignments, action });
      applied += answer.applied;
      for (const one of answer.results) if (!one.ok) failed.push(`${one.userId}: ${one.error}`);
    }
  }
  return { applied, failed };
}

export function told(people, net, action, { applied, failed }, minutes = 0) {
  const on = action === "assign" ? "on" : "off";
  const verb = people.length === 1 ? "is" : "are";
  const how = minutes ? ` for ${minutes} min` : "";
  const text = failed.length ? failed.slice(0, 3).join(" ") : [called(people), ` ${verb} ${on} `, bdi(net.name), applied ? `${how}.` : " already."];
  const line = h("span", {}, text);
  toast(line, failed.length ? "error" : "ok");
  return line.textContent;
}

// A filter, and the nets it leaves, to choose one with the arrows.
function chooser(nets, describe, first = null) {
  const find = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "Name or number", autofocus: "" });
  const list = h("div", { class: "choose", role: "radiogroup", "aria-label": "Net" });
  for (const net of nets) {
    const input = h("input", { type: "radio", name: "netUid", value: net.uid, checked: net.slot === first || nets.length === 1 });
    const note = describe(net);
    list.append(h("label", {}, input, h("i", {}, String(net.slot).padStart(2, "0")), h("span", { dir: "auto" }, net.name), note ? h("small", {}, note) : null));
  }
  const sift = () => {
    const wanted = find.value.trim().toLocaleLowerCase();
    let first = null;
    for (const label of list.children) {
      label.hidden = !label.textContent.toLocaleLowerCase().includes(wanted);
      if (!label.hidden) first ||= label.firstChild;
    }
    const now = list.querySelector(":checked");
    if (wanted && first && (!now || now.parentElement.hidden)) first.checked = true;
  };
  find.addEventListener("input", sift);
  find.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const seen = [...list.children].filter((label) => !label.hidden).map((label) => label.firstChild);
    const next = seen[seen.findIndex((one) => one.checked) + step] ?? (step > 0 ? seen.at(-1) : seen[0]);
    if (next) {
      next.checked = true;
      next.parentElement.scrollIntoView({ block: "nearest" });
    }
    event.preventDefault();
  });
  return [field("Find", find), list];
}

const picked = (form, nets) => {
  const chosen = form.querySelector("input[name=netUid]:checked");
  const net = nets.find((one) => one.uid === chosen?.value);
  if (!net) throw Object.assign(new Error(), { problem: { error: "Choose a net." } });
  return net;
};

export async function assign(people, board, say) {
  const nets = [...board.nets.values()].filter((net) => !net.kept).sort((a, b) => a.slot - b.slot);
  const user = people.length ? null : h("input", { name: "userId", autocomplete: "off", spellcheck: "false" });
  const minutes = h("input", { name: "expiresMinutes", type: "number", min: "0.25", max: "1440", step: "any", placeholder: "until taken off", inputmode: "decimal" });
  const on = (net) => people.filter((one) => one.slots.has(net.slot)).length;
  await ask({
    title: people.length ? ["Put ", called(people), " on a net"] : "Put someone on a net",
    button: "Assign",
    fields: [
      user && field("Operator's user id", user, "Who is away is on the net as soon as they join."),
      ...chooser(nets, (net) => (on(net) ? (people.length === 1 ? "on it" : `${on(net)} on it`) : "")),
      field("Minutes", minutes, "Empty: until they are taken off. Else they leave the net by themselves."),
    ],
    async send(form) {
      const net = picked(form, nets), asked = user ? [{ id: user.value.trim(), name: user.value.trim(), slots: new Set() }] : people;
      const time = minutes.value === "" ? 0 : Number(minutes.value);
      const result = await move(asked, net, "assign", time);
      say(told(asked, net, "assign", result, time));
      return result;
    },
  });
}

export async function unassign(people, board, say, shown) {
  const here = [...board.nets.values()].filter((net) => !net.kept && people.some((one) => one.slots.has(net.slot)));
  const nets = here.sort((a, b) => a.slot - b.slot);
  if (!nets.length) return say(`${names(people)}: on no net that can be taken.`);
  const reasons = people.length === 1 ? await whys(people[0]) : new Map();
  await ask({
    title: ["Take ", called(people), " off a net"],
    button: "Take off",
    fields: chooser(nets, (net) => reasons.get(net.uid) ?? (people.length > 1 ? `${people.filter((one) => one.slots.has(net.slot)).length} on it` : ""), shown),
    async send(form) {
      const net = picked(form, nets), those = people.filter((one) => one.slots.has(net.slot));
      const result = await move(those, net, "unassign");
      say(told(those, net, "unassign", result));
      return result;
    },
  });
}

// Why someone is on their nets, in words.
async function whys(one) {
  const said = new Map();
  try {
    for (const entry of (await api("GET", "/assignments")).entries) {
      if (entry.userId !== one.id) continue;
      const why = { manual: "by hand", temporary: `until ${moment(entry.expiresAt)}`, rule: `by the rule of role ${entry.roleId ?? ""}` }[entry.source];
      said.set(entry.netUid, said.has(entry.netUid) ? `${said.get(entry.netUid)}, ${why}` : why);
    }
  } catch {
    // without reasons it can be done as well
  }
  return said;
}

export async function disconnect(people, say) {
  const reason = h("input", { name: "reason", maxlength: "200", autocomplete: "off" });
  const minutes = h("input", { name: "blockMinutes", type: "number", min: "0", max: "1440", value: "0" });
  await ask({
    title: ["Disconnect ", called(people)],
    button: "Disconnect",
    danger: true,
    fields: [
      field("Reason", reason, "Their client shows it."),
      field("Keep out for minutes", minutes, "0: they may come back at once. At most 1440, a day."),
    ],
    async send() {
      let many = 0;
      for (const { id } of people) many += (await api("POST", "/clients/disconnect", { userId: id, reason: reason.value, blockMinutes: Number(minutes.value) })).disconnected;
      const verb = people.length === 1 ? "was" : "were";
      toast([called(people), ` ${verb} disconnected.`]);
      say(`${names(people)} ${verb} disconnected.`);
      return { many };
    },
  });
}
