// An episode with the credit of its steps.
import { make } from "./elements.js";

// A number above a bar from the middle.
const bar = (advantage, largest) => {
  const share = largest > 0 ? (50 * Math.abs(advantage)) / largest : 0;
  const less = advantage < 0;
  const line = make("span", { class: less ? "less" : "more" });
  line.style.cssText = `margin-left:${less ? 50 - share : 50}%;width:${share}%`;
  return [`${less ? "−" : "+"}${Math.abs(advantage).toFixed(3)}`, make("div", { class: "advantage" }, line)];
};

export const showEpisode = (place, { record, advantages, group: [won, size] }, iteration) => {
  const largest = Math.max(...advantages.map(Math.abs), 0);
  const rows = record.steps.map(({ observation, action }, number) => {
    const advantage = advantages[number];
    const row = make("tr", { class: advantage < 0 ? "less" : "more" },
      make("th", {}, String(number + 1)),
      make("td", {}, make("span", { class: "seen" }, observation), make("b", {}, action)),
      make("td", { class: "number" }, ...bar(advantage, largest)));
    row.style.setProperty("--share", `${largest > 0 ? Math.round((40 * Math.abs(advantage)) / largest) : 0}%`);
    return row;
  });
  const heads = ["step", "observation and action", "advantage"].map((text) => make("th", {}, text));
  place.replaceChildren(
    make("p", {}, make("b", {}, record.task ?? ""), ` ${record.success ? "Success" : "Failure"} after ` +
      `${record.steps.length} steps in iteration ${iteration}; ${won} of ${size} episodes of its group succeeded.`),
    make("div", { class: "wide" }, make("table", { class: "episode" },
      make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows))));
};
