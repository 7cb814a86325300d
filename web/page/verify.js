// The tests of a device, and their table.
import { at, make, short } from "./elements.js";
import { Remote } from "./remote.js";

const row = (name, { ok, worst_error: worst, bound, compared, seconds, failures }) =>
  make("tr", {}, make("th", {}, name), make("td", {}, ok ? "passed" : `failed: ${failures[0] ?? ""}`),
    ...[short(worst), short(bound), String(compared), seconds.toFixed(1)].map((text) =>
      make("td", { class: "number" }, text)));

const run = async (device) => {
  const remote = new Remote();
  const [verdict, table] = [at("verdict"), at("tests")];
  try {
    verdict.className = "";
    verdict.textContent = "Opening the device…";
    const { name, tests } = await remote.call("checks", device);
    const body = table.querySelector("tbody");
    body.replaceChildren();
    table.hidden = false;
    let passed = 0;
    for (const [number, test] of tests.entries()) {
      verdict.textContent = `${name}: test ${number + 1} of ${tests.length}, ${test}…`;
      const result = await remote.call("check", number);
      passed += result.ok;
      body.append(row(test, result));
    }
    verdict.className = passed === tests.length ? "good" : "bad";
    verdict.textContent = `${name}: ${passed} of ${tests.length} tests passed.`;
  } catch (error) {
    verdict.className = "bad";
    verdict.textContent = `The tests ended: ${error.message}`;
  } finally {
    remote.end();
  }
};

export const setUpVerify = () => {
  const form = at("verify");
  const button = form.querySelector("button");
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await run(form.device.value);
    button.disabled = false;
  });
};
