// How the board stays true: it follows the stream, reads itself anew where that is not enough, and says when it is not live.
import { api, local } from "./panel.js";
import { Line } from "./line.js";

const STATE = "/panel/board/state", STREAM = "/panel/stream";
const SOON = 120, BETWEEN = 700, AFTER_FAILURE = 2000, TICK = 1000;

const number = (id) => Number(id.slice(id.lastIndexOf("-") + 1));
const clock = (at) => local(at).slice(11);

export class Live {
  constructor(root, cursor, { load, hear, say }) {
    this.root = root;
    this.note = root.querySelector("#lost");
    this.lamp = root.querySelector("#link span");
    Object.assign(this, { load, hear, say });
    this.reading = this.wanted = this.doubtful = this.was = false;
    this.meanwhile = [];
    this.lastRead = -BETWEEN;
    this.line = new Line(STREAM, cursor, {
      event: (event) => {
        if (this.reading) this.meanwhile.push(event);
        hear(event);
      },
      up: (again) => this.up(again),
      down: (why) => this.show(why),
      ended: () => this.ended(),
    });
    setInterval(() => { if (this.line.live) this.show(); }, TICK);
  }

  up(again) { // the first time, what came since the page was made is told
    this.doubtful = again === true;
    if (this.doubtful) this.read();
    else this.show();
  }

  again() { // read everything anew, soon
    if (this.reading) this.wanted = true;
    else this.timer ||= setTimeout(() => this.read(), Math.max(SOON, BETWEEN - (performance.now() - this.lastRead)));
  }

  async read() { // what is told meanwhile is told again afterwards
    clearTimeout(this.timer);
    this.timer = 0;
    this.reading = true;
    this.meanwhile = [];
    try {
      const answer = await fetch(STATE, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (!answer.ok) throw new Error(`The shard answered ${answer.status}.`);
      const state = await answer.json();
      this.load(state, this.meanwhile.filter((event) => number(event.id) > number(state.cursor)));
      this.doubtful = false;
    } catch {
      this.doubtful = true;
      if (this.line.live) this.timer = setTimeout(() => this.read(), AFTER_FAILURE);
    }
    this.reading = false;
    this.lastRead = performance.now();
    if (this.wanted) {
      this.wanted = false;
      this.again();
    }
    this.show();
  }

  async ended() {
    this.show("The session has ended.");
    // asks to sign in; answers once that is done, raises where it is left
    await api("GET", "/status").then(() => this.line.resume(), () => {});
  }

  show(why = this.why ?? "") {
    const { root, note, line } = this, live = line.live && !this.doubtful;
    const at = clock(new Date(live ? Date.now() : performance.timeOrigin + line.lastHeard)); // silence is noticed late
    root.classList.toggle("lost", !live);
    root.classList.toggle("linked", live);
    this.lamp.textContent = live ? `Live, ${at}` : `As of ${at}`;
    note.hidden = live;
    const text = line.over ? `Not live since ${at}. Your session has ended: load the page again to sign in.` : `Not live since ${at}, so this may be out of date. ${why} Trying again.`;
    if (!live && note.textContent !== text) note.textContent = text;
    if (live && this.was === "lost") this.say("The board is live again.");
    this.was = live ? "live" : "lost";
    this.why = live ? "" : why;
  }
}
