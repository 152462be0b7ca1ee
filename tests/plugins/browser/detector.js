// Put before every page of the panel: tells what ran or was about to, and what is on the page though it is none of ours.
window.hits = [];
for (const name of ["p", "alert", "confirm", "prompt", "print", "open"]) {
  window[name] = (...all) => { hits.push([name, all]); };
}
addEventListener("securitypolicyviolation", (event) => {
  hits.push(["policy", event.effectiveDirective, event.blockedURI, event.sample]);
}, true);

const OURS = new Set(`html head meta title link script body a header nav main div section aside footer form fieldset legend
  label input select option optgroup datalist textarea button details summary dialog template h1 h2 h3 h4 p span strong b
  i em small code pre time dl dt dd ul ol li table caption thead tbody tr th td svg path rect circle line g title
  noscript iframe search br bdi`.split(/\s+/));

function stranger(element) {
  const name = element.localName, value = (attribute) => element.getAttribute(attribute) ?? "";
  if (!OURS.has(name)) return true;
  if (!/^(--[a-z-]+: [0-9.]+; ?)*$/.test(value("style"))) return true; // numbers that our scripts hand to the style sheet
  if ([...element.attributes].some((one) => /^on|^srcdoc$|^formaction$|^http-equiv$/i.test(one.name))) return true;
  if (name === "script") return element.type !== "application/json" && !value("src").startsWith("/panel/static/");
  if (name === "iframe") return !value("src").startsWith("/api/v1/embed/widget?token=");
  if (name === "link") return !/^(\/panel\/static\/[a-z-]+\.(css|js)|data:,)$/.test(value("href"));
  if (name === "a") return element.hasAttribute("href") && !/^(\/panel([/?#]|$)|#|\?)/.test(value("href"));
  if (name === "form") return element.hasAttribute("action") && !/^\/panel([/?]|$)/.test(value("action"));
  return false;
}

window.strangers = () => {
  const roots = [document, ...[...document.querySelectorAll("template")].map((one) => one.content)];
  const all = roots.flatMap((root) => [...root.querySelectorAll("*")]);
  return all.filter(stranger).map((one) => one.outerHTML.slice(0, 200));
};

// Where the Tab key must stop, in the order of the page, and where it is.
window.count = () => {
  document.activeElement.blur();
  for (const one of document.querySelectorAll("details")) one.open = true;
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, iframe, [tabindex]")];
  const groups = new Set();
  window.stops = all.filter((one) => {
    if (one.disabled || one.type === "hidden" || one.tabIndex < 0) return false;
    if (!one.checkVisibility({ visibilityProperty: true })) return false;
    if (one.type !== "radio") return true;
    const chosen = all.find((other) => other.type === "radio" && other.name === one.name && other.checked);
    if (groups.has(one.name) || (chosen && chosen !== one)) return false;
    groups.add(one.name);
    return true;
  });
  return stops.length;
};
window.stop = () => {
  const one = document.activeElement, style = getComputedStyle(one);
  const seen = one.localName === "iframe" || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0);
  return [stops.indexOf(one), seen, one.outerHTML.slice(0, 120)];
};
