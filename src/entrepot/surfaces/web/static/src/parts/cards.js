// On a telephone the rows of a wide table stand as cards, each value with its heading; a table whose cells span several rows or columns goes on scrolling.
const LEAST_COLUMNS = 4;

export function standAsCards(table) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent.trim());
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const isPlain = rows.length > 0 && rows.every((row) => row.cells.length === heads.length && [...row.cells].every((cell) => cell.rowSpan === 1));
  if (heads.length < LEAST_COLUMNS || !isPlain || table.matches(".table-list, .table-rows, .matrix")) return;
  for (const row of rows) for (const [place, cell] of [...row.cells].entries()) if (heads[place]) cell.dataset.label = heads[place];
  table.classList.add("table-cards");
}
