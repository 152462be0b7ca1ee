// The newest events as lines, the newest first; bounded, and drawn once a frame with the rest.
import { tale } from "./tales.js";
import { h, local } from "./panel.js";

const MOST = 150;

export class Feed {
  constructor(list, board, soon) {
    this.list = list;
    this.board = board;
    this.soon = soon;
    this.waiting = [];
    this.seen = new Set();
    this.unnamed = []; // lines about nets that the board has yet to read
  }

  past(events) {
    for (const event of events) this.add(event);
  }

  add(event) {
    if (this.seen.has(event.id)) return;
    this.seen.add(event.id);
    this.board.meet(event.data);
    const told = tale(event, this.board);
    if (!told) return;
    this.waiting.push(this.line(event, ...told));
    if (this.waiting.length > MOST) this.waiting.shift();
    this.soon();
  }

  line(event, shape, ...told) {
    const at = new Date(event.at);
    const time = h("time", { datetime: event.at }, local(at).slice(11));
    const said = h("span", {}, ...told), { uid, action } = event.data;
    if (uid && (action === "net.rename" || !this.board.byUid(uid))) this.unnamed.push([event, said]);
    return h("li", { class: shape, title: event.data.keyId ? `by ${event.data.keyId}` : null }, time, h("i", { "aria-hidden": "true" }), said);
  }

  retell() { // the board was read anew
    for (const [event, said] of this.unnamed) said.replaceChildren(...tale(event, this.board).slice(1));
    this.unnamed = this.unnamed.filter(([{ data }]) => !this.board.byUid(data.uid)).slice(-MOST);
  }

  draw() {
    if (!this.waiting.length) return;
    this.list.prepend(...this.waiting.reverse());
    this.waiting = [];
    while (this.list.children.length > MOST) this.list.lastElementChild.remove();
    if (this.seen.size > 4 * MOST) this.seen = new Set([...this.seen].slice(-2 * MOST));
  }
}
