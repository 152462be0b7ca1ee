// Before the first paint, and without a module: the theme that was chosen.
try {
  const theme = localStorage.getItem("panel-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch { /* no storage: the system's */ }
