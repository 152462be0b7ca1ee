// The panel's stream, read with fetch: unlike an EventSource it hears heartbeats, so that silence is noticed.
const SILENCE = 20000, SOONEST = 500, LONGEST = 15000, CHECK = 1000;

export class Line {
  constructor(address, cursor, told) {
    this.address = address;
    this.cursor = cursor;
    this.told = told; // event(event), up(again), down(why), ended()
    this.live = false;
    this.misses = 0;
    this.lastHeard = performance.now();
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.cut("This browser is offline."));
    addEventListener("pageshow", (event) => { if (event.persisted) this.retry(); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.check(); });
    setInterval(() => this.check(), CHECK);
    this.open();
  }

  async open() {
    clearTimeout(this.timer);
    this.timer = 0;
    const stop = this.stop = new AbortController();
    this.heard = performance.now(); // or tried
    let why = "The connection was closed.";
    try {
      const answer = await fetch(this.address, {
        headers: { Accept: "text/event-stream", "Last-Event-ID": this.cursor }, cache: "no-store", signal: stop.signal, redirect: "manual",
      });
      if (answer.status === 401 || answer.status === 403 || answer.type === "opaqueredirect") return this.end();
      if (!answer.ok) throw new Error(`The shard answered ${answer.status}.`);
      await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch (error) {
      if (stop.why) why = stop.why;
      else why = error instanceof TypeError ? "The shard cannot be reached." : error.message;
    }
    if (this.stop !== stop || this.over) return;
    this.lose(why);
    this.misses += 1;
    const pause = Math.min(LONGEST, SOONEST * 2 ** Math.min(this.misses - 1, 5));
    this.timer = setTimeout(() => this.open(), pause * (0.75 + Math.random() / 2));
  }

  async read(reader) {
    let rest = "", block = {};
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.heard = this.lastHeard = performance.now();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("id: ")) block.id = line.slice(4);
        else if (line.startsWith("data: ")) block.data = line.slice(6);
        else if (line === "" && block.data) {
          this.cursor = block.id;
          this.told.event(JSON.parse(block.data));
          block = {};
        }
      }
      if (!this.live) {
        this.live = true;
        this.misses = 0;
        this.told.up(this.been);
        this.been = true;
      }
    }
  }

  check() {
    if (!this.timer && !this.over && performance.now() - this.heard > SILENCE) this.cut("Nothing was heard for 20 seconds.");
  }

  cut(why) {
    if (this.timer || this.over) return;
    this.stop.why = why;
    this.lose(why);
    this.stop.abort();
  }

  retry() {
    if (!this.live && !this.over && this.timer) this.open();
  }

  lose(why) {
    this.live = false;
    this.told.down(why);
  }

  resume() { // signed in again
    this.over = false;
    this.open();
  }

  end() {
    this.over = true;
    this.lose("The session has ended.");
    this.told.ended();
  }
}
