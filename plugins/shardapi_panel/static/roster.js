// What the board knows: nets by slot, people by id, who talks. Changes are noted, for the view to draw once a frame.
export const GLOBAL = 255; // the slot of what is heard on every net, by everyone
const MOST_KNOWN = 1000;

export class Roster {
  constructor(changed, reread) {
    this.nets = new Map();
    this.people = new Map();
    this.counts = new Map();
    this.known = new Map(); // names by id, of who has left too
    this.open = false;
    this.changed = changed; // ("net", slot), ("person", id), ("head")
    this.reread = reread;
  }

  load(state) {
    const gone = new Set(this.people.keys()), left = new Set(this.nets.keys());
    this.setOpen(state.open);
    for (const net of state.nets) {
      left.delete(net.slot);
      this.putNet(net);
    }
    for (const slot of left) this.dropNet(slot);
    for (const one of state.people) {
      gone.delete(one.id);
      this.putPerson(one);
    }
    for (const id of gone) this.dropPerson(id);
  }

  setOpen(open) {
    this.open = open;
    this.changed("head");
  }

  putNet({ slot, uid, name, protected: kept, talkers }) {
    const old = this.nets.get(slot);
    const net = { slot, uid, name, kept: Boolean(kept), talkers: new Map(talkers.map((one) => [one.id, one.name])) };
    this.nets.set(slot, net);
    this.changed("net", slot);
    if (old && old.name !== name) {
      for (const one of this.people.values()) if (one.slots.has(slot)) this.changed("person", one.id);
    }
    for (const id of [...(old ? old.talkers.keys() : []), ...net.talkers.keys()]) this.changed("person", id);
  }

  dropNet(slot) {
    this.nets.delete(slot);
    this.counts.delete(slot);
    this.changed("net", slot);
  }

  putPerson({ id, name, slots, since, service }) {
    const old = this.people.get(id), now = new Set(slots);
    this.people.set(id, { id, name, slots: now, since, service: Boolean(service) });
    if (old && !old.service) for (const slot of old.slots) if (!now.has(slot) || service) this.count(slot, -1);
    if (!service) for (const slot of now) if (!old || old.service || !old.slots.has(slot)) this.count(slot, 1);
    if (old && old.name !== name) for (const slot of now) this.changed("net", slot);
    this.changed("person", id);
    if (this.nets.has(GLOBAL)) this.changed("net", GLOBAL);
  }

  dropPerson(id) {
    const old = this.people.get(id);
    if (!old) return;
    this.people.delete(id);
    if (!old.service) for (const slot of old.slots) this.count(slot, -1);
    for (const net of this.nets.values()) if (net.talkers.delete(id)) this.changed("net", net.slot);
    this.changed("person", id);
    if (this.nets.has(GLOBAL)) this.changed("net", GLOBAL);
  }

  count(slot, by) {
    this.counts.set(slot, Math.max(0, (this.counts.get(slot) || 0) + by));
    this.changed("net", slot);
  }

  talks(id) {
    for (const net of this.nets.values()) if (net.talkers.has(id)) return true;
    return false;
  }

  get connected() {
    let many = 0;
    for (const one of this.people.values()) many += one.service ? 0 : 1;
    return many;
  }

  get amount() { return this.nets.size - this.nets.has(GLOBAL); }

  occupancy(slot) { return slot === GLOBAL ? this.connected : this.counts.get(slot) || 0; }

  get talking() {
    let many = 0;
    for (const net of this.nets.values()) many += net.talkers.size;
    return many;
  }

  get fullest() {
    let most = 8;
    for (const [slot, many] of this.counts) if (many > most && !this.nets.get(slot)?.kept) most = many;
    return most;
  }

  namesOf(one) { // the Public Net, which everyone is on, only where it is the only one
    const slots = [...one.slots].sort((a, b) => a - b), own = slots.filter((slot) => !this.nets.get(slot)?.kept);
    return (own.length ? own : slots).map((slot) => this.nets.get(slot)?.name ?? String(slot)).join(", ");
  }

  byUid(uid) {
    for (const net of this.nets.values()) if (net.uid === uid) return net;
    return null;
  }

  meet({ userId, displayName }) {
    if (!userId || !displayName) return;
    this.known.delete(userId);
    this.known.set(userId, displayName);
    if (this.known.size > MOST_KNOWN) this.known.delete(this.known.keys().next().value);
  }

  // -- events, in the order of the log; told twice they change nothing

  hear({ type, at, data }) {
    const act = this[type];
    if (act) act.call(this, data, at);
  }

  "user.joined"({ userId, displayName, nets, service }, at) {
    if (nets.some((slot) => !this.nets.has(slot))) this.reread();
    this.putPerson({ id: userId, name: displayName || userId, slots: nets, since: Date.parse(at), service });
  }

  "user.left"({ userId }) { this.dropPerson(userId); }

  "ptt.start"({ userId, displayName, netId }) { this.talk(netId, userId, displayName); }

  "ptt.stop"({ userId, netId }) { this.talk(netId, userId); }

  talk(slot, id, name) {
    const net = this.nets.get(slot);
    if (!net) return;
    if (name === undefined) net.talkers.delete(id);
    else net.talkers.set(id, name || id);
    this.changed("net", slot);
    this.changed("person", id);
    this.changed("head");
  }

  "operation.opened"() { this.setOpen(true); }

  "operation.closed"() { this.setOpen(false); }

  "assignments.changed"({ userId, netId, action }) {
    const one = this.people.get(userId);
    if (userId && !one) return; // who is away is not on the board
    if (one && action === "assign" && this.nets.has(netId)) this.putPerson({ ...one, slots: [...one.slots, netId] });
    else this.reread(); // a rule may still hold what was taken, and many at once are not named
  }

  "config.changed"({ action }) {
    if (!/^(archive\.(upsert|remove)|preset\.(save|remove))$/.test(action)) this.reread();
  }

  "stream.gap"() { this.reread(); }
}
