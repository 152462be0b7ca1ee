// The link's token comes behind the #, which no server, log or referrer sees: here it goes into the form.
const field = document.querySelector("#token");

function take() {
  const token = location.hash.slice(1);
  if (!token || !field) return;
  field.value = token;
  history.replaceState(null, "", location.pathname + location.search);
  field.closest(".field").hidden = true;
  document.querySelector("#ready").hidden = false;
  document.querySelector("#by-link button").focus();
  for (const other of document.querySelectorAll(".or, #by-password")) other.hidden = true;
}

take();
addEventListener("hashchange", take); // where this page was open already
const insecure = document.querySelector("#insecure");
if (insecure && !window.isSecureContext) insecure.hidden = false;
