"use strict";
/* Example requests of a key: shows the one of the chosen API and language. The language is remembered, as on the API pages. */
(() => {
  const choice = document.getElementById("code-choice");
  if (!choice) return;
  const [dialect, language] = ["dialect", "language"].map((name) => choice.querySelector(`[data-choose="${name}"]`));
  const examples = [...document.querySelectorAll("#examples details")];
  const show = () => {
    for (const example of examples) {
      example.open = example.dataset.dialect === dialect.value && example.dataset.language === language.value;
      example.hidden = !example.open;
    }
  };
  try {
    const last = (localStorage.getItem("api-language") ?? "").replace(/^tab-/, "");
    if ([...language.options].some((option) => option.value === last)) language.value = last;
  } catch { /* no storage: the first language is shown */ }
  language.addEventListener("change", () => {
    try { localStorage.setItem("api-language", `tab-${language.value}`); } catch { /* as above */ }
  });
  choice.addEventListener("change", show);
  choice.hidden = false;
  show();
})();
