"use strict";
/* Autocomplete fields: labels the search box with the label of its field, and makes its text readable in dark mode.
   Fields with two lists: the icons that explain them have a label, so they need a role. */
window.addEventListener("load", () => {
  const labelSearchBoxes = (root) => {
    for (const icon of root.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
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
