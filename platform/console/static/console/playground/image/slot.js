// A place for an image: chosen as a file, dropped, or set by the page. It keeps the pixels and the file.
export class ImageSlot extends EventTarget {
  constructor(root) {
    super();
    this.root = root;
    this.blob = this.bitmap = null;
    this.view = root.querySelector("[data-image]");
    this.chooser = root.querySelector("input[type=file]");
    this.chooser.hasChangeListener = true; // the theme's own listener expects a text field beside it
    this.chooser.addEventListener("change", () => this.set(this.chooser.files[0]));
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      const file = imageIn(event.dataTransfer);
      if (!file) return;
      event.preventDefault();
      event.stopPropagation();
      this.set(file);
    });
    root.querySelector("[data-remove]").addEventListener("click", () => this.set(null));
  }

  // Decodes the file before it replaces the present one. Returns whether it is an image.
  async set(blob) {
    let bitmap = null;
    if (blob) {
      try {
        bitmap = await createImageBitmap(blob);
      } catch {
        this.dispatchEvent(new CustomEvent("unreadable"));
        return false;
      }
    }
    if (this.view.src) URL.revokeObjectURL(this.view.src);
    Object.assign(this, { blob: blob ?? null, bitmap });
    if (blob) this.view.src = URL.createObjectURL(blob);
    else {
      this.view.removeAttribute("src");
      this.chooser.value = "";
    }
    this.root.classList.toggle("at-filled", Boolean(blob));
    this.dispatchEvent(new CustomEvent("change"));
    return true;
  }
}

export const imageIn = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
