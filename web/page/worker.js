// The other side of the page's calls: one worker trains, another holds the visitor's game, a third one verifies.
import init, { Game, Training, check, checks, shader_checks, version } from "./pkg/proxmo_web.js";
import { ShaderRunner } from "./shaders.js";

const ready = init();
let training = null;
let running = false;
let game = null;
let checked = null;

// A training does one thing at a time: a game of the agent waits for the end of an iteration.
let last = Promise.resolve();
const alone = (work) => {
  const next = last.then(work, work);
  last = next.catch(() => {});
  return next;
};

// Lets messages in, which a worker that computes does not see.
const pause = () => new Promise((done) => setTimeout(done));

const train = async () => {
  try {
    while (running) {
      const watch = (text) => postMessage({ event: "progress", text });
      const iteration = JSON.parse(await alone(() => training.iterate(watch)));
      postMessage({ event: "iteration", ...iteration });
      if (iteration.done >= 1) running = false;
      await pause();
    }
    postMessage({ event: "stopped" });
  } catch (error) {
    running = false;
    postMessage({ event: "fault", message: error.message ?? String(error) });
  }
};

// The tests of `proxmo verify` on the CPU.
const onCpu = () => ({
  name: "CPU (WebAssembly)",
  tests: JSON.parse(checks()),
  run: async (number) => JSON.parse(await check(number)),
});

// The crate's shaders on WebGPU, compared with the same definitions in 64 bits.
const onWebGpu = async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("this browser offers no GPU");
  const device = await adapter.requestDevice({ requiredLimits: ShaderRunner.limits(adapter) });
  let failures = [];
  device.addEventListener("uncapturederror", ({ error }) => failures.push(error.message));
  const { shaders, runs } = JSON.parse(shader_checks());
  const runner = new ShaderRunner(device, (name) => shaders[name]);
  const { description, vendor, architecture } = adapter.info;
  const run = async (number) => {
    failures = [];
    const begun = performance.now();
    const errors = await runner.run(runs[number]).catch((error) => {
      failures.push(error.message);
      return [];
    });
    for (const [name, error, bound] of errors) {
      if (!(error <= bound)) failures.push(`${name} are off by ${error}`);
    }
    const [, worst_error = null, bound = null] = errors.reduce(
      (worst, one) => (one[1] / one[2] > worst[1] / worst[2] ? one : worst), errors[0] ?? []);
    const compared = Object.values(runs[number].expected).reduce((sum, { numbers }) => sum + numbers.length, 0);
    const seconds = (performance.now() - begun) / 1000;
    return { ok: failures.length === 0, worst_error, bound, compared, seconds, failures };
  };
  const name = `WebGPU (${description || `${vendor} ${architecture}`.trim() || "a GPU without a name"})`;
  return { name, tests: runs.map((one) => one.name), run };
};

const calls = {
  version: () => version(),
  begin: (settings) => {
    training = new Training(settings);
    return JSON.parse(training.about());
  },
  start: () => {
    if (running) return;
    running = true;
    train();
  },
  pause: () => { running = false; },
  agent: async (task) => JSON.parse(await alone(() => training.play(task))),
  tasks: (settings) => {
    game = new Game(settings);
    return game.tasks;
  },
  game: (task) => JSON.parse(game.begin(task)),
  act: (action) => JSON.parse(game.act(action)),
  checks: async (device) => {
    checked = await (device === "webgpu" ? onWebGpu() : onCpu());
    return { name: checked.name, tests: checked.tests };
  },
  check: (number) => checked.run(number),
};

addEventListener("message", async ({ data: { id, call, args } }) => {
  try {
    await ready;
    postMessage({ id, result: await calls[call](...args) });
  } catch (error) {
    postMessage({ id, error: error.message ?? String(error) });
  }
});
