// A list of rows that are cloned from a template, each with a button that removes it.
export class Rows {
  constructor(name, onChange, setUp = () => {}) {
    this.root = document.getElementById(`${name}s`);
    this.template = document.getElementById(`${name}-row`);
    Object.assign(this, { onChange, setUp });
    document.getElementById(`add-${name}`).addEventListener("click", () => {
      const row = this.add();
      row.querySelector("select, input")?.focus();
      onChange();
    });
  }
  get all() {
    return [...this.root.children];
  }
  add() {
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.querySelector("[data-remove-row]").addEventListener("click", () => {
      row.remove();
      this.onChange();
    });
    this.root.append(row);
    this.setUp(row);
    return row;
  }
  clear() {
    this.root.replaceChildren();
  }
}

// A field of a row; rows repeat, so their fields have no names of the form.
export const fieldOf = (row, name) => row.querySelector(`[data-field=${name}]`);
