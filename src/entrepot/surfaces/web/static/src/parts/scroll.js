// What scrolls sideways can be reached by keyboard: without something to focus in it, the arrow keys would never get there.
export function letKeysScroll(area) {
  const fit = () => {
    if (area.scrollWidth > area.clientWidth) area.tabIndex = 0;
  };
  fit();
  addEventListener("resize", fit);
}
