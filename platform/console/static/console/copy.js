"use strict";
/* <button data-copy="id of an element">: its text goes to the clipboard. Without one (plain http), it is selected. */
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = `${button.textContent.replace(" ✓", "")} ✓`;
    } catch {
      getSelection().selectAllChildren(source);
    }
  });
}
