"use strict";

// Compares a result of a job with an input, a mask or a control map: the slider uncovers the one over the other.
for (const panel of document.querySelectorAll(".job-compare")) {
  const [result, other] = panel.querySelectorAll("select");
  const slider = panel.querySelector("[type=range]");
  const [below, above] = panel.querySelectorAll(".job-compare-stage img");
  const show = () => {
    const [image, over] = [result.selectedOptions[0], other.selectedOptions[0]];
    below.src = image.value;
    below.alt = image.text;
    below.width = image.dataset.width;
    below.height = image.dataset.height;
    above.src = over.value;
    above.alt = over.text;
    above.style.objectFit = over.dataset.fit;
  };
  const move = () => panel.style.setProperty("--at", `${slider.value}%`);
  result.addEventListener("change", show);
  other.addEventListener("change", show);
  slider.addEventListener("input", move);
  show();
  move();
  panel.hidden = false;
}
