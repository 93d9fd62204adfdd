"use strict";
/* <button data-copy="ID">: copies the text of the element to the clipboard, or selects it if there is none (plain HTTP). */
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
