// Texts for scripts, in the page's language, as the page brings them.
export const LANGUAGE = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang || "en-GB";
const TEXTS = JSON.parse(document.body.dataset.says || "{}");

export function say(key, values = {}) {
  return Object.entries(values).reduce((text, [name, value]) => text.replace(`{${name}}`, value), TEXTS[key] ?? key);
}
