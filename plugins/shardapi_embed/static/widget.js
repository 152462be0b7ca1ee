
"use strict";
(() => {
  const EVERY = 5000, PATIENCE = 8000, LONGEST = 60000, LATE = 15000, CACHED = 30000;
  const here = new URL(location.href);
  const address = here.pathname.replace(/widget\/*$/, "status") + "?" +
    new URLSearchParams({ token: here.searchParams.get("token") || "" });
  const part = (id) => document.getElementById(id);
  const board = part("board"), list = part("nets"), blank = part("net").content.firstElementChild;
  let asOf = new Date(document.querySelector("time").dateTime);
  let heard = performance.now(), misses = 0, timer = 0, asking = false, over = "", link = "";

  const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const flag = (node, name, on) => { if (node.classList.contains(name) !== on) node.classList.toggle(name, on); };
  const clock = (at) => at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

  function showNet(row, net, widest) {
    const find = (name) => row.querySelector("." + name);
    row.dataset.uid = net.uid;
    flag(row, "talking", net.tx);
    flag(row, "empty", !net.occupancy);
    write(find("slot"), net.id < 250 ? String(net.id).padStart(2, "0") : "––");
    write(find("name"), net.name);
    find("tag").hidden = !net.public;
    find("talk").hidden = !net.tx;
    write(row.querySelector("b"), String(net.occupancy));
    write(find("unit"), net.occupancy === 1 ? "operator" : "operators");
    find("gauge").firstElementChild.setAttribute("width", Math.floor(100 * net.occupancy / widest));
  }

  function showNets(nets) {
    const rows = new Map([...list.children].map((row) => [row.dataset.uid, row]));
    const widest = Math.max(1, ...nets.map((net) => net.occupancy));
    let place = list.firstElementChild;
    for (const net of nets) {
      const row = rows.get(net.uid) || document.importNode(blank, true);
      rows.delete(net.uid);
      showNet(row, net, widest);
      if (row === place) place = place.nextElementSibling;
      else list.insertBefore(row, place);
    }
    for (const row of rows.values()) row.remove();
    list.hidden = !nets.length;
    part("none").hidden = nets.length > 0;
  }

  function show(live) {
    const at = new Date(live.updatedAt), older = asOf - at;
    if (older > 0 && older < CACHED) return;
    asOf = at;
    const state = live.operationOpen ? "Operation open" : "Operation closed";
    if (part("state").textContent !== state) tell(state + ".");
    write(part("state"), state);
    flag(board, "open", live.operationOpen);
    flag(board, "closed", !live.operationOpen);
    write(part("guild"), live.guildName);
    document.title = live.guildName + ", live";
    write(part("connected"), String(live.connected));
    write(part("talking"), String(live.nets.filter((net) => net.tx).length));
    write(part("amount"), String(live.nets.length));
    showNets(live.nets);
  }

  function tell(news) { part("news").textContent = news; }

  function showLink() {
    const lost = over !== "" || performance.now() - heard > LATE;
    const state = lost ? over || "The connection is lost." : "The connection is back.";
    if (link && state !== link && !document.hidden) tell(state);
    link = state;
    flag(board, "lost", lost);
    flag(board, "linked", !lost);
    write(part("fresh"), lost ? `${over || "No connection, trying again."} As of ${clock(asOf)}` : `Live, ${clock(asOf)}`);
  }

  async function ask() {
    clearTimeout(timer);
    if (asking || over || document.hidden) return;
    asking = true;
    const patience = new AbortController(), limit = setTimeout(() => patience.abort(), PATIENCE);
    try {
      const answer = await fetch(address, { signal: patience.signal, credentials: "omit", referrerPolicy: "no-referrer" });
      if (answer.status === 401 || answer.status === 410) over = "This status link has ended.";
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.json());
      misses = 0;
      heard = performance.now();
    } catch {
      misses += 1;
    } finally {
      clearTimeout(limit);
      asking = false;
    }
    showLink();
    const pause = Math.min(LONGEST, EVERY * 2 ** Math.min(misses, 4));
    if (!over && !document.hidden) timer = setTimeout(ask, misses ? pause * (0.75 + Math.random() / 2) : pause);
  }

  document.addEventListener("visibilitychange", ask);
  addEventListener("online", ask);
  addEventListener("pageshow", (event) => { if (event.persisted) ask(); });
  showLink();
  timer = setTimeout(ask, EVERY);
})();
