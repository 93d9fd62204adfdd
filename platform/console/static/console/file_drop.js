"use strict";
/* A file that is dropped anywhere on the form of a page is chosen in its file field. */
(() => {
  const field = document.querySelector('form input[type="file"]');
  const form = field && field.form;

  if (form) {
    const carriesFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
    const mark = (on) => form.classList.toggle("file-drop-over", on);

    form.addEventListener("dragover", (event) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      mark(true);
    });
    form.addEventListener("dragleave", (event) => {
      if (!form.contains(event.relatedTarget)) mark(false);
    });
    form.addEventListener("drop", (event) => {
      mark(false);
      if (!carriesFile(event) || !event.dataTransfer.files.length) return;
      event.preventDefault();
      const chosen = new DataTransfer();
      chosen.items.add(event.dataTransfer.files[0]);
      field.files = chosen.files;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    field.addEventListener("change", () => {
      const name = form.querySelector('input[name="name"]');
      if (name && !name.value && field.files.length) name.value = field.files[0].name.replace(/\.[^.]*$/, "").slice(0, 100);
    });
  }
})();
