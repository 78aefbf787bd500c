// Buttons that open a dialog; a click beside it closes it, as Escape does. The browser keeps and gives back the focus.
export function openDialog(button) {
  const dialog = document.getElementById(button.dataset.opens);
  button.setAttribute("aria-haspopup", "dialog");
  button.addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}
