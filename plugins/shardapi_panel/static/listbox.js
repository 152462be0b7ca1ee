// A list to choose from with arrows, space, letters' keys and the pointer: one tab stop, as a listbox.
export class Listbox {
  constructor(list, { many = false, chosen = () => {}, keys = {} }) {
    this.list = list;
    this.many = many;
    this.chosen = chosen;
    this.keys = keys;
    this.picked = new Set();
    this.from = null;
    list.setAttribute("role", "listbox");
    if (many) list.setAttribute("aria-multiselectable", "true");
    for (const row of list.children) this.adopt(row);
    this.stop();
    list.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("click", (event) => this.click(event));
    list.addEventListener("focusin", (event) => this.stop(event.target.closest("li")));
  }

  adopt(row) {
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", "false");
    row.tabIndex = -1;
    return row;
  }

  gone(row) {
    const held = row === document.activeElement, next = row.nextElementSibling ?? row.previousElementSibling;
    if (this.picked.delete(row)) this.chosen(this.picked);
    row.remove();
    if (this.at === row) this.stop(next);
    if (held) next?.focus();
  }

  seen() { return [...this.list.children].filter((row) => !row.hidden); }

  stop(row) { // the one row that Tab comes to; an empty list is none
    if (!row) row = this.at?.isConnected && !this.at.hidden ? this.at : this.seen()[0];
    if (this.at && this.at !== row) this.at.tabIndex = -1;
    this.at = row ?? null;
    if (row) row.tabIndex = 0;
  }

  set(rows) {
    for (const row of this.picked) if (!rows.includes(row)) row.setAttribute("aria-selected", "false");
    for (const row of rows) row.setAttribute("aria-selected", "true");
    this.picked = new Set(rows);
    this.chosen(this.picked);
  }

  toggle(row) {
    const others = this.many ? [...this.picked].filter((one) => one !== row) : [];
    this.from = row;
    this.set(this.picked.has(row) ? others : [...others, row]);
  }

  stretch(row) {
    const rows = this.seen(), ends = [rows.indexOf(this.from ?? row), rows.indexOf(row)].sort((a, b) => a - b);
    this.set(rows.slice(Math.max(0, ends[0]), ends[1] + 1));
  }

  click(event) {
    const row = event.target.closest("li");
    if (!row) return;
    row.focus();
    if (this.many && event.shiftKey) return this.stretch(row);
    if (this.many && !(event.ctrlKey || event.metaKey) && !this.picked.has(row)) {
      this.from = row;
      return this.set([row]);
    }
    this.toggle(row);
  }

  key(event) {
    const row = event.target.closest("li");
    if (!row || event.ctrlKey && event.key !== "a" || event.altKey || event.metaKey) return;
    const rows = this.seen(), place = rows.indexOf(row), across = this.across(rows);
    const steps = { ArrowDown: across, ArrowUp: -across, ArrowRight: 1, ArrowLeft: -1, PageDown: 10 * across, PageUp: -10 * across, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      const next = rows[Math.max(0, Math.min(rows.length - 1, place + steps[event.key]))];
      next.focus();
      if (this.many && event.shiftKey) this.stretch(next);
    } else if (event.key === " ") this.toggle(row);
    else if (event.key === "a" && event.ctrlKey && this.many) this.set(rows);
    else if (event.key === "Escape") this.set([]);
    else if (!event.ctrlKey && this.keys[event.key]) {
      if (!this.picked.has(row)) this.set([row]);
      this.keys[event.key](row);
    } else return;
    event.preventDefault();
  }

  across(rows) { // how many stand beside each other
    const top = rows[0]?.offsetTop;
    const first = rows.findIndex((row) => row.offsetTop !== top);
    return first < 1 ? Math.max(1, first === -1 ? 1 : first) : first;
  }
}
