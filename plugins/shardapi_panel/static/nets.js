// What the board can do to nets: make, rename, archive, bring back; open and close the operation.
import { api, bdi, confirmDialog, h, toast } from "./panel.js";
import { ask, field } from "./form.js";

const nameField = (value = "") => h("input", { name: "name", value, maxlength: "80", autocomplete: "off", dir: "auto", autofocus: "" });

export async function make(say) {
  const name = nameField();
  await ask({
    title: "New net",
    button: "Create",
    fields: [field("Name", name, "1 to 64 characters.")],
    async send() {
      const made = await api("POST", "/nets", { name: name.value });
      say(`Net ${made.name} is made, number ${made.slot}.`);
      return made;
    },
  });
}

export async function rename(net, say) {
  const name = nameField(net.name);
  await ask({
    title: ["Rename ", bdi(net.name)],
    button: "Rename",
    fields: [field("Name", name, "1 to 64 characters; its people stay on it.")],
    async send() {
      const made = await api("POST", "/nets/rename", { netUid: net.uid, name: name.value });
      say(`The net is called ${made.name}.`);
      return made;
    },
  });
}

export async function archive(net, people, say) {
  await ask({
    title: ["Archive ", bdi(net.name)],
    button: "Archive",
    danger: true,
    fields: [h("p", {}, people ? `${people} on it leave it, and whoever talks on it is stopped. ` : "Nobody is on it. ", "The archive keeps it with its assignments; it can be restored there.")],
    async send() {
      await api("POST", "/nets/remove", { netUid: net.uid });
      say(`${net.name} is in the archive.`);
      toast([bdi(net.name), " is in the archive."]);
      document.querySelector("#toasts > :last-child > button")?.before(h("button", { type: "button", class: "button small", onclick: ({ target }) => { target.closest(".toast").remove(); restore(net, say); } }, "Undo"));
      return true;
    },
  });
}

async function restore(net, say) {
  try {
    const back = await api("POST", `/archive/${encodeURIComponent(net.uid)}/restore`, {});
    say(`${back.name} is back, number ${back.netId}.`);
  } catch (refusal) {
    toast(refusal.message, "error");
  }
}

export async function operate(board, say) {
  const open = !board.open, talking = board.talking;
  const sure = open || (await confirmDialog("Close the operation?", `Operators stay connected and cannot key up${talking ? `; ${talking} talking now ${talking === 1 ? "is" : "are"} stopped` : ""}.`, { confirm: "Close the operation", danger: true }));
  if (!sure) return;
  try {
    await api("POST", "/operation", { open });
    say(open ? "The operation is open." : "The operation is closed.");
  } catch (refusal) {
    toast(refusal.message, "error");
  }
}
