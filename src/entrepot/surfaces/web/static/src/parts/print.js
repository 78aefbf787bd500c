// Buttons that print the page.
export function startPrint(button) {
  button.addEventListener("click", () => window.print());
}
