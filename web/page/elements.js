// Small helpers for elements and numbers.
export const at = (id) => document.getElementById(id);

// An element with attributes and children; a text is a child too.
export const make = (kind, attributes = {}, ...children) => {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

export const short = (value) => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(3)));
};
