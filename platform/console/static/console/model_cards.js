// Number of selected cards beside the actions of the list; the admin's own script counts rows of tables only.
const cards = document.getElementById("model-cards");
if (cards) {
  const show = () => {
    const count = cards.querySelectorAll("input.action-select:checked").length;
    for (const counter of document.querySelectorAll(".action-counter")) counter.textContent = cards.dataset.textSelected.replace("{count}", count);
  };
  cards.addEventListener("change", show);
  show();
}
