// Tests the built page in headless Chromium: checks/web runs it.
//
// Usage: node --experimental-websocket web/test.mjs ADDRESS FOLDER [cpu] [webgpu]
//   ADDRESS  of the served page
//   FOLDER   gets pictures of the page, the settings that were trained with, and the metrics
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, open } from "./chromium.mjs";

const [address, folder, ...wanted] = process.argv.slice(2);
if (!folder) throw new Error("expected the address of the page and a folder");

const SECONDS = Number(process.env.PROXMO_WEB_SECONDS ?? 1800);
const VISIT = "(async () => (await import('./page.js')).metrics)()";

// Training until more than half of the episodes succeed takes about 40 of these iterations.
const CPU_SETTINGS = `[run]
seed = 0
iterations = 300

[rollout]
groups = 16
group_size = 8

[update]
schedule = "constant"

[env]
name = "household"
tasks = 400
held_out = 20
`;

const load = async (page) => {
  const begun = Date.now();
  await page.tell("Page.navigate", { url: address });
  await page.until("document.querySelector('#training [name=start]')?.disabled === false", 60, "the page is ready");
  return (Date.now() - begun) / 1000;
};

const set = (page, settings) =>
  page.run(`document.getElementById('settings').value = ${JSON.stringify(settings)}`);

const choose = (page, device) => page.run(`document.querySelector('#verify [name=device]').value = '${device}'`);

const save = async (page, name) => {
  const metrics = await page.run(VISIT);
  writeFileSync(join(folder, `${name}.jsonl`), metrics.map((one) => `${JSON.stringify(one)}\n`).join(""));
  return metrics;
};

const refusesWrongSettings = async (page) => {
  await set(page, "[run]\nseed = 0\niteration = 3\n");
  await page.click("#training [name=start]");
  await page.until("!document.getElementById('fault').hidden", 60, "an error of the settings");
  const text = await page.run("document.getElementById('fault').textContent");
  check(text.startsWith("settings:3: `run.iteration` is an unknown key"), text);
  console.log(`wrong settings: ${text.slice(0, 60)}…`);
};

const trains = async (page) => {
  await set(page, CPU_SETTINGS);
  writeFileSync(join(folder, "settings.toml"), CPU_SETTINGS);
  await page.click("#training [name=start]");
  const count = `(${VISIT}).then((metrics) => metrics.length)`;
  await page.until(`${count}.then((count) => count >= 2)`, SECONDS, "two iterations");
  await page.click("#training [name=pause]");
  await page.until("document.getElementById('status').textContent.startsWith('Paused')", 120, "the pause");
  const before = await page.run(count);
  await page.run("new Promise((done) => setTimeout(done, 3000))");
  check((await page.run(count)) === before, "iterations go on during the pause");
  await page.click("#training [name=start]");
  await page.until(`(${VISIT}).then((metrics) => metrics.some(({ success }) => success > 0.5))`, SECONDS,
    "more than half of the episodes succeed");
  const metrics = await save(page, "metrics");
  const seconds = metrics.map(({ seconds }) => seconds.rollout + seconds.credit + seconds.update);
  const mean = seconds.reduce((sum, one) => sum + one, 0) / seconds.length;
  console.log(`CPU: success ${metrics.at(-1).success} after ${metrics.length} iterations of ${mean.toFixed(2)} s`);
  const steps = await page.run("document.querySelectorAll('#episode tbody tr').length");
  const coloured = await page.run("document.querySelectorAll('#episode tbody tr:is(.more, .less)').length");
  check(steps > 0 && coloured === steps, `the episode has ${steps} steps, ${coloured} of them coloured`);
  const inked = await page.run(`[...document.querySelectorAll('#curves canvas')].every((canvas) =>
    canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0))`);
  check(inked, "a curve is not drawn");
};

const plays = async (page) => {
  await page.click("#game button");
  await page.until("document.querySelectorAll('#actions button').length > 1", 120, "the actions of a game");
  for (let step = 1; step <= 60; step += 1) {
    await page.click(`#actions button:nth-child(${1 + (step % 2)})`);
    await page.until(`document.querySelectorAll('#you li').length > ${step}`, 60, `step ${step} of the game`);
    if (await page.run("document.getElementById('you-end').textContent !== ''")) break;
  }
  const end = await page.run("document.getElementById('you-end').textContent");
  check(/^You (won|lost) after \d+ steps\.$/.test(end), `the visitor's game ends with '${end}'`);
  await page.until("/^The agent (won|lost) after/.test(document.getElementById('agent-end').textContent)", SECONDS,
    "the end of the agent's game");
  console.log(`game: ${end} ${await page.run("document.getElementById('agent-end').textContent")}`);
};

const verifies = async (page, device, least) => {
  await choose(page, device);
  const begun = Date.now();
  await page.click("#verify button");
  await page.until("document.getElementById('verdict').className !== ''", SECONDS, `the tests of ${device}`);
  const verdict = await page.run("document.getElementById('verdict').textContent");
  const rows = await page.run("[...document.querySelectorAll('#tests tbody tr')].map((row) => row.innerText).join('\\n')");
  writeFileSync(join(folder, `verify-${device}.txt`), `${verdict}\n${rows}\n`);
  console.log(`${verdict} (${((Date.now() - begun) / 1000).toFixed(0)} s)`);
  const [, passed, all] = verdict.match(/(\d+) of (\d+) tests passed/) ?? [];
  check(all > least && passed === all, rows);
};

const quiet = ({ events }) => {
  const failures = events.filter(({ method }) => method === "Runtime.exceptionThrown");
  check(failures.length === 0, `errors of the scripts: ${JSON.stringify(failures)}`);
  const loaded = events.filter(({ method, params }) =>
    method === "Network.requestWillBeSent" && !/^(data|blob):/.test(params.request.url)
      && !params.request.url.startsWith(address));
  check(loaded.length === 0, `loads ${loaded.map(({ params }) => params.request.url)}`);
};

const onCpu = async () => {
  const page = await open(["--disable-gpu"]);
  try {
    await page.size(1200, 900, false, false);
    const seconds = await load(page);
    console.log(`ready after ${seconds.toFixed(2)} s`);
    check(seconds < 3 || process.env.PROXMO_WEB_SLOW, `ready only after ${seconds} s`);
    await page.until("document.getElementById('webgpu').textContent.startsWith('No tests on WebGPU')", 60,
      "a note that WebGPU is missing");
    check(await page.run("document.querySelector('#verify option[value=webgpu]').disabled"), "WebGPU is offered");
    await refusesWrongSettings(page);
    await trains(page);
    await plays(page);
    await page.picture(join(folder, "desktop.png"));
    await page.size(390, 844, true, true);
    check(await page.run("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than a phone");
    await page.picture(join(folder, "phone-dark.png"));
    await page.click("#training [name=pause]");
    await page.size(1200, 900, false, false);
    await verifies(page, "cpu", 20);
    await page.picture(join(folder, "verified.png"));
    quiet(page);
  } finally {
    await page.close();
  }
};

const onWebGpu = async () => {
  const page = await open(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]);
  try {
    await page.size(1200, 900, false, false);
    await load(page);
    await page.until("!document.querySelector('#verify option[value=webgpu]').disabled", 60, "WebGPU is offered");
    await verifies(page, "webgpu", 10);
    await page.picture(join(folder, "webgpu.png"));
    quiet(page);
  } finally {
    await page.close();
  }
};

const all = { cpu: onCpu, webgpu: onWebGpu };
for (const name of wanted.length ? wanted : Object.keys(all)) await all[name]();
