// Gallery: selection, favorites and lightbox. Without the script, the toolbar's actions work, and tiles link to their jobs.
(() => {
  const form = document.getElementById("gallery");
  if (!form) return;
  const tiles = [...form.querySelectorAll(".gallery-tile")];
  const boxes = tiles.map((tile) => tile.querySelector("[type=checkbox]"));
  const text = (name, values = {}) => form.dataset[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

  // Selection ----------------------------------------------------------------------------------------------------------
  const all = document.getElementById("gallery-all");
  const toolbar = form.querySelector(".gallery-toolbar");
  const count = document.getElementById("gallery-count");
  const showSelection = () => {
    const selected = boxes.filter((box) => box.checked).length;
    toolbar.classList.toggle("is-idle", selected === 0);
    count.textContent = selected ? text("textSelected", { count: selected }) : "";
    all.checked = selected === boxes.length;
    all.indeterminate = selected > 0 && selected < boxes.length;
  };
  all.parentElement.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    showSelection();
  });
  let last = null;
  form.addEventListener("click", (event) => {
    const index = boxes.indexOf(event.target);
    if (index < 0) return;
    if (event.shiftKey && last !== null) {
      for (let i = Math.min(index, last); i <= Math.max(index, last); i++) boxes[i].checked = event.target.checked;
    }
    last = index;
    showSelection();
  });
  showSelection();

  const confirmRemoval = (event) => {
    if (event.submitter?.value === "remove" && !window.confirm(text("textConfirm"))) event.preventDefault();
  };
  form.addEventListener("submit", confirmRemoval);

  // Favorites ----------------------------------------------------------------------------------------------------------
  for (const tile of tiles) {
    const star = tile.querySelector(".gallery-star");
    star.hidden = false;
    star.addEventListener("click", async () => {
      const isFavorite = star.getAttribute("aria-pressed") === "true";
      const body = new URLSearchParams({
        action: isFavorite ? "unfavorite" : "favorite",
        _selected_action: tile.dataset.id,
        csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value,
      });
      const response = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
      if (response?.status === 204) star.setAttribute("aria-pressed", String(!isFavorite));
    });
  }

  // Lightbox -----------------------------------------------------------------------------------------------------------
  const lightbox = document.getElementById("lightbox");
  const image = lightbox.querySelector("img");
  const player = lightbox.querySelector("video");
  let current = 0;
  const show = (index) => {
    current = (index + tiles.length) % tiles.length;
    const tile = tiles[current];
    const open = tile.querySelector(".gallery-open");
    const isVideo = "video" in open.dataset;
    image.parentElement.hidden = isVideo;
    for (const button of lightbox.querySelectorAll("[value=vary], [value=upscale]")) button.hidden = isVideo;
    player.hidden = !isVideo;
    player.pause();
    if (isVideo) {
      player.poster = open.querySelector("img").src;
      player.src = open.dataset.image;
    } else {
      player.removeAttribute("src");
      image.src = open.dataset.image;
      image.alt = open.querySelector("img").alt;
    }
    lightbox.querySelector("[data-infotext]").textContent = tile.querySelector(".gallery-infotext").textContent;
    lightbox.querySelector("[data-facts]").textContent = tile.querySelector(".gallery-facts").textContent;
    lightbox.querySelector("[name=_selected_action]").value = tile.dataset.id;
    const links = { image: open.dataset.image, job: open.href, playground: open.dataset.playground };
    for (const link of lightbox.querySelectorAll("[data-link]")) link.href = links[link.dataset.link];
  };
  tiles.forEach((tile, index) =>
    tile.querySelector(".gallery-open").addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show(index);
      lightbox.showModal();
    }),
  );
  for (const button of lightbox.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => show(current + Number(button.dataset.step)));
  }
  lightbox.querySelector("[data-close]").addEventListener("click", () => lightbox.close());
  lightbox.addEventListener("click", (event) => event.target === lightbox && lightbox.close());
  lightbox.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(current - 1);
    if (event.key === "ArrowRight") show(current + 1);
  });
  lightbox.addEventListener("close", () => player.pause());
  lightbox.addEventListener("close", () => tiles[current].querySelector(".gallery-open").focus());
  lightbox.querySelector("form").addEventListener("submit", confirmRemoval);
})();
