// Runs before the first paint, so that a chosen theme does not flash: a classic script, loaded in the head.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('signalbox-theme');
  } catch {
    // Storage is off: the system's theme it is.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
