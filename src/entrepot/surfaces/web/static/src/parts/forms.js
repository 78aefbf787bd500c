// Selects that send their form at once, and the list of errors that is read first.
export function sendOnChange(event) {
  const form = event.target.closest("form[data-autosubmit]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio], input[type=date]")) form.requestSubmit();
}

export function focusErrors(summary) {
  summary.focus();
}

export function takeFocus(element) {
  element.focus({ preventScroll: true });
  if (element.select) element.select();
}

// A number that is there already is replaced by what one types.
export function chooseWhole(field) {
  field.addEventListener("focus", () => field.select());
}
