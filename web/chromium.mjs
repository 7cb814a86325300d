// Drives headless Chromium through its DevTools protocol. Its program is $CHROMIUM or `chromium`.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const check = (holds, text) => {
  if (!holds) throw new Error(text);
};

export const rest = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Starts a browser with one page. `flags` are further flags of Chromium.
export const open = async (flags) => {
  const profile = mkdtempSync(join(tmpdir(), "proxmo-web-"));
  const browser = spawn(process.env.CHROMIUM ?? "chromium", [
    "--headless=new", "--no-sandbox", "--remote-debugging-port=0", `--user-data-dir=${profile}`, ...flags,
    "about:blank",
  ], { stdio: ["ignore", "ignore", "pipe"] });
  const endpoint = await new Promise((found, fail) => {
    let text = "";
    browser.stderr.on("data", (part) => {
      const match = (text += part).match(/DevTools listening on (ws:\S+)/);
      if (match) found(match[1]);
    });
    browser.on("exit", () => fail(new Error(`Chromium has ended: ${text}`)));
  });
  const socket = new WebSocket(endpoint);
  await new Promise((opened) => socket.addEventListener("open", opened));
  const [answers, events] = [new Map(), []];
  let number = 0;
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.id) answers.get(message.id)(message);
    else events.push(message);
  });
  const send = (method, params = {}, sessionId = undefined) => new Promise((done, fail) => {
    socket.send(JSON.stringify({ id: ++number, method, params, sessionId }));
    answers.set(number, ({ result, error }) => (error ? fail(new Error(`${method}: ${error.message}`)) : done(result)));
  });
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const tell = (method, params) => send(method, params, sessionId);
  await Promise.all(["Page", "Runtime", "Network"].map((domain) => tell(`${domain}.enable`)));

  const page = {
    events,
    tell,
    run: async (expression) => {
      const { result, exceptionDetails } =
        await tell("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      check(!exceptionDetails, `${expression}: ${exceptionDetails?.exception?.description}`);
      return result.value;
    },
    // Waits until an expression holds; fails after `seconds`.
    until: async (expression, seconds, what) => {
      for (const end = Date.now() + 1000 * seconds; Date.now() < end; await rest(200)) {
        if (await page.run(expression)) return;
      }
      const shown = await page.run("document.querySelector('main').innerText.slice(0, 2000)");
      throw new Error(`not within ${seconds} s: ${what}\n${shown}`);
    },
    click: (selector) => page.run(`document.querySelector(${JSON.stringify(selector)}).click()`),
    size: (width, height, mobile, dark) => Promise.all([
      tell("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile }),
      tell("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] }),
    ]),
    // A picture of the whole page.
    picture: async (file) => {
      const { cssContentSize: { width, height } } = await tell("Page.getLayoutMetrics");
      const clip = { x: 0, y: 0, width, height: Math.min(height, 12000), scale: 1 };
      const { data } = await tell("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip });
      writeFileSync(file, Buffer.from(data, "base64"));
    },
    close: async () => {
      const gone = new Promise((done) => browser.on("exit", done));
      browser.kill();
      await gone;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return page;
};
