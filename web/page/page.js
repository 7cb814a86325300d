// The page: what the visitor does, and what the workers tell.
import { Curves } from "./curves.js";
import { at } from "./elements.js";
import { showEpisode } from "./episode.js";
import { GameView } from "./game.js";
import { Remote } from "./remote.js";
import { setUpVerify } from "./verify.js";

// The metrics of all iterations, one object each, as in a metrics.jsonl.
export const metrics = [];

const form = at("training");
const { start, pause, save } = form.elements;
const status = at("status");
const settings = at("settings");
const curves = new Curves(at("curves"));
let about = null;

const fault = (error) => {
  at("fault").textContent = error.message;
  at("fault").hidden = false;
};

const listen = (message) => {
  switch (message.event) {
    case "progress":
      status.textContent = `Iteration ${metrics.length + 1}: ${message.text}`;
      break;
    case "iteration":
      metrics.push(message.metrics);
      save.disabled = false;
      at("done").value = message.done;
      curves.add(message.metrics);
      if (message.episode && !at("hold").checked) showEpisode(at("episode"), message.episode, metrics.length);
      break;
    case "stopped": {
      const ended = at("done").value >= 1;
      status.textContent = `${ended ? "The training has ended" : "Paused"} after ${metrics.length} iterations.`;
      [start.disabled, pause.disabled] = [ended, true];
      start.textContent = "Continue";
      break;
    }
    case "fault":
      fault(new Error(`The training has ended: ${message.message}`));
      status.textContent = `Ended after ${metrics.length} iterations.`;
      [start.disabled, pause.disabled] = [true, true];
      break;
  }
};

const remote = new Remote(listen);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  at("fault").hidden = true;
  start.disabled = true;
  try {
    if (!about) {
      status.textContent = "Preparing the tasks…";
      about = await remote.call("begin", settings.value);
      settings.readOnly = true;
    }
    await remote.call("start");
    pause.disabled = false;
    status.textContent = `Training ${about.parameters.toLocaleString("en")} weights on ${about.tasks} tasks…`;
  } catch (error) {
    start.disabled = false;
    status.textContent = "Not started.";
    fault(error);
  }
});

pause.addEventListener("click", () => {
  pause.disabled = true;
  status.textContent = "Pausing after this iteration…";
  remote.call("pause").catch(fault);
});

save.addEventListener("click", () => {
  const lines = metrics.map((one) => `${JSON.stringify(one)}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines], { type: "application/jsonl" }));
  link.download = "metrics.jsonl";
  link.click();
  URL.revokeObjectURL(link.href);
});

// Offers the tests on WebGPU where the browser has it, and says why not elsewhere.
const offerWebGpu = async () => {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const text = at("webgpu");
  if (adapter) {
    document.querySelector("option[value=webgpu]").disabled = false;
    text.textContent = "WebGPU is available for the tests.";
  } else if (!isSecureContext) {
    text.textContent = "No tests on WebGPU: it needs an address that begins with https:// or is localhost.";
  } else {
    const lack = navigator.gpu ? "this browser offers no GPU to WebGPU" : "this browser has no WebGPU";
    text.textContent = `No tests on WebGPU: ${lack}.`;
  }
};

offerWebGpu();
try {
  at("version").textContent = await remote.call("version");
  new GameView(() => settings.value, (task) => about && remote.call("agent", task), fault);
  setUpVerify();
  start.disabled = false;
  status.textContent = "Ready.";
} catch (error) {
  status.textContent = "Not ready.";
  fault(error);
}
