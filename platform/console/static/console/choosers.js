"use strict";
/* Gives the search boxes of choosers the name of their field, and a colour that can be read in the dark. */
window.addEventListener("load", () => {
  const name = (root) => {
    for (const box of root.querySelectorAll(".select2-container .select2-search__field")) {
      const field = box.closest(".select2-container").previousElementSibling;
      const label = field?.id && document.querySelector(`label[for="${field.id}"]`);
      if (label) box.setAttribute("aria-label", label.textContent.trim());
      box.style.color = "inherit";
    }
  };
  name(document);
  const changes = new MutationObserver(() => name(document));
  for (const form of document.querySelectorAll("#content-main form")) {
    changes.observe(form, { childList: true, subtree: true });
  }
});
