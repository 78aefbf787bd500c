// What scrolls sideways can be reached by keyboard, and only then: a table that fits is no stop on the way.
export function reachScroller(element) {
  const look = () => {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  };
  if (!element.hasAttribute("tabindex")) new ResizeObserver(look).observe(element);
}
