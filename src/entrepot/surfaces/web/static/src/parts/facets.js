// On a telephone what to narrow by is folded away, so that the products come first; styles hide it until this has run, so that nothing moves.
export function foldFacets(details) {
  if (matchMedia("(max-width: 760px)").matches) details.open = false;
  details.dataset.folded = "";
}
