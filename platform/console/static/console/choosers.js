"use strict";
/* Autocomplete fields: labels the search box with the label of its field, and makes its text readable in dark mode. */
window.addEventListener("load", () => {
  const labelSearchBoxes = (root) => {
    for (const box of root.querySelectorAll(".select2-container .select2-search__field")) {
      const field = box.closest(".select2-container").previousElementSibling;
      const label = field?.id && document.querySelector(`label[for="${field.id}"]`);
      if (label) box.setAttribute("aria-label", label.textContent.trim());
      box.style.color = "inherit";
    }
  };
  labelSearchBoxes(document);
  const changes = new MutationObserver(() => labelSearchBoxes(document));
  for (const form of document.querySelectorAll("#content-main form")) {
    changes.observe(form, { childList: true, subtree: true });
  }
});
