// Tabs inside a page: links to sections become a tab list with arrow keys; without scripts all sections stand below one another.
export function startTabs(bar) {
  const tabs = [...bar.querySelectorAll("a")];
  const panels = tabs.map((tab) => document.querySelector(tab.hash));
  bar.setAttribute("role", "tablist");
  const show = (index) => {
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
      panels[at].hidden = at !== index;
    });
  };
  tabs.forEach((tab, index) => {
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panels[index].id);
    panels[index].setAttribute("role", "tabpanel");
    panels[index].setAttribute("aria-labelledby", tab.id);
    panels[index].tabIndex = 0;
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      history.replaceState(null, "", tab.hash);
      show(index);
    });
    tab.addEventListener("keydown", (event) => {
      const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
      const step = { [forward]: 1, [forward === "ArrowRight" ? "ArrowLeft" : "ArrowRight"]: -1 }[event.key];
      const next = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : step ? (index + step + tabs.length) % tabs.length : null;
      if (next === null) return;
      event.preventDefault();
      show(next);
      tabs[next].focus();
    });
  });
  show(Math.max(0, tabs.findIndex((tab) => tab.hash === location.hash)));
}
