// Checks a report in headless Chromium: its script draws every metric, shows values under the pointer, reacts to
// its controls, and loads nothing.
//
// Usage: node --experimental-websocket checks/report_page.mjs REPORT.html [FOLDER]
//   FOLDER  gets screenshots of a desktop and of a phone
// Needs Chromium; its program is $CHROMIUM or `chromium`.
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { check, open, rest as pause } from "../web/chromium.mjs";

const [report, folder] = process.argv.slice(2);
if (!report) throw new Error("expected the path of a report");

const page = await open(["--disable-gpu"]);
const { events, run, tell } = page;
const rest = () => pause(300);

try {
  for (const [name, width, height, mobile] of [["desktop", 1200, 900, false], ["phone", 390, 844, true]]) {
    await tell("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 2, mobile });
    await tell("Page.navigate", { url: pathToFileURL(resolve(report)).href });
    await rest();
    const figures = await run("document.querySelectorAll('#explorer figure').length");
    check(figures > 20, `${name}: ${figures} curves`);
    check(await run("document.documentElement.scrollWidth <= innerWidth"), `${name}: the page is wider than the screen`);
    const wanted = "document.querySelector('#explorer figure[data-metric=return]')";
    await run(`${wanted}.scrollIntoView({ block: "center" })`);
    await rest();
    const inked = `(() => { const canvas = ${wanted}.querySelector("canvas");
      return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0); })()`;
    check(await run(inked), `${name}: the curve of the return is not drawn`);
    const box = await run(`(({ x, y, width, height }) => [x + width * 0.7, y + height / 2])(${wanted}.querySelector("canvas").getBoundingClientRect())`);
    await tell("Input.dispatchMouseEvent", { type: "mouseMoved", x: box[0], y: box[1] });
    await rest();
    const shown = await run(`${wanted}.querySelector("output").textContent`);
    check(/iteration \d+/.test(shown), `${name}: no value under the pointer: '${shown}'`);
    if (folder) {
      const { data } = await tell("Page.captureScreenshot", { format: "png" });
      writeFileSync(join(folder, `${name}.png`), Buffer.from(data, "base64"));
    }
    const set = (control, value) => run(`(() => { const control = document.querySelector("#explorer [name=${control}]");
      control.value = "${value}"; control.dispatchEvent(new Event("input", { bubbles: true })); })()`);
    const image = `${wanted}.querySelector("canvas").toDataURL()`;
    const before = await run(image);
    await set("smoothing", 0.96);
    check((await run(image)) !== before, `${name}: smoothing changes nothing`);
    await set("axis", "minutes");
    await tell("Input.dispatchMouseEvent", { type: "mouseMoved", x: box[0] - 5, y: box[1] });
    await rest();
    check(/minutes/.test(await run(`${wanted}.querySelector("output").textContent`)), `${name}: the axis stays`);
    await set("filter", "SECONDS/");
    const left = await run("[...document.querySelectorAll('#explorer figure')].filter((one) => !one.hidden).map((one) => one.dataset.metric)");
    check(left.length > 2 && left.every((metric) => metric.includes("seconds/")), `${name}: the filter leaves ${left}`);
    console.log(`${name}: ${figures} curves; under the pointer: ${shown.split("\n")[0]}`);
  }
  const failures = events.filter(({ method }) => method === "Runtime.exceptionThrown");
  check(failures.length === 0, `errors of the script: ${JSON.stringify(failures)}`);
  const loaded = events.filter(({ method, params }) => method === "Network.requestWillBeSent" && !params.request.url.startsWith("file:"));
  check(loaded.length === 0, `loads ${loaded.map(({ params }) => params.request.url)}`);
  console.log("no errors, and nothing was loaded");
} finally {
  await page.close();
}
