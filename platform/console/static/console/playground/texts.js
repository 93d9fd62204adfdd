// Texts of the page in the user's language, and lines that show them.
const texts = JSON.parse(document.getElementById("playground-texts").textContent);

export const text = (name, values = {}) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

export const showText = (line, content, isError = false) => {
  line.textContent = content;
  line.classList.toggle("at-bad-text", isError);
};
