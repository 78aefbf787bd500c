// Selects that send their form at once, and the list of errors that is read first.
export function sendOnChange(event) {
  const form = event.target.closest("form[data-autosubmit]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio], input[type=date]")) form.requestSubmit();
}

export function focusErrors(summary) {
  summary.focus();
}
