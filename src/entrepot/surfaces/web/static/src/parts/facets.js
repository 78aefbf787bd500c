// On a telephone what to narrow by is folded away, so that the products come first.
export function foldFacets(details) {
  if (matchMedia("(max-width: 760px)").matches) details.open = false;
}
