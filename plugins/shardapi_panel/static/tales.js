import { bdi } from "./panel.js";
import { GLOBAL } from "./roster.js";

// Events as one line each: [shape, what the line has: texts, and names as elements], or null for what the board shows anyway.
const CONFIG = {
  "net.create": "Net made", "net.rename": "Net renamed", "net.remove": "Net archived", "rules.set": "Rules set",
  "features.set": "Features set", "public-net.show": "Public Net shown", "public-net.hide": "Public Net hidden",
  "public-net.remove": "Public Net removed", "public-net.restore": "Public Net restored", "preset.save": "Preset saved",
  "preset.remove": "Preset deleted", "preset.apply": "Preset applied", "archive.upsert": "Archive entry changed",
  "archive.remove": "Archive entry deleted", "archive.restore": "Net restored",
};
const LEFT = { timeout: "no answer", slow: "too slow", disconnect: "disconnected", revoked: "token revoked", restart: "restart" };
const STOPPED = { timeout: "time is up", unassigned: "unassigned", net_removed: "net archived", operation_closed: "operation closed", restart: "restart", disconnect: "connection lost" };

const because = (words, reason) => (words[reason] ? ` (${words[reason]})` : "");

export const seconds = (ms) => (ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

const TALES = {
  "user.joined": (data) => ["in", who(data), " joined"],
  "user.left": (data) => ["out", who(data), ` left${because(LEFT, data.reason)}`],
  "ptt.start": () => null,
  "ptt.stop": (data, board) => ["talk", who(data), ` talked ${seconds(data.durationMs)} on `, net(data, board), because(STOPPED, data.reason)],
  "operation.opened": (data) => ["open", `Operation opened`],
  "operation.closed": (data) => ["shut", `Operation closed`],
  "assignments.changed": assigned,
  "config.changed": configured,
  "client.disconnected": (data, board) => ["out", person(data.userId, board), " was disconnected"],
  "webhook.disabled": ({ host }) => ["alert", `The webhook to ${host} is disabled`],
  "webhook.gap": ({ host }) => ["alert", `Events are lost to the webhook to ${host}`],
  "webhook.held": ({ host }) => ["alert", `The webhook to ${host} does not answer; its events wait`],
  "webhook.parked": ({ host }) => ["alert", `The webhook to ${host} refused an event, which is parked`],
  "webhook.released": ({ host }) => ["conf", `The webhook to ${host} answers again`],
  "webhook.enabled": ({ host }) => ["conf", `The webhook to ${host} is enabled again`],
  "discord.disabled": () => ["alert", "Discord is told nothing more"],
  "discord.gap": () => ["alert", "Events are lost to Discord"],
  "discord.held": () => ["alert", "Discord does not answer; its messages wait"],
  "discord.parked": () => ["alert", "Discord refused a message, which is parked"],
  "discord.released": () => ["conf", "Discord answers again"],
  "discord.enabled": () => ["conf", "Discord is told again"],
  "acars.sent": (data) => ["alert", `ACARS to ${data.routed}: `, bdi(data.text)],
  "stream.gap": () => ["alert", "Some events are missing here; the board was read anew"],
};

const who = (data) => bdi(data.displayName || data.userId);

function person(id, board) { return bdi(board.people.get(id)?.name ?? board.known.get(id) ?? id); }

function net(data, board) { return bdi(board.nets.get(data.netId)?.name ?? (data.netId === GLOBAL ? "Global" : `net ${data.netId}`)); }

function assigned(data, board) {
  const how = { temporary: " for a while", rule: " by rule", preset: " by a preset", archive: " with a restored net" }[data.source] ?? "";
  if (!data.userId) return ["move", `${data.count ?? "Some"} assignments changed${how}`];
  const verb = data.action === "assign" ? "put on" : "taken off";
  const ended = data.action === "unassign" && data.source === "temporary" ? " (time is up)" : data.action === "unassign" ? "" : how;
  return ["move", person(data.userId, board), ` ${verb} `, net(data, board), ended];
}

function configured(data, board) {
  const named = data.preset ?? board.byUid(data.uid)?.name, what = CONFIG[data.action] ?? data.action;
  return named ? ["conf", `${what}: `, bdi(named)] : ["conf", what];
}

export function tale(event, board) {
  const tell = TALES[event.type];
  return tell ? tell(event.data, board) : ["conf", event.type];
}
